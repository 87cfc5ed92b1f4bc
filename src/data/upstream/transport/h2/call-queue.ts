// Owns the calls that wait for a session, first come first; those given up stay until their turn comes.
import type { H2Call } from "./call.ts";

export class CallQueue {
  /** Waiting and still wanted. */
  length = 0;
  private calls: H2Call[] = [];
  private head = 0;

  push(call: H2Call): void {
    call.queued = true;
    this.calls.push(call);
    this.length++;
  }

  /** The next that is still wanted; null for none. */
  shift(): H2Call | null {
    while (this.head < this.calls.length) {
      const call = this.calls[this.head++] as H2Call; // in range
      if (this.head > 64 && this.head * 2 > this.calls.length) {
        this.calls.splice(0, this.head); // amortised O(1)
        this.head = 0;
      }
      if (!call.queued) continue;
      call.queued = false;
      this.length--;
      return call;
    }
    if (this.head > 0) this.calls.length = this.head = 0;
    return null;
  }

  /** A call that waited does no longer. */
  left(): void {
    this.length--;
  }

  /** Whether it is among the first so many. */
  isAmong(call: H2Call, first: number): boolean {
    let ahead = 0;
    for (let i = this.head; i < this.calls.length && ahead < first; i++) {
      const each = this.calls[i] as H2Call; // in range
      if (each === call) return true;
      if (each.queued) ahead++;
    }
    return false;
  }
}
