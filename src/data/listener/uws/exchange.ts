// An exchange on the uws engine: writes a response through uWebSockets.js without ever touching a dead `res`. Owns corking, framing, backpressure and the order
// of writes; must never decide what is sent.
import type { HttpResponse } from "uWebSockets.js";
import { type HeaderList, removeHeader } from "../../../base/header-list.ts";
import { BODY_NONE, type Exchange, type UpgradedUpstream } from "../../exchange/exchange.ts";
import type { LyingBody, PreparedResponse } from "../../exchange/prepared-response.ts";
import { statusLine } from "../status-line.ts";
import { isEventStream } from "./event-stream.ts";
import { LINGER_MS, UwsLinger } from "./linger.ts";
import { prepareBytes } from "./prepared.ts";
import { type Arrival, UwsRequest } from "./request.ts";
import { acceptUwsWebSocket, type UpgradableExchange } from "./websocket.ts";

/** A body that came in one piece of at most this goes out with its head in one write: both fit the engine's cork buffer of 16 KiB. */
const WHOLE_BODY_BYTES_MAX = 8 * 1024;
const SSE_COMMENT = Buffer.from(":\n\n");
const EMPTY = Buffer.alloc(0);

export class UwsExchange extends UwsRequest implements UpgradableExchange {
  started = false;

  // `head` is held back until the first write or end.
  private head: HeaderList | null = null;
  private headSent = false;
  private length = -1;
  private sent = 0;
  /** A first chunk of unknown total, held for a microtask in case the end follows at once. */
  private held: Uint8Array | null = null;
  /** The part of a known-length body that the socket did not take yet. */
  private rest: Uint8Array | null = null;
  private restOffset = 0;
  private waitsForDrain = false;
  private onWritableSet = false;
  private endPending = false;
  private linger: UwsLinger | null = null;

  constructor(runtime: Exchange["runtime"], res: HttpResponse, arrival: Arrival) {
    super(runtime, res, arrival);
    res.onAborted(() => this.gone());
  }

  takeForUpgrade(): HttpResponse {
    this.started = true;
    this.status = 101;
    this.closed = true;
    return this.res;
  }

  acceptWebSocket(upstream: UpgradedUpstream): void {
    acceptUwsWebSocket(this, upstream);
  }

  // --- Response ---

  start(status: number, headers: HeaderList, length: number): void {
    this.started = true;
    this.status = status;
    this.head = headers;
    this.length = length;
    if (!this.bodyDone || this.runtime.services.draining) this.closeAfter = true;
    // Closing after the last byte is only possible with end(): stream it as chunks instead of a known length.
    if (this.closeAfter && length > 0 && this.method !== "HEAD" && status !== 304) this.length = -1;
    if (length === -1 && isEventStream(headers)) queueMicrotask(() => this.flushEventStream());
  }

  override get isWithdrawable(): boolean {
    return this.started && !this.headSent && !this.closed;
  }

  override withdraw(): void {
    this.started = false;
    this.head = this.held = null;
    this.length = -1;
    this.sent = this.bytesOut = 0;
  }

  write(chunk: Uint8Array): boolean {
    if (this.closed || chunk.length === 0) return true;
    this.bytesOut += chunk.length;
    if (this.length >= 0) return this.writeKnown(chunk);
    if (!this.headSent && this.held === null) {
      this.held = Buffer.from(chunk); // the chunk is lent
      queueMicrotask(() => this.flushHeld());
      return true;
    }
    this.flushHeld();
    return this.writeChunked(chunk);
  }

  end(chunk?: Uint8Array): void {
    if (this.closed) return;
    if (chunk !== undefined && chunk.length > 0) {
      if (this.length >= 0 && (this.sent > 0 || this.rest !== null || chunk.length !== this.length)) this.write(chunk);
      else {
        this.bytesOut += chunk.length;
        if (this.held === null) this.held = chunk;
        else {
          this.flushHeld();
          this.held = chunk;
        }
      }
    }
    if (this.closed) return;
    if (this.rest !== null || (this.length > 0 && this.sent > 0)) {
      this.endPending = true;
      if (this.rest === null) this.abort(); // fewer bytes than announced: cutting is the only honest end
      return;
    }
    this.finishCorked();
  }

  private finishCorked(): void {
    corked = this;
    this.res.cork(finishCorked);
    corked = null;
  }

  override takesPrepared(): boolean {
    return this.inTurn && this.bodyDone && !this.closeAfter && !this.started && !this.closed && !this.runtime.services.draining;
  }

  override sendPrepared(response: PreparedResponse, source: LyingBody, own: HeaderList | null): void {
    const { res } = this;
    this.started = this.headSent = true;
    this.status = response.status;
    this.length = this.sent = this.bytesOut = source.length;
    let bytes = response.uws === null ? null : response.uws.with(this.requestId);
    if (bytes === null) {
      response.uws = prepareBytes(response, this.requestId);
      bytes = response.uws.with(this.requestId) as Buffer; // it was made for it
    }
    res.writeStatus(bytes); // copied, with all its lines
    if (own !== null) writeFields(res, own);
    if (source.length <= WHOLE_BODY_BYTES_MAX) res.end(source.body);
    else {
      const { body } = source;
      if (!res.tryEnd(body, body.length)[0]) {
        this.rest = body; // not copied: it stays
        this.restOffset = 0;
        return this.awaitDrain();
      }
    }
    this.complete();
  }

  abort(): void {
    if (this.closed) return;
    this.settlePeer(); // the access log wants it
    this.res.close(); // runs the onAborted handler, which calls gone()
    this.gone();
  }

  /** Completes in one write what is held back: head and at most one chunk. */
  finishNow(): void {
    const body = this.held;
    this.held = null;
    this.resumeBody();
    const res = this.res;
    const close = this.closeAfter;
    if (!this.headSent) {
      this.writeHead();
      if (this.method === "HEAD" || this.status === 204 || this.status === 304) return this.endWithoutBody();
      if (close && this.askedToClose()) res.writeHeader("connection", "close");
      if (body !== null) res.end(body, close);
      else res.end(EMPTY, close);
    } else if (close) return this.endByHand(body);
    else if (body !== null) res.end(body);
    else res.end();
    this.complete();
  }

  /**
   * Ends a chunked response whose connection closes. end(…, true) would write a `Connection: close` line into the middle of the
   * body. So the last chunk is written as a "header"; the colon that writeHeader() puts in stands in the quoted value of a chunk
   * extension, which every recipient ignores (RFC 9112 section 7.1.1).
   */
  private endByHand(body: Uint8Array | null): void {
    if (body !== null && !this.res.write(body)) this.awaitDrain();
    this.res.writeHeader('\r\n0;end="', '"\r\n');
    this.lingerAndClose(this.waitsForDrain ? this.runtime.limits.idleTimeoutMs : 0);
  }

  /**
   * HEAD, 204, 304. endWithoutBody() can close only behind a length that it reports, also where there is none to report. So a head behind which
   * the connection closes is ended by hand: the line break behind its last field is written with that field.
   */
  private endWithoutBody(): void {
    const { res } = this;
    const length = this.status === 204 ? -1 : this.length;
    if (this.closeAfter) {
      if (length >= 0) res.writeHeader("content-length", String(length));
      res.writeHeader("date", new Date().toUTCString()).writeHeader("connection", "close\r\n");
      // Nothing more is on its way from a client that asked for the close and sent no body: it need not be given time to end.
      return this.lingerAndClose(this.bodyKind === BODY_NONE && this.askedToClose() ? -LINGER_MS : 0);
    }
    if (length >= 0) res.endWithoutBody(length);
    else res.endWithoutBody();
    this.complete();
  }

  /** The response stays pending, so that uWebSockets.js runs nothing of what still comes, until the connection closes. */
  private lingerAndClose(flushMs: number): void {
    this.linger = new UwsLinger(this.res, this.runtime.services.wheel);
    this.linger.begin(flushMs);
    this.complete();
  }

  /** uWebSockets.js says `Connection: close` itself, but not to a client that did: to its eyes, one whose first Connection field has five characters. */
  private askedToClose(): boolean {
    return this.header("connection")?.length === 5;
  }

  private writeHead(): void {
    this.headSent = true;
    const res = this.res;
    const head = this.head as HeaderList; // start() came first
    if (this.status !== 200) res.writeStatus(statusLine(this.status));
    removeHeader(head, "date"); // this engine writes its own
    writeFields(res, head);
  }

  private flushHeld(): void {
    const chunk = this.held;
    if (chunk === null || this.closed) return;
    this.held = null;
    this.writeChunked(chunk);
  }

  /** uWebSockets.js sends no head without a body byte: a comment line is invisible to an event stream's reader. */
  private flushEventStream(): void {
    if (this.closed || this.headSent || this.head === null || this.held !== null) return;
    this.writeChunked(SSE_COMMENT);
  }

  private writeChunked(chunk: Uint8Array): boolean {
    let ok = true;
    this.res.cork(() => {
      if (!this.headSent) {
        this.writeHead();
        // end() says so only when it writes the head itself.
        if (this.closeAfter) this.res.writeHeader("connection", "close");
      }
      ok = this.res.write(chunk);
    });
    if (!ok) this.awaitDrain();
    return ok;
  }

  private writeKnown(chunk: Uint8Array): boolean {
    if (this.sent + chunk.length > this.length) {
      this.abort(); // the upstream's framing was checked by its parser: this would be our own mistake
      return true;
    }
    if (this.method === "HEAD") return true;
    if (chunk.length === this.length && chunk.length <= WHOLE_BODY_BYTES_MAX) {
      this.sent = chunk.length;
      this.held = chunk;
      this.finishCorked();
      return true;
    }
    let ok = true;
    const offset = this.sent;
    this.sent += chunk.length;
    this.res.cork(() => {
      if (!this.headSent) this.writeHead();
      ok = this.res.tryEnd(chunk, this.length)[0];
    });
    if (!ok) {
      const taken = this.res.getWriteOffset() - offset;
      this.rest = Buffer.from(chunk.subarray(taken)); // the chunk is lent
      this.restOffset = offset + taken;
      this.awaitDrain();
    } else if (this.sent === this.length) this.complete();
    return ok;
  }

  private awaitDrain(): void {
    this.waitsForDrain = true;
    if (this.onWritableSet) return;
    this.onWritableSet = true;
    this.res.onWritable((offset) => this.writable(offset));
  }

  private writable(offset: number): boolean {
    if (this.closed) {
      this.linger?.begin(0);
      return true;
    }
    const rest = this.rest;
    if (rest !== null) {
      const remaining = rest.subarray(offset - this.restOffset);
      const [ok] = this.res.tryEnd(remaining, this.length);
      if (!ok) return false;
      this.rest = null;
      if (this.sent === this.length) {
        this.complete();
        return true;
      }
      if (this.endPending) {
        this.abort();
        return true;
      }
    }
    if (this.waitsForDrain) {
      this.waitsForDrain = false;
      this.events?.clientDrained(this);
    }
    return true;
  }

  private complete(): void {
    if (this.closed) return;
    this.closed = true;
    this.events?.clientCompleted(this);
  }

  private gone(): void {
    this.linger?.end();
    if (this.closed) return;
    this.closed = true;
    this.held = null;
    this.rest = null;
    this.early = null;
    this.events?.clientAborted(this);
  }
}

/** Behind the status, or what {@link prepareBytes} has made. */
function writeFields(res: HttpResponse, list: HeaderList): void {
  if (list.length === 0) return;
  // One call for all fields, as each crosses into native code for 0.2 us. Values were checked for CR and LF where they came from (parser, schema, renderHeader).
  let fields = list[1] as string;
  for (let i = 2; i < list.length; i++) {
    fields += i % 2 === 0 ? "\r\n" : ": "; // a template would first make a string of each part, which it is
    fields += list[i];
  }
  // uWebSockets.js encodes strings as UTF-8, in which only ASCII keeps its length; bytes above 0x7f must go out as they came in.
  res.writeHeader(list[0] as string, Buffer.byteLength(fields) === fields.length ? fields : Buffer.from(fields, "latin1"));
}

/** The exchange whose end is being written: lets one static function serve every cork without a closure. */
let corked: UwsExchange | null = null;
const finishCorked = (): void => corked?.finishNow();
