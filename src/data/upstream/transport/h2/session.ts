// One HTTP/2 connection to an endpoint with its socket: calls become streams, what a turn writes goes out at once, and whoever is silent is looked after.
// Must never choose who gets a stream: its pool does.
import type net from "node:net";
import { type Http2Bounds, Http2Connection, type Http2Host } from "../../../../base/http2/connection.ts";
import type { Http2Wire } from "../../../../base/http2/frame-writer.ts";
import { ERROR_CODE } from "../../../../base/http2/protocol.ts";
import { type Flushable, flushAfterTurn } from "../../../../base/http2/turn-flush.ts";
import { beginTurn, endTurn, nowMs } from "../../../../base/turn-clock.ts";
import { isTlsFault } from "../connector.ts";
import { RESPONSE_HEAD_BYTES_MAX } from "../http1/response-parser.ts";
import type { CarryingSession, H2Call } from "./call.ts";
import { encodeRequest } from "./request-head.ts";

/** Bounds of a connection to a service, which is trusted more than a client, but not to the end. */
const BOUNDS: Http2Bounds = {
  headerBytesMax: RESPONSE_HEAD_BYTES_MAX,
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 1024 * 1024,
  heldBytesMax: 16 * 1024 * 1024,
  peerStreamsMax: 0,
  resetsBurst: 10_000,
  resetsPerSecond: 10_000,
  controlFramesBurst: 10_000,
  controlFramesPerSecond: 1000,
  extendedConnect: false,
};
/** One read, bytes. The buffer serves all sessions of the thread: what is read is used up before the next read. */
const READ_BYTES = 64 * 1024;
let readBuffer: Buffer | null = null;
const NOTHING = Buffer.alloc(0);
/** Written to TLS as a copy up to here; beyond it the buffer itself is given away. */
const COPY_BYTES_MAX = 4096;

/** How long (ms) the acknowledgement of our SETTINGS may take (RFC 9113 section 6.5.3). */
const SETTINGS_ACK_MS_MAX = 10_000;
/** A call that is given up after so long (ms), or after the upstream's `timeouts.attempt`, while nothing at all came, casts doubt on its session. */
const DOUBT_MS = 1000;
/** Time (ms) between two pings that nobody ordered; doubled each time a service finds them too many. */
export const PING_PAUSE_MS = 10_000;

/** What a session tells its pool. */
export interface SessionOwner {
  /** What a new session will take, as far as is known: until it says so itself. */
  readonly streamsExpected: number;
  /** The peer has said how many streams it takes. */
  sessionSettled(streamsMax: number): void;
  /** There is room for another stream. */
  sessionFree(session: H2Session): void;
  /** The peer's GOAWAY: no stream may be opened any more. */
  sessionGoingAway(session: H2Session, code: number, reason: string): void;
  /** It is of no more use; its calls are told after this. */
  sessionClosed(session: H2Session): void;
  /** Time (ms) between two pings that nobody ordered. */
  readonly pingPauseMs: number;
}

/** How a session is used. */
export interface SessionSettings {
  /** Streams at once, whatever the peer allows. */
  readonly streamsMax: number;
  readonly https: boolean;
  /** Of requests that name no Host. */
  readonly authority: string;
  /** How long (ms) the answer to a ping may take. */
  readonly pingAnswerMs: number;
  /** `timeouts.attempt`. */
  readonly attemptMs: number;
}

export class H2Session implements Http2Wire, Http2Host, Flushable, CarryingSession {
  readonly connection: Http2Connection;
  /** When its last stream ended; performance.now() ms. */
  idleSinceMs = 0;
  tlsFault = false;
  /** Somebody waited in vain while nothing came: no new streams until a ping is answered. */
  private doubted = false;
  private readonly owner: SessionOwner;
  private readonly settings: SessionSettings;
  private socket: net.Socket | null = null;
  private encrypts = false;
  private closed = false;
  private lastPingMs = Number.NEGATIVE_INFINITY;

  constructor(owner: SessionOwner, settings: SessionSettings) {
    this.owner = owner;
    this.settings = settings;
    this.connection = new Http2Connection(this, this, { isServer: false, bounds: BOUNDS });
  }

  /** For net.connect: reads without a buffer of their own. Not for TLS. */
  readonly onread: net.OnReadOpts = {
    buffer: () => (readBuffer ??= Buffer.allocUnsafeSlow(READ_BYTES)),
    callback: (bytes, buffer) => {
      this.received(buffer as Buffer, bytes); // it is the Buffer given above
      return true;
    },
  };

  /** @param plain its bytes come through {@link onread} */
  connected(socket: net.Socket, plain: boolean): void {
    this.socket = socket;
    this.encrypts = !plain;
    if (!plain) socket.on("data", (chunk: Buffer) => this.received(chunk, chunk.length));
    socket.on("drain", () => this.connection.drained());
    socket.on("end", () => this.gone("closed by the upstream"));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.tlsFault = isTlsFault(error);
      this.gone(error.code ?? error.message);
    });
    socket.on("close", () => this.gone("closed before the end of the response"));
    this.idleSinceMs = nowMs();
    this.connection.start(this.idleSinceMs);
  }

  /** How many calls may be started. */
  get room(): number {
    if (this.doubted) return 0;
    const { connection } = this;
    const most = connection.settled ? this.settings.streamsMax : this.owner.streamsExpected;
    return Math.min(connection.room, most - connection.streams.size);
  }

  get streams(): number {
    return this.connection.streams.size;
  }

  /** There is room. @returns false when the request must not be sent as it is; then nothing was */
  start(call: H2Call): boolean {
    const { connection } = this;
    const { request } = call;
    if (!encodeRequest(connection.head(), request, this.settings)) return false;
    connection.open(call, request.body === null);
    call.sent(this);
    return true;
  }

  /** No new streams; it ends with the last one. */
  drain(): void {
    this.connection.drain();
  }

  /** Now and then: what is overdue, and whether to ask for a sign of life. @param pingMs of silence, while answers are awaited; 0: never */
  look(now: number, pingMs: number): void {
    const { connection } = this;
    if (connection.settingsSentMs > 0 && now - connection.settingsSentMs > SETTINGS_ACK_MS_MAX)
      return connection.fail(ERROR_CODE.settingsTimeout, "SETTINGS are not acknowledged");
    if (connection.pingSentMs > 0) {
      if (now - connection.pingSentMs > this.settings.pingAnswerMs) this.gone("a ping is not answered");
      return;
    }
    if (pingMs > 0 && connection.streams.size > 0 && now - connection.lastReceivedMs >= pingMs) connection.ping(now);
  }

  // --- CarryingSession ---

  gaveUp(sinceMs: number): void {
    const now = nowMs();
    const silent = this.connection.lastReceivedMs <= sinceMs && now - sinceMs >= Math.min(DOUBT_MS, this.settings.attemptMs);
    if (!silent || this.doubted || now - this.lastPingMs < this.owner.pingPauseMs) return;
    this.doubted = true;
    this.lastPingMs = now;
    this.connection.ping(now);
  }

  // --- Http2Host ---

  /** Of a server only. */
  opened(): null {
    return null;
  }

  settled(): void {
    this.owner.sessionSettled(this.connection.peer.maxConcurrentStreams);
    this.owner.sessionFree(this);
  }

  streamOver(): void {
    if (this.closed) return;
    if (this.connection.streams.size === 0) {
      this.idleSinceMs = nowMs();
      if (this.connection.goingAway) return this.connection.drain();
    }
    this.owner.sessionFree(this);
  }

  goneAway(_lastId: number, code: number, reason: string): void {
    this.owner.sessionGoingAway(this, code, reason);
    if (this.streams === 0) this.connection.drain();
  }

  ponged(): void {
    this.doubted = false;
    this.owner.sessionFree(this);
  }

  failed(): void {
    this.close();
  }

  // --- Http2Wire ---

  get pending(): number {
    return this.socket?.writableLength ?? 0;
  }

  send(bytes: Buffer): boolean {
    const { socket } = this;
    if (socket === null || this.closed) return true;
    if (!this.encrypts) {
      socket.write(bytes);
      return socket.writableLength === 0;
    }
    // TLS keeps what it is given until it has encrypted it.
    const copies = bytes.length <= COPY_BYTES_MAX;
    socket.write(copies ? Buffer.from(bytes) : bytes);
    return copies;
  }

  flushLater(): void {
    flushAfterTurn(this);
  }

  flush(): void {
    this.connection.flush();
  }

  pause(): void {
    if (this.closed) return;
    this.socket?.pause();
    this.socket?.write(NOTHING, () => this.connection.drained()); // there is no `drain` for little
  }

  resume(): void {
    this.socket?.resume();
  }

  end(): void {
    this.close();
    this.socket?.destroySoon();
  }

  // --- Socket ---

  private received(buffer: Buffer, bytes: number): void {
    beginTurn();
    try {
      this.connection.receive(buffer, bytes, nowMs());
    } finally {
      endTurn();
    }
  }

  private gone(reason: string): void {
    this.close();
    this.socket?.destroy();
    this.connection.lost(reason);
  }

  private close(): void {
    if (this.closed) return;
    this.closed = true;
    this.owner.sessionClosed(this);
  }
}
