// Owns what Date says (RFC 9110 section 6.6.1): one text a second for the thread.
import { nowMs } from "../../base/turn-clock.ts";

let text = "";
/** nowMs() at which it is another one. */
let untilMs = Number.NEGATIVE_INFINITY;

export function httpDate(): string {
  const now = nowMs();
  if (now >= untilMs) {
    const ms = Date.now();
    text = new Date(ms).toUTCString();
    untilMs = now + 1000 - (ms % 1000);
  }
  return text;
}
