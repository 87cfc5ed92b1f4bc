// Owns reading which versions an Accept field names (RFC 9110 section 12.5.1): as a list, with weights, quoted strings and in any case.
// Must cost no more than one look at each character; decides nothing about which versions exist.
import type { AcceptVersionPlan } from "../../../plan/routing-terms.ts";

const TAB = 9;
const SPACE = 32;
const QUOTE = 34;
const COMMA = 44;
const SLASH = 47;
const SEMICOLON = 59;
const EQUALS = 61;
const BACKSLASH = 92;

/** Media ranges in one request that are read. */
export const ACCEPT_RANGES_MAX = 64;

/** One media range. */
export interface AcceptedRange {
  /** Lowercase; null when the range names none. */
  readonly version: string | null;
  /** 0 to 1. */
  readonly weight: number;
}

interface ReadRange extends AcceptedRange {
  /** 0 for any type, 1 for any subtype, 2 for a media type, 3 for one with parameters (RFC 9110 section 12.5.1). */
  readonly precision: number;
}

/**
 * The ranges, best first: by weight, then the more specific, then as they stand. `*` alone stands for `*`/`*`, as old clients send it.
 * @returns null for what cannot be read, for more than {@link ACCEPT_RANGES_MAX} ranges, and for a range that names two versions
 */
export function acceptedRanges(text: string, form: AcceptVersionPlan, known: ReadonlySet<string>): readonly AcceptedRange[] | null {
  const reader = new Reader(text);
  const ranges: ReadRange[] = [];
  for (;;) {
    reader.skipBlanks();
    if (reader.atEnd) break;
    if (reader.take(COMMA)) continue; // empty elements are none (RFC 9110 section 5.6.1.2)
    const range = ranges.length < ACCEPT_RANGES_MAX ? readRange(reader, form, known) : null;
    if (range === null) return null;
    ranges.push(range);
  }
  return ranges.sort((a, b) => b.weight - a.weight || b.precision - a.precision);
}

/** Up to the comma behind it, or the end. */
function readRange(reader: Reader, form: AcceptVersionPlan, known: ReadonlySet<string>): ReadRange | null {
  const type = reader.token().toLowerCase();
  const subtype = reader.take(SLASH) ? reader.token().toLowerCase() : type === "*" ? "*" : "";
  if (type === "" || subtype === "") return null;
  let version = vendorVersion(type, subtype, form, known);
  let weight: number | null = null;
  let parameters = 0;
  for (;;) {
    reader.skipBlanks();
    if (reader.atEnd || reader.take(COMMA)) break;
    if (!reader.take(SEMICOLON)) return null;
    reader.skipBlanks();
    const name = reader.token().toLowerCase();
    if (name === "") continue; // an empty parameter is none (RFC 9110 section 5.6.6)
    const value = reader.take(EQUALS) ? reader.value() : null;
    if (value === null) return null;
    if (name === "q") {
      if (weight !== null || (weight = weightOf(value)) === null) return null;
    } else {
      parameters++;
      if (name !== form.parameter) continue;
      const lower = value.toLowerCase();
      if (version !== null && version !== lower) return null;
      version = lower;
    }
  }
  const precision = type === "*" ? 0 : subtype === "*" ? 1 : parameters === 0 ? 2 : 3;
  return { version, weight: weight ?? 1, precision };
}

/** `.2` and more than three digits are taken too: they are sent, and mean what they say. */
const weightOf = (text: string): number | null => (/^(?:0?\.\d{1,9}|0\.?|1(?:\.0{0,9})?)$/.test(text) ? Number(text) : null);

/** Numbers joined by dots or hyphens: `2`, `2.1`, `2026-01-31`. */
const NUMERIC_COMPONENT = /\.v(\d+(?:[.-]\d+)*)(?=\.|$)/;

/** `vnd.acme.v2`, `vnd.acme.users.v2.raw`; with a suffix behind (`+json`). @returns null for none */
function vendorVersion(type: string, subtype: string, { vendor }: AcceptVersionPlan, known: ReadonlySet<string>): string | null {
  if (type !== "application" && type !== "text") return null;
  const tree = vendor === null ? "vnd." : `vnd.${vendor}.`;
  if (!subtype.startsWith(tree)) return null;
  const plus = subtype.indexOf("+");
  const rest = subtype.slice(tree.length - 1, plus < 0 ? subtype.length : plus); // begins with the dot before it
  const numeric = NUMERIC_COMPONENT.exec(rest)?.[1];
  if (numeric !== undefined) return numeric;
  for (const component of rest.split(".")) if (component.startsWith("v") && known.has(component.slice(1))) return component.slice(1);
  return null;
}

/** A place in a text, and what stands there. */
class Reader {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  get atEnd(): boolean {
    return this.at >= this.text.length;
  }

  skipBlanks(): void {
    const { text } = this;
    let c = text.charCodeAt(this.at);
    while (c === SPACE || c === TAB) c = text.charCodeAt(++this.at);
  }

  /** @returns whether the character stands here; then it is behind */
  take(char: number): boolean {
    if (this.text.charCodeAt(this.at) !== char) return false;
    this.at++;
    return true;
  }

  /** RFC 9110 section 5.6.2. @returns '' for none */
  token(): string {
    TOKEN.lastIndex = this.at;
    const found = TOKEN.exec(this.text)?.[0] ?? "";
    this.at += found.length;
    return found;
  }

  /** A token or quoted string (RFC 9110 section 5.6.4), without its quotes. @returns null for none, and for a string that does not end */
  value(): string | null {
    if (!this.take(QUOTE)) return this.token() || null;
    const start = this.at;
    let escaped = false;
    for (; this.at < this.text.length; this.at++) {
      const c = this.text.charCodeAt(this.at);
      if (c === QUOTE) {
        const value = this.text.slice(start, this.at++);
        return escaped && value.length <= ESCAPED_CHARS_MAX ? value.replaceAll(ESCAPED, "$1") : value;
      }
      if (c === BACKSLASH) {
        escaped = true;
        this.at++;
      }
    }
    return null;
  }
}

/** What is longer is no version, whatever it stands for. */
const ESCAPED_CHARS_MAX = 100;
/** RFC 9110 section 5.6.4, quoted-pair. */
const ESCAPED = /\\(.)/gs;
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
