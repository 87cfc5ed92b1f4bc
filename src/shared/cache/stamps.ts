// Owns which stored responses are void: by URL and by tag at once, by counters that every worker reads at each use; by prefix through a walk of the primary.
// A response keeps the sum of its counters from before it was asked for, so that what was on its way during a purge is void too.
//
// Layout: word 0 WALKS, how often a walk over the store was begun; word 1 TAG PURGES; words 64.. HARD counters, then as many SOFT ones. Writers: all (atomic add).
// Readers: all. Two names may share a counter: then one purge more than was asked for makes a response void, never one less. Counters go round after 2^32 purges.

/** Counters of each kind: a power of two. */
const COUNTERS = 2 ** 16;
const WALKS = 0;
const TAG_PURGES = 1;
const FIRST = 64;

export class Stamps {
  readonly #words: Int32Array;

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer((FIRST + 2 * COUNTERS) * 4);
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  /** @param names hashes of the URL and of each tag. @returns what a response that is asked for now is to keep */
  hard(names: Iterable<number>): number {
    return this.#sum(names, FIRST);
  }

  soft(names: Iterable<number>): number {
    return this.#sum(names, FIRST + COUNTERS);
  }

  /** How often one was begun. */
  get walks(): number {
    return Atomics.load(this.#words, WALKS);
  }

  /** How often any tag was purged. */
  get tagPurges(): number {
    return Atomics.load(this.#words, TAG_PURGES);
  }

  /** Every response of this URL is void. @param soft it may still be served where a stale response may */
  purgeUrl(name: number, soft: boolean): void {
    Atomics.add(this.#words, this.#place(name, soft), 1);
  }

  /** The same for every response that carries this tag. */
  purgeTag(name: number, soft: boolean): void {
    Atomics.add(this.#words, TAG_PURGES, 1); // first: whoever asks the origin from here on is after the purge
    Atomics.add(this.#words, this.#place(name, soft), 1);
  }

  /** Before a walk begins: what was asked for until now must not be stored any more. */
  beginWalk(): void {
    Atomics.add(this.#words, WALKS, 1);
  }

  #place(name: number, soft: boolean): number {
    return FIRST + (soft ? COUNTERS : 0) + (name & (COUNTERS - 1));
  }

  #sum(names: Iterable<number>, first: number): number {
    let sum = 0;
    for (const name of names) sum = (sum + Atomics.load(this.#words, first + (name & (COUNTERS - 1)))) | 0;
    return sum;
  }
}
