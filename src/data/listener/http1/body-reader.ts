// Reads the body of a request (RFC 9112 sections 6 and 7) in whatever pieces it comes: how much of what was read belongs to it, and what of that is content.
// What it hands out is memory of the receiver's own. What it is not sure of is a fault, and then nothing that follows on the connection may be read.
import type { HeaderList } from "../../../base/header-list.ts";
import { CHUNK_LINE, CHUNK_LINE_BYTES_MAX } from "../../../base/http1-grammar.ts";
import { ownedBytes, ownedCopy } from "../owned-bytes.ts";
import { FIELDS_WRONG, readFields } from "./fields.ts";

const STATE_COUNTED = 0;
const STATE_SIZE_LINE = 1;
const STATE_CHUNK = 2;
const STATE_CHUNK_END = 3;
const STATE_TRAILERS = 4;
const STATE_DONE = 5;

const [LF, CR] = [10, 13] as const;
/** Of one body: nobody has a use for them, and a byte of content may bring 4 KiB of them. */
const EXTENSION_BYTES_MAX = 16 * 1024;

export class BodyReader {
  /** The whole body has been read. */
  done = false;
  /** Why the body can't be read; '' while it can. */
  fault = "";
  /** What was content in the last read; null for nothing. */
  content: Buffer | null = null;
  /** Once done: fields behind the last chunk (RFC 9112 section 7.1.2), flat; null for none. */
  trailers: HeaderList | null = null;
  private readonly trailerBytesMax: number;
  private state: number;
  /** Content still to come: of the body, or of the chunk. */
  private remaining: number;
  /** A line, or the trailer section, as far as it has come: characters are bytes. */
  private partial = "";
  /** Of all chunks so far, with what else stood in their lines. */
  private extensionBytes = 0;

  /** @param contentLength bytes; -1 for chunked @param trailerBytesMax largest trailer section */
  constructor(contentLength: number, trailerBytesMax: number) {
    this.trailerBytesMax = trailerBytesMax;
    this.state = contentLength < 0 ? STATE_SIZE_LINE : STATE_COUNTED;
    this.remaining = Math.max(0, contentLength);
  }

  /** Bytes of content that are known to be still to come; Infinity where that is not known. */
  get remainingBytes(): number {
    return this.state === STATE_COUNTED ? this.remaining : this.done ? 0 : Number.POSITIVE_INFINITY;
  }

  /** @returns where in `bytes` the body's part of it ends */
  read(bytes: Buffer, from: number, to: number): number {
    this.content = null;
    if (this.state === STATE_COUNTED) return this.readCounted(bytes, from, to);
    let at = from;
    let length = 0;
    // Chunks may be as small as a byte: what one read brought is handed out in one piece.
    let gathered: Buffer | null = null;
    while (at < to && this.state !== STATE_DONE && this.fault === "") {
      if (this.state !== STATE_CHUNK) {
        at = this.state === STATE_TRAILERS ? this.readTrailers(bytes, at, to) : this.readLine(bytes, at, to);
        continue;
      }
      const end = Math.min(to, at + this.remaining);
      gathered ??= ownedBytes(this.contentIn(at, to));
      if (length + end - at > gathered.length) gathered = grown(gathered, length, to - at);
      bytes.copy(gathered, length, at, end);
      length += end - at;
      this.remaining -= end - at;
      if (this.remaining === 0) this.state = STATE_CHUNK_END;
      at = end;
    }
    if (gathered !== null) this.content = length === gathered.length ? gathered : gathered.subarray(0, length);
    this.done = this.state === STATE_DONE;
    return at;
  }

  /** Room for the content of one read: mostly it is one chunk. */
  private contentIn(at: number, to: number): number {
    return Math.min(to - at, this.remaining);
  }

  private readCounted(bytes: Buffer, from: number, to: number): number {
    const end = Math.min(to, from + this.remaining);
    this.remaining -= end - from;
    this.done = this.remaining === 0;
    if (end > from) this.content = ownedCopy(bytes, from, end);
    return end;
  }

  /** The line with a chunk's size, or the empty one behind a chunk. */
  private readLine(bytes: Buffer, at: number, to: number): number {
    if (this.state === STATE_CHUNK_END && this.partial === "" && bytes[at] === CR && bytes[at + 1] === LF && at + 1 < to) {
      this.state = STATE_SIZE_LINE;
      return at + 2;
    }
    const lf = bytes.subarray(0, to).indexOf(LF, at);
    const end = lf < 0 ? to : lf + 1;
    if (this.partial.length + end - at > CHUNK_LINE_BYTES_MAX)
      return this.refuse(`a chunk's line is longer than ${CHUNK_LINE_BYTES_MAX} bytes`, at);
    this.partial += bytes.toString("latin1", at, end);
    if (lf < 0) {
      this.checkPartialLine();
      return to;
    }
    const line = this.partial;
    this.partial = "";
    if (!line.endsWith("\r\n")) return this.refuse("a line of the chunked coding ends in LF without CR", end);
    this.lineRead(line.slice(0, -2));
    return end;
  }

  /** What can become no line is refused now: its sender may send nothing more. */
  private checkPartialLine(): void {
    const { partial } = this;
    if (this.state === STATE_CHUNK_END) {
      if (partial !== "\r") this.refuse("a chunk is longer than its size", 0);
    } else if (!/^[0-9A-Fa-f]{0,13}(?:[;\r].*)?$/s.test(partial) || partial[0] === "\r" || partial[0] === ";") this.refuse(BAD_SIZE, 0);
    else if (/\r[^\n]/.test(partial)) this.refuse(BAD_SIZE, 0);
  }

  private lineRead(line: string): void {
    if (this.state === STATE_CHUNK_END) {
      if (line !== "") this.refuse("a chunk is longer than its size", 0);
      this.state = STATE_SIZE_LINE;
      return;
    }
    const size = CHUNK_LINE.exec(line)?.[1];
    if (size === undefined) return void this.refuse(BAD_SIZE, 0);
    this.extensionBytes += line.length - size.length;
    if (this.extensionBytes > EXTENSION_BYTES_MAX) return void this.refuse(`more than ${EXTENSION_BYTES_MAX} bytes of chunk extensions`, 0);
    this.remaining = Number.parseInt(size, 16);
    this.state = this.remaining === 0 ? STATE_TRAILERS : STATE_CHUNK;
  }

  /** Ends with an empty line, which may be all of it. */
  private readTrailers(bytes: Buffer, at: number, to: number): number {
    const text = this.partial + bytes.toString("latin1", at, Math.min(to, at + this.trailerBytesMax + 2 - this.partial.length));
    const before = this.partial.length;
    if (text.startsWith("\r\n")) {
      this.state = STATE_DONE;
      this.partial = "";
      return at + 2 - before;
    }
    const found = text.indexOf("\r\n\r\n", Math.max(0, before - 3));
    if (found < 0) {
      if (text.length >= this.trailerBytesMax + 2)
        return this.refuse(`the trailer section is larger than ${this.trailerBytesMax} bytes`, to);
      if (hasBareLineEnd(text, before)) return this.refuse(BAD_TRAILER, to);
      this.partial = text;
      return to;
    }
    this.partial = "";
    const list: HeaderList = [];
    const end = found + 4;
    if (readFields(text, 0, end - 2, list) === FIELDS_WRONG || list.some((name, i) => i % 2 === 0 && DECIDES_FRAMING.has(name)))
      return this.refuse(BAD_TRAILER, to);
    this.trailers = list;
    this.state = STATE_DONE;
    return at + end - before;
  }

  private refuse(fault: string, at: number): number {
    this.fault = fault;
    return at;
  }
}

const BAD_SIZE = "a chunk size is not valid";
const BAD_TRAILER = "a trailer is not valid";
/** Whoever sends these behind the body wants somebody to frame it by them (RFC 9110 section 6.5.1). */
const DECIDES_FRAMING: ReadonlySet<string> = new Set(["content-length", "transfer-encoding", "host"]);

/** Whether a line ends otherwise than in CRLF; a CR at the very end may be the beginning of one. @param from what stands before was looked at already */
function hasBareLineEnd(text: string, from: number): boolean {
  let afterCr = from > 0 && text.charCodeAt(from - 1) === CR;
  for (let i = from; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (afterCr !== (c === LF)) return true;
    afterCr = c === CR;
  }
  return false;
}

function grown(bytes: Buffer, length: number, more: number): Buffer {
  const larger = ownedBytes(length + more);
  bytes.copy(larger, 0, 0, length);
  return larger;
}
