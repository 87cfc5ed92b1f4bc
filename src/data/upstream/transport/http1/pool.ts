// Keep-alive connections of one worker to one endpoint, over the own HTTP/1.1 client: who gets which connection, who waits.
// One request at a time on a connection, or those of one turn of the event loop together when `pipelining` allows it (pipelining-policy.ts);
// the most recently used idle connection first; a bounded queue when all are taken.
import type { TimerWheel } from "../../../../base/timer-wheel.ts";
import { nowMs } from "../../../../base/turn-clock.ts";
import type { UpstreamPlan } from "../../../../plan/plan.ts";
import type { Pool, PoolStats, WireCall, WireError, WireHandler, WireRequest } from "../../upstream.ts";
import { type Address, type ConnectError, createConnector } from "../connector.ts";
import { connectFailure, queueFull } from "../wire-error.ts";
import { type CallOwner, H1Call } from "./call.ts";
import { type ConnectionOwner, H1Connection } from "./connection.ts";
import { FieldPlaces } from "./field-names.ts";
import { PipeliningPolicy } from "./pipelining-policy.ts";

/** How often idle connections are looked at, ms: how late one may be closed. */
const SWEEP_MS = 500;

/** What a pool needs to know of whom it speaks to. */
export type PoolSettings = Pick<UpstreamPlan, "pool" | "connectMaxMs" | "tls">;

export class H1Pool implements Pool, ConnectionOwner, CallOwner {
  readonly wheel: TimerWheel;
  readonly places = new FieldPlaces();
  private readonly plan: PoolSettings;
  private readonly plain: boolean;
  private readonly connect: ReturnType<typeof createConnector>;
  /** Oldest first. */
  private readonly idle: H1Connection[] = [];
  /** Waiting for a connection, those given up included until their turn comes. */
  private readonly queue: H1Call[] = [];
  private queueHead = 0;
  private readonly sharing: PipeliningPolicy;
  /** Calls of this turn of the event loop that may share connections. */
  private turn: H1Call[] = [];
  /** Waiting and still wanted. */
  private waiting = 0;
  private open = 0;
  private connecting = 0;
  /** The last attempt to connect failed. */
  private unreachable = false;
  private closing = false;
  private sweeper: NodeJS.Timeout | null = null;

  constructor(endpoint: Address, plan: PoolSettings, wheel: TimerWheel) {
    this.wheel = wheel;
    this.plan = plan;
    this.sharing = new PipeliningPolicy(plan.pool.pipelining);
    this.plain = !endpoint.tls;
    this.connect = createConnector(endpoint, plan);
  }

  get stats(): PoolStats {
    return { connected: this.open, running: this.open - this.idle.length, queued: this.waiting };
  }

  dispatch(request: WireRequest, handler: WireHandler): WireCall {
    const call = new H1Call(request, handler, this);
    if (this.sharing.most > 1 && this.mayShare(call)) this.gather(call);
    else this.place(call);
    return call;
  }

  classify(status: number): "success" | "failure" {
    return status >= 500 ? "failure" : "success";
  }

  close(): void {
    this.closing = true;
    for (const connection of this.idle.splice(0)) connection.destroy();
  }

  // --- ConnectionOwner, CallOwner ---

  connectionFree(connection: H1Connection): void {
    if (connection.closed) return;
    const next = this.nextWaiting();
    if (next !== null)
      return connection.keepAliveConfirmed && this.mayShare(next) ? this.startTogether(connection, next) : this.start(connection, next);
    if (this.closing) return connection.destroy();
    connection.idleSinceMs = nowMs();
    this.idle.push(connection);
    this.sweeper ??= setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  connectionClosed(connection: H1Connection): void {
    this.open--;
    const index = this.idle.lastIndexOf(connection);
    if (index >= 0) this.idle.splice(index, 1);
    this.connectMore();
  }

  callGivenUp(): void {
    this.waiting--;
  }

  /**
   * Each of the first that wait has a connection being made for it. The others wait for those that are busy, unless nothing comes of the
   * attempts to connect: then whoever waits, waits for the endpoint.
   */
  isInLine(call: H1Call): boolean {
    if (this.connecting === 0) return true;
    if (this.unreachable) return false;
    let ahead = 0;
    for (let i = this.queueHead; i < this.queue.length && ahead < this.connecting; i++) {
      const each = this.queue[i] as H1Call; // the index is in range
      if (each === call) return false;
      if (each.queued) ahead++;
    }
    return true;
  }

  requeue(calls: readonly H1Call[]): void {
    for (const call of calls) if (call.again()) this.place(call);
  }

  headOfLineBlocked(): void {
    this.sharing.stalled(performance.now());
  }

  responseDesync(): void {
    this.sharing.end();
  }

  // --- Inside ---

  /** Gives it a connection, or a place in the queue. */
  private place(call: H1Call): void {
    const connection = this.idle.pop();
    if (connection !== undefined) this.start(connection, call);
    else if (this.roomToConnect() || this.waiting - this.connecting < this.plan.pool.queue) {
      call.queued = true;
      this.queue.push(call);
      this.waiting++;
      this.connectMore();
    } else setImmediate(() => call.failed({ code: "overloaded", unsent: true, reason: queueFull(this.plan.pool.queue) }));
  }

  // --- Inside: several requests on a connection ---

  private mayShare(call: H1Call): boolean {
    return !call.alone && this.sharing.allows(call.request, nowMs());
  }

  /** What the clients sent meanwhile is dispatched in the same turn: it can go out in the same write. */
  private gather(call: H1Call): void {
    if (this.turn.push(call) === 1) setImmediate(() => this.sendGathered());
  }

  private sendGathered(): void {
    const calls = this.turn;
    this.turn = [];
    for (let at = 0; at < calls.length; ) {
      const connection = this.idle.pop();
      if (connection === undefined) return this.placeAll(calls, at);
      const end = at + this.sharing.batchSize(calls.length - at);
      this.startAll(connection, calls.slice(at, end));
      at = end;
    }
  }

  private placeAll(calls: readonly H1Call[], from: number): void {
    for (let i = from; i < calls.length; i++) {
      const call = calls[i] as H1Call; // in range
      if (!call.over) this.place(call);
    }
  }

  /** With `first` those that wait next and may share. */
  private startTogether(connection: H1Connection, first: H1Call): void {
    const calls = [first];
    while (calls.length < this.sharing.most) {
      const next = this.firstWaiting();
      if (next === null || !this.mayShare(next)) break;
      this.nextWaiting();
      calls.push(next);
    }
    this.startAll(connection, calls);
  }

  private startAll(connection: H1Connection, calls: readonly H1Call[]): void {
    const wanted = calls.filter((call) => !call.over);
    const unsendable = connection.startAll(wanted);
    for (const call of unsendable) this.unsendable(call);
    if (unsendable.length === wanted.length) setImmediate(() => this.connectionFree(connection));
  }

  private roomToConnect(): boolean {
    return this.open + this.connecting < this.plan.pool.connections;
  }

  /** As many connections on the way as there are calls waiting, within the pool's bound. */
  private connectMore(): void {
    while (this.connecting < this.waiting && this.roomToConnect()) {
      this.connecting++;
      const connection = new H1Connection(this);
      this.connect((error, socket) => {
        this.connecting--;
        this.unreachable = socket === null;
        if (socket === null) return this.connectFailed(error as ConnectError); // (error, null) or (null, socket)
        this.open++;
        connection.opened(socket, this.plain);
        this.connectionFree(connection);
      }, connection.onread);
    }
  }

  /** One waiting call learns of it: each that waits has caused an attempt to connect, or will. */
  private connectFailed(error: ConnectError): void {
    const failure: WireError = connectFailure(error);
    this.nextWaiting()?.failed(failure);
    this.connectMore();
  }

  private start(connection: H1Connection, call: H1Call): void {
    if (connection.start(call)) return;
    this.unsendable(call);
    setImmediate(() => this.connectionFree(connection));
  }

  private unsendable(call: H1Call): void {
    const reason = "a header, the method or the target has a character that must not be sent";
    setImmediate(() => call.failed({ code: "upstream_invalid", unsent: true, reason }));
  }

  private nextWaiting(): H1Call | null {
    const call = this.firstWaiting();
    if (call === null) return null;
    this.queueHead++;
    call.queued = false;
    this.waiting--;
    return call;
  }

  /** Stays in the queue. */
  private firstWaiting(): H1Call | null {
    for (; this.queueHead < this.queue.length; this.queueHead++) {
      if (this.queueHead > 64 && this.queueHead * 2 > this.queue.length) {
        this.queue.splice(0, this.queueHead); // amortised O(1)
        this.queueHead = 0;
      }
      const call = this.queue[this.queueHead] as H1Call; // the index is in range
      if (call.queued) return call;
    }
    if (this.queue.length > 0) this.queue.length = 0; // a call into V8's runtime, also where there is nothing to do
    this.queueHead = 0;
    return null;
  }

  /** Closes what has been idle too long, by our time or the server's. */
  private sweep(): void {
    const now = performance.now();
    for (const connection of this.idle.slice()) {
      if (now - connection.idleSinceMs >= Math.min(this.plan.pool.keepAliveMs, connection.serverKeepAliveMs)) connection.destroy();
    }
    if (this.idle.length > 0 || this.sweeper === null) return;
    clearInterval(this.sweeper);
    this.sweeper = null;
  }
}
