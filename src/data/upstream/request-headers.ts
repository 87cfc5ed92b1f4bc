// What goes upstream and what comes back: copies end-to-end headers, drops hop-by-hop ones (RFC 9110 section 7.6.1)
// and those the gateway sets itself. Hot path: one pass, no intermediate objects.
import { HOP_BY_HOP } from "../../base/http.ts";
import { BODY_FIXED, type Exchange, type HeaderList } from "../exchange.ts";
import type { Endpoint, Upstream, WireTrailers } from "./upstream.ts";

/** Never copied from the client: hop-by-hop, framing, or set by the gateway. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  "expect",
  "host",
  "content-length",
  "forwarded",
  "via",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-real-ip", // services behind other proxies believe it
  "x-request-id",
]);

/** Headers for one attempt. @param remainingMs time left for the exchange; 0 for unlimited */
export function upstreamHeaders(x: Exchange, upstream: Upstream, endpoint: Endpoint, remainingMs: number): HeaderList {
  const { preserveHost, deadlineHeader } = upstream.plan;
  const out: HeaderList = ["host", preserveHost && x.authority !== "" ? x.authority : endpoint.plan.authority];
  const headers = x.headers;
  const tokens = x.connectionTokens;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (NOT_FORWARDED.has(name) || name === deadlineHeader || tokens?.includes(name)) continue;
    out.push(name, headers[i + 1] as string);
  }
  if (x.bodyKind === BODY_FIXED) out.push("content-length", String(x.contentLength));
  x.runtime.appendForwarding(x, out);
  out.push("x-request-id", x.requestId);
  if (deadlineHeader !== null && remainingMs > 0) out.push(deadlineHeader, String(Math.ceil(remainingMs)));
  return out;
}

/** What {@link copyResponseHeaders} found out besides the list itself. */
export interface CopiedHeaders {
  readonly headers: HeaderList;
  /** Content-Length in bytes; -1 when there is none. */
  readonly length: number;
  /** Retry-After as sent; '' for none. */
  readonly retryAfter: string;
  /** Why the framing is in doubt (RFC 9112 section 6.3): then nothing of the answer may be used. '' when it is not. */
  readonly fault: string;
}

const NOT_RELAYED: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  "content-length",
  "date", // the listener adds its own, always
  "x-request-id", // the gateway's own stands on every response
]);

/** Up to 15 digits: an exact number. */
const CONTENT_LENGTH = /^\d{1,15}$/;

/** @param raw flat [name, value, ...] as received; already checked for CR, LF and NUL by the response parser */
export function copyResponseHeaders(raw: readonly Buffer[]): CopiedHeaders {
  const headers: HeaderList = [];
  let length = -1;
  let retryAfter = "";
  let connection = "";
  let encoding = "";
  let fault = "";
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] as Buffer).toString("latin1").toLowerCase();
    const value = (raw[i + 1] as Buffer).toString("latin1");
    if (NOT_RELAYED.has(name)) {
      if (name === "content-length") {
        if (length >= 0 || !CONTENT_LENGTH.test(value)) fault = "Content-Length is sent twice or is no length";
        length = Number(value);
      } else if (name === "transfer-encoding") encoding = encoding === "" ? value : `${encoding},${value}`;
      else if (name === "connection") connection = connection === "" ? value : `${connection},${value}`;
      continue;
    }
    if (name === "retry-after") retryAfter = value;
    headers.push(name, value);
  }
  if (connection !== "" && connection !== "close" && connection !== "keep-alive") dropNamed(headers, connection);
  // The response parser takes some combinations that the next reader may take for something else.
  if (encoding !== "" && (length >= 0 || encoding.toLowerCase() !== "chunked"))
    fault = "Transfer-Encoding is not a single `chunked`, or Content-Length is there too";
  return { headers, length, retryAfter, fault };
}

function dropNamed(headers: HeaderList, connection: string): void {
  const named = new Set(
    connection
      .toLowerCase()
      .split(",")
      .map((token) => token.trim()),
  );
  for (let i = headers.length - 2; i >= 0; i -= 2) if (named.has(headers[i] as string)) headers.splice(i, 2);
}

/** Trailers that may be relayed (RFC 9110 section 6.5.1): nothing about framing or the connection. @returns null for none */
export function copyTrailers(trailers: WireTrailers): HeaderList | null {
  const list: HeaderList = [];
  for (const [given, value] of Object.entries(trailers)) {
    const name = given.toLowerCase();
    if (NOT_RELAYED.has(name)) continue;
    for (const each of Array.isArray(value) ? value : [value]) list.push(name, each);
  }
  return list.length === 0 ? null : list;
}
