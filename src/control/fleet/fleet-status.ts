// Owns what is counted about the reconciliation, for metrics and the admin listener. Must decide nothing.

/** Overshoot is shown as the largest of the last one to two windows, ms. */
const DRIFT_WINDOW_MS = 10_000;

export class FleetCounts {
  syncs = 0;
  failures = 0;
  syncMsSum = 0;
  lastSyncMs = 0;
  entries = 0;
  /** Units beyond the limit that a bucket was found at, the largest of this window and of the one before. */
  #drift = 0;
  #driftBefore = 0;
  #driftSinceMs = 0;

  synced(durationMs: number): void {
    this.syncs += 1;
    this.syncMsSum += durationMs;
    this.lastSyncMs = durationMs;
  }

  /** @param units how far the fleet's spending of a bucket is beyond its capacity; below 0 when it is not */
  drifted(units: number, nowMs: number): void {
    this.#turn(nowMs);
    if (units > this.#drift) this.#drift = units;
  }

  drift(nowMs: number): number {
    this.#turn(nowMs);
    return Math.max(this.#drift, this.#driftBefore);
  }

  #turn(nowMs: number): void {
    if (nowMs - this.#driftSinceMs < DRIFT_WINDOW_MS) return;
    this.#driftBefore = nowMs - this.#driftSinceMs < 2 * DRIFT_WINDOW_MS ? this.#drift : 0;
    this.#drift = 0;
    this.#driftSinceMs = nowMs;
  }
}
