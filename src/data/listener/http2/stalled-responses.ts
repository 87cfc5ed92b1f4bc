// Owns which responses of one connection wait for their client's windows, since when, and how much of them is held. A client that keeps a window shut, or opens it
// by a byte at a time, has that response taken away, and no other. Must never let the bytes that are held grow without an end.
import type { Http2Exchange } from "./exchange.ts";

/** What a client must take of a response in limits.idleTimeout, or all that there is. */
const TAKEN_BYTES_MIN = 1024;
/** Content that may wait in all before further requests are refused. */
const HELD_BYTES_MAX = 2 * 1024 * 1024;
/** Below, nobody counts: one holds at most what one read of an upstream brings. */
const FEW = 16;

interface Mark {
  /** nowMs() from which on it has been waiting, and what the client had taken by then. */
  sinceMs: number;
  takenBytes: number;
}

export class StalledResponses {
  private readonly marks = new Map<Http2Exchange, Mark>();

  add(x: Http2Exchange, nowMs: number): void {
    this.marks.set(x, { sinceMs: nowMs, takenBytes: x.takenBytes });
  }

  delete(x: Http2Exchange): void {
    this.marks.delete(x);
  }

  /** Too much waits. */
  get isFull(): boolean {
    if (this.marks.size <= FEW) return false;
    let bytes = 0;
    for (const x of this.marks.keys()) bytes += x.stream.waitingBytes;
    return bytes > HELD_BYTES_MAX;
  }

  /** Ends the exchanges whose clients have taken too little. @returns when the next one is to be looked at; Infinity for never */
  resetSlow(nowMs: number, limitMs: number): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const [x, mark] of [...this.marks]) {
      if (nowMs - mark.sinceMs >= limitMs) {
        const { takenBytes } = x;
        if (takenBytes - mark.takenBytes < TAKEN_BYTES_MIN) {
          x.stall();
          continue;
        }
        mark.sinceMs = nowMs;
        mark.takenBytes = takenBytes;
      }
      dueMs = Math.min(dueMs, mark.sinceMs + limitMs);
    }
    return dueMs;
  }
}
