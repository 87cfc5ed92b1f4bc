// Owns the clock that all threads of a machine agree on. Must never depend on the wall clock, which can jump.

/** Two threads' monotonicMs() differ by less than this. Measured: some microseconds. */
export const CLOCK_SKEW_MS_MAX = 1;
/** Tries to read both clocks without being interrupted in between, and the distance that is good enough. */
const SAMPLES_MAX = 64;
const SAMPLE_GAP_NS_GOOD = 3000n;

/**
 * `performance.now()` counts from each thread's own `timeOrigin`, so two threads cannot compare it. `process.hrtime` is the machine's
 * CLOCK_MONOTONIC, the same in every thread and process. Both tick from the same source, so their distance is constant in a thread. A thread
 * can lose the core between reading the one and the other, for milliseconds: of several samples the tightest counts.
 */
function measureOriginMs(): number {
  let bestGapNs = -1n;
  let originMs = 0;
  for (let i = 0; i < SAMPLES_MAX && (i === 0 || bestGapNs > SAMPLE_GAP_NS_GOOD); i += 1) {
    const beforeNs = process.hrtime.bigint();
    const localMs = performance.now();
    const gapNs = process.hrtime.bigint() - beforeNs;
    if (bestGapNs !== -1n && gapNs >= bestGapNs) continue;
    bestGapNs = gapNs;
    originMs = Number(beforeNs + gapNs / 2n) / 1e6 - localMs;
  }
  return originMs;
}

const ORIGIN_MS = measureOriginMs();

/** @returns monotonic milliseconds, comparable across threads (and processes of one machine) to CLOCK_SKEW_MS_MAX. Allocates nothing. */
export const monotonicMs = (): number => performance.now() + ORIGIN_MS;
