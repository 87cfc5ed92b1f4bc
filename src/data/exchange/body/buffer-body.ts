// Owns reading a whole request body within bounds, for policies that must see it before the request goes on.
// Must never leave a reader waiting: a client that goes or stalls ends it.
import type { ErrorCode } from "../../../base/errors.ts";
import { type TimerWheel, WheelEntry } from "../../../base/timer-wheel.ts";
import type { BodySink, Exchange } from "../exchange.ts";
import { overloaded } from "../overload.ts";
import { NO_ROOM } from "./body-limits.ts";
import type { WatchedBody } from "./body-watch.ts";

/** How often it is looked whether the client is still there, ms. */
const LOOK_MS = 500;

/** Why a body was not taken. */
export interface BodyRefusal {
  readonly code: ErrorCode;
  /** For the client and the log. */
  readonly detail: string;
}

/** @property tooLarge the detail for a longer one */
export interface BodyBound {
  readonly bytesMax: number;
  readonly tooLarge: string;
}

/** Reads the body into `x.bufferedBody`. Once for an exchange. @returns null when it is there, else why it is not */
export function bufferBody(x: Exchange, bound: BodyBound): Promise<BodyRefusal | null> {
  return new Promise((resolve) => new BodyReader(x, bound, resolve).begin());
}

class BodyReader extends WheelEntry implements BodySink, WatchedBody {
  readonly x: Exchange;
  readonly reading = true;
  private readonly wheel: TimerWheel;
  private readonly bound: BodyBound;
  private readonly resolve: (failure: BodyRefusal | null) => void;
  private readonly chunks: Buffer[] = [];
  private bytes = 0;
  private over = false;

  constructor(x: Exchange, bound: BodyBound, resolve: (failure: BodyRefusal | null) => void) {
    super();
    this.x = x;
    this.wheel = x.runtime.services.wheel;
    this.bound = bound;
    this.resolve = resolve;
  }

  begin(): void {
    if (this.x.contentLength > this.bound.bytesMax) return this.tooLarge();
    this.wheel.arm(this, LOOK_MS);
    this.x.readBody(this);
    if (!this.over) this.x.runtime.services.bodies.watch(this);
  }

  bodyChunk(chunk: Buffer, last: boolean): void {
    if (this.over) return;
    const { x } = this;
    const { bodies } = x.runtime.services;
    this.bytes += chunk.length;
    if (this.bytes > this.bound.bytesMax) return this.tooLarge();
    if (!bodies.hold(x, chunk.length)) return this.end(overloaded(x, "bodies", NO_ROOM));
    x.bodyWatch?.moved();
    if (chunk.length > 0) this.chunks.push(chunk);
    if (!last) return;
    bodies.arrived(x);
    const [only] = this.chunks;
    x.bufferedBody = only !== undefined && this.chunks.length === 1 ? only : Buffer.concat(this.chunks);
    this.end(null);
  }

  bodyRefused(code: ErrorCode, detail: string): void {
    if (!this.over) this.end({ code, detail });
  }

  /** Nobody else is told yet that the client went away. */
  onDeadline(): void {
    if (this.x.closed) this.bodyRefused("request_timeout", "");
    else this.wheel.arm(this, LOOK_MS);
  }

  private tooLarge(): void {
    this.bodyRefused("body_too_large", this.bound.tooLarge);
  }

  private end(failure: BodyRefusal | null): void {
    this.over = true;
    this.wheel.disarm(this);
    this.resolve(failure);
  }
}
