// Owns the static table of HPACK (RFC 7541, appendix A) and what the names of fields mean to HTTP/2 (RFC 9113 sections 8.2 and 8.3).
// Must never know a connection.

/** What a field name is to HTTP/2. Those from {@link NAME_METHOD} on are pseudo-header fields. */
export const NAME_PLAIN = 0;
/** No lowercase token: the message is malformed (RFC 9113 section 8.2.1). */
export const NAME_MALFORMED = 1;
/** Of HTTP/1.1's connections: the message is malformed (RFC 9113 section 8.2.2). */
export const NAME_CONNECTION = 2;
export const NAME_TE = 3;
export const NAME_CONTENT_LENGTH = 4;
export const NAME_COOKIE = 5;
export const NAME_HOST = 6;
export const NAME_METHOD = 7;
export const NAME_SCHEME = 8;
export const NAME_AUTHORITY = 9;
export const NAME_PATH = 10;
export const NAME_STATUS = 11;
export const NAME_PROTOCOL = 12;
/** A pseudo-header field that no RFC here defines: malformed. */
export const NAME_UNKNOWN_PSEUDO = 13;

const KINDS: ReadonlyMap<string, number> = new Map([
  ["connection", NAME_CONNECTION],
  ["proxy-connection", NAME_CONNECTION],
  ["keep-alive", NAME_CONNECTION],
  ["transfer-encoding", NAME_CONNECTION],
  ["upgrade", NAME_CONNECTION],
  ["te", NAME_TE],
  ["content-length", NAME_CONTENT_LENGTH],
  ["cookie", NAME_COOKIE],
  ["host", NAME_HOST],
  [":method", NAME_METHOD],
  [":scheme", NAME_SCHEME],
  [":authority", NAME_AUTHORITY],
  [":path", NAME_PATH],
  [":status", NAME_STATUS],
  [":protocol", NAME_PROTOCOL],
]);

const COLON = 58;
const LOWER_TOKEN = 1;
const VALUE = 2;
/** Class bits by byte. */
const CLASS = new Uint8Array(256);
for (let c = 0; c < 256; c++) {
  if (/[!#$%&'*+\-.^_`|~0-9a-z]/.test(String.fromCharCode(c))) CLASS[c]! |= LOWER_TOKEN;
  if (c === 9 || (c >= 32 && c !== 127)) CLASS[c]! |= VALUE;
}

/** @returns one of the NAME_ constants */
export function kindOfName(name: string): number {
  const known = KINDS.get(name);
  if (known !== undefined) return known;
  if (name.length === 0) return NAME_MALFORMED;
  if (name.charCodeAt(0) === COLON) return NAME_UNKNOWN_PSEUDO;
  for (let i = 0; i < name.length; i++) if ((CLASS[name.charCodeAt(i)]! & LOWER_TOKEN) === 0) return NAME_MALFORMED; // a byte string
  return NAME_PLAIN;
}

/**
 * RFC 9110 section 5.5 and RFC 9113 section 8.2.1: no control character but HTAB, no white space at either end. @returns whether these bytes are a value
 */
export function isValueBytes(bytes: Uint8Array, from: number, to: number): boolean {
  if (from === to) return true;
  if (bytes[from]! <= 32 || bytes[to - 1]! <= 32) return false; // in range; a control character is none anyway
  for (let i = from; i < to; i++) if ((CLASS[bytes[i]!]! & VALUE) === 0) return false; // in range
  return true;
}

/** A field as tables hold it. */
export interface HpackField {
  readonly name: string;
  readonly value: string;
  /** One of the NAME_ constants. */
  readonly kind: number;
  /** The value has a character that none may have: the message is malformed. */
  readonly badValue: boolean;
  /** RFC 7541 section 4.1. */
  readonly size: number;
}

const STATIC_TEXT = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`;

const NOTHING: HpackField = { name: "", value: "", kind: NAME_MALFORMED, badValue: false, size: 0 };

/** By index, from 1 on; 0 is no field. */
export const STATIC_TABLE: readonly HpackField[] = [
  NOTHING,
  ...STATIC_TEXT.split("\n").map((line): HpackField => {
    const space = line.indexOf(" ");
    const name = space < 0 ? line : line.slice(0, space);
    const value = space < 0 ? "" : line.slice(space + 1);
    return { name, value, kind: kindOfName(name), badValue: false, size: name.length + value.length + 32 };
  }),
];

/** The first index of a name in the static table. */
export const STATIC_NAMES: ReadonlyMap<string, number> = new Map(
  STATIC_TABLE.map((field, index) => [field.name, index] as const)
    .slice(1)
    .reverse(),
);
