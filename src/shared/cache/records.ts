// Reads and writes the records of the response store in place. Knows where a record's words lie, and nothing of rings, index or pins.
import { bodyStart, HEAD, layoutIn, REC, RECORD_BYTES, STATE_FILLER, type StoreLayout, UNIT_BYTES } from "./layout.ts";

const WORDS_PER_UNIT = UNIT_BYTES / 4;

export class Records {
  readonly buffer: SharedArrayBuffer;
  readonly layout: StoreLayout;
  /** All of the store. */
  readonly words: Int32Array;
  readonly floats: Float64Array;
  readonly bytes: Uint8Array;
  readonly #firstWord: number;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.layout = layoutIn(buffer);
    this.words = new Int32Array(buffer, 0, Math.floor(buffer.byteLength / 4));
    this.floats = new Float64Array(buffer, 0, Math.floor(buffer.byteLength / 8));
    this.bytes = new Uint8Array(buffer);
    this.#firstWord = this.layout.firstUnitByte / 4;
  }

  /** Index in {@link words} of a record's first word. */
  at(unit: number): number {
    return this.#firstWord + unit * WORDS_PER_UNIT;
  }

  byteAt(unit: number): number {
    return this.layout.firstUnitByte + unit * UNIT_BYTES;
  }

  get(unit: number, field: number): number {
    return this.words[this.at(unit) + field]!; // inside the buffer: units come from the store itself
  }

  set(unit: number, field: number, value: number): void {
    this.words[this.at(unit) + field] = value;
  }

  /** Index in {@link floats} of a record's first fact. */
  factsAt(unit: number): number {
    return (this.at(unit) + REC.facts) / 2;
  }

  fill(unit: number, units: number): void {
    if (units === 0) return;
    this.set(unit, REC.size, units);
    this.set(unit, REC.state, STATE_FILLER);
  }

  /** Of an object that nobody has pinned, and that is not to be found meanwhile. The places may overlap when `to` is below `from`. */
  move(from: number, to: number): void {
    const start = this.byteAt(from);
    this.bytes.copyWithin(this.byteAt(to), start, start + this.get(from, REC.size) * UNIT_BYTES);
  }

  count(counter: number, by = 1): void {
    this.words[counter]! += by;
  }

  /** Byte offsets in the buffer. */
  headAt(unit: number): number {
    return this.byteAt(unit) + RECORD_BYTES + this.get(unit, REC.keyBytes);
  }

  bodyAt(unit: number): number {
    return this.byteAt(unit) + bodyStart(this.get(unit, REC.keyBytes), this.get(unit, REC.headBytes));
  }
}

/** @returns the key of the hash, copied */
export const hashKey = (buffer: SharedArrayBuffer): Uint8Array => Uint8Array.from(new Uint8Array(buffer, HEAD.key * 4, 16));
