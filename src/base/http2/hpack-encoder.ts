// Owns encoding of field blocks (RFC 7541) without a dynamic table: names and a few whole fields of the static table, else literals that no peer keeps.
// Checks every byte: what a policy or a mistake of ours put into a field must not leave. One for a thread; what it gives is lent.
import { trimWhitespace } from "../http.ts";
import { kindOfName, NAME_CONNECTION, NAME_MALFORMED, NAME_METHOD, STATIC_NAMES, STATIC_TABLE } from "./hpack-fields.ts";

/** Classes of bytes: of a value, of a method, of a target or an authority (RFC 9110 sections 5.5 and 9.1, RFC 3986). */
const VALUE = 1;
const METHOD = 2;
const TARGET = 4;
const CLASS = new Uint8Array(256);
for (let c = 0; c < 256; c++) {
  if (c === 9 || (c >= 32 && c !== 127)) CLASS[c]! |= VALUE;
  if (/[A-Z-]/.test(String.fromCharCode(c))) CLASS[c]! |= METHOD;
  if (c > 32 && c < 127) CLASS[c]! |= TARGET;
}
const LONG_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Up to here, going over a value's characters beats the calls that test and copy it whole. */
const LOOP_CHARS_MAX = 64;
const BLOCK_BYTES = 16 * 1024;
/** More than two integers take. */
const ROOM_BYTES = 32;

/** RFC 7541 section 7.1.3: nobody on the way may put these into a table. */
const NEVER_INDEXED: ReadonlySet<string> = new Set(["authorization", "proxy-authorization", "cookie", "set-cookie"]);

/** How a name is written, looked up once. */
interface NameCode {
  /** Index in the static table; 0: the name is written. */
  readonly index: number;
  readonly pattern: number;
  /** As it is written: lowercase. */
  readonly name: string;
  /** Must not be sent. */
  readonly refused: boolean;
}

/** Names kept for a thread. */
const NAMES_MAX = 1024;
const NAME_CHARS_MAX = 64;
const names = new Map<string, NameCode>();

function codeOf(given: string): NameCode {
  const name = given.toLowerCase();
  const kind = kindOfName(name);
  const code: NameCode = {
    name,
    index: STATIC_NAMES.get(name) ?? 0,
    pattern: NEVER_INDEXED.has(name) ? 0x10 : 0,
    refused: kind === NAME_MALFORMED || kind === NAME_CONNECTION || kind >= NAME_METHOD,
  };
  if (given.length > NAME_CHARS_MAX) return code;
  if (names.size >= NAMES_MAX) names.clear();
  names.set(given, code);
  return code;
}

export class HpackEncoder {
  private buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  private at = 0;

  /** What was encoded before is gone. */
  begin(): void {
    this.at = 0;
    if (this.buffer.length > BLOCK_BYTES) this.buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  /** The block: lent until the next begin(). */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.at);
  }

  get length(): number {
    return this.at;
  }

  /** Adds fields that were encoded before. */
  encoded(fields: Buffer): void {
    this.makeRoom(fields.length);
    this.buffer.set(fields, this.at);
    this.at += fields.length;
  }

  /** The block to here, copied to `target`. */
  copyTo(target: Buffer, targetAt: number, from: number, to: number): void {
    this.buffer.copy(target, targetAt, from, to);
  }

  /** @param index of a whole field in the static table */
  indexed(index: number): void {
    this.makeRoom(0);
    this.buffer[this.at++] = 0x80 | index; // below 62
  }

  /** A field whose name stands in the static table. @returns false when the value must not be sent; the block is of no use then */
  named(index: number, value: string): boolean {
    this.makeRoom(value.length);
    this.putInteger(4, 0, index);
    return this.putValue(value);
  }

  /**
   * The pseudo-header fields of a request (RFC 9113 section 8.3.1), which come first.
   * @returns false when one has a character that must not be sent; the block is of no use then
   */
  request(method: string, https: boolean, { authority, path }: { readonly authority: string; readonly path: string }): boolean {
    if (method === "GET") this.indexed(METHOD_GET);
    else if (method === "POST") this.indexed(METHOD_POST);
    else if (!this.pseudo(METHOD_GET, method, METHOD)) return false;
    this.indexed(https ? SCHEME_HTTPS : SCHEME_HTTP);
    return this.pseudo(PATH, path, TARGET) && this.pseudo(AUTHORITY, authority, TARGET);
  }

  private pseudo(index: number, value: string, allowed: number): boolean {
    if (value.length === 0) return false;
    for (let i = 0; i < value.length; i++) {
      const c = value.charCodeAt(i);
      if (c > 255 || (CLASS[c]! & allowed) === 0) return false; // CLASS has 256 entries
    }
    return this.named(index, value);
  }

  /** The table that we do not use: needed once where the peer makes it smaller than it is at first (RFC 7541 section 4.2). */
  emptyTable(): void {
    this.makeRoom(0);
    this.buffer[this.at++] = 0x20;
  }

  /**
   * A regular field: pseudo-header fields and those of HTTP/1.1's connections are refused. White space at a value's ends is left out (RFC 9113 section 8.2.1).
   * @returns false when name or value must not be sent; then nothing of it is added
   */
  field(given: string, written: string): boolean {
    const value = hasBlankEnd(written) ? trimWhitespace(written) : written;
    const code = names.get(given) ?? codeOf(given);
    if (code.refused) return false;
    const { name } = code;
    const before = this.at;
    this.makeRoom(name.length + value.length);
    if (code.index > 0) {
      if (code.index === ACCEPT_ENCODING && value === ACCEPT_ENCODING_VALUE) {
        this.buffer[this.at++] = 0x80 | code.index;
        return true;
      }
      this.putInteger(4, code.pattern, code.index);
    } else {
      this.buffer[this.at++] = code.pattern;
      this.putInteger(7, 0, name.length);
      const { buffer } = this;
      for (let i = 0; i < name.length; i++) buffer[this.at++] = name.charCodeAt(i);
    }
    if (this.putValue(value)) return true;
    this.at = before;
    return false;
  }

  /** Room has been made. */
  private putValue(value: string): boolean {
    const { length } = value;
    this.putInteger(7, 0, length);
    const { buffer } = this;
    let { at } = this;
    if (length > LOOP_CHARS_MAX) {
      if (!LONG_VALUE.test(value)) return false;
      this.at += buffer.write(value, at, "latin1");
      return true;
    }
    for (let i = 0; i < length; i++) {
      const c = value.charCodeAt(i);
      if (c > 255 || (CLASS[c]! & VALUE) === 0) return false; // CLASS has 256 entries
      buffer[at++] = c;
    }
    this.at = at;
    return true;
  }

  /** RFC 7541 section 5.1. */
  private putInteger(prefixBits: number, pattern: number, value: number): void {
    const { buffer } = this;
    const prefix = (1 << prefixBits) - 1;
    if (value < prefix) {
      buffer[this.at++] = pattern | value;
      return;
    }
    buffer[this.at++] = pattern | prefix;
    let rest = value - prefix;
    for (; rest >= 128; rest >>>= 7) buffer[this.at++] = 128 | (rest & 127);
    buffer[this.at++] = rest;
  }

  private makeRoom(length: number): void {
    const needed = this.at + length + ROOM_BYTES;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(2 * needed);
    this.buffer.copy(grown, 0, 0, this.at);
    this.buffer = grown;
  }
}

/** NaN, of an empty value, is not. */
const hasBlankEnd = (value: string): boolean => value.charCodeAt(0) <= 32 || value.charCodeAt(value.length - 1) <= 32;

const [AUTHORITY, METHOD_GET, METHOD_POST, PATH, SCHEME_HTTP, SCHEME_HTTPS] = [1, 2, 3, 4, 6, 7] as const; // places in the static table
const ACCEPT_ENCODING = STATIC_NAMES.get("accept-encoding") as number; // it is there
const ACCEPT_ENCODING_VALUE = (STATIC_TABLE[ACCEPT_ENCODING] as { value: string }).value; // the same

/** Of the thread: nothing else runs between a block's beginning and its frame. */
export const hpackEncoder = new HpackEncoder();
