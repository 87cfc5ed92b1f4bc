// Owns the patience with one request body that does not come at once: it may not fall silent for limits.bodyTimeout, nor stay below limits.bodyRate.
// Only time in which the gateway was willing to read counts: a client that it holds back is not slow.

import type { ErrorCode } from "../../../base/errors.ts";
import { WheelEntry } from "../../../base/timer-wheel.ts";
import type { BodyRatePlan } from "../../../plan/limits-plan.ts";
import type { Exchange } from "../exchange.ts";

/** Somebody who reads a request body. */
export interface WatchedBody {
  readonly x: Exchange;
  /** False while it has paused the client. */
  readonly reading: boolean;
  /** The body breaks a limit: the exchange is to be ended with this. Must not throw. */
  bodyRefused(code: ErrorCode, detail: string): void;
}

/** A deadline that is seen so much too late (ms): this thread stood still, and what came meanwhile is still to be read. */
const STALL_MS = 500;

export class BodyWatch extends WheelEntry {
  /** Where the body is counted for its address; -1 for nowhere. */
  readonly bucket: number;
  readonly #body: WatchedBody;
  readonly #rate: BodyRatePlan | null;
  readonly #silenceMs: number;
  /** Time in which the gateway was willing to read: up to #sinceMs (performance.now() ms), and from then on while `reading`. */
  #willingMs = 0;
  #sinceMs = performance.now();
  #reading: boolean;
  /** In willing time, ms: when the last byte came, and when the present stretch of the rate ends. */
  #lastMs = 0;
  #stretchEndMs: number;
  /** When the timer is due, in willing time, ms. */
  #dueMs = 0;
  /** Bytes received before it. */
  #stretchBytes = 0;

  constructor(body: WatchedBody, bucket: number) {
    super();
    const { runtime, route } = body.x;
    this.#body = body;
    this.bucket = bucket;
    this.#reading = body.reading;
    this.#silenceMs = runtime.limits.bodyTimeoutMs;
    this.#rate = route === null ? runtime.limits.bodyRate : route.settings.bodyRate;
    this.#stretchEndMs = this.#rate === null ? Number.POSITIVE_INFINITY : this.#rate.afterMs + this.#rate.graceMs;
    if (this.#reading) this.#arm();
  }

  /** Some of the body came. */
  moved(): void {
    this.#lastMs = this.#willing();
  }

  /** The client is held back from now on. */
  paused(): void {
    if (!this.#reading) return;
    this.#willingMs = this.#willing();
    this.#reading = false;
  }

  /** The client may go on. */
  resumed(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#sinceMs = performance.now();
    this.#lastMs = this.#willingMs;
    if (this.wheelDue === 0) this.#arm();
  }

  end(): void {
    this.#body.x.runtime.services.wheel.disarm(this);
  }

  onDeadline(): void {
    const { x } = this.#body;
    if (!this.#reading || x.finished || x.closed) return;
    const nowMs = this.#willing();
    if (nowMs - this.#dueMs > STALL_MS) {
      this.#sinceMs += nowMs - this.#dueMs; // nobody was willing to read
      return this.#arm(STALL_MS);
    }
    if (nowMs - this.#lastMs >= this.#silenceMs)
      return this.#body.bodyRefused(
        "request_timeout",
        `nothing more of the body came for ${this.#silenceMs / 1000} s (limits.bodyTimeout)`,
      );
    if (this.#rate !== null && nowMs >= this.#stretchEndMs) {
      const { bytesPerSecond, graceMs } = this.#rate;
      if ((x.bytesIn - this.#stretchBytes) * 1000 < bytesPerSecond * graceMs)
        return this.#body.bodyRefused(
          "request_timeout",
          `the body came more slowly than ${bytesPerSecond} bytes a second (limits.bodyRate)`,
        );
      this.#stretchBytes = x.bytesIn;
      this.#stretchEndMs = nowMs + graceMs;
    }
    this.#arm();
  }

  #willing(): number {
    return this.#reading ? this.#willingMs + performance.now() - this.#sinceMs : this.#willingMs;
  }

  /** @param leastMs time in which to read what has come */
  #arm(leastMs = 0): void {
    const nowMs = this.#willing();
    this.#dueMs = Math.max(nowMs + leastMs, Math.min(this.#lastMs + this.#silenceMs, this.#stretchEndMs));
    this.#body.x.runtime.services.wheel.arm(this, this.#dueMs - nowMs);
  }
}
