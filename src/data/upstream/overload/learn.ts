// What a response says about how busy an upstream is. Must never look at anything but its head.
import type { WireHead } from "../upstream.ts";
import type { Hold } from "./hold.ts";

/**
 * Refusals and errors are quick, as they come without work, and say nothing; an event stream takes its time, and says nothing either.
 * @param ms that the service took; below 0 when the request's body was still on its way: then the client was waited for
 */
export function learn(hold: Hold, status: number, head: WireHead, ms: number): void {
  if (head.length < 0 && isEventStream(head)) hold.standApart();
  else if (status < 500 && status !== 429 && ms >= 0) hold.answered(ms);
}

function isEventStream({ headers }: WireHead): boolean {
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i] === "content-type") return headers[i + 1]?.startsWith("text/event-stream") === true;
  return false;
}
