// Encodes the heads of responses (RFC 9113 section 8.3.2). Must never decide what is sent.
import type { HeaderList } from "../../../base/header-list.ts";
import type { Http2Connection } from "../../../base/http2/connection.ts";
import { STATIC_TABLE } from "../../../base/http2/hpack-fields.ts";
import { httpDate } from "../http-date.ts";
import { isResponseTrailer } from "../response-trailers.ts";

/** Of statuses that stand in the static table (RFC 7541 appendix A), its place. */
const STATUS_INDEX: readonly number[] = STATIC_TABLE.reduce<number[]>((places, field, index) => {
  if (field?.name === ":status") places[Number(field.value)] = index;
  return places;
}, []);
const STATUS_NAME = STATUS_INDEX[200] as number; // it is there

/** What must not be sent in HTTP/2 is left out by the encoder. @param length of the body in bytes; -1: it is not said */
export function encodeHead(core: Http2Connection, status: number, headers: HeaderList, length: number): void {
  const head = core.head();
  const index = STATUS_INDEX[status];
  if (index !== undefined) head.indexed(index);
  else head.named(STATUS_NAME, String(status));
  let dated = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (name === "date") dated = true;
    head.field(name, headers[i + 1] as string); // the same
  }
  if (!dated) head.field("date", httpDate()); // RFC 9110 section 6.6.1: of an upstream's response, its own
  if (length >= 0) head.field("content-length", String(length));
}

/** RFC 9110 section 15.2. */
export function encodeInterim(core: Http2Connection, status: number, headers: HeaderList): void {
  const head = core.head();
  head.named(STATUS_NAME, String(status));
  for (let i = 0; i + 1 < headers.length; i += 2) head.field(headers[i] as string, headers[i + 1] as string); // pairs
}

/** @returns null for none that may be sent */
export function sendableTrailers(trailers: HeaderList): HeaderList | null {
  const out: HeaderList = [];
  for (let i = 0; i + 1 < trailers.length; i += 2)
    if (isResponseTrailer(trailers[i] as string)) out.push(trailers[i] as string, trailers[i + 1] as string); // pairs
  return out.length === 0 ? null : out;
}
