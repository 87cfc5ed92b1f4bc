// Owns the one normal form of a request path (RFC 3986 section 6.2.2) and what is refused on the way there.
// The result is what is matched, authorised and forwarded, so nothing can be matched as one thing and forwarded as another.
// What a listener lets through beyond it is made of the same parts in path-rules.ts.
import { encodeByte, hexValue } from "../../base/hex.ts";

const PLAIN = 1; // stands for itself, in every position
const UNRESERVED = 2; // RFC 3986 section 2.3: the same with and without percent-encoding
const ENCODE = 4; // not allowed raw by RFC 3986, but browsers and tools send it: encoded, which changes no reader's view
const QUERY = 8; // allowed in a query, kept byte for byte
const USUAL = 16; // PLAIN, and nobody cuts a segment off there

const CLASS = new Uint8Array(128);
for (let c = 0x21; c < 0x7f; c++) {
  const char = String.fromCharCode(c);
  if (/[A-Za-z0-9\-._~]/.test(char)) CLASS[c]! |= UNRESERVED;
  if (/[A-Za-z0-9\-_~!$&'()*+,;=:@]/.test(char)) CLASS[c]! |= PLAIN;
  if ('"<>[]^`{|}'.includes(char)) CLASS[c]! |= ENCODE;
  if ((CLASS[c]! & PLAIN) !== 0 && char !== ";") CLASS[c]! |= USUAL;
  if (char !== "#") CLASS[c]! |= QUERY;
}

const SLASH = 47;
const DOT = 46;
const PERCENT = 37;
const ZERO = 48;
const ONE = 49;
const UPPER_C = 67;
const UPPER_E = 69;
const UPPER_F = 70;
const BACKSLASH = 92;

/** What encoded slashes, and backslashes raw or encoded, become; '' refuses them. */
export interface Separators {
  readonly slash: "" | "%2F" | "/";
  readonly backslash: "" | "%5C" | "/";
}
const REFUSED: Separators = { slash: "", backslash: "" };

/** What becomes of an empty segment that is not the last. */
export type EmptySegments = "refuse" | "keep" | "merge";

/**
 * The normal form of an origin-form path (without query).
 *
 * Done: percent-encoded unreserved characters decoded, hex digits uppercased, dot segments removed (also when encoded), raw `"<>[]^`{|}` encoded.
 * Reserved characters (`@`, `%40`) are left as sent: RFC 3986 section 2.2.
 * Refused: no leading `/`; an empty segment anywhere but at the end (`//`: merging it changes the meaning, keeping it lets `//admin` slip past a rule for
 * `/admin` before a server that merges, and at the start it would be an authority); `..` above the root; `..;` (servers that strip `;` parameters see `..`);
 * encoded `/`, `\`, and control bytes, NUL included; raw `\`, `#`, `?`, space, control and non-ASCII; malformed percent; `%25` followed by two hex digits,
 * also when these were encoded themselves (double encoding); overlong UTF-8 (`%C0%AF`).
 * @param raw as received
 * @param matrix whether `;` and `%3B` are refused too (RFC 3986 section 3.3): they are where the listener does not let them through
 * @returns null when refused: answer `bad_path`. Cost: one scan when nothing needs doing, and then the result is `raw` itself.
 */
export function normalisePath(raw: string, matrix: "keep" | "refuse" = "keep"): string | null {
  const length = raw.length;
  if (length === 0 || raw.charCodeAt(0) !== SLASH) return null;
  let previous = SLASH;
  for (let i = 1; i < length; i++) {
    const c = raw.charCodeAt(i);
    if (c < 128 && (CLASS[c]! & USUAL) !== 0) {
      previous = c;
      continue;
    }
    if (c === SLASH) {
      if (previous === SLASH) return null;
    } else if (c !== DOT || previous === SLASH) {
      const path = normaliseSlowly(raw);
      return path !== null && matrix === "refuse" && hasMatrixParameter(path) ? null : path;
    }
    previous = c;
  }
  return raw;
}

/** What follows `;` in a segment (RFC 3986 section 3.3); encoded too, as readers differ. @param path in normal form */
export const hasMatrixParameter = (path: string): boolean => path.includes(";") || path.includes("%3B");

/** Everything: decode first, then judge and remove segments, so that encoded and plain spellings meet the same rules. */
function normaliseSlowly(raw: string): string | null {
  const decoded = decodeUnreserved(raw);
  if (decoded === null || hasDoubleEncoding(decoded) || hasOverlongUtf8(decoded)) return null;
  return removeDotSegments(decoded);
}

/** Decodes what means the same decoded, encodes what may not stand raw. @returns null for what is refused */
export function decodeUnreserved(raw: string, separators: Separators = REFUSED): string | null {
  let out = "";
  let copied = 0;
  for (let i = 0; i < raw.length; i++) {
    const c = raw.charCodeAt(i);
    if (c === SLASH || c === DOT || (c < 128 && (CLASS[c]! & PLAIN) !== 0)) continue;
    out += raw.slice(copied, i);
    if (c === PERCENT) {
      const high = i + 2 < raw.length ? hexValue(raw.charCodeAt(i + 1)) : -1;
      const low = i + 2 < raw.length ? hexValue(raw.charCodeAt(i + 2)) : -1;
      if (high < 0 || low < 0) return null;
      const byte = high * 16 + low;
      if (byte < 32 || byte === 127) return null;
      if (byte === SLASH || byte === BACKSLASH) {
        const instead = byte === SLASH ? separators.slash : separators.backslash;
        if (instead === "") return null;
        out += instead;
      } else out += byte < 128 && (CLASS[byte]! & UNRESERVED) !== 0 ? String.fromCharCode(byte) : encodeByte(byte);
      i += 2;
    } else if (c < 128 && (CLASS[c]! & ENCODE) !== 0) out += encodeByte(c);
    else if (c === BACKSLASH && separators.backslash !== "") out += separators.backslash;
    else return null;
    copied = i + 1;
  }
  return out + raw.slice(copied);
}

/** `%25` and two hex digits: what is left to decode after a decoding. */
export function hasDoubleEncoding(path: string): boolean {
  for (let i = path.indexOf("%25"); i >= 0; i = path.indexOf("%25", i + 3)) {
    if (hexValue(path.charCodeAt(i + 3)) >= 0 && hexValue(path.charCodeAt(i + 4)) >= 0) return true;
  }
  return false;
}

/** RFC 3629 section 3: C0, C1, E0 80..9F and F0 80..8F can only begin an overlong form, which lax decoders read as another character. */
export function hasOverlongUtf8(path: string): boolean {
  for (let i = 0; i < path.length; i++) {
    if (path.charCodeAt(i) !== PERCENT) continue;
    const high = path.charCodeAt(i + 1);
    const low = path.charCodeAt(i + 2);
    if (high === UPPER_C && (low === ZERO || low === ONE)) return true;
    if ((high !== UPPER_E && high !== UPPER_F) || low !== ZERO || path.charCodeAt(i + 3) !== PERCENT) continue;
    const next = path.charCodeAt(i + 4);
    if (next === 56 || (high === UPPER_E && next === 57)) return true; // 8x, 9x
  }
  return false;
}

/** RFC 3986 section 5.2.4, for absolute paths; refuses to leave the root, and `..` behind an empty segment that is kept: readers differ on what that leaves. */
export function removeDotSegments(path: string, empty: EmptySegments = "refuse"): string | null {
  const segments = path.split("/");
  const kept: string[] = [];
  const last = segments.length - 1;
  for (let i = 1; i <= last; i++) {
    const segment = segments[i]!; // i <= last
    if (segment === "" && i !== last) {
      if (empty === "refuse") return null;
      if (empty === "keep") kept.push("");
      continue;
    }
    if (segment === "." || segment === "..") {
      if (segment === ".." && (kept.pop() ?? "") === "") return null;
      if (i === last) kept.push("");
      continue;
    }
    if (isDisguisedDots(segment)) return null;
    kept.push(segment);
  }
  return `/${kept.join("/")}`;
}

/** `.;x`, `..;x`, and the same with `%3B`: dot segments to servers that strip path parameters first. */
function isDisguisedDots(segment: string): boolean {
  if (segment.charCodeAt(0) !== DOT) return false;
  const rest = segment.charCodeAt(1) === DOT ? 2 : 1;
  return segment.charCodeAt(rest) === 59 || segment.startsWith("%3B", rest);
}

/** A request target of origin-form, taken apart. The path is not normalised yet. */
export interface Target {
  readonly path: string;
  /** Without `?`; '' for none. */
  readonly query: string;
}

/** @param target origin-form (RFC 9112 section 3.2.1). @returns null when the query is not {@link isQuery}; the path still needs {@link normalisePath}. */
export function splitTarget(target: string): Target | null {
  const mark = target.indexOf("?");
  if (mark < 0) return { path: target, query: "" };
  const query = target.slice(mark + 1);
  return isQuery(query) ? { path: target.slice(0, mark), query } : null;
}

/** Visible ASCII without `#`: what may be kept byte for byte and sent upstream without a second reader seeing something else. May be empty. */
export function isQuery(query: string): boolean {
  for (let i = 0; i < query.length; i++) {
    const c = query.charCodeAt(i);
    if (c > 127 || (CLASS[c]! & QUERY) === 0) return false; // CLASS has 128 entries
  }
  return true;
}

/** Reserved characters that mean the same encoded or not within one segment to the servers behind us: `@` and `%40`, `:` and `%3A`, ... */
const RESERVED_ENCODED = /%(?:21|24|26|27|28|29|2A|2B|2C|3A|3B|3D|40)/g;

/**
 * The key under which a segment is compared with a route's literal: reserved characters decoded. So `/users/%40me` meets the route
 * `/users/@me` and not the more general `/users/{id}`, whichever spelling the upstream would take for the same.
 * @param segment one segment of a normalised path; without `%` it is its own key.
 */
export function segmentKey(segment: string): string {
  return segment.includes("%")
    ? segment.replace(RESERVED_ENCODED, (hex) => String.fromCharCode(Number.parseInt(hex.slice(1), 16)))
    : segment;
}
