// An exchange on the node engine: reads a body and writes a response through node:http. Owns framing, trailers,
// backpressure and the one end of the client side; must never decide what is sent.
import type { X509Certificate } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { HeaderList } from "../../base/header-list.ts";
import { isHopByHop } from "../../base/http.ts";
import { reasonPhrase } from "../../base/reason-phrase.ts";
import { type BodySink, Exchange, type UpgradedUpstream } from "../exchange/exchange.ts";

const EMPTY = Buffer.alloc(0);

/** Never sent as trailers (RFC 9110 section 6.5.1): framing, routing, authentication, what the head already said. */
const NOT_A_TRAILER: ReadonlySet<string> = new Set([
  "content-length",
  "content-encoding",
  "content-type",
  "content-range",
  "cache-control",
  "host",
  "authorization",
  "set-cookie",
  "location",
  "date",
]);

/** What an exchange needs of its connection. */
export interface ExchangeConnection {
  /** Canonical address of the peer. */
  readonly peer: string;
  /** The client's, verified; null for none. */
  readonly certificate: X509Certificate | null;
  readonly draining: boolean;
  /** The response is complete, or the connection lost: the next request may go on. */
  exchangeOver(x: NodeExchange): void;
  /** Cut the connection. @param hard so that the client notices although the response has no end of its own */
  cut(hard: boolean): void;
  /** What was written is more than the client takes at the moment: calls drained() when there is room, cuts the connection when nothing moves. */
  awaitDrain(x: NodeExchange): void;
  acceptWebSocket(x: NodeExchange, upstream: UpgradedUpstream): void;
}

export class NodeExchange extends Exchange {
  started = false;
  closed = false;
  override readonly tunnelsFrames = true;
  private readonly req: IncomingMessage;
  private readonly res: ServerResponse;
  private readonly connection: ExchangeConnection;

  private sink: BodySink | null = null;

  private head: HeaderList | null = null;
  private headSent = false;
  private length = -1;
  private sent = 0;
  private ended = false;
  private waitsForDrain = false;
  /** HTTP/1.0 without a length: the end of the connection is the end of the body. */
  private endsByClose = false;

  constructor(
    runtime: Exchange["runtime"],
    message: { readonly req: IncomingMessage; readonly res: ServerResponse },
    connection: ExchangeConnection,
  ) {
    super(runtime);
    this.req = message.req;
    this.res = message.res;
    this.connection = connection;
    this.res.on("finish", () => this.complete());
    this.res.on("error", ignore); // the connection's end is what counts
    this.req.on("error", ignore);
  }

  peerAddress(): string {
    return this.connection.peer;
  }

  override clientCertificate(): X509Certificate | null {
    return this.connection.certificate;
  }

  /** The request was parsed to its end: what comes on the connection now belongs to another one. */
  get requestComplete(): boolean {
    return this.req.complete;
  }

  // --- Request body ---

  readBody(sink: BodySink): void {
    if (this.awaitsContinue && !this.closed) {
      this.awaitsContinue = false;
      this.res.writeContinue();
    }
    this.redirectBody(sink);
  }

  redirectBody(sink: BodySink): void {
    const first = this.sink === null;
    this.sink = sink;
    if (this.bodyDone) return sink.bodyChunk(EMPTY, true);
    if (!first) return this.resumeBody();
    this.req.on("data", (chunk: Buffer) => this.bodyArrived(chunk));
    this.req.on("end", () => this.bodyEnded());
  }

  pauseBody(): void {
    if (this.sink !== null && !this.bodyDone) this.req.pause();
  }

  resumeBody(): void {
    if (this.sink !== null && !this.bodyDone) this.req.resume();
  }

  private bodyArrived(chunk: Buffer): void {
    if (this.closed) return;
    this.bytesIn += chunk.length;
    this.bodyDone = this.bytesIn === this.contentLength;
    this.sink?.bodyChunk(chunk, this.bodyDone);
  }

  private bodyEnded(): void {
    if (this.bodyDone || this.closed) return;
    this.bodyDone = true;
    this.sink?.bodyChunk(EMPTY, true);
  }

  // --- Response ---

  start(status: number, headers: HeaderList, length: number): void {
    this.started = true;
    this.status = status;
    this.head = headers;
    this.length = length;
    if (!this.bodyDone || this.connection.draining) this.closeAfter = true;
    if (length !== -1 || !isEventStream(headers)) return;
    this.writeHead();
    this.res.flushHeaders();
  }

  override get isWithdrawable(): boolean {
    return this.started && !this.headSent && !this.closed;
  }

  override withdraw(): void {
    this.started = false;
    this.head = null;
    this.length = -1;
  }

  write(chunk: Uint8Array): boolean {
    if (this.closed || this.ended || chunk.length === 0) return true;
    if (!this.headSent) this.writeHead();
    if (!this.hasBody) return true;
    if (!this.count(chunk)) return true;
    if (this.res.write(Buffer.from(chunk))) return true; // node keeps what the socket does not take at once; the chunk is lent
    this.waitForClient();
    return false;
  }

  end(chunk?: Uint8Array): void {
    if (this.closed || this.ended) return;
    this.ended = true;
    const trailers = this.trailers();
    if (!this.headSent) {
      if (this.length === -1 && this.hasBody && trailers === null) this.length = chunk?.length ?? 0;
      this.writeHead();
    }
    const last = this.hasBody ? chunk : undefined;
    if (last !== undefined && !this.count(last)) return;
    // Fewer bytes than announced: cutting is the only honest end.
    if (this.hasBody && this.length >= 0 && this.sent < this.length) return this.abort();
    if (trailers !== null && !this.endsByClose && this.length === -1) this.res.addTrailers(trailers);
    if (last === undefined || last.length === 0) this.res.end();
    else this.res.end(last);
    if (!this.closed && this.res.writableLength > 0) this.waitForClient();
  }

  abort(): void {
    if (this.closed) return;
    this.connection.cut(this.endsByClose && this.headSent);
    this.gone();
  }

  acceptWebSocket(upstream: UpgradedUpstream): void {
    this.started = true;
    this.status = 101;
    this.closed = true; // nothing may be written by way of the response any more
    this.connection.acceptWebSocket(this, upstream);
  }

  /** The tunnel is over. @internal node-connection.ts */
  tunnelOver(): void {
    this.events?.clientCompleted(this);
  }

  /** The connection is lost. @internal node-connection.ts */
  gone(): void {
    if (this.closed) return;
    this.closed = true;
    this.events?.clientAborted(this);
    this.connection.exchangeOver(this);
  }

  /** The request's body turned out to be broken before a response began: the connection answers that itself. @internal node-connection.ts */
  discard(socket: Socket): void {
    this.gone();
    this.res.detachSocket(socket);
  }

  private get hasBody(): boolean {
    return this.method !== "HEAD" && this.status !== 204 && this.status !== 304;
  }

  private writeHead(): void {
    this.headSent = true;
    const head = this.head as HeaderList; // start() came first
    this.head = null;
    const { res } = this;
    if (this.protocol === "http/1.0" && this.hasBody && this.length < 0) this.closeAfter = this.endsByClose = true;
    if (this.closeAfter) head.push("connection", "close");
    else if (this.protocol === "http/1.0") head.push("connection", "keep-alive");
    else res.removeHeader("connection"); // node would say keep-alive, which HTTP/1.1 implies
    // Last: after a Content-Length node writes Content-Disposition in another encoding.
    if (this.length >= 0 && this.status !== 204) head.push("content-length", String(this.length));
    res.writeHead(this.status, reasonPhrase(this.status), head);
  }

  /** @returns false when it would be more than was announced: then the connection is cut. */
  private count(chunk: Uint8Array): boolean {
    this.sent += chunk.length;
    this.bytesOut += chunk.length;
    if (this.length < 0 || this.sent <= this.length) return true;
    this.abort();
    return false;
  }

  /** RFC 9110 section 6.5.1: only to a client that said it would not throw them away. */
  private trailers(): [string, string][] | null {
    const list = this.responseTrailers;
    if (list === null || !this.hasBody || !/(?:^|[,\s])trailers(?:$|[,;\s])/i.test(this.header("te") ?? "")) return null;
    const pairs: [string, string][] = [];
    for (let i = 0; i + 1 < list.length; i += 2) {
      const name = list[i] as string; // i is inside a list of pairs
      if (!isHopByHop(name) && !NOT_A_TRAILER.has(name)) pairs.push([name, list[i + 1] as string]);
    }
    return pairs.length === 0 ? null : pairs;
  }

  private waitForClient(): void {
    if (this.waitsForDrain) return;
    this.waitsForDrain = true;
    this.connection.awaitDrain(this);
  }

  /** There is room again. @internal node-connection.ts */
  drained(): void {
    this.waitsForDrain = false;
    if (!this.closed && !this.ended) this.events?.clientDrained(this);
  }

  private complete(): void {
    if (this.closed) return;
    this.closed = true;
    this.events?.clientCompleted(this);
    this.connection.exchangeOver(this);
  }
}

const ignore = (): void => {};

function isEventStream(headers: HeaderList): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === "content-type") return (headers[i + 1] as string).startsWith("text/event-stream");
  }
  return false;
}
