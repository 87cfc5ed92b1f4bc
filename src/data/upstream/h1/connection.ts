// One connection to an endpoint, one request at a time: writes the request, feeds the parser, tells the call. Owns the socket.
// What is left of a connection after anything unexpected is never used again.
import type net from "node:net";
import { type TimerWheel, WheelEntry } from "../../../base/timer-wheel.ts";
import { isTlsFault } from "../connector.ts";
import type { ResponseHeaders } from "../response-headers.ts";
import type { WireTrailers } from "../upstream.ts";
import type { H1Call } from "./call.ts";
import { BodyPump, requestHead } from "./request-head.ts";
import { ResponseParser, type ResponseReader } from "./response-parser.ts";

/** One read of a plain TCP socket, bytes. The buffer serves all connections of the thread: what is read is used up before the next read. */
const READ_BYTES = 64 * 1024;
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
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
  /** The response is complete and the connection can carry another request. */
  connectionFree(connection: H1Connection): void;
  /** It is gone; a call it had has been told. */
  connectionClosed(connection: H1Connection): void;
}

export class H1Connection extends WheelEntry implements ResponseReader {
  /** performance.now() ms at which it became idle. */
  idleSinceMs = 0;
  /** How long the server said it keeps idle connections, ms; Infinity when it did not. */
  serverKeepAliveMs = Number.POSITIVE_INFINITY;
  private readonly owner: ConnectionOwner;
  private readonly parser = new ResponseParser(this);
  private socket: net.Socket | null = null;
  private call: H1Call | null = null;
  private pump: BodyPump | null = null;
  private closed = false;
  private paused = false;

  constructor(owner: ConnectionOwner) {
    super();
    this.owner = owner;
  }

  /** For net.connect: reads without a buffer of their own. Not for TLS. */
  readonly onread: net.OnReadOpts = {
    buffer: readBuffer,
    callback: (bytes, buffer) => {
      this.received((buffer as Buffer).subarray(0, bytes)); // it is the Buffer given above
      return true;
    },
  };

  /** @param plain its bytes come through {@link onread} */
  opened(socket: net.Socket, plain: boolean): void {
    this.socket = socket;
    if (!plain) socket.on("data", (chunk: Buffer) => this.received(chunk));
    socket.on("drain", () => this.pump?.drained());
    socket.on("end", () => this.ended());
    socket.on("error", (error: NodeJS.ErrnoException) => this.broken(error));
    socket.on("close", () => this.failed("upstream_reset", "closed before the end of the response"));
  }

  /** @returns false when the request must not be sent as it is; then nothing was */
  start(call: H1Call): boolean {
    const socket = this.socket as net.Socket; // opened() came first
    const head = requestHead(call.request);
    if (head === null) return false;
    this.call = call;
    const { method, body, contentLength } = call.request;
    this.parser.expect(method);
    call.sent(this);
    if (body === null) socket.write(head, "latin1");
    else if (Buffer.isBuffer(body)) {
      socket.cork();
      socket.write(head, "latin1");
      socket.write(body);
      socket.uncork();
    } else {
      socket.write(head, "latin1");
      this.pump = new BodyPump(body, contentLength, { target: socket, onBroken: (reason) => this.failed("upstream_reset", reason) });
    }
    return true;
  }

  pause(): void {
    this.paused = true;
    this.socket?.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
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
    this.socket?.destroy();
    this.owner.connectionClosed(this);
  }

  // --- ResponseReader ---

  head(status: number, headers: ResponseHeaders): void {
    this.call?.head(status, headers);
  }

  body(chunk: Buffer): void {
    this.call?.data(chunk);
  }

  end(trailers: WireTrailers | null): void {
    const { call } = this;
    this.call = null;
    const sentAll = this.pump === null || this.pump.done;
    if (!sentAll) this.pump?.stop();
    this.pump = null;
    this.resume(); // a pause for a slow client must not outlive the response: nobody would end it
    if (this.parser.keepAlive !== "") this.serverKeepAliveMs = keepAliveMs(this.parser.keepAlive);
    if (!this.parser.reusable || !sentAll) this.destroy();
    else if (call?.request.method === "HEAD") this.owner.wheel.arm(this, REST_AFTER_HEAD_MS);
    else this.owner.connectionFree(this);
    call?.end(trailers);
  }

  /** Rested: nothing came. */
  onDeadline(): void {
    if (!this.closed) this.owner.connectionFree(this);
  }

  // --- Socket ---

  private received(bytes: Buffer): void {
    if (this.closed) return;
    const fault = this.parser.push(bytes);
    if (fault !== "") this.failed("upstream_invalid", fault);
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
