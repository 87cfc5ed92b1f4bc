// Owns reading field lines (RFC 9112 section 5) of requests and their trailers into flat lists. One pass: checked, cut and lowercased at once.
// By the grammar of base/http1-grammar.ts, to which a test holds it. Must never hold on to more text than one name.
import type { HeaderList } from "../../../base/header-list.ts";

/** Names kept for a thread, and the longest that is kept, characters. */
const NAMES_MAX = 1024;
const NAME_CHARS_MAX = 64;

const [HTAB, LF, CR, SP, COLON] = [9, 10, 13, 32, 58] as const;
const TCHAR = 1;
const PRINTABLE = 2;
const CLASS = new Uint8Array(256);
for (let c = 0; c < 256; c++) {
  if (/[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(c))) CLASS[c]! |= TCHAR;
  if (c === HTAB || (c >= SP && c < 127)) CLASS[c]! |= PRINTABLE;
}
const OBS_TEXT_MIN = 0x80;

/** By the name as it was sent. */
const lowercase = new Map<string, string>();

function lowercaseName(written: string): string {
  const known = lowercase.get(written);
  if (known !== undefined) return known;
  // A part of a head would keep all of it.
  const own = Buffer.from(written, "latin1").toString("latin1");
  const name = own.toLowerCase();
  if (own.length > NAME_CHARS_MAX) return name;
  if (lowercase.size >= NAMES_MAX) lowercase.clear();
  lowercase.set(own, name);
  return name;
}

export const FIELDS_WRONG = 0;
/** Every value is HTAB and printable ASCII. */
export const FIELDS_USUAL = 1;
export const FIELDS_READ = 2;

/**
 * @param text bytes as characters @param at of the first line @param end behind the last line's CRLF
 * @param list gets names, in lower case, and values without white space around them
 * @returns one of the FIELDS_ constants
 */
export function readFields(text: string, at: number, end: number, list: HeaderList): number {
  let outcome = FIELDS_USUAL;
  let i = at;
  while (i < end) {
    const nameAt = i;
    let c = text.charCodeAt(i);
    while ((CLASS[c]! & TCHAR) !== 0) c = text.charCodeAt(++i); // latin1: CLASS has 256 entries
    if (c !== COLON || i === nameAt) return FIELDS_WRONG;
    const name = lowercaseName(text.slice(nameAt, i));
    do c = text.charCodeAt(++i);
    while (c === SP || c === HTAB);
    const valueAt = i;
    while (c !== CR) {
      if ((CLASS[c]! & PRINTABLE) === 0) {
        if (!(c >= OBS_TEXT_MIN)) return FIELDS_WRONG; // NaN behind the end too
        outcome = FIELDS_READ;
      }
      c = text.charCodeAt(++i);
    }
    if (text.charCodeAt(i + 1) !== LF) return FIELDS_WRONG;
    let valueEnd = i;
    while (valueEnd > valueAt && isBlank(text.charCodeAt(valueEnd - 1))) valueEnd--;
    list.push(name, text.slice(valueAt, valueEnd));
    i += 2;
  }
  return outcome;
}

const isBlank = (c: number): boolean => c === SP || c === HTAB;
