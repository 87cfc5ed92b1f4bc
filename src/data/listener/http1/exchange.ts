// An exchange over HTTP/1.x: hands on the request's body and writes the response, its framing included (RFC 9112 section 6). Knows nothing of sockets, and
// nothing of what else is on the connection. Must never decide what is sent, nor write behind its end.
import type { ErrorCode } from "../../../base/errors.ts";
import type { HeaderList } from "../../../base/header-list.ts";
import type { BodySink, Exchange, UpgradedUpstream } from "../../exchange/exchange.ts";
import type { LyingBody, PreparedResponse } from "../../exchange/prepared-response.ts";
import type { Channel } from "../net/channel.ts";
import { NetExchange } from "../net-exchange.ts";
import { isNow, isWithBody, prepareBytes } from "./prepared.ts";
import { interimResponse, responseHead, trailerLines } from "./response-head.ts";

/** Up to here a piece of body goes out as one text with what is written around it: one call, no list of pieces. */
const TEXT_BYTES_MAX = 8 * 1024;
/** Body bytes that are kept before somebody reads the body; beyond it the client is paused. */
const EARLY_BODY_BYTES_MAX = 64 * 1024;
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const LAST_CHUNK = "0\r\n";
const EMPTY = Buffer.alloc(0);

/** What an exchange needs of its connection. */
export interface ExchangeConnection {
  readonly channel: Channel;
  /** Nothing may follow the response of this exchange: asked once, when its head goes out. */
  closesAfter(x: Http1Exchange): boolean;
  pauseBody(): void;
  resumeBody(): void;
  /** Something that was written waits for the client: calls drained() when nothing does any more, cuts the connection when nothing moves. */
  awaitDrain(): void;
  /** The response is complete, or the connection lost: the next request may go on. */
  exchangeOver(x: Http1Exchange): void;
  /** Cut the connection. @param hard so that the client notices although the response has no end of its own */
  cut(hard: boolean): void;
  acceptWebSocket(x: Http1Exchange, upstream: UpgradedUpstream): void;
}

export class Http1Exchange extends NetExchange {
  private readonly connection: ExchangeConnection;

  // Request body
  private sink: BodySink | null = null;
  private early: Buffer | null = null;
  /** The body turned out to be broken before anybody read it. */
  private bodyFault = "";

  // Response
  private ended = false;
  private chunked = false;
  /** HTTP/1.0 without a length: the end of the connection is the end of the body. */
  private endsByClose = false;
  /** A first piece of unknown total, as text, held until the turn ends in case it is all. */
  private held = "";
  /** Something that was written is not the kernel's yet. */
  private backlogged = false;
  private waitsForDrain = false;

  constructor(runtime: Exchange["runtime"], connection: ExchangeConnection) {
    super(runtime, connection.channel);
    this.connection = connection;
  }

  // --- Request body ---

  readBody(sink: BodySink): void {
    if (this.awaitsContinue && !this.closed) {
      this.awaitsContinue = false;
      // Who has begun to send has not waited (RFC 9110 section 10.1.1).
      if (!this.bodyDone && this.early === null && !this.started) this.connection.channel.write(CONTINUE);
    }
    this.redirectBody(sink);
  }

  redirectBody(sink: BodySink): void {
    this.sink = sink;
    const { early } = this;
    this.early = null;
    if (!this.bodyDone) this.connection.resumeBody(); // before the sink can say otherwise
    if (early !== null) sink.bodyChunk(early, this.bodyDone);
    else if (this.bodyDone) sink.bodyChunk(EMPTY, true);
    if (this.bodyFault !== "") this.tellFault(sink);
  }

  pauseBody(): void {
    if (!this.bodyDone) this.connection.pauseBody();
  }

  resumeBody(): void {
    if (!this.bodyDone) this.connection.resumeBody();
  }

  /** Of the request's body more has come. @param content the exchange's own; null for nothing @internal connection.ts */
  bodyArrived(content: Buffer | null, last: boolean): void {
    if (this.closed || this.bodyDone) return;
    this.bodyDone = last;
    if (content !== null) this.bytesIn += content.length;
    if (this.sink !== null) {
      if (content !== null || last) this.sink.bodyChunk(content ?? EMPTY, last);
    } else if (content !== null) {
      this.early = this.early === null ? content : Buffer.concat([this.early, content]);
      if (!last && this.early.length > EARLY_BODY_BYTES_MAX) this.connection.pauseBody();
    }
  }

  /** What comes of the body is none (RFC 9112 section 7.1). @internal connection.ts */
  bodyBroken(detail: string): void {
    if (this.closed) return;
    this.closeAfter = true;
    this.bodyFault = detail;
    if (this.started) this.abort();
    else if (this.sink !== null) this.tellFault(this.sink);
  }

  private tellFault(sink: BodySink): void {
    const code: ErrorCode = "bad_request";
    if (sink.bodyRefused === undefined) this.abort();
    else sink.bodyRefused(code, `not valid HTTP (RFC 9112): ${this.bodyFault}`);
  }

  // --- Response ---

  override informational(status: number, headers: HeaderList): void {
    if (this.started || this.closed || this.protocol === "http/1.0") return; // RFC 9110 section 15.2
    this.connection.channel.write(interimResponse(status, headers));
  }

  protected sendHeld(): void {
    this.put(this.takeHead());
  }

  override withdraw(): void {
    super.withdraw();
    this.held = "";
  }

  write(chunk: Uint8Array): boolean {
    if (this.closed || this.ended || chunk.length === 0 || !this.hasBody) return true;
    if (!this.count(chunk)) return true;
    if (!this.headSent) {
      if (this.length < 0 && this.held === "" && chunk.length <= TEXT_BYTES_MAX) {
        this.held = latin1(chunk); // the chunk is lent
        return true;
      }
      this.putWith(this.takeHead(), chunk, "");
    } else this.putWith("", chunk, "");
    return this.flowing();
  }

  end(chunk?: Uint8Array): void {
    if (this.closed || this.ended) return;
    this.ended = true;
    const last = chunk !== undefined && chunk.length > 0 && this.hasBody ? chunk : null;
    if (last !== null && !this.count(last)) return;
    const trailers = this.trailers();
    let text = "";
    if (!this.headSent) {
      if (this.length < 0 && this.hasBody && trailers === "") this.length = this.sent; // all of it is here
      text = this.takeHead();
    }
    // Fewer bytes than announced: cutting is the only honest end.
    if (this.length >= 0 && this.hasBody && this.sent < this.length) return this.abort();
    const tail = this.chunked ? `${LAST_CHUNK}${trailers}\r\n` : "";
    if (last === null) this.put(text, tail);
    else this.putWith(text, last, tail);
    if (this.flowing()) this.complete();
  }

  override takesPrepared(): boolean {
    return (
      this.protocol === "http/1.1" &&
      this.bodyDone &&
      !this.closeAfter &&
      !this.started &&
      !this.closed &&
      !this.connection.closesAfter(this)
    );
  }

  override sendPrepared(response: PreparedResponse, source: LyingBody, own: HeaderList | null): void {
    this.started = this.headSent = this.ended = true;
    this.status = response.status;
    this.length = this.sent = this.bytesOut = source.length;
    const all = own === null ? this.sendBytes(response, source) : this.sendWith(own, response, source);
    if (!all) this.backlogged = true;
    if (this.flowing()) this.complete();
  }

  /** @returns whether the kernel has all of it */
  private sendBytes(response: PreparedResponse, source: LyingBody): boolean {
    const { channel } = this.connection;
    const known = response.http1;
    let bytes = known !== null && isNow(known) ? known.with(this.requestId) : null;
    if (bytes === null) {
      response.http1 = prepareBytes(response, this.requestId, source);
      bytes = response.http1.with(this.requestId) as Buffer; // it was made for it
    }
    const all = isWithBody(source.length) ? channel.write(bytes, true) : this.writeTwo(bytes, source.body);
    if (!all) response.http1 = null; // what has not been written yet lies there
    return all;
  }

  private sendWith(own: HeaderList, { status, headers, idAt }: PreparedResponse, source: LyingBody): boolean {
    const fields = [...headers, ...own];
    if (idAt >= 0) fields[idAt] = this.requestId;
    return this.writeTwo(responseHead(status, fields, `content-length: ${source.length}\r\n`), source.body);
  }

  /** In one call. @param body stays as it is */
  private writeTwo(head: Uint8Array | string, body: Uint8Array): boolean {
    const { channel } = this.connection;
    channel.cork();
    channel.write(head, true);
    channel.write(body, true);
    return channel.uncork();
  }

  abort(): void {
    if (this.closed) return;
    this.connection.cut(this.endsByClose && this.headSent);
    this.gone();
  }

  protected takeWebSocket(upstream: UpgradedUpstream): void {
    this.connection.acceptWebSocket(this, upstream);
  }

  /** The connection is lost. @internal connection.ts */
  gone(): void {
    if (this.closed) return;
    this.closed = true;
    this.early = null;
    this.held = "";
    this.events?.clientAborted(this);
    this.connection.exchangeOver(this);
  }

  /** Nothing that was written waits any more. @internal connection.ts */
  drained(): void {
    this.backlogged = false;
    if (!this.waitsForDrain || this.closed) return;
    this.waitsForDrain = false;
    if (this.ended) this.complete();
    else this.events?.clientDrained(this);
  }

  /** Decides the framing: after it, nothing of the response can be taken back. */
  private takeHead(): string {
    const { hasBody, length, connection } = this;
    const head = this.head as HeaderList; // start() came first
    this.head = null;
    this.headSent = true;
    const http10 = this.protocol === "http/1.0";
    if (hasBody && length < 0) {
      if (http10) this.closeAfter = this.endsByClose = true;
      else this.chunked = true;
    }
    if (connection.closesAfter(this)) this.closeAfter = true;
    let framing = this.closeAfter ? "connection: close\r\n" : http10 ? "connection: keep-alive\r\n" : "";
    if (this.chunked) framing += "transfer-encoding: chunked\r\n";
    else if (length >= 0 && this.status !== 204) framing += `content-length: ${length}\r\n`;
    return responseHead(this.status, head, framing);
  }

  /** Writes text, with the piece that was held back in between. */
  private put(before: string, after = ""): void {
    const { held } = this;
    this.held = "";
    if (held === "") this.writeOut(before + after);
    else this.writeOut(this.chunked ? `${before}${sizeLine(held.length)}${held}\r\n${after}` : before + held + after);
  }

  /** As put(), with another piece behind it. */
  private putWith(before: string, chunk: Uint8Array, after: string): void {
    const { channel } = this.connection;
    let text = before;
    const { held } = this;
    this.held = "";
    if (held !== "") text += this.chunked ? `${sizeLine(held.length)}${held}\r\n` : held;
    let tail = after;
    if (this.chunked) {
      text += sizeLine(chunk.length);
      tail = `\r\n${after}`;
    }
    if (chunk.length <= TEXT_BYTES_MAX) return this.writeOut(text + latin1(chunk) + tail);
    if (text === "" && tail === "") return this.taken(channel.write(chunk));
    channel.cork();
    if (text !== "") channel.write(text);
    channel.write(chunk);
    if (tail !== "") channel.write(tail);
    this.taken(channel.uncork());
  }

  private writeOut(text: string): void {
    if (text !== "") this.taken(this.connection.channel.write(text));
  }

  private taken(all: boolean): void {
    if (!all) this.backlogged = true;
  }

  /** @returns whether the client takes what it is given; else drained() follows */
  private flowing(): boolean {
    if (this.waitsForDrain) return false;
    if (!this.backlogged) return true;
    this.waitsForDrain = true;
    this.connection.awaitDrain();
    return false;
  }

  /** RFC 9110 section 6.5.1: only to a client that said it would not throw them away. @returns '' for none */
  private trailers(): string {
    const list = this.responseTrailers;
    if (list === null || !this.hasBody || this.length >= 0 || this.protocol === "http/1.0") return "";
    return TAKES_TRAILERS.test(this.header("te") ?? "") ? trailerLines(list) : "";
  }

  private complete(): void {
    if (this.closed) return;
    this.closed = true;
    this.events?.clientCompleted(this);
    this.connection.exchangeOver(this);
  }
}

/** RFC 9110 section 10.1.4. */
const TAKES_TRAILERS = /(?:^|[,\s])trailers(?:$|[,;\s])/i;

const sizeLine = (bytes: number): string => `${bytes.toString(16)}\r\n`;

const latin1 = (bytes: Uint8Array): string =>
  Buffer.isBuffer(bytes) ? bytes.toString("latin1") : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
