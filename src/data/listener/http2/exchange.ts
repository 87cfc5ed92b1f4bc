// An exchange over a stream of HTTP/2 (RFC 9113 section 8): hands on the request's body and writes the response. Knows nothing of other streams.
// Must never decide what is sent, nor write behind its end.
import type { HeaderList } from "../../../base/header-list.ts";
import type { Http2Connection } from "../../../base/http2/connection.ts";
import type { HeaderSection } from "../../../base/http2/header-section.ts";
import { ERROR_CODE } from "../../../base/http2/protocol.ts";
import type { StreamReset } from "../../../base/http2/stream.ts";
import type { BodySink, Exchange, UpgradedUpstream } from "../../exchange/exchange.ts";
import type { Channel } from "../net/channel.ts";
import { NetExchange } from "../net-exchange.ts";
import { ownedCopy } from "../owned-bytes.ts";
import type { RequestStream, StreamReceiver } from "./request-stream.ts";
import { encodeHead, encodeInterim, sendableTrailers } from "./response-head.ts";

/** What an exchange needs of its connection. */
export interface ExchangeConnection {
  readonly channel: Channel;
  readonly core: Http2Connection;
  /** Some of the response waits for the client: its stream is reset when nothing moves. */
  awaitDrain(x: Http2Exchange): void;
  /** Nothing of it waits any more. */
  flows(x: Http2Exchange): void;
  acceptWebSocket(x: Http2Exchange, upstream: UpgradedUpstream): void;
  /** Calls deliverArrived() when all that was read has been gone through. @returns false when nothing is being gone through */
  holdArrived(x: Http2Exchange): boolean;
  /** Everybody is done with the exchange: its place may be given to another one. */
  exchangeOver(): void;
}

const EMPTY = Buffer.alloc(0);

export class Http2Exchange extends NetExchange implements StreamReceiver {
  readonly stream: RequestStream;
  private readonly connection: ExchangeConnection;

  // Request body. What came last is held until all that was read has been gone through, in case it is all.
  private sink: BodySink | null = null;
  private arrived: Buffer | null = null;

  // Response
  /** end() was called. */
  private responded = false;
  private waitsForDrain = false;

  constructor(runtime: Exchange["runtime"], stream: RequestStream, connection: ExchangeConnection) {
    super(runtime, connection.channel);
    this.protocol = "http/2";
    this.stream = stream;
    this.connection = connection;
  }

  override over(): void {
    this.connection.exchangeOver();
  }

  // --- Request body: the stream is paused until somebody reads it ---

  readBody(sink: BodySink): void {
    if (this.awaitsContinue && !this.closed) {
      this.awaitsContinue = false;
      // Who has begun to send has not waited (RFC 9110 section 10.1.1).
      if (!this.bodyDone && this.stream.received === 0) this.informational(100, NO_FIELDS);
    }
    this.redirectBody(sink);
  }

  redirectBody(sink: BodySink): void {
    this.sink = sink;
    if (this.bodyDone) sink.bodyChunk(EMPTY, true);
    else this.stream.resume();
  }

  pauseBody(): void {
    if (!this.bodyDone && !this.closed) this.stream.pause();
  }

  resumeBody(): void {
    if (!this.bodyDone && !this.closed) this.stream.resume();
  }

  // --- StreamReceiver ---

  data(chunk: Buffer): void {
    if (this.closed || this.bodyDone) return;
    this.bytesIn += chunk.length;
    const before = this.arrived;
    this.arrived = ownedCopy(chunk, 0, chunk.length);
    if (before !== null) this.sink?.bodyChunk(before, false);
    else if (!this.connection.holdArrived(this)) this.deliverArrived();
  }

  ended(trailers: HeaderSection | null): void {
    if (this.closed || this.bodyDone) return;
    const chunk = this.arrived ?? EMPTY;
    this.arrived = null;
    this.bodyDone = true;
    if (trailers !== null && trailers.fields.length > 0) this.requestTrailers = trailers.fields;
    this.sink?.bodyChunk(chunk, true);
  }

  /** All that was read has been gone through: more of the body is still to come. @internal connection.ts */
  deliverArrived(): void {
    const chunk = this.arrived;
    this.arrived = null;
    if (chunk !== null && !this.closed) this.sink?.bodyChunk(chunk, false);
  }

  wasReset({ kind, reason }: StreamReset): void {
    if (this.closed) return;
    if (kind === "fault") {
      this.errorCode ??= "bad_request";
      this.errorDetail = `not valid HTTP/2 (RFC 9113): ${reason}`;
    }
    this.gone();
  }

  drained(): void {
    if (!this.waitsForDrain || this.closed) return;
    this.waitsForDrain = false;
    this.connection.flows(this);
    this.events?.clientDrained(this);
  }

  streamOver(): void {
    if (this.stream.localEnded) this.complete();
  }

  // --- Response ---

  override informational(status: number, headers: HeaderList): void {
    if (this.started || this.closed) return;
    const { core } = this.connection;
    encodeInterim(core, status, headers);
    core.respond(this.stream, false);
  }

  protected sendHeld(): void {
    this.sendHead(false);
  }

  write(chunk: Uint8Array): boolean {
    if (this.closed || this.responded || chunk.length === 0 || !this.hasBody) return true;
    if (!this.count(chunk)) return true;
    if (!this.headSent) this.sendHead(false);
    return this.stream.write(bufferOf(chunk), true) || this.waits();
  }

  end(chunk?: Uint8Array): void {
    if (this.closed || this.responded) return;
    this.responded = true;
    const last = chunk !== undefined && chunk.length > 0 && this.hasBody ? chunk : null;
    if (last !== null && !this.count(last)) return;
    const list = this.responseTrailers;
    const trailers = list === null || !this.hasBody ? null : sendableTrailers(list);
    if (!this.headSent && this.length < 0 && this.hasBody && trailers === null) this.length = this.sent; // all of it is here
    // Fewer bytes than announced: a reset is the only honest end.
    if (this.length >= 0 && this.hasBody && this.sent < this.length) return this.abort();
    const { stream } = this;
    if (!stream.remoteEnded || !this.bodyDone) stream.ignoreRest(); // RFC 9113 section 8.1
    if (!this.headSent) this.sendHead(last === null && trailers === null);
    if (trailers !== null) {
      if (last !== null) stream.write(bufferOf(last), true);
      stream.end(trailers);
    } else if (last !== null) stream.writeLast(bufferOf(last), true);
    else stream.end(null);
    if (!this.closed) this.waits();
  }

  abort(): void {
    if (this.closed) return;
    this.stream.reset(ERROR_CODE.internalError);
    this.gone();
  }

  /** The client does not take the response. @internal stalled-responses.ts */
  stall(): void {
    if (this.closed) return;
    this.errorCode ??= "client_aborted";
    this.errorDetail = "the client kept its window shut";
    this.stream.reset(ERROR_CODE.enhanceYourCalm);
    this.gone();
  }

  protected takeWebSocket(upstream: UpgradedUpstream): void {
    this.connection.acceptWebSocket(this, upstream);
  }

  /** Of what was written, so many bytes have been sent to the client. */
  get takenBytes(): number {
    return this.sent - this.stream.waitingBytes;
  }

  private sendHead(isAll: boolean): void {
    const { core } = this.connection;
    const head = this.head as HeaderList; // start() came first
    this.head = null;
    this.headSent = true;
    encodeHead(core, this.status, head, this.status === 204 ? -1 : this.length);
    core.respond(this.stream, isAll);
  }

  private waits(): false {
    if (!this.waitsForDrain) {
      this.waitsForDrain = true;
      this.connection.awaitDrain(this);
    }
    return false;
  }

  private gone(): void {
    this.close();
    this.events?.clientAborted(this);
  }

  private complete(): void {
    if (this.closed) return;
    this.close();
    this.events?.clientCompleted(this);
  }

  private close(): void {
    this.closed = true;
    this.arrived = null;
    if (this.waitsForDrain) this.connection.flows(this);
  }
}

const NO_FIELDS: HeaderList = [];

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
