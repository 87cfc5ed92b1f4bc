// Owns counting outcomes over a rolling window in shared memory: exact for any interleaving of threads, no lock, nothing to clean up.
// Must never decide anything.

/*
 * Layout: 3 * BUCKETS 32-bit words, kind after kind (TOTAL, FAILED, SLOW), one word for each bucket.
 *   A word: bits 0..21 COUNT, bits 22..31 TAG.
 * Time is cut into ticks of window/BUCKETS ms. Tick t counts in bucket t mod BUCKETS, and its tag is (t div BUCKETS) mod 1024.
 * Writers: all threads, by compare-and-swap. Who finds an older tag writes its own with a count of one, in the same step, so that no
 * count is lost when a bucket is taken over and nobody has to empty buckets. Readers skip buckets whose tag is not of their window. Loads
 * are plain (an atomic one costs a call, some 25 ns): words never tear, and after its own exchange a thread sees every count whose exchange
 * came before. Words of one outcome (TOTAL, then FAILED or SLOW) become visible one after the other; whoever writes last sees all. A tag comes again after 1024 windows: an old bucket counts once more if nothing at all was counted in between at its turn.
 */
const BUCKETS = 8;
const BUCKET_MASK = BUCKETS - 1;
const BUCKET_SHIFT = 3;
const TAG_SHIFT = 22;
const TAG_MASK = 0x3ff;
/** A bucket counts no further. */
export const BUCKET_COUNT_MAX = (1 << TAG_SHIFT) - 1;

/** Words of a window. */
export const WINDOW_WORDS = 3 * BUCKETS;
/** What is counted. */
export const TOTAL = 0;
export const FAILED = BUCKETS;
export const SLOW = 2 * BUCKETS;
type Kind = typeof TOTAL | typeof FAILED | typeof SLOW;

/** @returns the tick of a moment: what the other functions want. Ticks wrap at 2^32, which fits buckets and tags. */
export const tickOf = (nowMs: number, windowMs: number): number => Math.floor((nowMs * BUCKETS) / windowMs) | 0;

/** Counts one. @param base first word of the window */
export function countOne(words: Int32Array, base: number, kind: Kind, tick: number): void {
  const at = base + kind + (tick & BUCKET_MASK);
  const tag = (tick >>> BUCKET_SHIFT) & TAG_MASK;
  for (;;) {
    const seen = words[at] ?? 0; // the exchange finds out when it is an old one
    const ahead = ((seen >>> TAG_SHIFT) - tag) & TAG_MASK;
    let next = seen + 1;
    if (ahead !== 0) {
      // This thread lost the core for a whole window since it looked at the clock: what it brings belongs to the past.
      if (ahead <= TAG_MASK / 2 && (seen & BUCKET_COUNT_MAX) !== 0) return;
      next = (tag << TAG_SHIFT) | 1 | 0;
    } else if ((seen & BUCKET_COUNT_MAX) === BUCKET_COUNT_MAX) return;
    if (Atomics.compareExchange(words, at, seen, next) === seen) return;
  }
}

/** @returns how many were counted in the window that ends with this tick. */
export function sumOf(words: Int32Array, base: number, kind: Kind, tick: number): number {
  let sum = 0;
  for (let back = 0; back < BUCKETS; back += 1) {
    const then = (tick - back) | 0;
    const word = words[base + kind + (then & BUCKET_MASK)] ?? 0;
    if (word >>> TAG_SHIFT === ((then >>> BUCKET_SHIFT) & TAG_MASK)) sum += word & BUCKET_COUNT_MAX;
  }
  return sum;
}

/** Forgets everything. Who counts at the same moment may be forgotten or not. */
export function clearWindow(words: Int32Array, base: number): void {
  for (let i = 0; i < WINDOW_WORDS; i += 1) Atomics.store(words, base + i, 0);
}
