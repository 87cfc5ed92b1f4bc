// Owns recognising a response whose head must go out before its first event. Must never change the headers.
import type { HeaderList } from "../../../base/header-list.ts";

/** @returns whether it is an event stream that a comment may be written into: one that is encoded takes none from us. */
export function isEventStream(headers: HeaderList): boolean {
  let stream = false;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === "content-type") stream = (headers[i + 1] as string).startsWith("text/event-stream");
    else if (headers[i] === "content-encoding") return false;
  }
  return stream;
}
