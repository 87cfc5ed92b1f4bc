// Owns the index of the response store: by a key's hash to the unit of its object. Changed by the holder of the lock; read by all without it.
// An entry that is there names a whole object; one is taken out before its object's memory is used for anything else.
import { REC, STATE_HIDDEN, WAYS } from "./layout.ts";
import type { Records } from "./records.ts";

/** What goes before all objects that were read never: a free entry, then an object of whoever needs the place. Beyond the reads that are counted. */
const FREE = -16;
const OWN = -8;

export class StoreIndex {
  readonly #records: Records;
  readonly #words: Int32Array;
  readonly #first: number;
  readonly #mask: number;

  constructor(records: Records) {
    this.#records = records;
    this.#words = records.words;
    this.#first = records.layout.index;
    this.#mask = records.layout.buckets - 1;
  }

  get buckets(): number {
    return this.#mask + 1;
  }

  /** Word of the first of the {@link WAYS} entries where a key may stand. @param low lower half of its hash */
  bucket(low: number): number {
    return this.#first + (low & this.#mask) * WAYS * 2;
  }

  /** @param entry a word that {@link bucket} gave, plus two for each way. @returns -1 for a free one, or of another tag */
  unitIn(entry: number, tag: number): number {
    return Atomics.load(this.#words, entry) === tag ? Atomics.load(this.#words, entry + 1) - 1 : -1;
  }

  /** Unit of an entry, whatever its tag; -1 when it is free. */
  anyUnitIn(entry: number): number {
    return Atomics.load(this.#words, entry + 1) - 1;
  }

  /** The entry that names this object; -1 for none: it is not to be found. For the holder of the lock. */
  entryOf(unit: number): number {
    const first = this.bucket(this.#records.get(unit, REC.low));
    for (let entry = first; entry < first + WAYS * 2; entry += 2) if (this.#words[entry + 1] === unit + 1) return entry;
    return -1;
  }

  /** The object that {@link add} would put this one in the place of, as it has the same key; -1 for none. */
  before(unit: number): number {
    const tag = this.#records.get(unit, REC.tag);
    const low = this.#records.get(unit, REC.low);
    const first = this.bucket(low);
    for (let entry = first; entry < first + WAYS * 2; entry += 2) {
      const other = this.unitIn(entry, tag);
      if (other >= 0 && this.#records.get(other, REC.low) === low) return other;
    }
    return -1;
  }

  hide(entry: number): void {
    Atomics.store(this.#words, entry + 1, 0);
  }

  show(entry: number, tag: number, unit: number): void {
    Atomics.store(this.#words, entry, tag);
    Atomics.store(this.#words, entry + 1, unit + 1);
  }

  /** Makes an object findable, in the place of an older one of its key; else of the least read of its bucket when that is full. @param own whose objects go first then; -1 for nobody's. @returns the unit of what it took the place of; -1 for none */
  add(unit: number, own: number): number {
    const tag = this.#records.get(unit, REC.tag);
    const low = this.#records.get(unit, REC.low);
    const first = this.bucket(low);
    let place = -1;
    let leastRead = Number.POSITIVE_INFINITY;
    for (let entry = first; entry < first + WAYS * 2; entry += 2) {
      const other = this.#words[entry + 1]! - 1; // inside the index
      if (other >= 0 && this.#words[entry] === tag && this.#records.get(other, REC.low) === low) {
        place = entry;
        break;
      }
      const read = other < 0 ? FREE : this.#records.get(other, REC.read) + (this.#records.get(other, REC.account) === own ? OWN : 0);
      if (read < leastRead) {
        leastRead = read;
        place = entry;
      }
    }
    const replaced = this.#words[place + 1]! - 1; // a bucket has entries
    this.hide(place); // no reader may see the new tag beside the old object
    if (replaced >= 0) this.#records.set(replaced, REC.state, STATE_HIDDEN);
    this.show(place, tag, unit);
    return replaced;
  }

  clear(): void {
    const end = this.#first + this.buckets * WAYS * 2;
    for (let entry = this.#first; entry < end; entry += 2) this.hide(entry);
  }
}
