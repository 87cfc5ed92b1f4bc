// Owns the small grammar of HTTP that more than one part needs: tokens, field values, hop-by-hop names, authorities, codings.
// Pure and allocation-light. Must never know about exchanges, engines or configuration.
import { canonicalIp, parseIpv4 } from "./ip.ts";

const TOKEN = 1;
const VALUE = 2;
const HOST = 4;
const PLAIN_NAME = 8;

/** Class bits by char code, 0..255. */
const CLASS = new Uint8Array(256);
for (let c = 0; c < 256; c++) {
  const alnum = (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122);
  const char = String.fromCharCode(c);
  if (alnum || "!#$%&'*+-.^_`|~".includes(char)) CLASS[c]! |= TOKEN;
  if (c === 9 || (c >= 32 && c !== 127)) CLASS[c]! |= VALUE;
  if (alnum || "-._~".includes(char)) CLASS[c]! |= HOST;
  if (/[a-z0-9-]/.test(char)) CLASS[c]! |= PLAIN_NAME;
}

function allOf(text: string, start: number, end: number, bit: number): boolean {
  for (let i = start; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c > 255 || (CLASS[c]! & bit) === 0) return false; // CLASS has 256 entries
  }
  return true;
}

/** RFC 9110 section 5.6.2: one or more tchar. Field names and methods are tokens. */
export const isToken = (text: string): boolean => text.length > 0 && allOf(text, 0, text.length, TOKEN);

/** Whether a character, by its code, is a tchar. @param c NaN behind the end */
export const isTokenCode = (c: number): boolean => c < 128 && (CLASS[c]! & TOKEN) !== 0; // CLASS has 256 entries

/** Longest method accepted: every registered one is shorter than 20. */
const METHOD_LENGTH_MAX = 32;

/** RFC 9110 section 9.1: a method is a case-sensitive token; also bounded in length. */
export const isMethod = (text: string): boolean => text.length <= METHOD_LENGTH_MAX && isToken(text);

/** RFC 9110 section 5.5 on a byte string (one char a byte): HTAB, SP, VCHAR and obs-text; no CR, LF, NUL, DEL or other control. May be empty. */
export const isFieldValue = (text: string): boolean => allOf(text, 0, text.length, VALUE);

/**
 * Field names that belong to one connection and are never forwarded, in either direction. @param name lowercase
 * RFC 9110 section 7.6.1 names connection, proxy-connection, keep-alive, te, transfer-encoding and upgrade. Added here:
 * `trailer` (the gateway re-frames bodies), `http2-settings` (h2c upgrade, RFC 7540 section 3.2.1), and `proxy-authenticate` /
 * `proxy-authorization` (RFC 9110 section 11.7: meant for the next proxy, which a gateway is not; relaying would leak credentials).
 */
export function isHopByHop(name: string): boolean {
  switch (name.length) {
    case 2:
      return name === "te";
    case 7:
      return name === "upgrade" || name === "trailer";
    case 10:
      return name === "connection" || name === "keep-alive";
    case 14:
      return name === "http2-settings";
    case 16:
      return name === "proxy-connection";
    case 17:
      return name === "transfer-encoding";
    case 18:
      return name === "proxy-authenticate";
    case 19:
      return name === "proxy-authorization";
    default:
      return false;
  }
}

/** The names behind {@link isHopByHop}, for configuration checks and docs. */
export const HOP_BY_HOP: readonly string[] = [
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** Whether services may read a field name as another one, see {@link cgiEquivalent}. @param name lowercase */
export const isAmbiguousFieldName = (name: string): boolean => !allOf(name, 0, name.length, PLAIN_NAME);

/**
 * The name as which services may read a field: CGI, FastCGI, WSGI and Rack turn it into a variable (RFC 3875 section 4.1.18), so that `x_user`,
 * and with some `x.user`, becomes HTTP_X_USER just as `x-user` does. @param name lowercase
 */
export function cgiEquivalent(name: string): string {
  const { length } = name;
  if (length > PLAIN_NAME_BYTES) return name.replace(/[^a-z0-9]/g, "-");
  for (let i = 0; i < length; i++) {
    const c = name.charCodeAt(i);
    plainBytes[i] = (c >= 97 && c <= 122) || (c >= 48 && c <= 57) ? c : 45;
  }
  return plainBytes.toString("latin1", 0, length);
}

/** A regular expression takes five times as long for names that are full of marks, and a request may have a hundred of them. */
const PLAIN_NAME_BYTES = 256;
const plainBytes = Buffer.alloc(PLAIN_NAME_BYTES);

const NO_TOKENS: readonly string[] = [];
const KEEP_ALIVE: readonly string[] = ["keep-alive"];
const CLOSE: readonly string[] = ["close"];
const UPGRADE: readonly string[] = ["upgrade"];

/** Elements, empty ones too, of a request's Connection list: real ones have two or three. */
export const CONNECTION_OPTIONS_MAX = 32;
/** Longest option: it names a field. */
const CONNECTION_OPTION_CHARS_MAX = 256;

/**
 * RFC 9110 section 7.6.1: `Connection = #connection-option`.
 * @param value one field line, or several joined with commas.
 * @returns the options, lowercase (empty list elements skipped, section 5.6.1.2); null when one is no token or too long for a name, or there are more
 * than {@link CONNECTION_OPTIONS_MAX} elements.
 */
export function parseConnectionTokens(value: string): readonly string[] | null {
  switch (value) {
    case "":
      return NO_TOKENS;
    case "keep-alive":
    case "Keep-Alive":
      return KEEP_ALIVE;
    case "close":
      return CLOSE;
    case "Upgrade":
    case "upgrade":
      return UPGRADE;
  }
  const parts = value.split(",", CONNECTION_OPTIONS_MAX + 1);
  if (parts.length > CONNECTION_OPTIONS_MAX) return null;
  const tokens: string[] = [];
  for (const part of parts) {
    const token = trimWhitespace(part);
    if (token === "") continue;
    if (token.length > CONNECTION_OPTION_CHARS_MAX || !isToken(token)) return null;
    tokens.push(token.toLowerCase());
  }
  return tokens;
}

/** Strips OWS (RFC 9110 section 5.6.3: SP and HTAB only; String.trim would also take bytes such as 0xA0). */
export function trimWhitespace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

const isBlank = (c: number): boolean => c === 32 || c === 9;

/** A Host header or authority, taken apart. */
export interface Authority {
  /** Lowercase, without trailing dot; IPv6 in brackets, canonical (`[::1]`). What routes match on. */
  readonly host: string;
  /** 1..65535, or -1 for none. */
  readonly port: number;
}

/** RFC 3986 section 6.2.3: an empty port is the same as none. @param authority as sent */
export const withoutEmptyPort = (authority: string): string =>
  authority.charCodeAt(authority.length - 1) === 58 ? authority.slice(0, -1) : authority;

/** RFC 1035 section 3.1: a name has at most 255 octets on the wire, 253 in text. */
const HOST_LENGTH_MAX = 253;

/**
 * RFC 3986 section 3.2 / RFC 9110 section 7.2, the part of it that real hosts use: letters, digits and `-._~`, dotted quads, IPv6 in brackets,
 * an optional port. Refused although the RFC allows them, because two readers may differ: userinfo, percent-encoding, sub-delims, an empty
 * host, label or port ({@link withoutEmptyPort} takes one off), IPvFuture, zone ids, and all-numeric names that are no dotted quad (`127.1`).
 * @returns null when refused.
 */
export function parseAuthority(text: string): Authority | null {
  let end = text.length;
  let port = -1;
  if (text.charCodeAt(0) === 91) return parseIpv6Authority(text);
  const colon = text.indexOf(":");
  if (colon >= 0) {
    port = parsePort(text, colon + 1);
    if (port < 0) return null;
    end = colon;
  }
  if (end > 0 && text.charCodeAt(end - 1) === 46) end--;
  if (end === 0 || end > HOST_LENGTH_MAX) return null;
  let numeric = true;
  let upper = false;
  let previous = 46;
  for (let i = 0; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c > 127 || (CLASS[c]! & HOST) === 0 || (c === 46 && previous === 46)) return null; // CLASS has 256 entries
    if (c >= 58) numeric = false;
    else if (c === 45) numeric = false;
    if (c >= 65 && c <= 90) upper = true;
    previous = c;
  }
  if (previous === 46) return null;
  let host = end === text.length ? text : text.slice(0, end);
  if (numeric && parseIpv4(host) < 0) return null;
  if (upper) host = host.toLowerCase();
  return { host, port };
}

function parseIpv6Authority(text: string): Authority | null {
  const close = text.indexOf("]");
  if (close < 0) return null;
  const inner = text.slice(1, close);
  const ip = inner.includes(":") ? canonicalIp(inner) : null;
  if (ip === null) return null;
  const host = ip.includes(":") ? `[${ip}]` : ip;
  if (close + 1 === text.length) return { host, port: -1 };
  const port = text.charCodeAt(close + 1) === 58 ? parsePort(text, close + 2) : -1;
  return port < 0 ? null : { host, port };
}

function parsePort(text: string, start: number): number {
  const length = text.length - start;
  if (length < 1 || length > 5) return -1;
  let port = 0;
  for (let i = start; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    port = port * 10 + digit;
  }
  return port >= 1 && port <= 65535 ? port : -1;
}

/** Elements of such a list that are looked at; real ones have a handful. */
const WEIGHTED_ELEMENTS_MAX = 64;
/** Weight of a coding or language that no element mentions. */
const UNMENTIONED = -1;

/**
 * Weight of one name in an `Accept-Encoding` (or `Accept-Language`-like) list, RFC 9110 section 12.4.2. Malformed elements are skipped; the first mention counts;
 * elements behind the first {@link WEIGHTED_ELEMENTS_MAX} are not looked at.
 * @param name lowercase. @returns 0..1000 (q in thousandths), or -1 when the list does not mention the name itself.
 */
export function listWeight(list: string, name: string): number {
  let at = 0;
  for (let count = 0; count < WEIGHTED_ELEMENTS_MAX && at <= list.length; count++) {
    let end = list.indexOf(",", at);
    if (end < 0) end = list.length;
    let start = at;
    at = end + 1;
    while (start < end && isBlank(list.charCodeAt(start))) start++;
    const nameEnd = start + name.length;
    if (nameEnd > end || !equalsIgnoreCase(list, start, name)) continue;
    const weight = parseWeight(list, nameEnd, end);
    if (weight >= 0) return weight;
  }
  return UNMENTIONED;
}

function equalsIgnoreCase(text: string, start: number, lower: string): boolean {
  for (let i = 0; i < lower.length; i++) {
    const c = text.charCodeAt(start + i);
    if ((c >= 65 && c <= 90 ? c + 32 : c) !== lower.charCodeAt(i)) return false;
  }
  return true;
}

/** `OWS [";" OWS "q=" qvalue] OWS` up to `end`. @returns thousandths, or -1 when malformed (or a longer name). */
function parseWeight(text: string, start: number, end: number): number {
  let i = start;
  while (i < end && isBlank(text.charCodeAt(i))) i++;
  if (i === end) return 1000;
  if (text.charCodeAt(i++) !== 59) return -1;
  while (i < end && isBlank(text.charCodeAt(i))) i++;
  if (i + 2 >= end || (text.charCodeAt(i) | 32) !== 113 || text.charCodeAt(i + 1) !== 61) return -1;
  i += 2;
  while (end > i && isBlank(text.charCodeAt(end - 1))) end--;
  const whole = text.charCodeAt(i) - 48;
  if ((whole !== 0 && whole !== 1) || end - i > 5) return -1;
  let weight = whole * 1000;
  if (end - i === 1) return weight;
  if (text.charCodeAt(i + 1) !== 46) return -1;
  for (let k = i + 2, unit = 100; k < end; k++, unit /= 10) {
    const digit = text.charCodeAt(k) - 48;
    if (digit < 0 || digit > 9) return -1;
    weight += digit * unit;
  }
  return weight > 1000 ? -1 : weight;
}

/**
 * RFC 9110 section 12.5.3. Among the offered codings with the highest weight the first offered wins.
 * @param acceptEncoding the field value (lines joined with ","); undefined for none: nothing is encoded then.
 * @param offered content codings in the server's order of preference, lowercase, without `identity`.
 * @returns the coding to use; null for identity, also when the client accepts nothing that is offered.
 */
export function negotiateEncoding(acceptEncoding: string | undefined, offered: readonly string[]): string | null {
  if (acceptEncoding === undefined || acceptEncoding === "") return null;
  const wildcard = listWeight(acceptEncoding, "*");
  let best: string | null = null;
  // Identity not mentioned is acceptable but says no preference: any coding that is mentioned beats it.
  let bestWeight = Math.max(0, listWeight(acceptEncoding, "identity"));
  for (const coding of offered) {
    let weight = listWeight(acceptEncoding, coding);
    if (weight === UNMENTIONED && coding === "gzip") weight = listWeight(acceptEncoding, "x-gzip");
    if (weight === UNMENTIONED) weight = wildcard;
    if (weight > bestWeight || (weight === bestWeight && best === null && weight > 0)) {
      best = coding;
      bestWeight = weight;
    }
  }
  return best;
}
