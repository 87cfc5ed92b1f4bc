// Interface of a listener in one worker; the engines stand behind it and share one pipeline.
import type { ListenerPlan } from "../../plan/listener-plan.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Refusal } from "../exchange/refusal.ts";
import type { Runtime } from "../exchange/runtime.ts";
import type { PathRules } from "../routing/path-rules.ts";

/** What a listener needs from its worker. */
export interface ListenerHost {
  /** The runtime that new requests belong to. */
  current(): Runtime;
  /** Takes a request that passed admission. Never throws. */
  handle(x: Exchange): void;
  /** Answers a request that was not admitted, or whose admission failed. Never throws. @param error why it failed */
  refuse(x: Exchange, refusal: Refusal, error?: unknown): void;
  /** Answers `OPTIONS *` (RFC 9110 section 9.3.7). Never throws. */
  answerServerOptions(x: Exchange): void;
  /** What routes know the listener by; '' for none. */
  readonly name: string;
  /** The listener's own for request paths; null for the strict ones. */
  readonly paths: PathRules | null;
  /** Of TLS sessions (RFC 5077): 48 bytes, the same in all workers, so that each resumes what another has begun. New ones come by {@link Listener.useTicketKeys}. */
  readonly ticketKeys: Uint8Array;
  /** True while the worker drains: responses carry `Connection: close`. */
  readonly draining: boolean;
  /** Whether a connection that was just counted may stay: else it is to be closed at once. @param peer canonical address; '' on a Unix socket, or when it is not to be counted */
  admitsPeer(peer: string): boolean;
  /** The same for a client that a PROXY header has named. @returns to be called when its connection is closed; null when it may not stay */
  admitProxied(client: string): (() => void) | null;
}

export interface Listener {
  readonly plan: ListenerPlan;
  /** Open client connections. */
  readonly connections: number;
  /**
   * Another plan is in force, so that this listener only finishes what it has: clients whom the listener in its place would not let in are let go
   * (tls.clientCa), each once the request under way is answered.
   * @param successor what listens on the address now; null for nothing
   */
  succeededBy(successor: ListenerPlan | null): void;
  /** Accept no new connections; existing ones go on. Idempotent. */
  stopAccepting(): void;
  /** The keys of TLS sessions have been exchanged. */
  useTicketKeys(keys: Uint8Array): void;
  /** {@link ListenerHost.draining} is true from now on: whoever can tells clients. Idempotent. */
  drain(): void;
  /** Say goodbye (close code 1001) on all open WebSockets; each ends when both its sides have answered, or after a bound. Idempotent. */
  endWebSockets(): void;
  /** Cut what is left and free the port. Idempotent. */
  close(): void;
}

/** Opens listeners for one engine. */
export interface ListenerEngine {
  /** @throws OperatorError naming address, cause and remedy (port in use, certificate unreadable). */
  open(plan: ListenerPlan, host: ListenerHost): Promise<Listener>;
}
