// One connection to an endpoint: writes a request, or several at once (pipelining-policy.ts), feeds the parser, tells the calls in turn. Owns the socket.
// What is left of a connection after anything unexpected is never used again.
import type net from "node:net";
import { type TimerWheel, WheelEntry } from "../../../../base/timer-wheel.ts";
import { beginTurn, endTurn } from "../../../../base/turn-clock.ts";
import type { WireTrailers } from "../../upstream.ts";
import { isTlsFault } from "../connector.ts";
import type { ResponseHeaders } from "../response-headers.ts";
import type { CarryingConnection, H1Call } from "./call.ts";
import type { FieldPlaces } from "./field-names.ts";
import { HEAD_OF_LINE_MS } from "./pipelining-policy.ts";
import { ReadSize } from "./read-size.ts";
import { BodyPump, RequestHeads } from "./request-head.ts";
import { RequestWriter, type WriterEvents } from "./request-writer.ts";
import { ResponseParser, type ResponseReader } from "./response-parser.ts";

/**
 * How long (ms) a connection rests after HEAD. Some servers send a body all the same; it comes at once, and must not become the answer to
 * somebody's next request.
 */
const REST_AFTER_HEAD_MS = 20;
/** Taken off a server's announced keep-alive time, so that we close before it does. */
const KEEP_ALIVE_MARGIN_MS = 1000;

/** What a connection tells its pool. */
export interface ConnectionOwner {
  readonly wheel: TimerWheel;
  /** What the heads of its connections had in common so far. */
  readonly places: FieldPlaces;
  /** The response is complete and the connection can carry another request. */
  connectionFree(connection: H1Connection): void;
  /** It is gone; a call it had has been told. */
  connectionClosed(connection: H1Connection): void;
  /** These waited behind another on a connection and will get no answer there. Nothing of one has come. */
  requeue(calls: readonly H1Call[]): void;
  /** They did because the one before them takes its time. */
  headOfLineBlocked(): void;
  /** The server does not answer each request once, or not in HTTP: whose answer came to whom is not certain. */
  responseDesync(): void;
}

const NONE: readonly H1Call[] = [];
/** Of all connections of the thread: nothing else runs between a head's first byte and its write. */
const heads = new RequestHeads();

export class H1Connection extends WheelEntry implements ResponseReader, CarryingConnection, WriterEvents {
  /** performance.now() ms at which it became idle. */
  idleSinceMs = 0;
  /** How long the server said it keeps idle connections, ms; Infinity when it did not. */
  serverKeepAliveMs = Number.POSITIVE_INFINITY;
  private readonly owner: ConnectionOwner;
  private readonly parser: ResponseParser;
  private readonly readSize = new ReadSize();
  private socket: net.Socket | null = null;
  private writer: RequestWriter | null = null;
  /** Whose response is awaited or read. */
  private call: H1Call | null = null;
  /** All of the last batch, and how many of them have had their turn. */
  private batch: readonly H1Call[] = NONE;
  private begun = 0;
  private pump: BodyPump | null = null;
  private paused = false;
  /** Answers to requests that have been sent elsewhere meanwhile are still to come. */
  private doNotReuse = false;
  /** Of no more use. */
  closed = false;
  /** It has answered, and stayed open: more than one request may be sent at once. */
  keepAliveConfirmed = false;

  constructor(owner: ConnectionOwner) {
    super();
    this.owner = owner;
    this.parser = new ResponseParser(this, owner.places);
  }

  /** For net.connect: reads without a buffer of their own. Not for TLS. */
  readonly onread: net.OnReadOpts = {
    buffer: () => this.readSize.next(),
    callback: (bytes, buffer) => {
      this.readSize.read(bytes);
      this.received(buffer as Buffer, bytes); // it is the Buffer given above
      return true;
    },
  };

  /** @param plain its bytes come through {@link onread} */
  opened(socket: net.Socket, plain: boolean): void {
    this.socket = socket;
    this.writer = new RequestWriter(socket, plain, this);
    if (!plain) socket.on("data", (chunk: Buffer) => this.received(chunk, chunk.length));
    socket.on("end", () => this.ended());
    socket.on("error", (error: NodeJS.ErrnoException) => this.broken(error));
    socket.on("close", () => this.failed("upstream_reset", "closed before the end of the response"));
  }

  /** @returns false when the request must not be sent as it is; then nothing was */
  start(call: H1Call): boolean {
    heads.begin();
    if (!heads.add(call.request)) return false;
    const { method, body, contentLength } = call.request;
    this.call = call;
    this.parser.expect(method);
    const writer = this.writer as RequestWriter; // opened() came first
    writer.send(heads, Buffer.isBuffer(body) ? body : null);
    call.sent(this);
    if (body !== null && !Buffer.isBuffer(body)) {
      const onBroken = (reason: string): void => this.failed("upstream_reset", reason);
      this.pump = new BodyPump(body, contentLength, { target: writer, onBroken, trailers: call.request.trailers ?? null });
    }
    return true;
  }

  /**
   * Sends requests without bodies one behind the other, in one write.
   * @returns those that must not be sent as they are, and were not: when it is all of them, the connection is as it was
   */
  startAll(calls: readonly H1Call[]): readonly H1Call[] {
    heads.begin();
    const sound = calls.filter((call) => heads.add(call.request));
    const [first] = sound;
    if (first !== undefined) {
      this.batch = sound;
      this.begun = 1;
      this.call = first;
      this.parser.expect(first.request.method);
      this.writer?.send(heads, null);
      for (const call of sound) call.sent(this);
      if (sound.length > 1) this.owner.wheel.arm(this, HEAD_OF_LINE_MS);
    }
    return sound.length === calls.length ? NONE : calls.filter((call) => !sound.includes(call));
  }

  // --- WriterEvents ---

  drained(): void {
    this.pump?.drained();
  }

  /** Whoever refuses a request early may close with the rest of it unread. What it said before can still be read; else the end of the connection follows. */
  writeFailed(): void {
    this.doNotReuse = true;
    this.pump?.stop();
  }

  /** Requests wait behind the one that is being answered. */
  get shared(): boolean {
    return this.begun < this.batch.length;
  }

  pause(): void {
    if (this.shared) this.strandOthers();
    this.paused = true;
    this.readSize.clientPaused();
    this.socket?.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.readSize.clientResumed();
    this.socket?.resume();
  }

  /** Cut it. Its call is not told. */
  destroy(): void {
    if (this.closed) return;
    this.closed = true;
    this.call = null;
    this.parser.stop();
    this.pump?.stop();
    this.owner.wheel.disarm(this);
    this.readSize.reset();
    this.socket?.destroy();
    this.owner.connectionClosed(this);
    if (this.shared) this.strand();
  }

  /** Whoever reads slowly, or gets a long answer, must not hold up others. */
  private strandOthers(): void {
    this.doNotReuse = true;
    this.owner.wheel.disarm(this);
    this.strand();
    this.owner.headOfLineBlocked();
  }

  private strand(): void {
    const calls = this.batch.slice(this.begun);
    this.batch = NONE;
    this.begun = 0;
    this.owner.requeue(calls);
  }

  // --- ResponseReader ---

  interim(status: number, headers: ResponseHeaders): void {
    this.call?.interim(status, headers);
  }

  head(status: number, headers: ResponseHeaders): void {
    this.readSize.begins(headers.length > 0 && !headers.chunked);
    this.call?.head(status, headers);
  }

  body(chunk: Buffer): void {
    this.call?.data(chunk);
  }

  end(trailers: WireTrailers | null): void {
    const { call, parser } = this;
    this.call = null;
    const sentAll = this.pump === null || this.pump.done;
    if (!sentAll) this.pump?.stop();
    this.pump = null;
    const untaken = this.readSize.ended();
    if (untaken !== null) {
      if (call === null) untaken.release();
      else call.holds(untaken);
    }
    this.resume(); // a pause for a slow client must not outlive the response: nobody would end it
    if (parser.keepAlive !== "") this.serverKeepAliveMs = keepAliveMs(parser.keepAlive);
    if (!parser.reusable || !sentAll || this.doNotReuse) this.destroy();
    else if (this.shared) this.expectNext();
    else if (parser.surplus) {
      if (this.batch.length > 1) this.owner.responseDesync();
      this.destroy();
    } else {
      this.keepAliveConfirmed = true;
      if (this.batch !== NONE) this.batchDone();
      if (call?.request.method === "HEAD") this.owner.wheel.arm(this, REST_AFTER_HEAD_MS);
      else this.owner.connectionFree(this);
    }
    call?.end(trailers);
  }

  private expectNext(): void {
    const next = this.batch[this.begun++] as H1Call; // shared: there is one
    this.call = next;
    this.parser.expect(next.request.method);
  }

  private batchDone(): void {
    this.batch = NONE;
    this.begun = 0;
    this.owner.wheel.disarm(this);
  }

  /** Others have waited long enough behind the one that is being answered. Or: rested after HEAD, and nothing came. */
  onDeadline(): void {
    if (this.closed) return;
    if (this.call === null) return this.owner.connectionFree(this);
    const { call } = this;
    if (this.shared) this.strandOthers();
    if (call.over) this.destroy();
  }

  // --- Socket ---

  /** @param bytes of the buffer have come: what stands behind is older */
  private received(buffer: Buffer, bytes: number): void {
    if (this.closed) return;
    beginTurn();
    try {
      const fault = this.parser.push(buffer, bytes);
      if (fault !== "") this.failed("upstream_invalid", fault);
    } finally {
      endTurn();
    }
  }

  private ended(): void {
    if (this.closed) return;
    const reason = this.parser.eof();
    if (!this.closed) this.failed("upstream_reset", reason === "" ? "closed by the upstream" : reason);
  }

  private broken(error: NodeJS.ErrnoException): void {
    this.failed(isTlsFault(error) ? "upstream_tls" : "upstream_reset", error.code ?? error.message);
  }

  private failed(code: "upstream_reset" | "upstream_invalid" | "upstream_tls", reason: string): void {
    if (this.closed) return;
    // Behind another, and unanswered: the server may well have closed after that one's answer.
    if (code === "upstream_reset" && this.begun > 1 && this.parser.untouched) {
      this.begun--;
      return this.destroy();
    }
    if (code === "upstream_invalid" && this.batch.length > 1) this.owner.responseDesync();
    const { call } = this;
    this.destroy();
    call?.failed({ code, unsent: false, reason });
  }
}

/** `timeout=5, max=1000` (RFC 2068 section 19.7.1, still in use). */
function keepAliveMs(value: string): number {
  const seconds = /(?:^|[,;\s])timeout=(\d{1,6})/i.exec(value)?.[1];
  return seconds === undefined ? Number.POSITIVE_INFINITY : Math.max(0, Number(seconds) * 1000 - KEEP_ALIVE_MARGIN_MS);
}
