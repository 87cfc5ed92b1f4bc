// The client's side of a proxied WebSocket on the uws engine: messages in and out of uWebSockets.js, with bounded buffers.
// Must never use a closed socket: that throws into native code.
//
// What this engine's parser decides before any of this runs: a client that breaks the protocol is cut without a Close frame, pings are
// answered here (and passed on, so that the upstream sees life), the close codes 1012 to 1014 and 3000 to 3999 of a client are lost
// (the upstream sees a Close without a code). The net engine (`engine: net` on the listener) passes frames on as they are.
import type { HttpResponse, us_socket_context_t, WebSocket, WebSocketBehavior } from "uWebSockets.js";
import { removeHeader } from "../../../base/header-list.ts";
import { WheelEntry } from "../../../base/timer-wheel.ts";
import type { LimitsPlan } from "../../../plan/limits-plan.ts";
import type { Exchange, UpgradedUpstream } from "../../exchange/exchange.ts";
import { type LinkOwner, NO_CLOSE_CODE, WebSocketLink } from "../../upstream/websocket/link.ts";

/** Bytes waiting for a slow client at which the upstream is paused (or limits.webSocketBufferBytes if that is less). */
const PAUSE_BYTES_MAX = 256 * 1024;
/** One read of the upstream's socket: what may still arrive after a pause. */
const READ_BYTES_MAX = 64 * 1024;
/** The engine cuts without a word what exceeds its limit; up to this much more than ours is let through to be refused with 1009. */
const TOO_BIG_SLACK_BYTES_MAX = 1024 * 1024;
const UINT32_MAX = 0xffff_ffff;
/** A client with something still to read when its WebSocket ends must read on: after this long (ms) without progress it is cut. */
const FAREWELL_QUIET_MS_MAX = 5000;

const GOING_AWAY = 1001;
const POLICY_VIOLATION = 1008;
const TOO_BIG = 1009;
const TRY_LATER = 1013;
/** IANA WebSocket Close Code registry: the upstream's answer made no sense. */
const BAD_GATEWAY = 1014;
/** RFC 6455 section 7.4.1: in events "no Close frame came"; never on the wire. */
const ABRUPT = 1006;

/** Why the engine closed a client, in its words, and what the upstream is told. An abrupt end stays one. */
const ENGINE_REASONS: ReadonlyMap<string, number> = new Map([
  ["Received too big message", TOO_BIG],
  ["Received invalid UTF-8", 1007],
  ["Received invalid WebSocket frame", 1002],
  ["Received invalid close payload", NO_CLOSE_CODE],
  ["WebSocket timed out from inactivity", GOING_AWAY],
]);

/** A request of this engine that may become a WebSocket. */
export interface UpgradableExchange extends Exchange {
  /** null when the client does not ask for a WebSocket. */
  readonly upgradeContext: us_socket_context_t | null;
  /** Hands the connection over to a WebSocket: nothing of the exchange's response may be used afterwards. */
  takeForUpgrade(): HttpResponse;
}

interface UserData {
  readonly relay: UwsWebSocket;
}

/** Told which WebSockets a listener has. */
export interface WebSocketWatcher {
  webSocketOpened(one: UwsWebSocket): void;
  webSocketClosed(one: UwsWebSocket): void;
}

/** The handlers of a listener's WebSockets; `upgrade` is the listener's own. */
export function webSocketBehavior(limits: LimitsPlan, watcher: WebSocketWatcher): WebSocketBehavior<UserData> {
  const { webSocketMessageBytes: messageBytes } = limits;
  return {
    maxPayloadLength: Math.min(messageBytes + Math.min(messageBytes, TOO_BIG_SLACK_BYTES_MAX), UINT32_MAX),
    maxBackpressure: Math.min(pauseBytesOf(limits) + messageBytes + 2 * READ_BYTES_MAX, UINT32_MAX),
    closeOnBackpressureLimit: true,
    // The relay has an idle limit of its own: the engine's does not count what is sent, so it would cut clients that only listen.
    idleTimeout: 0,
    sendPingsAutomatically: false,
    open: (ws) => {
      const { relay } = ws.getUserData();
      watcher.webSocketOpened(relay);
      relay.guarded(() => relay.clientOpened(ws));
    },
    message: (ws, message, isBinary) => {
      const { relay } = ws.getUserData();
      relay.guarded(() => relay.clientMessage(Buffer.from(message), isBinary));
    },
    ping: (ws, message) => {
      const { relay } = ws.getUserData();
      relay.guarded(() => relay.clientPing(Buffer.from(message)));
    },
    pong: (ws, message) => {
      const { relay } = ws.getUserData();
      relay.guarded(() => relay.clientPong(Buffer.from(message)));
    },
    drain: (ws) => {
      const { relay } = ws.getUserData();
      relay.guarded(() => relay.clientDrained());
    },
    close: (ws, code, message) => {
      const { relay } = ws.getUserData();
      watcher.webSocketClosed(relay);
      relay.guarded(() => relay.clientClosed(code, Buffer.from(message)));
    },
  };
}

const pauseBytesOf = (limits: LimitsPlan): number => Math.min(limits.webSocketBufferBytes, PAUSE_BYTES_MAX);

/** Completes the upgrade and carries messages until both sides are closed; then the exchange is told. */
export function acceptUwsWebSocket(x: UpgradableExchange, upstream: UpgradedUpstream): void {
  const context = x.upgradeContext;
  if (x.closed || context === null) {
    upstream.socket.destroy();
    return x.abort();
  }
  const relay = new UwsWebSocket(x, upstream);
  const key = x.header("sec-websocket-key") ?? "";
  const res = x.takeForUpgrade();
  const { headers, protocol } = upstream;
  removeHeader(headers, "date"); // this engine writes its own
  res.cork(() => {
    res.writeStatus("101 Switching Protocols");
    // Strings would go out as UTF-8; bytes above 0x7f must go out as they came in.
    for (let i = 0; i + 1 < headers.length; i += 2) res.writeHeader(headers[i] as string, Buffer.from(headers[i + 1] as string, "latin1")); // pairs
  });
  // Not inside cork(): when the upgraded socket stays at the same address in memory, the end of cork() takes it for an HTTP response and,
  // depending on what lies there, closes it.
  res.upgrade<UserData>({ relay }, key, protocol, "", context);
}

/** One proxied WebSocket. Pairs a uWebSockets.js socket with the link to its upstream. */
export class UwsWebSocket extends WheelEntry implements LinkOwner {
  private readonly x: UpgradableExchange;
  private readonly head: Buffer;
  private readonly link: WebSocketLink;
  private readonly limits: LimitsPlan;
  private readonly pauseBytes: number;
  /** {@link UpgradedUpstream.closeAtMs} */
  private readonly closeAtMs: number;
  /** null before it is open and once it is closed. */
  private client: WebSocket<UserData> | null = null;
  private lastActivityMs = performance.now();
  private paused = false;
  /** Said to the client once it has read what is buffered. */
  private farewell: { readonly code: number; readonly reason: Buffer } | null = null;
  private clientGone = false;
  private linkIsGone = false;

  constructor(x: UpgradableExchange, upstream: UpgradedUpstream) {
    super();
    this.x = x;
    this.head = upstream.head;
    this.closeAtMs = upstream.closeAtMs;
    this.limits = x.runtime.limits;
    this.pauseBytes = pauseBytesOf(this.limits);
    const { wheel } = x.runtime.services;
    this.link = new WebSocketLink(upstream.socket, this, {
      wheel,
      frames: upstream.frames,
      messageBytesMax: this.limits.webSocketMessageBytes,
    });
  }

  /** The gateway ends: both sides are told 1001. Idempotent. */
  goAway(): void {
    this.endBoth(GOING_AWAY, "the gateway is shutting down");
  }

  // --- From the client ---

  clientOpened(ws: WebSocket<UserData>): void {
    this.client = ws;
    this.watch(this.limits.webSocketIdleTimeoutMs);
    this.link.start(this.head);
  }

  /** @param data dies when this returns */
  clientMessage(data: Buffer, isBinary: boolean): void {
    this.touch();
    this.x.bytesIn += data.length;
    if (data.length > this.limits.webSocketMessageBytes)
      return this.endBoth(TOO_BIG, `message larger than ${this.limits.webSocketMessageBytes} bytes`);
    if (this.mayQueue()) this.link.message(data, isBinary);
  }

  clientPing(data: Buffer): void {
    this.touch();
    if (this.mayQueue()) this.link.ping(data);
  }

  clientPong(data: Buffer): void {
    this.touch();
    if (this.mayQueue()) this.link.pong(data);
  }

  /** This engine cannot stop reading: a client that outruns its upstream beyond the bound is closed. */
  private mayQueue(): boolean {
    if (this.link.bufferedBytes <= this.limits.webSocketBufferBytes) return true;
    this.endBoth(TRY_LATER, "the upstream reads too slowly");
    return false;
  }

  clientDrained(): void {
    this.touch();
    const buffered = this.client?.getBufferedAmount() ?? 0;
    if (this.farewell !== null && buffered === 0) return this.sayFarewell(this.farewell);
    if (!this.paused || buffered > this.pauseBytes / 2) return;
    this.paused = false;
    this.link.resume();
  }

  clientClosed(code: number, reason: Buffer): void {
    const byClient = this.client !== null;
    this.client = null;
    this.clientGone = true;
    if (byClient) this.passOnClose(code, reason);
    this.settle();
  }

  private passOnClose(code: number, reason: Buffer): void {
    if (code !== ABRUPT) return this.link.close(code, reason);
    const told = ENGINE_REASONS.get(reason.toString("latin1"));
    if (told !== undefined) {
      this.x.errorDetail = reason.toString("latin1");
      return this.link.close(told, NO_REASON);
    }
    if (this.link.open) this.x.errorCode ??= "client_aborted";
    this.link.destroy();
  }

  // --- From the upstream ---

  linkMessage(data: Buffer, isBinary: boolean): void {
    this.touch();
    this.x.bytesOut += data.length;
    this.toClient((client) => client.send(data, isBinary, false));
  }

  linkPing(data: Buffer): void {
    this.touch();
    this.toClient((client) => client.ping(data));
  }

  private toClient(send: (client: WebSocket<UserData>) => number): void {
    const { client } = this;
    if (client === null) return;
    if (send(client) === SEND_DROPPED) return this.endBoth(TRY_LATER, "the client reads too slowly"); // the pause below was meant to prevent it
    if (this.paused || this.client === null || client.getBufferedAmount() <= this.pauseBytes) return;
    this.paused = true;
    this.link.pause();
  }

  linkClosing(code: number, reason: Buffer): void {
    this.endClient(code, reason);
  }

  linkViolated(code: number, reason: string): void {
    this.x.errorDetail = `the upstream broke the protocol: ${reason}`;
    this.endClient(code === TOO_BIG ? TOO_BIG : BAD_GATEWAY, NO_REASON);
  }

  linkGone(): void {
    this.linkIsGone = true;
    if (this.client !== null && this.farewell === null) {
      this.x.errorCode ??= "upstream_aborted";
      this.cutClient(); // abrupt on one side, abrupt on the other
    }
    this.settle();
  }

  // --- Ends ---

  onDeadline(): void {
    if (this.farewell === null && Date.now() >= this.closeAtMs)
      return this.guarded(() => this.endBoth(POLICY_VIOLATION, "the credential has expired"));
    const idleMs = this.limits.webSocketIdleTimeoutMs;
    const limitMs = this.farewell === null ? idleMs : Math.min(idleMs, FAREWELL_QUIET_MS_MAX);
    const quietMs = performance.now() - this.lastActivityMs;
    if (quietMs < limitMs) this.watch(limitMs - quietMs);
    else if (this.farewell === null) this.guarded(() => this.endBoth(GOING_AWAY, "idle for too long"));
    else this.guarded(() => this.cutClient());
  }

  /** Runs what the engine calls: nothing may be thrown into native code. */
  guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.x.runtime.services.reportFault("carrying a WebSocket failed", error, this.x.requestId);
      this.link.destroy();
    }
  }

  /** Looks again when it has been quiet for so long, or the credential ends. */
  private watch(quietMs: number): void {
    this.x.runtime.services.wheel.arm(this, this.farewell === null ? Math.min(quietMs, this.closeAtMs - Date.now()) : quietMs);
  }

  private touch(): void {
    this.lastActivityMs = performance.now();
  }

  private endBoth(code: number, reason: string): void {
    if (this.client === null || this.farewell !== null) return;
    this.x.errorDetail = `closed with ${code}: ${reason}`;
    this.link.close(code, Buffer.from(reason));
    this.endClient(code, Buffer.from(reason));
  }

  private endClient(code: number, reason: Buffer): void {
    const { client } = this;
    if (client === null || this.farewell !== null) return;
    this.farewell = { code, reason };
    if (client.getBufferedAmount() === 0) return this.sayFarewell(this.farewell);
    // The engine's end() would throw away what is buffered, the Close frame with it.
    this.touch();
    this.x.runtime.services.wheel.arm(this, FAREWELL_QUIET_MS_MAX);
  }

  /** The engine calls the close handler at once, and bounds how long the client may take to close its side. */
  private sayFarewell({ code, reason }: { readonly code: number; readonly reason: Buffer }): void {
    const { client } = this;
    this.client = null;
    if (code === NO_CLOSE_CODE) client?.end();
    else client?.end(code, reason);
  }

  private cutClient(): void {
    const { client } = this;
    this.client = null;
    client?.close();
  }

  private settle(): void {
    if (!this.clientGone || !this.linkIsGone) return;
    this.x.runtime.services.wheel.disarm(this);
    this.x.events?.clientCompleted(this.x);
  }
}

/** uWebSockets.js: the message was dropped because of maxBackpressure. */
const SEND_DROPPED = 2;
const NO_REASON = Buffer.alloc(0);
