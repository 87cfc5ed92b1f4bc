// Owns what the fleet has purged, as far as this instance has read the fleet's log: by it each worker judges what it finds in Redis, which was stored there by
// anybody, at any time. Must never let anything pass of which it is not known whether it was purged.
//
// Layout, in 32-bit words: 0 VERSION (odd while something is changed that is more than one word), 1 KNOWN (0: nothing is), 2-3 hash of the log's ERA, 4 APPLIED (number of
// the last order that all below shows), 5 FLOOR (orders up to this number are not known one by one), 6 ALL HARD, 7 ALL SOFT, 8 HELD ALL, 9 PREFIXES (ever noted);
// words 64.. HARD, SOFT (number of the last order that named such a URL or tag) and HELD (orders of this instance that name it and are not in the log yet);
// behind them PREFIX_SLOTS prefixes: number, 1 for soft, characters, then the characters as bytes.
// Writers: primary; HELD also workers (atomic add). Readers: workers. An order is noted word by word, and only then APPLIED says so.
// Two names may share a place: then one order more than there was makes a record void, never one less. Numbers go up to 2^32 - 1; nothing is known behind that.
import { hash32 } from "../../base/hash32.ts";

const NAMES = 2 ** 16;
/** Numbers that are alike in their last bits are held together. */
export const HELD_PLACES = NAMES;
const VERSION = 0;
const KNOWN = 1;
const ERA = 2;
const APPLIED = 4;
const FLOOR = 5;
const ALL = 6;
const HELD_ALL = 8;
const PREFIXES = 9;
const FIRST = 64;
const HARD = FIRST;
const SOFT = FIRST + NAMES;
const HELD = FIRST + 2 * NAMES;
const PREFIX_FIRST = FIRST + 3 * NAMES;
/** Prefixes that are known one by one; one more makes void whatever is older than the oldest of them. */
const PREFIX_SLOTS = 128;
/** A longer one makes everything void. */
const PREFIX_CHARS_MAX = 1012;
const PREFIX_WORDS = 3 + PREFIX_CHARS_MAX / 4;
const SEQUENCE_MAX = 2 ** 32 - 1;

/** A place in the fleet's log. @property era when it was begun @property sequence of the last order */
export interface LogPlace {
  readonly era: string;
  readonly sequence: number;
}

/** What an order names, in the numbers of names.ts. */
export interface NotedOrder {
  readonly soft: boolean;
  readonly everything: boolean;
  readonly names: readonly number[];
  /** Beginnings of URLs, byte strings. */
  readonly prefixes: readonly string[];
}

/** `void`: purged, or nobody can tell. `soft`: no longer fresh. */
export type PurgeVerdict = "valid" | "soft" | "void";

/** Something that was stored, and where the log was when it was asked for. */
export interface StoredName {
  readonly place: LogPlace;
  readonly url: string;
  /** Of the URL and of each tag. */
  readonly names: readonly number[];
}

export class TierPurges {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  #era = "";
  #eraHash: readonly [number, number] = [0, 0];

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer((PREFIX_FIRST + PREFIX_SLOTS * PREFIX_WORDS) * 4);
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  // --- Primary ---

  /** The log is another than was known, or its orders from `floor` on are to be noted anew. Nothing is known until {@link reached}. */
  begin(era: string, floor: number): void {
    this.#change(() => {
      this.#store(KNOWN, 0);
      this.#words.fill(0, APPLIED, HELD_ALL);
      this.#words.fill(0, HARD, HELD);
      this.#store(PREFIXES, 0);
      this.#store(FLOOR, floor);
      const [high, low] = hashesOf(era);
      this.#store(ERA, high);
      this.#store(ERA + 1, low);
    });
  }

  /** @param sequence of the order; they come in the log's turn */
  note(sequence: number, { soft, everything, names, prefixes }: NotedOrder): void {
    const first = soft ? SOFT : HARD;
    for (const name of names) this.#store(first + (name & (NAMES - 1)), sequence);
    if (everything || prefixes.some(({ length }) => length > PREFIX_CHARS_MAX)) this.#store(ALL + (soft ? 1 : 0), sequence);
    else for (const prefix of prefixes) this.#change(() => this.#notePrefix(sequence, soft, prefix));
  }

  #notePrefix(sequence: number, soft: boolean, prefix: string): void {
    const count = this.#load(PREFIXES);
    const at = PREFIX_FIRST + (count % PREFIX_SLOTS) * PREFIX_WORDS;
    if (count >= PREFIX_SLOTS) this.#store(FLOOR, Math.max(this.#load(FLOOR), this.#load(at)));
    this.#store(at, sequence);
    this.#store(at + 1, soft ? 1 : 0);
    this.#store(at + 2, prefix.length);
    this.#bytes.set(Buffer.from(prefix, "latin1"), (at + 3) * 4);
    this.#store(PREFIXES, count + 1);
  }

  /** All orders up to this one are noted. */
  reached(sequence: number): void {
    this.#store(APPLIED, sequence);
    this.#store(KNOWN, sequence <= SEQUENCE_MAX ? 1 : 0);
  }

  /** Nothing of it is taken from Redis until {@link release} says the same: an order of this instance that is not in the log yet. */
  hold(order: NotedOrder): void {
    this.#addHeld(order, 1);
  }

  release(order: NotedOrder): void {
    this.#addHeld(order, -1);
  }

  /** What workers have held by {@link holdUrl}. */
  releaseUrl(name: number, times: number): void {
    Atomics.sub(this.#words, HELD + (name & (NAMES - 1)), times);
  }

  #addHeld({ everything, names, prefixes }: NotedOrder, by: 1 | -1): void {
    for (const name of names) Atomics.add(this.#words, HELD + (name & (NAMES - 1)), by);
    if (everything || prefixes.length > 0) Atomics.add(this.#words, HELD_ALL, by);
  }

  // --- Workers ---

  /** The same for one URL, whose order the primary will be told of. @param name number of the URL */
  holdUrl(name: number): void {
    Atomics.add(this.#words, HELD + (name & (NAMES - 1)), 1);
  }

  /** Where a response stands that is asked for now. @param era of the log @returns null when nothing is known of it here */
  placeIn(era: string): LogPlace | null {
    return this.#isOf(era) ? { era, sequence: this.#load(APPLIED) } : null;
  }

  /** Whether all that the log holds is known here. @param log where it is, as Redis has just said */
  isUpTo({ era, sequence }: LogPlace): boolean {
    return this.#load(APPLIED) === sequence && this.#isOf(era);
  }

  #isOf(era: string): boolean {
    const [high, low] = this.#hashesOf(era);
    return this.#load(KNOWN) === 1 && this.#load(ERA) === high && this.#load(ERA + 1) === low;
  }

  /** @param log where it is now, as Redis has said after it was asked for what is judged */
  judge({ place, url, names }: StoredName, log: LogPlace): PurgeVerdict {
    const version = Atomics.load(this.#words, VERSION);
    const verdict = this.#judged(place, url, names, log);
    return (version & 1) === 0 && Atomics.load(this.#words, VERSION) === version ? verdict : "void";
  }

  #judged({ era, sequence }: LogPlace, url: string, names: readonly number[], log: LogPlace): PurgeVerdict {
    if (era !== log.era || sequence > log.sequence || !this.isUpTo(log)) return "void";
    if (sequence < this.#load(FLOOR) || this.#load(ALL) > sequence || Atomics.load(this.#words, HELD_ALL) !== 0) return "void";
    let verdict: PurgeVerdict = this.#load(ALL + 1) > sequence ? "soft" : "valid";
    for (const name of names) {
      const place = name & (NAMES - 1);
      if (this.#load(HARD + place) > sequence || Atomics.load(this.#words, HELD + place) !== 0) return "void";
      if (this.#load(SOFT + place) > sequence) verdict = "soft";
    }
    const byPrefix = this.#byPrefix(url, sequence);
    return byPrefix === "valid" ? verdict : byPrefix;
  }

  #byPrefix(url: string, sequence: number): PurgeVerdict {
    let verdict: PurgeVerdict = "valid";
    const count = Math.min(this.#load(PREFIXES), PREFIX_SLOTS);
    for (let slot = 0; slot < count; slot++) {
      const at = PREFIX_FIRST + slot * PREFIX_WORDS;
      if (this.#load(at) <= sequence || !this.#begins(url, at)) continue;
      if (this.#load(at + 1) === 0) return "void";
      verdict = "soft";
    }
    return verdict;
  }

  #begins(url: string, at: number): boolean {
    const length = this.#load(at + 2);
    if (length > url.length) return false;
    const first = (at + 3) * 4;
    for (let i = 0; i < length; i++) if (this.#bytes[first + i] !== url.charCodeAt(i)) return false;
    return true;
  }

  /** Mostly the same one. */
  #hashesOf(era: string): readonly [number, number] {
    if (era !== this.#era) {
      this.#era = era;
      this.#eraHash = hashesOf(era);
    }
    return this.#eraHash;
  }

  #change(change: () => void): void {
    Atomics.add(this.#words, VERSION, 1);
    change();
    Atomics.add(this.#words, VERSION, 1);
  }

  /** Sequence numbers are unsigned. */
  #load(word: number): number {
    return Atomics.load(this.#words, word) >>> 0;
  }

  #store(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
  }
}

const hashesOf = (era: string): readonly [number, number] => [hash32(era), hash32(`~${era}`)];
