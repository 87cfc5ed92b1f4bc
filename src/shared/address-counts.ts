// Owns how many of something each client address has at the moment, over all workers: bodies that are arriving. Must never need more room than it
// was made with: addresses share buckets, so that a count may be too high, never too low.
//
// Layout: Int32, worker after worker ADDRESS_BUCKETS words: how many the addresses of a bucket have at that worker. The bucket of an address is
// chosen by a keyed hash (address-bucket.ts), so that nobody outside can choose with whom to share one.
// Writer: the worker of that index; the primary only between a worker's end and its replacement's start. Readers: all workers.
// Ordering: a worker adds to its own word and then sums the bucket over all workers, both sequentially consistent (Atomics). Of two workers that
// count somebody in at the same moment the later sum has both: the limit is never passed. Both may see too much, and then both refuse.
// A count for each worker, and not one for all, is what makes a dead worker's counts reclaimable exactly.
import { ADDRESS_BUCKETS } from "./address-bucket.ts";

/** Bytes of the shared buffer for that many workers. Only what is written to takes memory. */
export const addressCountsBytes = (workers: number): number => workers * ADDRESS_BUCKETS * Int32Array.BYTES_PER_ELEMENT;

/** One thread's view. */
export class AddressCounts {
  readonly #words: Int32Array;
  readonly #own: number;

  /** @param workerIndex -1 for a thread that only clears (the primary) */
  constructor(buffer: SharedArrayBuffer, workerIndex = -1) {
    this.#words = new Int32Array(buffer);
    this.#own = workerIndex * ADDRESS_BUCKETS;
  }

  /** Counts one in, if there are fewer than the limit. leave() ends it. */
  enter(bucket: number, limit: number): boolean {
    Atomics.add(this.#words, this.#own + bucket, 1);
    if (this.count(bucket) <= limit) return true;
    this.leave(bucket);
    return false;
  }

  leave(bucket: number): void {
    Atomics.sub(this.#words, this.#own + bucket, 1);
  }

  /** Over all workers. */
  count(bucket: number): number {
    let sum = 0;
    for (let at = bucket; at < this.#words.length; at += ADDRESS_BUCKETS) sum += Atomics.load(this.#words, at);
    return sum;
  }

  /** The worker that had these cells is gone. */
  clearWorker(index: number): void {
    this.#words.fill(0, index * ADDRESS_BUCKETS, (index + 1) * ADDRESS_BUCKETS);
  }
}
