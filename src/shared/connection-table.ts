// Owns how many client connections each peer address has at most: what the kernel listed at the last census (control/connections/census.ts), and what
// was opened since. Must never say too little: a connection that is closed counts on until the next census, which is a moment away when it matters.
// Counted so, and not from opening to closing, because the uws engine does not tell whose connection was closed; a worker that dies leaves nothing behind.
//
// Layout, Int32:
//   0  WORKS   1 while there is a census to rely on; else nobody is turned away     writer: primary
//   1  WANTED  1: somebody comes near the limit, a census is due                    writers: workers set, primary clears
//   2  EPOCH   0 or 1: which of the two SINCE tables is added to                    writer: primary
//   16         LISTED   one word for each bucket of addresses (address-bucket.ts)   writer: primary
//   ..         SINCE 0, SINCE 1  the same                                           writers: workers add; primary clears
// A census begins with the other SINCE empty and EPOCH changed, lists, then writes LISTED and clears the SINCE before. What was opened while it
// lists may count twice, until the next one; nothing is left out: who still reads the old EPOCH has a connection that the kernel lists already.
// Ordering: sequentially consistent (Atomics); LISTED is written plainly, word by word, before the SINCE before is cleared.
import { ADDRESS_BUCKETS } from "./address-bucket.ts";

const WORKS = 0;
const WANTED = 1;
const EPOCH = 2;
const LISTED = 16;
const SINCE = [LISTED + ADDRESS_BUCKETS, LISTED + 2 * ADDRESS_BUCKETS] as const;
/** A census is due when somebody has this part of the limit. */
export const NEAR = 0.5;

/** Only what is written to takes memory. */
export const CONNECTION_TABLE_BYTES = (LISTED + 3 * ADDRESS_BUCKETS) * Int32Array.BYTES_PER_ELEMENT;

/** One thread's view. */
export class ConnectionTable {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  // --- Workers ---

  /** Somebody has connected. @returns false when that is one more than the limit: it does not count, and is to be closed */
  opened(bucket: number, limit: number): boolean {
    const words = this.#words;
    if (Atomics.load(words, WORKS) === 0) return true;
    for (;;) {
      const epoch = Atomics.load(words, EPOCH) & 1;
      const mine = (epoch === 0 ? SINCE[0] : SINCE[1]) + bucket;
      const other = (epoch === 0 ? SINCE[1] : SINCE[0]) + bucket;
      // Nothing is ever taken off again: that could happen behind a census, and would give somebody a place too many.
      const since = Atomics.load(words, mine);
      const count = since + 1 + Atomics.load(words, other) + Atomics.load(words, LISTED + bucket);
      if (count >= limit * NEAR) Atomics.store(words, WANTED, 1);
      if (count > limit) return false;
      if (Atomics.compareExchange(words, mine, since, since + 1) === since) return true;
    }
  }

  // --- Primary ---

  get wanted(): boolean {
    return Atomics.load(this.#words, WANTED) === 1;
  }

  /** @param works there is a census to rely on */
  set works(works: boolean) {
    Atomics.store(this.#words, WORKS, works ? 1 : 0);
  }

  /** What the last census found in a bucket. */
  listed(bucket: number): number {
    return Atomics.load(this.#words, LISTED + bucket);
  }

  /** Before the kernel's list is read. */
  beginCensus(): void {
    Atomics.store(this.#words, WANTED, 0);
    const next = 1 - (Atomics.load(this.#words, EPOCH) & 1);
    this.#clearSince(next);
    Atomics.store(this.#words, EPOCH, next);
  }

  /** @param listed connections by bucket, ADDRESS_BUCKETS long */
  endCensus(listed: Int32Array): void {
    this.#words.set(listed, LISTED);
    this.#clearSince(1 - (Atomics.load(this.#words, EPOCH) & 1));
  }

  #clearSince(epoch: number): void {
    const from = epoch === 0 ? SINCE[0] : SINCE[1];
    this.#words.fill(0, from, from + ADDRESS_BUCKETS);
  }
}
