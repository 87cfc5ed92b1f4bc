// Carries a WebSocket: raw bytes both ways between a client's connection, or stream, and an upstream's socket, with backpressure and an idle limit.
// Must never look into payloads. Frame heads are followed: for the message limit, for what no end may send, and to say goodbye between two frames.
import { WheelEntry } from "../../base/timer-wheel.ts";
import type { Exchange, UpgradedUpstream } from "../exchange/exchange.ts";
import { closeFrame, FrameScanner } from "./frame-scanner.ts";

/** When one side has ended, the other gets this long (ms) to end too: a WebSocket says goodbye before it ends its connection. */
const HALF_OPEN_MS_MAX = 5000;

/** Close codes (RFC 6455 section 7.4.1). */
const GOING_AWAY = 1001;
const PROTOCOL_ERROR = 1002;
const POLICY_VIOLATION = 1008;
const TOO_BIG = 1009;

/** The client's end of a tunnel. Whoever owns it calls {@link Tunnel.fromClient} and its neighbours, not before {@link Tunnel.open} and never while a method here runs. */
export interface TunnelClient {
  /** @param kept the bytes stay as they are, whatever happens; else they are lent. @returns false when something waits: clientDrained() follows */
  write(bytes: Uint8Array, kept: boolean): boolean;
  /** Of reading. */
  pause(): void;
  resume(): void;
  /** Nothing more is written; when the client has ended too, clientClosed() follows. */
  end(): void;
  /** At once; clientClosed() follows. */
  destroy(): void;
  readonly closed: boolean;
}

export interface TunnelEnds {
  readonly x: Exchange;
  readonly client: TunnelClient;
  readonly upstream: UpgradedUpstream;
  readonly idleMs: number;
  /** Sends the client what says that the tunnel is open. */
  accept(): void;
  /** Both ends are closed: called once. */
  over(): void;
}

/** One direction. */
interface Way {
  readonly scanner: FrameScanner;
  /** Where it goes to. */
  readonly out: { write(bytes: Uint8Array): void; end(): void };
  /** The close frame that ends this direction as soon as the frame under way is complete. */
  farewell: Buffer | null;
  /** Ended by a farewell: what still comes is dropped. */
  ended: boolean;
  /** Its sender has ended properly. */
  finished: boolean;
}

export class Tunnel extends WheelEntry {
  private readonly ends: TunnelEnds;
  /** From the upstream to the client, and back. */
  private readonly down: Way;
  private readonly up: Way;
  private lastDataMs = 0;
  private limitMs: number;
  private clientIsClosed = false;
  private upstreamIsClosed = false;
  /** One end has left: whether properly or not is known. */
  private left = false;

  constructor(ends: TunnelEnds) {
    super();
    this.ends = ends;
    const { client, upstream } = ends;
    const { webSocketMessageBytes } = ends.x.runtime.limits;
    const way = (out: Way["out"], masked: boolean): Way => ({
      scanner: new FrameScanner(webSocketMessageBytes, masked),
      out,
      farewell: null,
      ended: false,
      finished: false,
    });
    const { socket } = upstream;
    this.down = way({ write: (bytes) => void (client.write(bytes, true) || socket.pause()), end: () => client.end() }, false);
    // What comes from the client is lent.
    const toUpstream = (bytes: Uint8Array): void => void (!socket.writable || socket.write(Buffer.from(bytes)) || client.pause());
    this.up = way({ write: toUpstream, end: () => void (socket.writable && socket.end()) }, true);
    this.limitMs = ends.idleMs;
  }

  /** Accepts, and carries until both ends are closed. @param early what the client has sent behind its request */
  open(early: Buffer | null): void {
    const { client, upstream } = this.ends;
    const { socket } = upstream;
    socket.on("error", ignore); // 'close' follows
    socket.on("drain", () => client.resume());
    socket.on("end", () => this.finished(this.down));
    if (socket.destroyed) this.upstreamClosed();
    else socket.on("close", () => this.upstreamClosed());
    if (socket.destroyed || client.closed) return this.cut();
    this.ends.accept();
    this.lastDataMs = performance.now();
    if (upstream.head.length > 0) this.carry(upstream.head, this.down);
    if (early !== null) this.carry(early, this.up);
    socket.on("data", (chunk: Buffer) => this.carry(chunk, this.down));
    socket.resume();
    this.arm(this.limitMs);
  }

  // --- From the client's connection ---

  /** @param bytes lent */
  fromClient(bytes: Buffer): void {
    this.carry(bytes, this.up);
  }

  clientDrained(): void {
    this.ends.upstream.socket.resume();
  }

  clientEnded(): void {
    this.finished(this.up);
  }

  /** An abrupt end on one side becomes an abrupt end on the other. */
  clientClosed(): void {
    if (this.clientIsClosed) return;
    this.clientIsClosed = true;
    this.leaves(this.up);
    if (!this.up.finished) this.ends.upstream.socket.destroy();
    this.over();
  }

  private upstreamClosed(): void {
    if (this.upstreamIsClosed) return;
    this.upstreamIsClosed = true;
    this.leaves(this.down);
    if (!this.down.finished) this.ends.client.destroy();
    this.over();
  }

  private over(): void {
    if (!this.clientIsClosed || !this.upstreamIsClosed) return;
    const { x } = this.ends;
    x.bytesIn = this.up.scanner.payloadBytes;
    x.bytesOut = this.down.scanner.payloadBytes;
    x.runtime.services.wheel.disarm(this);
    this.ends.over();
  }

  // --- Ends that the gateway makes ---

  /** Closes both ways with code 1001. Idempotent. */
  sayGoodbye(): void {
    this.closeBoth(GOING_AWAY, "the gateway is shutting down");
  }

  /** Closes both ways with code 1008: the client's certificate is not accepted any more. Idempotent. */
  withdraw(): void {
    this.closeBoth(POLICY_VIOLATION, "the client certificate is not accepted any more");
  }

  /** Closes both ways, each behind the frame under way. */
  private closeBoth(code: number, reason: string): void {
    if (this.down.farewell !== null) return;
    this.ends.x.errorDetail = `closed with ${code}: ${reason}`;
    this.down.farewell = closeFrame(code, reason, false);
    this.up.farewell = closeFrame(code, reason, true);
    for (const each of [this.down, this.up]) if (each.scanner.atBoundary) this.end(each);
    this.shorten();
  }

  onDeadline(): void {
    if (this.isOpen && Date.now() >= this.ends.upstream.closeAtMs) return this.closeBoth(POLICY_VIOLATION, "the credential has expired");
    const quietMs = performance.now() - this.lastDataMs;
    if (quietMs < this.limitMs) this.arm(this.limitMs - quietMs);
    else if (this.isOpen) this.closeBoth(GOING_AWAY, "idle for too long");
    else this.cut();
  }

  private carry(chunk: Buffer, each: Way): void {
    if (each.ended) return;
    this.lastDataMs = performance.now();
    const { scanner } = each;
    const passed = scanner.pass(chunk, each.farewell !== null);
    if (passed.length > 0) each.out.write(passed);
    if (scanner.tooBig) this.closeBoth(TOO_BIG, "the message is larger than limits.webSocket.messageBytes");
    else if (scanner.violation !== "") this.closeBoth(PROTOCOL_ERROR, scanner.violation);
    if (each.farewell !== null && scanner.atBoundary) this.end(each);
  }

  private end(each: Way): void {
    if (each.ended) return;
    each.ended = true;
    // What still comes is dropped, up to its end.
    if (each === this.down) this.ends.upstream.socket.resume();
    else this.ends.client.resume();
    if (!each.scanner.closeSeen && each.farewell !== null) each.out.write(each.farewell);
    each.out.end();
  }

  /** A sender has ended properly. */
  private finished(each: Way): void {
    each.finished = true;
    this.leaves(each);
    each.out.end();
    this.shorten();
  }

  private shorten(): void {
    this.limitMs = Math.min(this.limitMs, HALF_OPEN_MS_MAX);
    this.arm(this.limitMs);
  }

  /** The first to leave without a Close frame broke the connection off, unless we asked it to leave. */
  private leaves(each: Way): void {
    if (this.left) return;
    this.left = true;
    if (!each.scanner.closeSeen && each.farewell === null)
      this.ends.x.errorCode ??= each === this.down ? "upstream_aborted" : "client_aborted";
  }

  /** Neither end has left, nor was told to. */
  private get isOpen(): boolean {
    return this.down.farewell === null && !this.left;
  }

  private arm(ms: number): void {
    if (this.clientIsClosed && this.upstreamIsClosed) return;
    const { x, upstream } = this.ends;
    x.runtime.services.wheel.arm(this, this.isOpen ? Math.min(ms, upstream.closeAtMs - Date.now()) : ms);
  }

  private cut(): void {
    this.ends.upstream.socket.destroy();
    this.ends.client.destroy();
  }
}

const ignore = (): void => {};
