// Owns one listener of a worker from opening to its last connection, and what its engine may ask of the worker. Must never decide anything itself.
import type { LimitsPlan } from "../../plan/limits-plan.ts";
import type { ListenerPlan } from "../../plan/listener-plan.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Refusal } from "../exchange/refusal.ts";
import type { Listener, ListenerHost } from "../listener/listener.ts";
import { isPlain } from "../policies/redirect/location.ts";
import { PathRules } from "../routing/path-rules.ts";
import type { OwnedRuntime } from "./build-runtime.ts";
import { answerServerOptions, handle, redirectToHttps, refuseExchange } from "./pipeline.ts";

/** The worker, as its listeners see it. */
export interface ListenerOwner {
  /** The runtime that new requests belong to. */
  readonly runtime: OwnedRuntime;
  /** Responses say `Connection: close`. */
  readonly closesConnections: boolean;
  /** See {@link ListenerHost}. */
  readonly ticketKeys: Uint8Array;
  /** See {@link ListenerHost}; over all listeners. */
  admitsPeer(peer: string): boolean;
  admitProxied(client: string): (() => void) | null;
}

/** A listener with the host it talks to; `closing` makes its responses say `Connection: close`. */
export class OpenListener implements ListenerHost {
  readonly #worker: ListenerOwner;
  // Of the plan in force for this address, also when another listener has taken it over:
  paths: PathRules | null;
  name: string;
  #redirectPort: number | null;
  listener: Listener | null = null;
  /**
   * Where a Unix socket is bound until its plan is in force: only then it takes the place of the one before, in one step. Node removes
   * the name it has bound when it closes, so that this name must never be used again.
   */
  unixTemporary: string | null = null;
  /** While the engine opens: the plan it is opened for, whose limits it takes. Requests belong to the plan in force. */
  opening: OwnedRuntime | null = null;
  closing = false;
  /** performance.now() ms after which its connections are cut. */
  closeAtMs = 0;

  constructor(worker: ListenerOwner, plan: ListenerPlan) {
    this.#worker = worker;
    this.paths = rulesOf(plan);
    this.name = plan.name;
    this.#redirectPort = plan.redirectToHttps;
  }

  /** @param plan of the listener that has the address now: what it says holds for open connections too; null for none */
  succeededBy(plan: ListenerPlan | null): void {
    if (plan !== null) {
      this.paths = rulesOf(plan);
      this.name = plan.name;
      this.#redirectPort = plan.redirectToHttps;
    }
    this.listener?.succeededBy(plan);
  }

  current(): OwnedRuntime {
    return this.opening ?? this.#worker.runtime;
  }

  handle(x: Exchange): void {
    if (this.#redirectPort !== null && isPlain(x)) redirectToHttps(x, this.#redirectPort);
    else handle(x);
  }

  refuse(x: Exchange, refusal: Refusal, error?: unknown): void {
    refuseExchange(x, refusal, error);
  }

  answerServerOptions(x: Exchange): void {
    answerServerOptions(x);
  }

  get ticketKeys(): Uint8Array {
    return this.#worker.ticketKeys;
  }

  get draining(): boolean {
    return this.closing || this.#worker.closesConnections;
  }

  admitsPeer(peer: string): boolean {
    return this.#worker.admitsPeer(peer);
  }

  admitProxied(client: string): (() => void) | null {
    return this.#worker.admitProxied(client);
  }
}

const rulesOf = ({ paths }: ListenerPlan): PathRules | null => (paths === null ? null : new PathRules(paths));

/** Equal for listeners that need not be reopened. Engines take these limits when they open; all others with each request. */
export function fingerprint(plan: ListenerPlan, limits: LimitsPlan): string {
  const { headerTimeoutMs, bodyTimeoutMs, idleTimeoutMs, webSocketMessageBytes, webSocketBufferBytes, webSocketIdleTimeoutMs } = limits;
  return JSON.stringify([
    plan,
    headerTimeoutMs,
    bodyTimeoutMs,
    idleTimeoutMs,
    webSocketMessageBytes,
    webSocketBufferBytes,
    webSocketIdleTimeoutMs,
  ]);
}
