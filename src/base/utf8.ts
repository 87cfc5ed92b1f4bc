// Owns reading bytes as text: UTF-8 (RFC 3629) or an error with its place. Must never replace what it cannot read: another key, another name would come of it.
import { isUtf8 } from "node:buffer";

/** Where the first byte is that is no UTF-8. */
export interface NotText {
  /** From 0. */
  readonly offset: number;
  /** From 1; columns count characters as JavaScript does (UTF-16 units), as everywhere in messages. */
  readonly line: number;
  readonly column: number;
  /** What is there, for a message. */
  readonly what: string;
}

const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/** @returns the text without a byte order mark at its beginning, which editors of one system put there and nobody means */
export function decodeUtf8(bytes: Buffer): string | NotText {
  if (!isUtf8(bytes)) return firstWrong(bytes);
  const start = bytes.subarray(0, BOM.length).equals(BOM) ? BOM.length : 0;
  return bytes.toString("utf8", start);
}

/** By halves: a prefix that ends between two characters is UTF-8 as long as nothing wrong is in it. */
function firstWrong(bytes: Buffer): NotText {
  let [good, bad] = [0, bytes.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    const cut = characterStart(bytes, middle);
    if (cut > good && isUtf8(bytes.subarray(good, cut))) good = cut;
    else if (cut > good) bad = cut;
    else break; // one character, or what is none, lies around the middle
  }
  while (good < bytes.length) {
    const end = good + lengthOf(bytes[good] ?? 0);
    if (end > bytes.length || !isUtf8(bytes.subarray(good, end))) break;
    good = end;
  }
  const before = bytes.toString("utf8", 0, good);
  const lineStart = before.lastIndexOf("\n") + 1;
  const place = { offset: good, line: before.split("\n").length, column: before.length - lineStart + 1 };
  return { ...place, what: encodingOf(bytes) ?? `the byte 0x${(bytes[good] ?? 0).toString(16).padStart(2, "0")} is not UTF-8` };
}

/** The last place at or before one where a character may begin. */
function characterStart(bytes: Buffer, at: number): number {
  let start = at;
  while (start > 0 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start--;
  return start;
}

/** Bytes of the character that a byte begins; 1 for one that begins none. */
const lengthOf = (byte: number): number => (byte < 0xc2 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 1);

/** What an editor has most likely saved it as. */
function encodingOf(bytes: Buffer): string | null {
  const [first, second] = bytes;
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  return isUtf16 && bytes.includes(0) ? "this is UTF-16" : null;
}
