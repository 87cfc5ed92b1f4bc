// Our HTTP/2 connection over a real socket, as client or server, for tests: streams that collect what comes, with readers that may be paused.
import type { Socket } from "node:net";
import { type Http2Bounds, Http2Connection, type Http2Host } from "../../src/base/http2/connection.ts";
import type { Http2Wire } from "../../src/base/http2/frame-writer.ts";
import type { HeaderSection } from "../../src/base/http2/header-section.ts";
import { STATIC_NAMES } from "../../src/base/http2/hpack-fields.ts";
import { Http2Stream, type StreamReset } from "../../src/base/http2/stream.ts";
import { flushAfterTurn } from "../../src/base/http2/turn-flush.ts";

export const BOUNDS: Http2Bounds = {
  headerBytesMax: 16 * 1024,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 256 * 1024,
  heldBytesMax: 1024 * 1024,
  peerStreamsMax: 100,
  resetsBurst: 200,
  resetsPerSecond: 20,
  controlFramesBurst: 500,
  controlFramesPerSecond: 50,
  extendedConnect: false,
};

/** A wire over a socket. */
export class SocketWire implements Http2Wire {
  readonly socket: Socket;
  connection: Http2Connection | null = null;
  /** How often reading was paused. */
  paused = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.connection?.receive(chunk, chunk.length, performance.now()));
    socket.on("drain", () => this.connection?.drained());
    socket.on("error", () => {});
    socket.on("close", () => this.connection?.lost("closed"));
  }

  get pending(): number {
    return this.socket.writableLength;
  }

  send(bytes: Buffer): boolean {
    this.socket.write(bytes);
    return this.socket.writableLength === 0;
  }

  flushLater(): void {
    flushAfterTurn({ flush: () => this.connection?.flush() });
  }

  pause(): void {
    this.paused++;
    this.socket.pause();
    this.socket.write(Buffer.alloc(0), () => this.connection?.drained()); // there is no `drain` for little
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    this.socket.end();
  }
}

/** A stream that keeps what comes. */
export class CollectingStream extends Http2Stream {
  head: HeaderSection | null = null;
  readonly informational: number[] = [];
  readonly chunks: Buffer[] = [];
  trailers: HeaderSection | null = null;
  readonly reset$ = Promise.withResolvers<StreamReset>();
  readonly head$ = Promise.withResolvers<HeaderSection>();
  /** Resolves when it is over either way; null: with its end. */
  readonly over$ = Promise.withResolvers<StreamReset | null>();
  bodyBytes = 0;
  onChunk: ((chunk: Buffer) => void) | null = null;
  drained: (() => void) | null = null;

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  override onHead(section: HeaderSection): void {
    if (section.status > 0 && section.status < 200) {
      this.informational.push(section.status);
      return;
    }
    this.head = section;
    this.head$.resolve(section);
  }

  override onData(chunk: Buffer): void {
    this.bodyBytes += chunk.length;
    this.chunks.push(Buffer.from(chunk));
    this.onChunk?.(chunk);
  }

  override onEnd(trailers: HeaderSection | null): void {
    this.trailers = trailers;
    this.over$.resolve(null);
  }

  override onReset(reset: StreamReset): void {
    this.reset$.resolve(reset);
    this.over$.resolve(reset);
  }

  override onDrained(): void {
    const { drained } = this;
    this.drained = null;
    drained?.();
  }

  /** Sends all of it, in pieces of this size, as fast as it is taken. */
  async sendAll(body: Buffer, pieceBytes: number): Promise<void> {
    for (let at = 0; at < body.length && !this.closed; at += pieceBytes) {
      const drained = Promise.withResolvers<void>();
      this.drained = drained.resolve;
      if (!this.write(Buffer.from(body.subarray(at, at + pieceBytes)), true)) await Promise.race([drained.promise, this.over$.promise]);
    }
  }
}

export const HOST: Http2Host = {
  opened: () => null,
  settled() {},
  streamOver() {},
  goneAway() {},
  ponged() {},
  failed() {},
};

/** A client's connection on a socket. */
export function clientOn(socket: Socket, host: Partial<Http2Host> = {}, bounds: Partial<Http2Bounds> = {}): Http2Connection {
  const wire = new SocketWire(socket);
  const connection = new Http2Connection({ ...HOST, ...host }, wire, {
    isServer: false,
    bounds: { ...BOUNDS, peerStreamsMax: 0, ...bounds },
  });
  wire.connection = connection;
  connection.start(performance.now());
  return connection;
}

export interface Request {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: readonly string[];
  /** false: content follows. */
  readonly ended?: boolean;
}

const NAMED = (name: string): number => STATIC_NAMES.get(name) as number;

export function openRequest(connection: Http2Connection, request: Request = {}): CollectingStream {
  const { method = "GET", path = "/", headers = [], ended = true } = request;
  const head = connection.head();
  head.named(NAMED(":method"), method);
  head.named(NAMED(":scheme"), "http");
  head.named(NAMED(":authority"), "a.example");
  head.named(NAMED(":path"), path);
  for (let i = 0; i < headers.length; i += 2) head.field(headers[i] as string, headers[i + 1] as string);
  const stream = new CollectingStream();
  connection.open(stream, ended);
  return stream;
}

const wires = new WeakMap<Http2Connection, SocketWire>();

/** The wire of a server's connection. */
export const wireOf = (connection: Http2Connection): SocketWire => wires.get(connection) as SocketWire;

/** A server's connection on a socket. @param handle is called when a request's head has come */
export function serverOn(
  socket: Socket,
  handle: (stream: CollectingStream, connection: Http2Connection) => void,
  bounds: Partial<Http2Bounds> = {},
): Http2Connection {
  const wire = new SocketWire(socket);
  const opened = (): CollectingStream => {
    const stream = new CollectingStream();
    void stream.head$.promise.then(() => handle(stream, connection));
    return stream;
  };
  const connection = new Http2Connection({ ...HOST, opened }, wire, { isServer: true, bounds: { ...BOUNDS, ...bounds } });
  wire.connection = connection;
  wires.set(connection, wire);
  connection.start(performance.now());
  return connection;
}

export function respond(
  connection: Http2Connection,
  stream: CollectingStream,
  status: number,
  headers: readonly string[],
  ended: boolean,
): void {
  const head = connection.head();
  head.named(NAMED(":status"), String(status));
  for (let i = 0; i < headers.length; i += 2) head.field(headers[i] as string, headers[i + 1] as string);
  connection.respond(stream, ended);
}
