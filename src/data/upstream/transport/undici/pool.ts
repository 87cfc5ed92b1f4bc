// Keep-alive connections from one worker to one endpoint: undici Clients with a bounded queue in front.
// The only importer of undici on the data plane. Own pool because undici's Pool wedges on a request that fails
// validation and queues without bound; a Client recovers.
import type { Dispatcher, Client as UndiciClient } from "undici";
import Client from "undici/lib/dispatcher/client.js";
import { type TimerWheel, WheelEntry } from "../../../../base/timer-wheel.ts";
import type { EndpointPlan, UpstreamPlan } from "../../../../plan/plan.ts";
import type { Pool, PoolStats, WireCall, WireError, WireHandler, WireRequest } from "../../upstream.ts";
import { ConnectError, type Connector, createConnector, isTlsFault } from "../connector.ts";
import { DISCARD_BYTES_MAX, DISCARD_MS_MAX } from "../http1/call.ts";
import { RESPONSE_HEAD_BYTES_MAX } from "../http1/response-parser.ts";
import { copyResponseHeaders } from "../response-headers.ts";
import { connectFailure, queueFull } from "../wire-error.ts";

/** Cancelled calls that stay in the queue until their turn comes; also as many as there are live ones. */
const DEAD_IN_QUEUE_MAX = 64;

interface Lane {
  readonly client: UndiciClient;
  running: number;
  connected: boolean;
}

export class UndiciPool implements Pool {
  readonly plan: UpstreamPlan;
  /** @internal */
  readonly wheel: TimerWheel;
  private readonly origin: string;
  private readonly connect: Connector;
  private readonly lanes: Lane[] = [];
  /** Lanes with room, most recently used last: warm connections first. */
  private readonly free: Lane[] = [];
  private readonly queue: UndiciCall[] = [];
  private queueHead = 0;
  /** Calls in the queue that were not cancelled: what pool.queue bounds. */
  private waiting = 0;
  private running = 0;
  private connected = 0;
  /** The last attempt to connect failed. */
  private unreachable = false;
  private closing = false;

  constructor(endpoint: EndpointPlan, plan: UpstreamPlan, wheel: TimerWheel) {
    this.plan = plan;
    this.wheel = wheel;
    this.origin = `${endpoint.tls ? "https" : "http"}://${endpoint.authority}`;
    this.connect = createConnector(endpoint, plan);
  }

  get stats(): PoolStats {
    return { connected: this.connected, running: this.running, queued: this.waiting };
  }

  dispatch(request: WireRequest, handler: WireHandler): WireCall {
    const call = new UndiciCall(this, request, handler);
    const lane = this.freeLane();
    if (lane !== null) this.launch(call, lane);
    else if (this.waiting < this.plan.pool.queue) this.enqueue(call);
    else setImmediate(() => call.fail({ code: "overloaded", unsent: true, reason: queueFull(this.plan.pool.queue) }));
    return call;
  }

  classify(status: number): "success" | "failure" {
    return status >= 500 ? "failure" : "success";
  }

  close(): void {
    this.closing = true;
    if (this.running === 0) for (const lane of this.lanes) lane.client.close().catch(ignore);
  }

  /** @internal A call is over: its lane serves the next one. */
  release(lane: Lane): void {
    this.running--;
    if (lane.running-- === this.plan.pool.pipelining) this.free.push(lane);
    while (this.queueHead < this.queue.length) {
      const next = this.queue[this.queueHead];
      const free = next?.queued === true ? this.freeLane() : null;
      if (next?.queued === true && free === null) return;
      this.queueHead++;
      this.compactQueue();
      if (next === undefined || free === null) continue;
      next.queued = false;
      this.waiting--;
      this.launch(next, free);
      return;
    }
    this.queue.length = 0;
    this.queueHead = 0;
    if (this.closing && this.running === 0) for (const each of this.lanes) each.client.close().catch(ignore);
  }

  /** @internal See {@link WireCall.inLine}. @param lane null: the call waits for one */
  isInLine(lane: Lane | null): boolean {
    return lane === null ? this.connected > 0 && !this.unreachable : lane.connected;
  }

  /** @internal A queued call was cancelled: its place is free for another one at once. */
  withdrawn(): void {
    this.waiting--;
    const dead = this.queue.length - this.queueHead - this.waiting;
    if (dead <= DEAD_IN_QUEUE_MAX || dead <= this.waiting) return;
    const live = this.queue.filter((call) => call.queued);
    this.queue.length = this.queueHead = 0;
    for (const call of live) this.queue.push(call);
  }

  private enqueue(call: UndiciCall): void {
    call.queued = true;
    this.waiting++;
    this.queue.push(call);
  }

  private launch(call: UndiciCall, lane: Lane): void {
    this.running++;
    if (++lane.running === this.plan.pool.pipelining) this.free.pop(); // freeLane() returned the last one
    call.launch(lane);
  }

  /** Drops served entries from the front now and then: amortised O(1). */
  private compactQueue(): void {
    if (this.queueHead <= 64 || this.queueHead * 2 <= this.queue.length) return;
    this.queue.splice(0, this.queueHead);
    this.queueHead = 0;
  }

  /** @returns a lane with room, at the end of `free`; null when all are taken. Idle connections first, then new ones, then pipelining. */
  private freeLane(): Lane | null {
    const { free } = this;
    const last = free[free.length - 1];
    if (last !== undefined && last.running === 0) return last;
    const idle = last === undefined ? -1 : free.findLastIndex((lane) => lane.running === 0); // only with pipelining > 1
    if (idle >= 0) {
      const [lane] = free.splice(idle, 1);
      if (lane !== undefined) free.push(lane);
      return lane ?? null;
    }
    if (this.lanes.length >= this.plan.pool.connections) return last ?? null;
    const fresh = this.openLane();
    this.lanes.push(fresh);
    free.push(fresh);
    return fresh;
  }

  private openLane(): Lane {
    const client = new Client(this.origin, {
      pipelining: this.plan.pool.pipelining,
      keepAliveTimeout: this.plan.pool.keepAliveMs,
      keepAliveMaxTimeout: this.plan.pool.keepAliveMs,
      keepAliveTimeoutThreshold: 1000,
      maxHeaderSize: RESPONSE_HEAD_BYTES_MAX,
      headersTimeout: 0, // the exchange has its own deadlines on the timer wheel
      bodyTimeout: 0,
      allowH2: false,
      // undici's types want a union the implementation does not need: (error, null) or (null, socket)
      connect: (_options, callback) =>
        this.connect((error, socket) => {
          this.unreachable = socket === null;
          (callback as Parameters<Connector>[0])(error, socket);
        }),
    });
    const lane: Lane = { client, running: 0, connected: false };
    client.on("connect", () => {
      if (!lane.connected) this.connected++;
      lane.connected = true;
    });
    client.on("disconnect", () => {
      if (lane.connected) this.connected--;
      lane.connected = false;
    });
    return lane;
  }
}

const ignore = (): void => {};

/** One request on its way: undici's handler on one side, a WireCall on the other. */
class UndiciCall extends WheelEntry implements WireCall, Dispatcher.DispatchHandler {
  /** No callback may follow any more. */
  over = false;
  /** Waits in the pool's queue. */
  queued = false;
  private readonly pool: UndiciPool;
  private readonly request: WireRequest;
  private readonly handler: WireHandler;
  private lane: Lane | null = null;
  private controller: Dispatcher.DispatchController | null = null;
  private discarded = -1;

  constructor(pool: UndiciPool, request: WireRequest, handler: WireHandler) {
    super();
    this.pool = pool;
    this.request = request;
    this.handler = handler;
  }

  launch(lane: Lane): void {
    this.lane = lane;
    const { method, path, body, contentLength } = this.request;
    const streamed = body !== null && !Buffer.isBuffer(body) && contentLength >= 0;
    const headers = streamed ? [...this.request.headers, "content-length", String(contentLength)] : this.request.headers;
    try {
      lane.client.dispatch({ method: method as Dispatcher.HttpMethod, path, headers, body }, this);
    } catch (error) {
      this.settleLane();
      setImmediate(() => this.fail({ code: "upstream_invalid", unsent: true, reason: `refused by the client: ${messageOf(error)}` }));
    }
  }

  // --- WireCall ---
  get inLine(): boolean {
    return this.controller === null && this.pool.isInLine(this.lane);
  }

  pause(): void {
    this.controller?.pause();
  }

  resume(): void {
    if (!this.over) this.controller?.resume(); // later its connection is another's
  }

  cancel(): void {
    if (this.over) return;
    this.over = true;
    this.discarded = -1;
    if (this.queued) {
      this.queued = false;
      this.pool.withdrawn();
    }
    if (this.controller !== null) this.controller.abort(CANCELLED);
  }

  discard(): void {
    if (this.over) return;
    this.over = true;
    this.discarded = 0;
    if (this.lane !== null) this.pool.wheel.arm(this, DISCARD_MS_MAX);
    this.controller?.resume();
  }

  /** The rest of a discarded response is late. */
  onDeadline(): void {
    this.controller?.abort(CANCELLED);
  }

  // --- undici handler ---
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.over) throw CANCELLED; // cancelled while it waited for the connection: undici drops it
    this.controller = controller;
    this.handler.wireSent();
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.over || status < 102) return;
    // rawHeaders is Buffer[] on the HTTP/1.1 path (allowH2 is false)
    const head = copyResponseHeaders(controller.rawHeaders as unknown as Buffer[]);
    if (status < 200) this.handler.wireInterim?.(status, head.headers);
    else this.handler.wireHead(status, head);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.over) return this.handler.wireData(chunk);
    if (this.discarded >= 0 && (this.discarded += chunk.length) <= DISCARD_BYTES_MAX) return;
    controller.abort(CANCELLED);
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: Record<string, string | string[]>): void {
    this.settleLane();
    if (this.over) return;
    this.over = true;
    this.handler.wireEnd(trailers);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    // A tick later: undici asserts that its queue is empty after reporting, and what follows may dispatch again.
    setImmediate(() => {
      this.settleLane();
      this.fail(wireErrorOf(error, this.controller === null));
    });
  }

  fail(error: WireError): void {
    if (this.over) return;
    this.over = true;
    this.handler.wireError(error);
  }

  private settleLane(): void {
    const lane = this.lane;
    if (lane === null) return;
    this.lane = null;
    this.pool.wheel.disarm(this);
    this.pool.release(lane);
  }
}

const CANCELLED = new Error("cancelled by the gateway");

function wireErrorOf(error: Error, unsent: boolean): WireError {
  const reason = error.message;
  if (error instanceof ConnectError) return connectFailure(error);
  const code = String((error as NodeJS.ErrnoException).code ?? ""); // undici and node errors carry a code; others do not
  if (isTlsFault(error)) return { code: "upstream_tls", unsent, reason };
  if (isInvalidAnswer(error, code, unsent))
    return { code: "upstream_invalid", unsent, reason: code === "" ? reason : `${code}: ${reason}` };
  return { code: "upstream_reset", unsent, reason: code === "" ? reason : `${code}: ${reason}` };
}

/** Faults of the network have a code. undici's parser and its assertions often have none, an unsolicited 100 or 101 that of a broken socket. */
const isInvalidAnswer = (error: Error, code: string, unsent: boolean): boolean =>
  (code === "" && !unsent) || code.startsWith("HPE_") || INVALID_CODES.has(code) || /^bad (response|upgrade)$/.test(error.message);

const INVALID_CODES: ReadonlySet<string> = new Set([
  "ERR_ASSERTION",
  "UND_ERR_HEADERS_OVERFLOW",
  "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
  "UND_ERR_RES_EXCEEDED_MAX_SIZE",
  "UND_ERR_RESPONSE_STATUS_CODE",
  "UND_ERR_INFO",
]);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
