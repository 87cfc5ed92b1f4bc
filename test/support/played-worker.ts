// Owns a worker in this thread whose clients and targets are played: runtime, policies, filters, handlers, calls, breakers and the timer wheel are real.
// Each request to a target waits for the test to answer it.

import type { HeaderList } from "../../src/base/header-list.ts";
import { compilePlan } from "../../src/control/config/compile/compile.ts";
import { BODY_CHUNKED, BODY_NONE, type BodySink, Exchange } from "../../src/data/exchange/exchange.ts";
import type { LyingBody, PreparedResponse } from "../../src/data/exchange/prepared-response.ts";
import type { Runtime } from "../../src/data/exchange/runtime.ts";
import { admit } from "../../src/data/listener/admit.ts";
import type { Pool, WireCall, WireError, WireHandler, WireRequest, WireTrailers } from "../../src/data/upstream/upstream.ts";
import { buildRuntime, type OwnedRuntime, REGISTRIES, type Registries } from "../../src/data/worker/build-runtime.ts";
import { handle, refuseExchange } from "../../src/data/worker/pipeline.ts";
import { WorkerServices } from "../../src/data/worker/services.ts";
import type { Plan } from "../../src/plan/plan.ts";
import type { SharedMemory } from "../../src/plan/shared-memory.ts";
import { good } from "./config-text.ts";
import { workerMemory } from "./shared-memory.ts";
import { endpoint } from "./upstreams.ts";

/** A client that takes what it is given, or says that it is slow. */
export class PlayedClient extends Exchange {
  started = false;
  closed = false;
  head: { readonly status: number; readonly headers: HeaderList; readonly length: number } | null = null;
  body = "";
  /** Interim responses: status, and fields. */
  readonly interim: unknown[] = [];
  /** The response has been completed. */
  ended = false;
  /** The connection was cut by the gateway. */
  cut = false;
  /** write() says that there is no room. */
  slow = false;
  /** As a real engine before the first byte is out: what was begun can be taken back. */
  holdsBack = false;
  /** Known-length responses are complete for the client with their last byte, as on a real engine. */
  private sink: BodySink | null = null;

  peerAddress(): string {
    return "203.0.113.7";
  }
  readBody(sink: BodySink): void {
    this.sink = sink;
  }
  redirectBody(sink: BodySink): void {
    this.sink = sink;
  }
  pauseBody(): void {}
  resumeBody(): void {}
  start(status: number, headers: HeaderList, length: number): void {
    this.started = true;
    this.head = { status, headers, length };
  }
  write(chunk: Uint8Array): boolean {
    this.body += Buffer.from(chunk).toString("latin1");
    if (this.head !== null && this.head.length === this.body.length) this.complete();
    return !this.slow;
  }
  end(chunk?: Uint8Array): void {
    if (this.closed) return;
    if (chunk !== undefined) this.body += Buffer.from(chunk).toString("latin1");
    this.complete();
  }
  /** Sent from what was ready: as a real engine within its listener's turn. */
  readied: PreparedResponse | null = null;
  override takesPrepared(): boolean {
    return this.bodyDone && !this.started && !this.closed && !this.closeAfter;
  }
  override sendPrepared(response: PreparedResponse, { length, body }: LyingBody, own: HeaderList | null): void {
    this.readied = response;
    this.status = response.status;
    this.bytesOut = length;
    const lines = response.fieldsFor(this.requestId).lines.split("\r\n").slice(0, -1);
    this.start(
      response.status,
      [...lines.flatMap((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]), ...(own ?? [])],
      length,
    );
    this.end(body);
  }
  override get isWithdrawable(): boolean {
    return this.holdsBack && this.started && !this.closed;
  }
  override withdraw(): void {
    this.started = false;
    this.head = null;
    this.body = "";
  }
  abort(): void {
    if (this.closed) return;
    this.closed = this.cut = true;
    this.events?.clientAborted(this);
  }
  acceptWebSocket(): void {}
  override informational(status: number, headers: HeaderList): void {
    this.interim.push([status, ...headers]);
  }

  /** The client goes away. */
  leave(): void {
    if (this.closed) return;
    this.closed = true;
    this.events?.clientAborted(this);
  }
  /** The client has taken what was written. */
  drain(): void {
    this.slow = false;
    this.events?.clientDrained(this);
  }
  /** More of the request's body comes. */
  send(text: string, last = false): void {
    this.bodyDone = last;
    this.sink?.bodyChunk(Buffer.from(text), last);
  }
  get code(): string {
    return this.errorCode ?? "";
  }

  private complete(): void {
    this.closed = this.ended = true;
    this.events?.clientCompleted(this);
  }
}

/** A request at a target, to be answered. */
export class PlayedCall implements WireCall {
  readonly inLine = false;
  readonly target: string;
  readonly request: WireRequest;
  readonly handler: WireHandler;
  paused = false;
  cancelled = false;
  discarded = false;

  constructor(target: string, request: WireRequest, handler: WireHandler) {
    this.target = target;
    this.request = request;
    this.handler = handler;
  }

  head(status: number, headers: HeaderList = [], length = -1): this {
    this.handler.wireHead(status, { headers, length, retryAfter: "", fault: "" });
    return this;
  }
  data(text: string): this {
    this.handler.wireData(Buffer.from(text));
    return this;
  }
  end(trailers: WireTrailers | null = null): void {
    this.handler.wireEnd(trailers);
  }
  fail(error: Partial<WireError> = {}): void {
    this.handler.wireError({ code: "upstream_reset", unsent: false, reason: "played", ...error });
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  cancel(): void {
    this.cancelled = true;
  }
  discard(): void {
    this.discarded = true;
  }
}

export interface Changes {
  readonly registries?: Partial<Registries>;
  readonly plan?: (plan: Plan) => Plan;
}

interface PlayedPlan {
  readonly plan: Plan;
  readonly registries: Partial<Registries>;
}

export class PlayedWorker {
  /** Requests that have reached a target, in order. */
  readonly calls: PlayedCall[] = [];
  readonly faults: string[] = [];
  /** Called when a request reaches a target. */
  onDispatch: () => void = () => {};
  /** What it shares. */
  readonly memory: SharedMemory;
  readonly services: WorkerServices;
  readonly runtime: OwnedRuntime;

  private constructor(memory: SharedMemory, services: WorkerServices, { plan, registries }: PlayedPlan) {
    this.memory = memory;
    this.services = services;
    const endpoints = new Map(
      plan.upstreams.map(({ name, targets }, u) => [
        name,
        targets.map(({ url }, i) => endpoint(`${name}-${url}`, u * 4 + i, { authority: new URL(url).host })),
      ]),
    );
    this.runtime = buildRuntime({ plan, endpoints, services, registries: { ...REGISTRIES, ...registries } });
  }

  /** @param config as written */
  static async start(config: string, { registries = {}, plan: change = (plan) => plan }: Changes = {}): Promise<PlayedWorker> {
    const plan = change(structuredClone(compilePlan(good([config]).config, { version: 1, metricSlot: () => 2 })));
    const played: { worker?: PlayedWorker } = {};
    const toTarget = (target: string, request: WireRequest, handler: WireHandler): WireCall => {
      const call = new PlayedCall(target, request, handler);
      played.worker?.calls.push(call);
      played.worker?.onDispatch();
      handler.wireSent();
      return call;
    };
    const transport = {
      name: "http1",
      load:
        async () =>
        ({ key }: { readonly key: string }): Pool => ({
          dispatch: (request, handler) => toTarget(key, request, handler),
          classify: (status) => (status >= 500 ? "failure" : "success"),
          close() {},
          stats: { connected: 1, running: 0, queued: 0 },
        }),
    };
    const memory = workerMemory();
    const services = new WorkerServices(
      memory,
      (message) => played.worker?.faults.push(message),
      () => {},
      () => {},
      [transport],
    );
    await services.prepare(plan);
    return (played.worker = new PlayedWorker(memory, services, { plan, registries }));
  }

  /** A request comes in. @param headers flat, names lowercase; Host is added */
  ask(
    path: string,
    { method = "GET", headers = [], chunked = false }: { method?: string; headers?: HeaderList; chunked?: boolean } = {},
    query = "",
    host = "api.example.com",
  ): PlayedClient {
    const x = new PlayedClient(this.runtime as Runtime);
    x.headers = ["host", host, ...headers];
    const refusal = admit(x, { method, path, query }, null);
    x.bodyKind = chunked ? BODY_CHUNKED : BODY_NONE;
    x.contentLength = chunked ? -1 : 0;
    x.bodyDone = !chunked;
    if (refusal !== null) refuseExchange(x, refusal);
    else handle(x);
    return x;
  }

  /** The request that reached a target last. */
  get last(): PlayedCall {
    const call = this.calls.at(-1);
    if (call === undefined) throw new Error("no request has reached a target");
    return call;
  }

  /** Every deadline that is due within this time fires. */
  stop(): void {
    this.services.wheel.stop();
  }
}
