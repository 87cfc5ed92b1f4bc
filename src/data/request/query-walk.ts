// Owns walking the parameters of a query in one pass: where each begins and ends, and whether it has a certain name.
// Must cost no more than one look at each character, whatever a client sends; decides nothing about what is found.
import { hexValue } from "../../base/hex.ts";

const AMPERSAND = 38;
const SEMICOLON = 59;
const EQUALS = 61;
const PERCENT = 37;
const PLUS = 43;

/**
 * `application/x-www-form-urlencoded` decoding of one name or value (WHATWG URL, section 5.1): `+` is a space, percent-encoded bytes are UTF-8.
 * What is malformed stays as it is.
 */
export function decodeQuery(text: string): string {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced; // not UTF-8 or not hexadecimal: compared as sent
  }
}

/** Parameters of a query, one after the other. May be begun anew, but not before the last walk is over. */
export class QueryWalk {
  /** Of the parameter that {@link next} came to: `[start, end)` is the whole of it, `[start, nameEnd)` its name. */
  start = 0;
  nameEnd = 0;
  end = 0;
  /** It holds a `;`, which some services take for a separator as `&` is (HTML 4.01, appendix B.2.2). */
  divided = false;
  private text = "";
  private separator = AMPERSAND;
  private encoded = false;
  private from = 0;
  private to = 0;

  /** @returns itself, before the first parameter */
  begin(query: string): this {
    return this.over(query, AMPERSAND, 0, query.length);
  }

  /** @returns a walk over the parameters that readers see to whom `;` separates too, in the one that this walk has come to */
  parts(): QueryWalk {
    return new QueryWalk().over(this.text, SEMICOLON, this.start, this.end);
  }

  private over(text: string, separator: number, from: number, to: number): this {
    this.text = text;
    this.separator = separator;
    this.from = from;
    this.to = to;
    return this;
  }

  /** Goes to the next parameter. @returns false when there is none */
  next(): boolean {
    const { text, separator, to } = this;
    let i = this.from;
    if (i > to || to === 0) return false;
    this.start = i;
    this.nameEnd = -1;
    this.divided = this.encoded = false;
    for (; i < to; i++) {
      const c = text.charCodeAt(i);
      if (c === separator) break;
      if (c === SEMICOLON) this.divided = true;
      else if (c === EQUALS) {
        if (this.nameEnd < 0) this.nameEnd = i;
      } else if ((c === PERCENT || c === PLUS) && this.nameEnd < 0) this.encoded = true;
    }
    this.end = i;
    this.from = i + 1;
    if (this.nameEnd < 0) this.nameEnd = i;
    return true;
  }

  /** Whether its name, decoded, is this one. */
  isNamed(name: string): boolean {
    const { text, start, nameEnd } = this;
    const length = nameEnd - start;
    if (!this.encoded) return length === name.length && text.startsWith(name, start);
    return length >= name.length && spells(text, start, nameEnd, name);
  }

  /** Its value as sent; '' without `=`. */
  value(): string {
    return this.nameEnd === this.end ? "" : this.text.slice(this.nameEnd + 1, this.end);
  }
}

/** Compares in place and stops at the first difference: thousands of names may have to be told apart from one. */
function spells(text: string, start: number, end: number, name: string): boolean {
  let i = start;
  for (let k = 0; k < name.length; k++) {
    const wanted = name.charCodeAt(k);
    if (wanted > 127) return decodeQuery(text.slice(start, end)) === name;
    if (i >= end) return false;
    let c = text.charCodeAt(i);
    if (c === PLUS) c = 32;
    else if (c === PERCENT) {
      const byte = i + 2 < end ? hexValue(text.charCodeAt(i + 1)) * 16 + hexValue(text.charCodeAt(i + 2)) : -1;
      if (byte < 0 || byte > 127) return decodeQuery(text.slice(start, end)) === name;
      c = byte;
      i += 2;
    }
    if (c !== wanted) return false;
    i++;
  }
  return i === end;
}
