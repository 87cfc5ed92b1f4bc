// Owns what each worker counts of the cache's tier in Redis, and how it stands to it; the primary sums up.
//
// Layout: WORDS float64 for each worker. Writer: that worker (its replacement goes on); the primary clears the gauges of one that is gone. Reader: the primary. Plain stores.

const WORDS = 16;

export const TIER = {
  /** Looks that found something to serve; that found nothing; that found what was purged; whose answer was no record of ours; that failed or came too late; that were not made, as Redis was left alone or too many were under way. */
  hits: 0,
  misses: 1,
  purged: 2,
  invalid: 3,
  errors: 4,
  skipped: 5,
  /** Records written; not written, as too many waited or Redis was left alone; that Redis did not take. */
  writes: 6,
  dropped: 7,
  writeErrors: 8,
  /** Of records, as they were read and written. */
  readBytes: 9,
  writtenBytes: 10,
  /** Gauges: 1 while this worker leaves Redis alone; bytes that wait to be written. */
  open: 11,
  waitingBytes: 12,
  /** Gauge: 1 when this worker uses the tier. */
  used: 13,
} as const;
export type TierCount = (typeof TIER)[keyof typeof TIER];
const GAUGES: readonly TierCount[] = [TIER.open, TIER.waitingBytes, TIER.used];

export class TierCounts {
  readonly #words: Float64Array;

  static allocate(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer(workers * WORDS * 8);
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Float64Array(buffer);
  }

  add(worker: number, count: TierCount, by = 1): void {
    this.#words[worker * WORDS + count]! += by; // a worker's index is below the number that was allocated for
  }

  set(worker: number, gauge: TierCount, value: number): void {
    this.#words[worker * WORDS + gauge] = value;
  }

  /** Over all workers. */
  sum(count: TierCount): number {
    let sum = 0;
    for (let at: number = count; at < this.#words.length; at += WORDS) sum += this.#words[at] ?? 0;
    return sum;
  }

  /** Of a worker that is gone. For the primary. */
  clearWorker(worker: number): void {
    for (const gauge of GAUGES) this.set(worker, gauge, 0);
  }
}
