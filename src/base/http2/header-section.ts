// Owns what a decoded field section says (RFC 9113 section 8): pseudo-header fields apart, the others flat, and whether it is malformed.
// Field by field as HPACK gives them. Must never be changed once it is complete: an equal block gives the same section again.
import type { HeaderList } from "../header-list.ts";
import {
  NAME_AUTHORITY,
  NAME_CONNECTION,
  NAME_CONTENT_LENGTH,
  NAME_COOKIE,
  NAME_HOST,
  NAME_MALFORMED,
  NAME_METHOD,
  NAME_PATH,
  NAME_PLAIN,
  NAME_PROTOCOL,
  NAME_SCHEME,
  NAME_STATUS,
  NAME_TE,
} from "./hpack-fields.ts";
import { FIELD_OVERHEAD_BYTES } from "./protocol.ts";

/** Digits of a length, at most: an exact number. */
const LENGTH_DIGITS_MAX = 15;

export class HeaderSection {
  /** Pseudo-header fields; '' (status: 0) where there is none. */
  method = "";
  scheme = "";
  authority = "";
  path = "";
  protocol = "";
  status = 0;
  /** Regular fields, flat, names lowercase, values as byte strings, in their order; cookie crumbs joined in the first one's place (RFC 9113 section 8.2.3). */
  readonly fields: HeaderList = [];
  /** Content-Length in bytes; -1 for none. */
  contentLength = -1;
  /** Host, which is among the fields too; '' for none. */
  host = "";
  /** TE is there, and says `trailers`. */
  teTrailers = false;
  /** Why the message is malformed (RFC 9113 section 8.1.1); '' when it is not. */
  fault = "";
  /** Beyond the bound: its fields are not kept. */
  tooLarge = false;
  /** A pseudo-header field is there. */
  hasPseudo = false;
  /** As RFC 9113 section 6.5.2 counts. */
  size = 0;
  private readonly sizeMax: number;
  private cookieAt = -1;
  /** A bit for each pseudo-header field that has come. */
  private seen = 0;

  /** @param sizeMax of the decoded fields: names, values and 32 bytes each */
  constructor(sizeMax: number) {
    this.sizeMax = sizeMax;
  }

  /** @param kind of the name @param badValue the value is none */
  add(name: string, value: string, kind: number, badValue: boolean): void {
    this.size += name.length + value.length + FIELD_OVERHEAD_BYTES;
    if (this.size > this.sizeMax) {
      this.tooLarge = true;
      this.fields.length = 0;
      this.cookieAt = -1;
      return;
    }
    if (badValue) this.fault = `the value of ${name} has a character that must not be there`;
    if (kind === NAME_PLAIN) this.fields.push(name, value);
    else if (kind >= NAME_METHOD) this.addPseudo(name, value, kind);
    else this.addSpecial(name, value, kind);
  }

  private addPseudo(name: string, value: string, kind: number): void {
    this.hasPseudo = true;
    const bit = 1 << kind;
    if ((this.seen & bit) !== 0) this.fault = `${name} is there twice`;
    else if (this.fields.length > 0) this.fault = `${name} stands behind a regular field`;
    this.seen |= bit;
    switch (kind) {
      case NAME_METHOD:
        this.method = value;
        break;
      case NAME_SCHEME:
        this.scheme = value;
        break;
      case NAME_AUTHORITY:
        this.authority = value;
        break;
      case NAME_PATH:
        this.path = value;
        break;
      case NAME_STATUS:
        this.status = parseStatus(value);
        if (this.status < 0) this.fault = ":status is no status";
        break;
      case NAME_PROTOCOL:
        this.protocol = value;
        break;
      default:
        this.fault = "an unknown pseudo-header field";
    }
  }

  private addSpecial(name: string, value: string, kind: number): void {
    const { fields } = this;
    switch (kind) {
      case NAME_MALFORMED:
        this.fault = "a field name is no lowercase token";
        return;
      case NAME_CONNECTION:
        this.fault = `${name} belongs to connections of HTTP/1.1`;
        return;
      case NAME_TE:
        if (value.toLowerCase() !== "trailers") this.fault = "te says something else than trailers";
        this.teTrailers = true;
        break;
      case NAME_CONTENT_LENGTH: {
        const length = parseLength(value);
        if (length < 0 || (this.contentLength >= 0 && this.contentLength !== length))
          this.fault = "content-length is no length, or there twice";
        if (this.contentLength >= 0) return;
        this.contentLength = length;
        break;
      }
      case NAME_HOST:
        if (this.host !== "") this.fault = "host is there twice";
        this.host = value;
        break;
      case NAME_COOKIE:
        if (this.cookieAt >= 0) {
          fields[this.cookieAt + 1] = `${fields[this.cookieAt + 1]}; ${value}`;
          return;
        }
        this.cookieAt = fields.length;
        break;
    }
    fields.push(name, value);
  }

  /** Has this pseudo-header field come, empty or not? @param kind one of the NAME_ constants */
  has(kind: number): boolean {
    return (this.seen & (1 << kind)) !== 0;
  }

  /** RFC 9113 section 8.3.1, RFC 8441 section 4. @param extendedConnect `:protocol` was allowed. @returns why this is no request; '' when it is one */
  requestFault(extendedConnect: boolean): string {
    if (this.fault !== "") return this.fault;
    if (this.has(NAME_STATUS)) return ":status in a request";
    if (this.method === "") return ":method is missing or empty";
    const protocol = this.has(NAME_PROTOCOL);
    if (protocol && (!extendedConnect || this.method !== "CONNECT" || this.protocol === "")) return ":protocol where it must not be";
    if (this.method === "CONNECT" && !protocol) {
      if (this.has(NAME_SCHEME) || this.has(NAME_PATH)) return "CONNECT with :scheme or :path";
      return this.authority === "" ? "CONNECT without :authority" : "";
    }
    if (this.scheme === "") return ":scheme is missing or empty";
    if (this.path === "") return ":path is missing or empty";
    return "";
  }

  /** RFC 9113 section 8.3.2. @returns why this is no response head; '' when it is one */
  responseFault(): string {
    if (this.fault !== "") return this.fault;
    if (this.seen !== 1 << NAME_STATUS) return this.status === 0 ? ":status is missing" : "a pseudo-header field of requests in a response";
    if (this.status < 100) return ":status is no status";
    if (this.status === 101) return "status 101, which HTTP/2 does not have"; // RFC 9113 section 8.6
    return this.teTrailers ? "te in a response" : "";
  }

  /** RFC 9113 section 8.1. @returns why these are no trailers; '' when they are */
  trailersFault(): string {
    if (this.fault !== "") return this.fault;
    return this.hasPseudo ? "a pseudo-header field in trailers" : "";
  }
}

/** Exactly three digits. @returns -1 for anything else */
function parseStatus(text: string): number {
  if (text.length !== 3) return -1;
  const status = parseLength(text);
  return status < 100 ? -1 : status;
}

/** RFC 9110 section 8.6, without lists of it. @returns what one to {@link LENGTH_DIGITS_MAX} digits say; -1 for anything else */
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
