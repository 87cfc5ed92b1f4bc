// Writes the head of a request, and decides its framing (RFC 9112 section 6): the only place where it is decided on this client.
// Checks every byte again, part by part: what a policy or a mistake of ours put into a header must not become a second request.
import type { Readable } from "node:stream";
import type { HeaderList } from "../../../../base/header-list.ts";
import { FIELDS } from "../../../../base/http1-grammar.ts";
import type { WireRequest } from "../../upstream.ts";

/** Classes of bytes: of a method, of a target, of a name and of a value (RFC 9110 sections 5.1, 5.5 and 9.1, RFC 3986 section 3.3). */
const METHOD = 1;
const TARGET = 2;
const TOKEN = 4;
const VALUE = 8;
const CLASS = new Uint8Array(256);
for (let c = 0; c < 256; c++) {
  const char = String.fromCharCode(c);
  if (/[A-Z-]/.test(char)) CLASS[c]! |= METHOD;
  if (/[\x21-\x7e]/.test(char)) CLASS[c]! |= TARGET;
  if (/[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(char)) CLASS[c]! |= TOKEN;
  if (/[\t\x20-\x7e\x80-\xff]/.test(char)) CLASS[c]! |= VALUE;
}
const LONG_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Up to here, going over a value's characters beats the calls that test and copy it whole. */
const LOOP_CHARS_MAX = 64;

/** Methods whose requests say `Content-Length: 0` when they have no body (RFC 9110 section 8.6). */
const EXPECT_CONTENT: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

const [COLON, SPACE, CR, LF, SLASH, HYPHEN] = [58, 32, 13, 10, 47, 45] as const;
const HEADS_BYTES = 64 * 1024;
/** More than what stands between two parts, and more than any framing field. */
const ROOM_BYTES = 128;

/**
 * The heads of the requests that go out in one write, in a buffer that serves again: characters become bytes and are checked in one pass, where
 * a string would be joined, made flat, checked and copied.
 */
export class RequestHeads {
  private buffer = Buffer.allocUnsafeSlow(HEADS_BYTES);
  private at = 0;

  /** What was added before is gone. */
  begin(): void {
    this.at = 0;
    if (this.buffer.length > HEADS_BYTES) this.buffer = Buffer.allocUnsafeSlow(HEADS_BYTES);
  }

  /** @returns false when something in it must not be sent; then nothing of it is added */
  add(request: WireRequest): boolean {
    const before = this.at;
    if (
      this.putLine(request.method, request.path) &&
      this.putCommon(request) &&
      this.putFields(request.headers, request.common?.list.length ?? 0)
    ) {
      this.putFraming(request);
      this.putLineEnd();
      return true;
    }
    this.at = before;
    return false;
  }

  /** The body of the head that was added last, in the same piece. */
  addBody(bytes: Buffer): void {
    this.makeRoom(bytes.length);
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** What was added: lent until the next begin(), unless {@link keep} is called. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.at);
  }

  /** Somebody still reads what bytes() gave. */
  keep(): void {
    this.buffer = Buffer.allocUnsafeSlow(HEADS_BYTES);
    this.at = 0;
  }

  private putLine(method: string, path: string): boolean {
    if (method.length === 0 || method.charCodeAt(0) === HYPHEN || path.charCodeAt(0) !== SLASH) return false;
    if (!this.put(method, METHOD)) return false;
    this.buffer[this.at++] = SPACE;
    if (!this.put(path, TARGET)) return false;
    this.put(" HTTP/1.1", VALUE);
    this.putLineEnd();
    return true;
  }

  /** Once checked, they are copied. */
  private putCommon({ common = null }: WireRequest): boolean {
    if (common === null) return true;
    const { bytes } = common;
    if (bytes !== null) {
      this.makeRoom(bytes.length);
      this.buffer.set(bytes, this.at);
      this.at += bytes.length;
      return true;
    }
    const from = this.at;
    if (!this.putFields(common.list, 0)) return false;
    common.bytes = Buffer.from(this.buffer.subarray(from, this.at));
    return true;
  }

  private putFields(headers: readonly string[], from: number): boolean {
    for (let i = from; i < headers.length; i += 2) {
      const name = headers[i] as string; // i is inside a list of pairs
      const value = headers[i + 1] as unknown; // a policy of the operator's own may have put in a number
      if (name.length === 0 || !this.put(name, TOKEN)) return false;
      this.buffer[this.at++] = COLON;
      this.buffer[this.at++] = SPACE;
      if (!this.putValue(typeof value === "string" ? value : String(value))) return false;
      this.putLineEnd();
    }
    return true;
  }

  private putValue(value: string): boolean {
    if (value.length <= LOOP_CHARS_MAX) return this.put(value, VALUE);
    if (!LONG_VALUE.test(value)) return false;
    this.makeRoom(value.length);
    this.at += this.buffer.write(value, this.at, "latin1");
    return true;
  }

  private put(text: string, allowed: number): boolean {
    this.makeRoom(text.length);
    const { buffer } = this;
    let { at } = this;
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (c > 255 || (CLASS[c]! & allowed) === 0) return false; // CLASS has 256 entries
      buffer[at++] = c;
    }
    this.at = at;
    return true;
  }

  private putFraming(request: WireRequest): void {
    const field = framingField(request);
    if (field === "") return;
    this.put(field, VALUE);
    this.putLineEnd();
  }

  private putLineEnd(): void {
    this.buffer[this.at++] = CR;
    this.buffer[this.at++] = LF;
  }

  private makeRoom(length: number): void {
    const needed = this.at + length + ROOM_BYTES;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(2 * needed);
    this.buffer.copy(grown, 0, 0, this.at);
    this.buffer = grown;
  }
}

/** @returns '' where no body is announced */
function framingField({ method, body, contentLength }: WireRequest): string {
  if (body === null) return EXPECT_CONTENT.has(method) ? "content-length: 0" : "";
  if (Buffer.isBuffer(body)) return `content-length: ${body.length}`;
  return contentLength < 0 ? "transfer-encoding: chunked" : `content-length: ${contentLength}`;
}

/** What sending a streamed body needs of its connection. */
export interface BodyTarget {
  /** @returns false: wait for the drain */
  write(chunk: Buffer | string): boolean;
  cork(): void;
  uncork(): void;
}

/** Sends a body as it arrives, in chunks or up to its declared length, as fast as the socket takes it. */
export class BodyPump {
  /** The whole body is written. */
  done = false;
  private readonly source: Readable;
  private readonly target: BodyTarget;
  private readonly onBroken: (reason: string) => void;
  private readonly trailers: WireRequest["trailers"];
  /** Bytes still to come; -1 when chunked. */
  private remaining: number;

  /** @param onBroken the body ended early or is longer than declared: the connection is of no more use */
  constructor(
    source: Readable,
    contentLength: number,
    wiring: { readonly target: BodyTarget; readonly onBroken: (reason: string) => void; readonly trailers?: WireRequest["trailers"] },
  ) {
    this.source = source;
    this.target = wiring.target;
    this.onBroken = wiring.onBroken;
    this.trailers = wiring.trailers ?? null;
    this.remaining = contentLength;
    source.on("data", (chunk: Buffer) => this.send(chunk));
    source.on("end", () => this.finish());
  }

  /** The socket has room again. */
  drained(): void {
    if (!this.done) this.source.resume();
  }

  /** Nobody wants the rest. */
  stop(): void {
    this.done = true;
    this.source.destroy();
  }

  private send(chunk: Buffer): void {
    if (this.done || chunk.length === 0) return; // an empty chunk would end the body
    if (this.remaining < 0) {
      this.target.cork();
      this.target.write(`${chunk.length.toString(16)}\r\n`);
      this.target.write(chunk);
      if (!this.target.write("\r\n")) this.source.pause();
      this.target.uncork();
      return;
    }
    this.remaining -= chunk.length;
    if (this.remaining < 0) return this.broken("the body is longer than its Content-Length");
    if (!this.target.write(chunk)) this.source.pause();
  }

  private finish(): void {
    if (this.done) return;
    if (this.remaining > 0) return this.broken("the body is shorter than its Content-Length");
    this.done = true;
    if (this.remaining < 0) this.target.write(`0\r\n${trailerLines(this.trailers?.() ?? null)}\r\n`);
  }

  private broken(reason: string): void {
    this.done = true;
    this.source.destroy();
    this.onBroken(reason);
  }
}

/** @returns '' for none, and when one of them must not be sent */
function trailerLines(trailers: HeaderList | null): string {
  if (trailers === null) return "";
  let text = "";
  for (let i = 0; i + 1 < trailers.length; i += 2) text += `${trailers[i]}: ${trailers[i + 1]}\r\n`;
  return FIELDS.test(text) ? text : "";
}
