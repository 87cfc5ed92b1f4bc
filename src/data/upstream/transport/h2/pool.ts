// Sessions of one worker to one endpoint, over the own HTTP/2 client: which one takes a call, and who waits. A further session is opened when all that
// are open carry as many streams as they may; a bounded queue when no more may be opened.
import type tls from "node:tls";
import { ERROR_CODE } from "../../../../base/http2/protocol.ts";
import type { TimerWheel } from "../../../../base/timer-wheel.ts";
import type { UpstreamPlan } from "../../../../plan/plan.ts";
import type { Pool, PoolStats, WireCall, WireHandler, WireRequest } from "../../upstream.ts";
import { type Address, ConnectError, createConnector } from "../connector.ts";
import { connectFailure, queueFull } from "../wire-error.ts";
import { type CallOwner, H2Call } from "./call.ts";
import { CallQueue } from "./call-queue.ts";
import { H2Session, PING_PAUSE_MS, type SessionOwner, type SessionSettings } from "./session.ts";

/** How often sessions are looked at, ms: how late one may be closed or pinged. */
const LOOK_MS = 500;
/** The answer to a ping may take as long as a connection, but not less than this (ms). */
const PING_ANSWER_MS_MIN = 1000;
/** The time between pings that nobody ordered is doubled so far. */
const PING_PAUSE_MS_MAX = 600_000;

/** What a pool needs to know of whom it speaks to. */
export type PoolSettings = Pick<UpstreamPlan, "pool" | "connectMaxMs" | "tls" | "timeouts">;

export class H2Pool implements Pool, SessionOwner, CallOwner {
  readonly wheel: TimerWheel;
  pingPauseMs = PING_PAUSE_MS;
  private readonly plan: PoolSettings;
  private readonly endpoint: Address;
  private readonly connect: ReturnType<typeof createConnector>;
  private readonly settings: SessionSettings;
  /** The oldest first: calls keep together, so that they share writes. */
  private readonly sessions: H2Session[] = [];
  private readonly queue = new CallQueue();
  private connecting = 0;
  streamsExpected: number;
  /** The configured time between pings, ms; longer when a service found them too many. 0 for never. */
  private pingMs: number;
  /** The last attempt to connect failed. */
  private unreachable = false;
  private closing = false;
  private sweeper: NodeJS.Timeout | null = null;

  constructor(endpoint: Address, plan: PoolSettings, wheel: TimerWheel) {
    this.wheel = wheel;
    this.plan = plan;
    this.endpoint = endpoint;
    this.connect = createConnector(endpoint, plan, "h2");
    this.streamsExpected = plan.pool.streams;
    this.pingMs = plan.pool.pingMs;
    this.settings = {
      streamsMax: plan.pool.streams,
      https: endpoint.tls,
      authority: endpoint.authority,
      pingAnswerMs: Math.max(PING_ANSWER_MS_MIN, plan.connectMaxMs),
      attemptMs: plan.timeouts.attemptMs,
    };
  }

  get stats(): PoolStats {
    let running = 0;
    for (const session of this.sessions) running += session.streams;
    return { connected: this.sessions.length, running, queued: this.queue.length };
  }

  dispatch(request: WireRequest, handler: WireHandler): WireCall {
    const call = new H2Call(request, handler, this);
    this.place(call);
    return call;
  }

  classify(status: number): "success" | "failure" {
    return status >= 500 ? "failure" : "success";
  }

  close(): void {
    this.closing = true;
    if (this.queue.length === 0) for (const session of this.sessions.slice()) session.drain();
  }

  // --- SessionOwner, CallOwner ---

  sessionSettled(streamsMax: number): void {
    this.streamsExpected = Math.max(1, Math.min(this.plan.pool.streams, streamsMax));
  }

  sessionFree(session: H2Session): void {
    while (this.queue.length > 0 && session.room > 0) {
      const call = this.queue.shift();
      if (call === null) break;
      this.start(session, call);
    }
    if (this.closing && this.queue.length === 0) session.drain();
  }

  sessionGoingAway(session: H2Session, code: number, reason: string): void {
    if (code === ERROR_CODE.enhanceYourCalm && reason.startsWith("too_many_pings")) {
      this.pingPauseMs = Math.min(PING_PAUSE_MS_MAX, 2 * this.pingPauseMs);
      this.pingMs = Math.min(Math.max(PING_PAUSE_MS_MAX, this.plan.pool.pingMs), 2 * this.pingMs);
    }
    if (session.streams === 0) session.drain();
    this.connectMore();
  }

  sessionClosed(session: H2Session): void {
    const index = this.sessions.indexOf(session);
    if (index >= 0) this.sessions.splice(index, 1);
    this.connectMore();
  }

  callGivenUp(): void {
    this.queue.left();
  }

  /** Sessions that are being made are for the first that wait. The others wait for those that are busy, unless nothing comes of the attempts to connect. */
  isInLine(call: H2Call): boolean {
    if (this.connecting === 0) return true;
    return !this.unreachable && !this.queue.isAmong(call, this.connecting * this.streamsExpected);
  }

  requeue(call: H2Call): void {
    this.place(call);
  }

  // --- Inside ---

  private place(call: H2Call): void {
    const session = this.freeSession();
    if (session !== null) return this.start(session, call);
    if (this.roomToConnect() || this.queue.length - this.connecting * this.streamsExpected < this.plan.pool.queue) {
      this.queue.push(call);
      this.connectMore();
    } else setImmediate(() => call.failed({ code: "overloaded", unsent: true, reason: queueFull(this.plan.pool.queue) }));
  }

  private freeSession(): H2Session | null {
    for (const session of this.sessions) if (session.room > 0) return session;
    return null;
  }

  private start(session: H2Session, call: H2Call): void {
    if (session.start(call)) return;
    const reason = "a header, the method or the target has a character that must not be sent";
    setImmediate(() => call.failed({ code: "upstream_invalid", unsent: true, reason }));
  }

  private roomToConnect(): boolean {
    return this.sessions.length + this.connecting < this.plan.pool.connections;
  }

  /** As many sessions on the way as the calls that wait will fill, within the pool's bound. */
  private connectMore(): void {
    while (this.connecting * this.streamsExpected < this.queue.length && this.roomToConnect()) {
      this.connecting++;
      const session = new H2Session(this, this.settings);
      this.connect((error, socket) => {
        this.connecting--;
        const refusal = socket === null ? (error as ConnectError) : this.refusal(socket); // (error, null) or (null, socket)
        this.unreachable = refusal !== null;
        if (refusal !== null || socket === null) {
          socket?.destroy();
          return this.connectFailed(refusal as ConnectError); // there is one
        }
        this.sessions.push(session);
        session.connected(socket, !this.endpoint.tls);
        this.sweeper ??= setInterval(() => this.look(), LOOK_MS).unref();
        this.sessionFree(session);
      }, session.onread);
    }
  }

  /** @returns why this connection is none for HTTP/2 (RFC 9113 section 3.2); null when it is one */
  private refusal(socket: object): ConnectError | null {
    if (!this.endpoint.tls || (socket as tls.TLSSocket).alpnProtocol === "h2") return null; // a connector to a TLS endpoint gives TLS sockets
    const { address, port } = this.endpoint;
    return new ConnectError("tls", `${address}:${port} does not speak HTTP/2: ALPN did not choose h2`);
  }

  /** Those that the session was made for learn of it. */
  private connectFailed(error: ConnectError): void {
    const failure = connectFailure(error);
    for (let i = 0; i < this.streamsExpected; i++) {
      const call = this.queue.shift();
      if (call === null) break;
      call.failed(failure);
    }
    this.connectMore();
  }

  /** Closes what has been idle too long, and looks for what is overdue. */
  private look(): void {
    const now = performance.now();
    for (const session of this.sessions.slice()) {
      if (session.streams === 0 && now - session.idleSinceMs >= this.plan.pool.keepAliveMs) session.drain();
      else session.look(now, this.pingMs);
    }
    if (this.sessions.length > 0 || this.sweeper === null) return;
    clearInterval(this.sweeper);
    this.sweeper = null;
  }
}
