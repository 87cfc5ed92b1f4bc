// What an upstream's response head becomes: end-to-end headers copied, hop-by-hop ones dropped (RFC 9110 section 7.6.1),
// and the framing judged (RFC 9112 section 6.3). Hot path: one pass, no intermediate objects.

import type { HeaderList } from "../../../base/header-list.ts";
import { HOP_BY_HOP, trimWhitespace } from "../../../base/http.ts";
import type { WireTrailers } from "../upstream.ts";

const NOT_RELAYED: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  "content-length",
  "x-request-id", // the gateway's own stands on every response
]);

/** @param name lowercase. @returns whether a response header of this name goes on to the client */
export const isRelayed = (name: string): boolean => !NOT_RELAYED.has(name);

/** What becomes of a response field: it goes on as it came, is left out, or also means something here. */
export const ROLE_RELAYED = 0;
export const ROLE_DROPPED = 1;
export const ROLE_READ = 2;

/** What {@link ResponseHeaders} reads. */
const READ: ReadonlySet<string> = new Set(["retry-after", "content-length", "transfer-encoding", "connection", "keep-alive"]);

/** @param name lowercase. @returns one of the ROLE_ constants */
export const fieldRole = (name: string): number => (READ.has(name) ? ROLE_READ : isRelayed(name) ? ROLE_RELAYED : ROLE_DROPPED);

/** Digits of a length, at most: an exact number. */
const LENGTH_DIGITS_MAX = 15;

/** @returns what one to {@link LENGTH_DIGITS_MAX} digits say; -1 for anything else */
function parseLength(text: string): number {
  if (text.length === 0 || text.length > LENGTH_DIGITS_MAX) return -1;
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length;
}

const LENGTH_FAULT = "Content-Length is sent twice or is no length";

/** A response head as it is taken in, header by header; then read by the relay. One object a response. */
export class ResponseHeaders {
  /** End-to-end headers, flat, names lowercase. */
  readonly headers: HeaderList = [];
  /** Content-Length in bytes; -1 when there is none. */
  length = -1;
  /** The body comes in chunks. */
  chunked = false;
  /** Retry-After as sent; '' for none. */
  retryAfter = "";
  /** Connection, lowercase, its lines joined; '' for none. */
  connection = "";
  /** Keep-Alive as sent; '' for none. */
  keepAlive = "";
  /** Why the framing is in doubt: then nothing of the answer may be used. '' when it is not. */
  fault = "";
  private encoding = "";

  /** As {@link add}, by whoever knows the field. @param value without white space around it; not looked at for what is dropped */
  take(field: { readonly name: string; readonly role: number }, value: string): void {
    if (field.role === ROLE_RELAYED) this.headers.push(field.name, value);
    else if (field.role === ROLE_READ) this.add(field.name, value, field.name === "retry-after");
  }

  /**
   * @param name lowercase
   * @param value without white space around it; checked for CR, LF and NUL by the response parser
   * @param relayed given by whoever knows it already
   */
  add(name: string, value: string, relayed = isRelayed(name)): void {
    if (relayed) {
      if (name === "retry-after") this.retryAfter = value;
      this.headers.push(name, value);
      return;
    }
    switch (name) {
      case "content-length":
        if (this.length >= 0) this.fault = LENGTH_FAULT;
        this.length = parseLength(value);
        if (this.length < 0) this.fault = LENGTH_FAULT;
        break;
      case "transfer-encoding":
        this.encoding = this.encoding === "" ? value : `${this.encoding},${value}`;
        break;
      case "connection":
        this.connection = this.connection === "" ? value : `${this.connection},${value}`;
        if (this.connection !== "keep-alive" && this.connection !== "close") this.connection = this.connection.toLowerCase();
        break;
      case "keep-alive":
        this.keepAlive = value;
        break;
    }
  }

  /** All are in: what depends on several of them. */
  complete(): this {
    if (this.connection !== "" && this.connection !== "close" && this.connection !== "keep-alive") this.dropNamed();
    if (this.encoding === "") return this;
    // The response parser takes some combinations that the next reader may take for something else.
    if (this.length >= 0 || this.encoding.toLowerCase() !== "chunked")
      this.fault = "Transfer-Encoding is not a single `chunked`, or Content-Length is there too";
    this.chunked = true;
    return this;
  }

  /** @returns whether Connection lists this option. @param option lowercase */
  connectionHas(option: string): boolean {
    const { connection } = this;
    if (connection === option) return true;
    if (connection === "" || connection === "keep-alive" || connection === "close") return false;
    return connection.split(",").some((each) => each.trim() === option);
  }

  private dropNamed(): void {
    const named = new Set(this.connection.split(",").map((token) => token.trim()));
    const { headers } = this;
    for (let i = headers.length - 2; i >= 0; i -= 2) if (named.has(headers[i] as string)) headers.splice(i, 2); // i is inside a list of pairs
  }
}

/** @param raw flat [name, value, ...] as undici gives them: it leaves white space behind a value, which does not belong to it (RFC 9110 section 5.5) */
export function copyResponseHeaders(raw: readonly Buffer[]): ResponseHeaders {
  const copied = new ResponseHeaders();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [name, value] = [raw[i] as Buffer, raw[i + 1] as Buffer]; // i is inside a list of pairs
    copied.add(name.toString("latin1").toLowerCase(), trimWhitespace(value.toString("latin1")));
  }
  return copied.complete();
}

/** Trailers that may be relayed (RFC 9110 section 6.5.1): nothing about framing or the connection. @returns null for none */
export function copyTrailers(trailers: WireTrailers): HeaderList | null {
  const list: HeaderList = [];
  for (const [given, value] of Object.entries(trailers)) {
    const name = given.toLowerCase();
    if (!isRelayed(name)) continue;
    for (const each of Array.isArray(value) ? value : [value]) list.push(name, each);
  }
  return list.length === 0 ? null : list;
}
