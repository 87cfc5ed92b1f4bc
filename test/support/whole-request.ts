// Owns a worker's whole way of a request in this thread, but for sockets: admission, routing, policies, choice of a target, the head that goes up, the
// answer and its record. Plan, runtime and services are real; only the connections of client and service are played.

import type { HeaderList } from "../../src/base/header-list.ts";
import { compilePlan } from "../../src/control/config/compile/compile.ts";
import { Exchange } from "../../src/data/exchange/exchange.ts";
import type { Runtime } from "../../src/data/exchange/runtime.ts";
import { admit } from "../../src/data/listener/admit.ts";
import { PathRules } from "../../src/data/routing/path-rules.ts";
import { RequestHeads } from "../../src/data/upstream/transport/http1/request-head.ts";
import { ResponseHeaders } from "../../src/data/upstream/transport/response-headers.ts";
import type { Pool, WireCall, WireHandler, WireRequest } from "../../src/data/upstream/upstream.ts";
import { buildRuntime } from "../../src/data/worker/build-runtime.ts";
import { handle, refuseExchange } from "../../src/data/worker/pipeline.ts";
import { WorkerServices } from "../../src/data/worker/services.ts";
import { good } from "./config-text.ts";
import { workerMemory } from "./shared-memory.ts";
import { endpoint } from "./upstreams.ts";

export interface RequestText {
  readonly method?: string;
  readonly path: string;
  /** Without `?`. */
  readonly query?: string;
  /** Flat, names lowercase. */
  readonly headers: HeaderList;
  readonly peer?: string;
}

/** A client that takes everything at once. */
class PlayedExchange extends Exchange {
  started = false;
  closed = false;
  readonly peer: string;

  constructor(runtime: Runtime, peer: string) {
    super(runtime);
    this.peer = peer;
  }

  peerAddress(): string {
    return this.peer;
  }
  readBody(): void {}
  redirectBody(): void {}
  pauseBody(): void {}
  resumeBody(): void {}
  start(status: number): void {
    this.started = true;
    this.status = status;
  }
  write(): boolean {
    return true;
  }
  end(): void {
    this.closed = true;
    this.events?.clientCompleted(this);
  }
  abort(): void {
    this.closed = true;
  }
  acceptWebSocket(): void {}
}

/** A service that answers when it is asked to, so that nothing is called back inside of dispatch(). */
class PlayedPool implements Pool {
  readonly stats = { connected: 1, running: 0, queued: 0 };
  private waiting: WireHandler | null = null;
  sent = "";

  dispatch(request: WireRequest, handler: WireHandler): WireCall {
    const heads = new RequestHeads();
    this.sent = heads.add(request) ? heads.bytes().toString("latin1") : "";
    if (this.sent === "") throw new Error("the head must not be sent");
    this.waiting = handler;
    return CALL;
  }

  answer(): void {
    const { waiting } = this;
    if (waiting === null) return;
    this.waiting = null;
    waiting.wireSent();
    const headers = new ResponseHeaders();
    headers.add("content-type", "application/json");
    headers.add("content-length", "2");
    waiting.wireHead(200, headers.complete());
    waiting.wireData(BODY);
    waiting.wireEnd(null);
  }

  classify(): "success" {
    return "success";
  }

  close(): void {}
}

const CALL: WireCall = { inLine: false, pause() {}, resume() {}, cancel() {}, discard() {} };
const BODY = Buffer.from("{}");

class PlayedServices extends WorkerServices {
  readonly pool = new PlayedPool();

  override poolFor(): Pool {
    return this.pool;
  }
  override releasePool(): void {}
}

export class WholeRequest {
  readonly #runtime: Runtime;
  readonly #services: PlayedServices;
  /** Of the first listener. */
  readonly #rules: PathRules | null;

  /** @param config as written; its upstreams have one target each */
  constructor(config: string) {
    const plan = structuredClone(compilePlan(good([config]).config, { version: 1, metricSlot: () => 2 }));
    const fault = (message: string): never => {
      throw new Error(message);
    };
    this.#services = new PlayedServices(workerMemory(), fault, () => {});
    const paths = plan.listeners[0]?.paths ?? null;
    this.#rules = paths === null ? null : new PathRules(paths);
    const endpoints = new Map(plan.upstreams.map(({ name }, slot) => [name, [endpoint(name, slot)]]));
    this.#runtime = buildRuntime({ plan, endpoints, services: this.#services });
  }

  /** Goes the whole way, as far as that waits for nothing. @returns status and, when it is an error, its code */
  run(request: RequestText): { readonly status: number; readonly code: string; readonly detail: string } {
    const { method = "GET", path, query = "", headers, peer = "203.0.113.7" } = request;
    const x = new PlayedExchange(this.#runtime, peer);
    x.headers = headers.slice();
    const refusal = admit(x, { method, path, query }, this.#rules);
    if (refusal !== null) refuseExchange(x, refusal);
    else handle(x);
    this.#services.pool.answer();
    return { status: x.status, code: x.errorCode ?? "", detail: x.errorDetail };
  }

  /** The head that went up last. */
  get sent(): string {
    return this.#services.pool.sent;
  }
}

/** @returns `name: value` pairs as a flat list. @param lines `Name: value` */
export const fields = (...lines: readonly string[]): HeaderList =>
  lines.flatMap((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
