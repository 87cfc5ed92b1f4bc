// Writes the head of a request, and decides its framing (RFC 9112 section 6): the only place where it is decided on this client.
// Checks every byte again: what a policy or a mistake of ours put into a header must not become a second request.
import type { Readable } from "node:stream";
import type { WireRequest } from "../../upstream.ts";

/** A request line, fields and the empty line (RFC 9112 sections 3 and 5), nothing else. */
const HEAD = /^[A-Z][A-Z-]* \/[\x21-\x7e]* HTTP\/1\.1\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n)*\r\n$/;
/** Methods whose requests say `Content-Length: 0` when they have no body (RFC 9110 section 8.6). */
const EXPECT_CONTENT: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/** @returns the head, a byte string that ends with the empty line; null when something in it must not be sent */
export function requestHead(request: WireRequest): string | null {
  const { method, path, headers } = request;
  let head = `${method} ${path} HTTP/1.1\r\n`;
  for (let i = 0; i < headers.length; i += 2) {
    head += headers[i]; // a template would first make a string of each part, which it is
    head += ": ";
    head += headers[i + 1];
    head += "\r\n";
  }
  const framing = framingField(request);
  head += framing === "" ? "\r\n" : `${framing}\r\n`;
  // One test of the whole costs half of what one for each part does; the count tells when a part has brought lines of its own.
  const lines = headers.length / 2 + (framing === "" ? 2 : 3);
  return HEAD.test(head) && lineCount(head) === lines ? head : null;
}

function lineCount(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

/** @returns a field with its CRLF; '' where no body is announced */
function framingField({ method, body, contentLength }: WireRequest): string {
  if (body === null) return EXPECT_CONTENT.has(method) ? "content-length: 0\r\n" : "";
  if (Buffer.isBuffer(body)) return `content-length: ${body.length}\r\n`;
  return contentLength < 0 ? "transfer-encoding: chunked\r\n" : `content-length: ${contentLength}\r\n`;
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
  /** Bytes still to come; -1 when chunked. */
  private remaining: number;

  /** @param onBroken the body ended early or is longer than declared: the connection is of no more use */
  constructor(
    source: Readable,
    contentLength: number,
    wiring: { readonly target: BodyTarget; readonly onBroken: (reason: string) => void },
  ) {
    this.source = source;
    this.target = wiring.target;
    this.onBroken = wiring.onBroken;
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
    if (this.remaining < 0) this.target.write("0\r\n\r\n");
  }

  private broken(reason: string): void {
    this.done = true;
    this.source.destroy();
    this.onBroken(reason);
  }
}
