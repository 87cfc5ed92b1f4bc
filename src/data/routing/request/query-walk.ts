// Owns finding the parameters of one name in a query, in one pass.
// Must cost no more than one look at each character, whatever a client sends; decides nothing about what is found.
import { hexValue } from "../../../base/hex.ts";

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

/**
 * The parameters of one name in a query, one after the other. What holds a `;` is read in both ways, as services do (HTML 4.01, appendix B.2.2): as
 * one parameter, and then each part by itself. May be begun anew, but not before the last walk is over.
 */
export class QueryWalk {
  /** What {@link next} came to is a reading that not all services share. */
  divided = false;
  /** It is a part of a parameter: only readers to whom `;` separates see it. */
  part = false;
  /** The parameter that it is, or stands in: `[start, end)` between two `&`. */
  start = 0;
  end = 0;
  private text = "";
  private name = "";
  private nameEnd = 0;
  private valueEnd = 0;
  private from = 0;
  /** Where the parts begin and end that are still to be looked at; equal for none. */
  private partFrom = 0;
  private partsEnd = 0;

  /** @returns itself, before the first */
  begin(query: string, name: string): this {
    this.text = query;
    this.name = name;
    this.partFrom = this.partsEnd = 0;
    // Most queries do not hold the name at all, which is found out many characters at a time.
    const possible = query.includes(name) || query.includes("%") || (query.includes("+") && name.includes(" "));
    this.from = possible ? 0 : query.length + 1;
    return this;
  }

  /** Goes to the next parameter of that name. @returns false when there is none */
  next(): boolean {
    if (this.partFrom < this.partsEnd && this.nextPart()) return true;
    const { text, name } = this;
    const { length } = text;
    let start = this.from;
    let nameEnd = -1;
    let encoded = false;
    let divided = false;
    // Thousands of parameters must cost no more than their characters: locals only, and one look at each.
    for (let i = start; i <= length && length > 0; i++) {
      const c = i < length ? text.charCodeAt(i) : AMPERSAND;
      if (c > EQUALS || (c > PLUS && c < SEMICOLON)) continue;
      if (c === AMPERSAND) {
        const end = nameEnd < 0 ? i : nameEnd;
        const named = isNamed(text, start, end, name, encoded);
        if (named || divided) {
          this.from = i + 1;
          this.divided = divided;
          this.part = false;
          this.nameEnd = end;
          this.start = start;
          this.valueEnd = this.end = i;
          this.partFrom = divided ? start : 0;
          this.partsEnd = divided ? i : 0;
          if (named || this.nextPart()) return true;
        }
        start = i + 1;
        nameEnd = -1;
        encoded = divided = false;
      } else if (c === EQUALS) {
        if (nameEnd < 0) nameEnd = i;
      } else if (c === SEMICOLON) divided = true;
      else if ((c === PERCENT || c === PLUS) && nameEnd < 0) encoded = true;
    }
    this.from = length + 1;
    return false;
  }

  private nextPart(): boolean {
    const { text, name, partsEnd } = this;
    let start = this.partFrom;
    let nameEnd = -1;
    let encoded = false;
    for (let i = start; i <= partsEnd; i++) {
      const c = i < partsEnd ? text.charCodeAt(i) : SEMICOLON;
      if (c === SEMICOLON) {
        const end = nameEnd < 0 ? i : nameEnd;
        if (isNamed(text, start, end, name, encoded)) {
          this.partFrom = i + 1;
          this.divided = this.part = true;
          this.nameEnd = end;
          this.valueEnd = i;
          return true;
        }
        start = i + 1;
        nameEnd = -1;
        encoded = false;
      } else if (c === EQUALS) {
        if (nameEnd < 0) nameEnd = i;
      } else if ((c === PERCENT || c === PLUS) && nameEnd < 0) encoded = true;
    }
    this.partFrom = this.partsEnd = 0;
    return false;
  }

  /** Its value as sent; '' without `=`. */
  value(): string {
    return this.nameEnd === this.valueEnd ? "" : this.text.slice(this.nameEnd + 1, this.valueEnd);
  }
}

const isNamed = (text: string, start: number, end: number, name: string, encoded: boolean): boolean =>
  encoded ? end - start >= name.length && spells(text, start, end, name) : end - start === name.length && text.startsWith(name, start);

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
      // Malformed, it stays as sent; else it is no ASCII, and ASCII is wanted here.
      if (byte < 0 || byte > 127) return name.includes("%") && decodeQuery(text.slice(start, end)) === name;
      c = byte;
      i += 2;
    }
    if (c !== wanted) return false;
    i++;
  }
  return i === end;
}
