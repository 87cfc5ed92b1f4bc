// Owns the difference between one request to stop that arrives twice and two requests. Pure but for the clock.

/** Signals closer together than this (ms) are one: a terminal, `timeout` or a service manager may signal process and group. */
const SAME_REQUEST_MS = 400;

export class StopSignals {
  #lastMs = Number.NEGATIVE_INFINITY;

  /** @returns whether this signal is a request of its own. @param nowMs monotonic */
  counts(nowMs = performance.now()): boolean {
    const own = nowMs - this.#lastMs >= SAME_REQUEST_MS;
    this.#lastMs = nowMs;
    return own;
  }
}
