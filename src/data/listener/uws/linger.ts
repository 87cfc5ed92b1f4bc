// Closes a uWebSockets.js connection a little after its last response was written, so that all of it goes out. Must never touch
// a `res` that is gone: whoever hears of that calls end().
import type { HttpResponse } from "uWebSockets.js";
import { type TimerWheel, WheelEntry } from "../../../base/timer-wheel.ts";

/** How long (ms) a client gets to close the connection itself: closing first would throw away what it has not read. */
export const LINGER_MS = 1000;

export class UwsLinger extends WheelEntry {
  private res: HttpResponse | null;
  private readonly wheel: TimerWheel;

  constructor(res: HttpResponse, wheel: TimerWheel) {
    super();
    this.res = res;
    this.wheel = wheel;
  }

  /** @param flushMs how long what is still buffered may take; 0: it is out; -LINGER_MS: the client need not be given time either */
  begin(flushMs: number): void {
    if (this.res !== null) this.wheel.arm(this, flushMs + LINGER_MS);
  }

  onDeadline(): void {
    this.res?.close(); // runs the onAborted handler
    this.res = null;
  }

  /** The connection is gone. */
  end(): void {
    this.res = null;
    this.wheel.disarm(this);
  }
}
