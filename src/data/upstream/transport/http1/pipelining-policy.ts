// Decides which requests may follow each other on one connection before the first is answered (pipelining, RFC 9112 section 9.3.2).
// Answers come in order, so one slow answer holds up all behind it: whoever makes others wait ends the sharing for a while.
import type { WireRequest } from "../../upstream.ts";

/** How long (ms) requests wait behind others on their connection before they are sent again elsewhere. */
export const HEAD_OF_LINE_MS = 50;
/** No sharing for this long (ms) after somebody had to wait; twice as long each time it happens again soon after. */
const SUSPEND_MS_MIN = 1000;
const SUSPEND_MS_MAX = 60_000;

export class PipeliningPolicy {
  /** Most requests on a connection at a time. */
  readonly most: number;
  private suspendedUntilMs = 0;
  private suspendMs = 0;

  constructor(most: number) {
    this.most = most;
  }

  /**
   * May it be sent behind or before others? Only GET without a body: what waits when a connection breaks is sent again, and must be safe
   * to (RFC 9110 section 9.2.1).
   * @param nowMs performance.now()
   */
  allows(request: WireRequest, nowMs: number): boolean {
    return this.most > 1 && request.method === "GET" && request.body === null && nowMs >= this.suspendedUntilMs;
  }

  /** Somebody waited too long behind another. */
  stalled(nowMs: number): void {
    if (nowMs < this.suspendedUntilMs) return; // one of the batches sent before
    const again = nowMs - this.suspendedUntilMs < this.suspendMs;
    this.suspendMs = again ? Math.min(2 * this.suspendMs, SUSPEND_MS_MAX) : SUSPEND_MS_MIN;
    this.suspendedUntilMs = nowMs + this.suspendMs;
  }

  /** The server cannot be trusted with it: never again. */
  end(): void {
    this.suspendedUntilMs = Number.POSITIVE_INFINITY;
  }

  /** How many connections `count` requests take, each as full as the others. @returns how many of them the next one carries */
  batchSize(count: number): number {
    return Math.ceil(count / Math.ceil(count / this.most));
  }
}
