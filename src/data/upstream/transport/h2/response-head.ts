// What an upstream's response head and trailers become, of those that came by HTTP/2: framing and malformed fields were judged by base/http2.
// Hot path: one pass, and a copy where the section is the one that came last.
import { getHeader, type HeaderList } from "../../../../base/header-list.ts";
import type { HeaderSection } from "../../../../base/http2/header-section.ts";
import type { WireHead, WireTrailers } from "../../upstream.ts";
import { isRelayed } from "../response-headers.ts";

/** The last section of the thread, and what goes on of it: services answer alike. */
let lastSection: HeaderSection | null = null;
let lastHeaders: HeaderList = [];
let lastRetryAfter = "";

/** @param empty there is no content although there could be */
export function responseHead(section: HeaderSection, empty: boolean): WireHead {
  if (section !== lastSection) {
    lastSection = section;
    lastHeaders = relayedFields(section.fields);
    lastRetryAfter = getHeader(lastHeaders, "retry-after") ?? "";
  }
  const length = section.contentLength < 0 && empty ? 0 : section.contentLength;
  return { headers: lastHeaders.slice(), length, retryAfter: lastRetryAfter, fault: "" };
}

/** Those that go on (RFC 9110 section 7.6.1). */
export function relayedFields(fields: readonly string[]): HeaderList {
  const headers: HeaderList = [];
  for (let i = 0; i < fields.length; i += 2) {
    const [name, value] = [fields[i] as string, fields[i + 1] as string]; // a list of pairs
    if (isRelayed(name)) headers.push(name, value);
  }
  return headers;
}

/** @returns null for none */
export function trailersOf({ fields }: HeaderSection): WireTrailers | null {
  if (fields.length === 0) return null;
  const trailers: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>; // names are anybody's
  for (let i = 0; i < fields.length; i += 2) {
    const [name, value] = [fields[i] as string, fields[i + 1] as string]; // a list of pairs
    const before = trailers[name];
    trailers[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  return trailers;
}
