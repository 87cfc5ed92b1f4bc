// Owns how many retries one upstream may get from one worker, so that retries cannot multiply an outage. Must never decide whether a retry makes sense.

/** Retries a second that are always allowed, for each worker: so that an upstream with little traffic can retry at all. */
export const RETRIES_PER_SECOND_FLOOR = 10;
/** Requests and retries are compared over this time. */
const WINDOW_MS = 10_000;

/**
 * At most `fraction` of the requests of the last 10 s, plus a floor of 10 a second, may be retries (Finagle's RetryBudget: minRetriesPerSec,
 * percentCanRetry, ttl). Two half-kept windows stand for the sliding one; a request costs one addition and no look at the clock.
 */
export class RetryBudget {
  readonly #fraction: number;
  readonly #now: () => number;
  #windowStartMs: number;
  #requests = 0;
  #retries = 0;
  #previousRequests = 0;
  #previousRetries = 0;

  /** @param fraction 0..1; 0 allows no retry at all. @param now monotonic ms. */
  constructor(fraction: number, now: () => number) {
    this.#fraction = fraction;
    this.#now = now;
    this.#windowStartMs = now();
  }

  /** An attempt begins, first or further. */
  request(): void {
    this.#requests += 1;
  }

  /** An attempt that began was not made: it earns no retries. */
  withdraw(): void {
    if (this.#requests > 0) this.#requests -= 1; // else its window is over
  }

  /** A retry that was taken was not made. */
  giveBack(): void {
    if (this.#retries > 0) this.#retries -= 1; // else its window is over
  }

  /** @returns true and counts when there is room for one more retry. */
  take(): boolean {
    if (this.#fraction <= 0) return false;
    const elapsedMs = this.#advance();
    const previousPart = 1 - elapsedMs / WINDOW_MS;
    const retries = this.#retries + this.#previousRetries * previousPart;
    // Retries are attempts too: what they brought in as requests does not earn further retries.
    const requests = Math.max(0, this.#requests + this.#previousRequests * previousPart - retries);
    if (retries + 1 > this.#fraction * requests + (RETRIES_PER_SECOND_FLOOR * WINDOW_MS) / 1000) return false;
    this.#retries += 1;
    return true;
  }

  /** Closes windows that are over. @returns ms since the current one began, below WINDOW_MS. */
  #advance(): number {
    const nowMs = this.#now();
    const elapsedMs = nowMs - this.#windowStartMs;
    if (elapsedMs < WINDOW_MS) return Math.max(0, elapsedMs);
    // Nobody asked for a while, so the counts may span many windows: keep their mean.
    const windows = elapsedMs / WINDOW_MS;
    this.#previousRequests = this.#requests / windows;
    this.#previousRetries = this.#retries / windows;
    this.#requests = 0;
    this.#retries = 0;
    const intoMs = elapsedMs % WINDOW_MS;
    this.#windowStartMs = nowMs - intoMs;
    return intoMs;
  }
}
