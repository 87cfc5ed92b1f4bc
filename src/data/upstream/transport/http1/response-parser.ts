// Reads HTTP/1.1 responses as strictly as llhttp does (RFC 9112): CRLF only, no obsolete folding, no bytes that could be read
// in two ways. Knows nothing of sockets. What it is not sure of is a fault, and then nothing of the connection may be used again.
import { trimWhitespace } from "../../../../base/http.ts";
import { CHUNK_LINE, CHUNK_LINE_BYTES_MAX, FIELDS, VALUE } from "../../../../base/http1-grammar.ts";
import type { WireTrailers } from "../../upstream.ts";
import { ResponseHeaders, ROLE_DROPPED } from "../response-headers.ts";
import { FieldPlaces } from "./field-names.ts";

/** Largest response head, and largest trailer section, bytes. */
export const RESPONSE_HEAD_BYTES_MAX = 64 * 1024;
/** Most heads are no longer: so much is made a text at once, and then searched for its end. */
const HEAD_BYTES_MOSTLY = 1024;
/** Interim (1xx) responses before a final one. */
const INTERIM_MAX = 16;

/** Status line with its CRLF. Anchored and unambiguous, so it runs in linear time. */
const STATUS_LINE = new RegExp(`^HTTP/1\\.[01] [1-9]\\d\\d(?: ${VALUE})?\\r\\n`);
/** What most heads begin with. */
const OK_LINE = "HTTP/1.1 200 OK\r\n";

const BAD_HEAD = "the response head is not valid HTTP/1.1";
const HEAD_END = Buffer.from("\r\n\r\n");
const LINE_END = Buffer.from("\r\n");
const NOTHING = Buffer.alloc(0);

const STATE_HEAD = 0;
const STATE_FIXED = 1;
const STATE_UNTIL_CLOSE = 2;
const STATE_CHUNK_LINE = 3;
const STATE_CHUNK_DATA = 4;
const STATE_CHUNK_END = 5;
const STATE_TRAILERS = 6;
const STATE_DONE = 7;
const STATE_STOPPED = 8;

interface Block {
  /** Bytes as characters. */
  readonly text: string;
  /** Where the bytes behind it begin. */
  readonly next: number;
}

/** Told what was read, in order. */
export interface ResponseReader {
  /** An interim response, but for 100 and 101; final ones follow. */
  interim?(status: number, headers: ResponseHeaders): void;
  head(status: number, headers: ResponseHeaders): void;
  /** @param chunk valid only during the call */
  body(chunk: Buffer): void;
  end(trailers: WireTrailers | null): void;
}

export class ResponseParser {
  /** The connection may carry another request once the response is complete. */
  reusable = false;
  /** More bytes came with its end. When no other request was sent they must not become the answer to the next one. */
  surplus = false;
  /** Keep-Alive of the last response as sent; '' for none. */
  keepAlive = "";
  private readonly reader: ResponseReader;
  private readonly places: FieldPlaces;
  private state = STATE_DONE as number; // one of the STATE_ constants
  private toHead = false;
  private interim = 0;
  /** Body or chunk bytes still to come. */
  private remaining = 0;
  /** The beginning of a head, line or trailer section whose end has not arrived. */
  private partial: Buffer = NOTHING;
  private partialLength = 0;
  private fault = "";
  /** The response is complete and the reader has not been told. */
  private ended = false;
  private trailers: WireTrailers | null = null;

  /** @param places of all connections to the same server */
  constructor(reader: ResponseReader, places = new FieldPlaces()) {
    this.reader = reader;
    this.places = places;
  }

  /** Expect the response to a request. @param method HEAD has no body, whatever its headers say */
  expect(method: string): void {
    this.state = STATE_HEAD;
    this.toHead = method === "HEAD";
    this.interim = 0;
    this.partialLength = 0;
    this.reusable = false;
    this.surplus = false;
  }

  /** A response is awaited or under way. */
  get busy(): boolean {
    return this.state < STATE_DONE;
  }

  /** A response is awaited, and nothing of it has come. */
  get untouched(): boolean {
    return this.state === STATE_HEAD && this.partialLength === 0 && this.interim === 0;
  }

  /** Read no more: what follows belongs to nobody. */
  stop(): void {
    this.state = STATE_STOPPED;
    this.ended = false;
    this.partialLength = 0;
    this.partial = NOTHING;
  }

  /**
   * @param buffer lent for the call @param length of it has been read into: what stands behind is none of the response
   * @returns '' or why nothing that was read may be believed and the connection must be destroyed
   */
  push(buffer: Buffer, length = buffer.length): string {
    if (this.state === STATE_STOPPED) return "";
    if (this.state === STATE_DONE) return "bytes that no request asked for";
    this.fault = "";
    let at = this.untouchedHead ? this.readShort(buffer, length) : 0;
    let bytes: Buffer | null = null; // cut out when something needs it: a view costs as much as reading a head
    do {
      while (at < length && this.fault === "" && this.state < STATE_DONE) {
        bytes ??= length === buffer.length ? buffer : buffer.subarray(0, length);
        at = this.step(bytes, at);
      }
      if (!this.ended || this.fault !== "") break;
      this.surplus = at < length;
      this.tellEnd();
    } while (at < length && this.busy); // the answer to the next request of the connection
    return this.fault;
  }

  private get untouchedHead(): boolean {
    return this.state === STATE_HEAD && this.partialLength === 0;
  }

  /** Most responses: a short head, and all of the body behind it or none. @returns where the rest begins; 0 when the head is long or has not all arrived */
  private readShort(buffer: Buffer, length: number): number {
    const text = buffer.toString("latin1", 0, Math.min(length, HEAD_BYTES_MOSTLY));
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) return 0;
    const next = this.judgeHead(text, end + LINE_END.length, end + HEAD_END.length);
    return this.state === STATE_FIXED && this.fault === "" && this.remaining <= length - next
      ? this.readCounted(buffer, next, length)
      : next;
  }

  private step(bytes: Buffer, at: number): number {
    switch (this.state) {
      case STATE_HEAD:
        return this.readHead(bytes, at);
      case STATE_FIXED:
      case STATE_CHUNK_DATA:
        return this.readCounted(bytes, at, bytes.length);
      case STATE_UNTIL_CLOSE:
        this.reader.body(at === 0 ? bytes : bytes.subarray(at));
        return bytes.length;
      case STATE_TRAILERS:
        return this.readTrailers(bytes, at);
      default:
        return this.readLine(bytes, at);
    }
  }

  /** The other side has finished sending. @returns '' when the response is complete now, else why it is not */
  eof(): string {
    if (this.state === STATE_UNTIL_CLOSE) {
      this.finish(null);
      this.tellEnd();
      return "";
    }
    return this.busy ? "closed before the end of the response" : "";
  }

  private readHead(bytes: Buffer, at: number): number {
    const block = (at > 0 && this.partialLength === 0 ? shortHead(bytes, at) : null) ?? this.block(bytes, at, HEAD_END);
    return block === null ? bytes.length : this.judgeHead(block.text, block.text.length, block.next);
  }

  /** @param end of the head in `text`, without the empty line @param next where in what was read the rest begins, which is returned */
  private judgeHead(text: string, end: number, next: number): number {
    const isOk = text.slice(0, OK_LINE.length) === OK_LINE;
    const fieldsAt = isOk ? OK_LINE.length : (STATUS_LINE.exec(text)?.[0].length ?? 0);
    if (fieldsAt === 0 || fieldsAt > end) return this.refuse(BAD_HEAD, next);
    const status = isOk ? 200 : Number(text.slice(9, 12));
    const headers = new ResponseHeaders();
    if (!this.readFields(text, { at: fieldsAt, end }, headers)) return this.refuse(BAD_HEAD, next);
    if (status < 200) {
      if (status === 101) return this.refuse("101 without an upgrade", next);
      if (++this.interim > INTERIM_MAX) return this.refuse("too many interim responses", next);
      if (status > 101) this.reader.interim?.(status, headers.complete());
      return next;
    }
    headers.complete();
    this.keepAlive = headers.keepAlive;
    this.reusable = text[7] === "1" ? !headers.connectionHas("close") : headers.connectionHas("keep-alive");
    if (headers.fault !== "") return this.refuse(headers.fault, next);
    this.frame(status, headers);
    return next;
  }

  /**
   * Reads the fields that stand in a part of `text`, which ends with a CRLF. A line that came in this place before has been checked then; from the first other one on, all are checked.
   * @returns false when something is no field
   */
  private readFields(text: string, part: { readonly at: number; readonly end: number }, headers: ResponseHeaders): boolean {
    const { places } = this;
    let checked = false;
    let { at } = part;
    for (let place = 0; at < part.end; place++) {
      const known = places.last(place);
      // A slice and a comparison take less than startsWith() does.
      if (known !== undefined && known.line !== "" && text.slice(at, at + known.line.length) === known.line) {
        known.hit();
        headers.take(known.lineName, known.value);
        at += known.line.length;
        continue;
      }
      if (!checked && !FIELDS.test(text.slice(at, part.end))) return false;
      checked = true;
      const end = text.indexOf("\r\n", at);
      const field = places.at(place, text, at);
      const value = field.role === ROLE_DROPPED ? "" : trimWhitespace(text.slice(at + field.written.length, end));
      headers.take(field, value);
      places.learn(place, field, text.slice(at, end + 2));
      at = end + 2;
    }
    return true;
  }

  /** RFC 9112 section 6.3: how the body ends. */
  private frame(status: number, headers: ResponseHeaders): void {
    const bodiless = this.toHead || status === 204 || status === 304;
    if (bodiless || (headers.length === 0 && !headers.chunked)) this.finish(null);
    else if (headers.chunked) this.state = STATE_CHUNK_LINE;
    else if (headers.length > 0) {
      this.state = STATE_FIXED;
      this.remaining = headers.length;
    } else {
      this.state = STATE_UNTIL_CLOSE;
      this.reusable = false;
    }
    this.reader.head(status, headers);
  }

  private readCounted(bytes: Buffer, at: number, end: number): number {
    const take = Math.min(end - at, this.remaining);
    const chunk = at === 0 && take === bytes.length ? bytes : bytes.subarray(at, at + take);
    this.remaining -= take;
    if (this.remaining === 0) {
      if (this.state === STATE_FIXED) this.finish(null);
      else this.state = STATE_CHUNK_END;
    }
    this.reader.body(chunk);
    return at + take;
  }

  private readLine(bytes: Buffer, at: number): number {
    const block = this.block(bytes, at, LINE_END);
    if (block === null) return bytes.length;
    const line = block.text.slice(0, -2);
    if (this.state === STATE_CHUNK_END) {
      if (line !== "") return this.refuse("a chunk is longer than its size", block.next);
      this.state = STATE_CHUNK_LINE;
      return block.next;
    }
    const size = CHUNK_LINE.exec(line)?.[1];
    if (size === undefined) return this.refuse("a chunk size is not valid", block.next);
    this.remaining = Number.parseInt(size, 16);
    this.state = this.remaining === 0 ? STATE_TRAILERS : STATE_CHUNK_DATA;
    return block.next;
  }

  /** The trailer section ends with an empty line, which may be all of it. */
  private readTrailers(bytes: Buffer, at: number): number {
    if (this.partialLength === 0 && bytes[at] === 13 && bytes[at + 1] === 10) {
      this.finish(null);
      return at + 2;
    }
    if (this.partialLength === 1 && this.partial[0] === 13 && bytes[at] === 10) {
      this.partialLength = 0;
      this.finish(null);
      return at + 1;
    }
    const block = this.block(bytes, at, HEAD_END);
    if (block === null) return bytes.length;
    if (!FIELDS.test(block.text)) return this.refuse("a trailer is not valid", block.next);
    this.finish(readTrailerFields(block.text));
    return block.next;
  }

  private finish(trailers: WireTrailers | null): void {
    this.state = STATE_DONE;
    this.ended = true;
    this.trailers = trailers;
  }

  /** After the last byte was handled: the reader may expect the next response right away. */
  private tellEnd(): void {
    const { trailers } = this;
    this.ended = false;
    this.trailers = null;
    this.reader.end(trailers);
  }

  private refuse(fault: string, next: number): number {
    this.fault = fault;
    return next;
  }

  /** @returns text up to `end` (of a head: without the empty line, but with the last field's CRLF) and where the rest begins; null when it has not all arrived */
  private block(bytes: Buffer, at: number, end: Buffer): Block | null {
    const max = end === LINE_END ? CHUNK_LINE_BYTES_MAX : RESPONSE_HEAD_BYTES_MAX;
    const before = this.partialLength;
    if (before === 0) {
      const found = bytes.indexOf(end, at);
      if (found >= 0 && found - at <= max) return { text: bytes.toString("latin1", at, found + 2), next: found + end.length };
      if (found >= 0 || bytes.length - at > max) this.tooLarge(end, max);
      else this.keepPartial(bytes, at);
      return null;
    }
    // Only as much as may still belong to it: pieces of one byte must not cost more than one byte each.
    const taken = bytes.subarray(at, at + max + end.length - before);
    this.keepPartial(taken, 0);
    const partial = this.partial.subarray(0, this.partialLength);
    const found = partial.indexOf(end, Math.max(0, before - end.length + 1));
    if (found < 0) {
      if (partial.length > max) this.tooLarge(end, max);
      return null;
    }
    this.partialLength = 0;
    this.fault = ""; // what follows the end is none of its business
    return { text: partial.toString("latin1", 0, found + 2), next: at + found + end.length - before };
  }

  private tooLarge(end: Buffer, max: number): void {
    this.fault = `${end === LINE_END ? "a chunk line" : "the response head"} is larger than ${max} bytes`;
  }

  /** Appends to what waits for its end. A line that ends in LF alone would be waited for in vain: that is said now. */
  private keepPartial(bytes: Buffer, from: number): void {
    const length = this.partialLength + bytes.length - from;
    if (length > this.partial.length) {
      const grown = Buffer.allocUnsafe(Math.max(1024, 2 * length));
      this.partial.copy(grown, 0, 0, this.partialLength);
      this.partial = grown;
    }
    bytes.copy(this.partial, this.partialLength, from);
    for (let lf = bytes.indexOf(10, from); lf >= 0; lf = bytes.indexOf(10, lf + 1)) {
      const previous = this.partialLength + lf - from - 1;
      if (previous < 0 || this.partial[previous] !== 13) this.fault = "a line ends in LF without CR";
    }
    this.partialLength = length;
  }
}

/** As {@link ResponseParser.block}. @returns null when it is long, or has not all arrived */
function shortHead(bytes: Buffer, at: number): Block | null {
  const text = bytes.toString("latin1", at, Math.min(bytes.length, at + HEAD_BYTES_MOSTLY));
  const found = text.indexOf("\r\n\r\n");
  return found < 0 ? null : { text: text.slice(0, found + 2), next: at + found + HEAD_END.length };
}

function readTrailerFields(text: string): WireTrailers {
  const trailers: Record<string, string | string[]> = Object.create(null);
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("\r\n", at);
    const colon = text.indexOf(":", at);
    const name = text.slice(at, colon).toLowerCase();
    const value = trimWhitespace(text.slice(colon + 1, end));
    const known = trailers[name];
    trailers[name] = known === undefined ? value : Array.isArray(known) ? [...known, value] : [known, value];
    at = end + 2;
  }
  return trailers;
}
