// The messages between the primary and a worker thread, and the launch orders of a process. Types only; must never hold logic.
// Order: init -> ready | refused; then any of the rest. A prepared plan is either activated or discarded.
import type { MessagePort } from "node:worker_threads";
import type { DeprecatedCalls } from "./deprecated-calls.ts";
import type { KeySetMap } from "./keys.ts";
import type { EndpointPlan, Plan } from "./plan.ts";
import type { SharedMemory } from "./shared-memory.ts";
import type { WarmOutcome, WarmRequest } from "./warm-plan.ts";

/** Upstream name -> its endpoints after name resolution. */
export type EndpointMap = ReadonlyMap<string, readonly EndpointPlan[]>;

/** A plan with what discovery and the key sources know: what a worker needs to build a runtime. */
export interface PlanBundle {
  readonly plan: Plan;
  readonly endpoints: EndpointMap;
  /** Of all sources that the plan names. */
  readonly keys: KeySetMap;
}

/** What a worker thread has from its birth. */
export interface WorkerData {
  /** Pid of the process's parent, when that is its supervisor. */
  readonly supervisor: number | null;
}

/** Primary -> worker. */
export type ToWorker =
  /** First message: build the runtime and listen. Answered by `ready` or `refused`. */
  | {
      readonly kind: "init";
      readonly shared: SharedMemory;
      /** 0..workers-1: the seat this thread fills; a replacement takes the seat of the one it replaces. Seat 0 serves Unix sockets. */
      readonly seat: number;
      readonly workers: number;
      readonly bundle: PlanBundle;
      /** Of TLS sessions: see `ticket-keys`. */
      readonly ticketKeys: Uint8Array;
      /** Obey `crash` and `block` (tests only). */
      readonly testHooks: boolean;
    }
  /** Build a runtime and open new listeners, change nothing yet. Answered by `prepared` or `refused`. */
  | { readonly kind: "prepare"; readonly bundle: PlanBundle }
  /** Serve new requests by the prepared plan. Answered by `activated`. */
  | { readonly kind: "activate"; readonly version: number }
  /** Forget the prepared plan: another worker could not take it. */
  | { readonly kind: "discard"; readonly version: number }
  | { readonly kind: "endpoints"; readonly upstream: string; readonly endpoints: readonly EndpointPlan[] }
  /** Key sources have news. */
  | { readonly kind: "keys"; readonly sets: KeySetMap }
  /** The keys of TLS sessions are these from now on: 48 bytes, the same in all workers. */
  | { readonly kind: "ticket-keys"; readonly keys: Uint8Array }
  /** Answers `unknown-key`, after the news if there were any. @property ok the provider answered. @property restMs it is not asked again before */
  | { readonly kind: "keys-checked"; readonly source: string; readonly ok: boolean; readonly restMs: number }
  /** A line to another worker. @property worker index of its cells @property port null: there is no such worker any more */
  | { readonly kind: "linked"; readonly worker: number; readonly port: MessagePort | null }
  /** Make a request of the gateway's own, so that its response is stored. Answered by `warmed`. */
  | { readonly kind: "warm"; readonly id: number; readonly request: WarmRequest }
  /** Stop accepting, finish what is under way for at most timeoutMs, then end the thread. Answered by `drained`. 0 cuts at once. */
  | { readonly kind: "drain"; readonly timeoutMs: number }
  | { readonly kind: "crash" }
  | { readonly kind: "block"; readonly ms: number };

/** Worker -> primary. */
export type FromWorker =
  /** @property thread its number in /proc; 0 where there is none */
  | { readonly kind: "ready"; readonly version: number; readonly thread: number }
  | { readonly kind: "prepared"; readonly version: number }
  | { readonly kind: "activated"; readonly version: number }
  /** The plan cannot run here; what ran before goes on. */
  | { readonly kind: "refused"; readonly version: number; readonly message: string }
  /** An uncaught error: the thread stops accepting, finishes what it can and exits by itself. */
  | { readonly kind: "failed"; readonly message: string }
  /** A token names a key that the source did not have: has it now? Answered by `keys-checked`. */
  | { readonly kind: "unknown-key"; readonly source: string }
  /** Make a line to another worker. Answered by `linked`, to both. */
  | { readonly kind: "link"; readonly worker: number }
  /** Responses of the URLs with these numbers are no longer true, and the fleet shares them: see shared/cache/tier-purges.ts. */
  | { readonly kind: "changed"; readonly numbers: readonly number[] }
  /** Something an operator should know; nothing was lost. */
  | { readonly kind: "warning"; readonly message: string }
  /** Calls to deprecated routes since the last report; a few times a second, when there were any. */
  | { readonly kind: "deprecated-calls"; readonly calls: readonly DeprecatedCalls[] }
  | { readonly kind: "warmed"; readonly id: number; readonly outcome: WarmOutcome }
  /** Everything is closed; the thread ends now. @property cut exchanges that were still under way */
  | { readonly kind: "drained"; readonly cut: number };

/** What a supervisor tells a primary at birth, as JSON in the environment variable {@link LAUNCH_ENV}. */
export interface LaunchOrders {
  /** Listen beside the instance that holds the port, then ask it to drain. */
  readonly takeover: boolean;
  /** A primary was ready before under this supervisor: addresses are ours, and the last good configuration may be asked for. */
  readonly restart: boolean;
  /** Ports that were picked for addresses with port 0: a restart keeps them. */
  readonly ports: Readonly<Record<string, number>>;
  /** Of the configuration, as -c names them. */
  readonly files: readonly string[];
  /** Some of them came through a pipe: the supervisor has read them, and is asked for them. */
  readonly piped: boolean;
}

export const LAUNCH_ENV = "SLUICE_LAUNCH";

/** Primary -> supervisor. */
export type ToSupervisor =
  | { readonly kind: "ready"; readonly urls: readonly string[]; readonly version: number; readonly ports: Readonly<Record<string, number>> }
  /** The configuration now in force, packed: given back on request to a restarted primary that finds a broken file. */
  | { readonly kind: "good-config"; readonly config: string; readonly drainTimeoutMs: number }
  | { readonly kind: "last-good?" }
  | { readonly kind: "piped?" }
  /** Start another primary beside me, by takeover: I cannot mend myself. */
  | { readonly kind: "replace-me"; readonly reason: string }
  /** I end, and have written why. May come twice. */
  | { readonly kind: "leaving" };

/** Supervisor -> primary. */
export type FromSupervisor =
  /** First: drain. Second: cut what is left. By message and not by signal, as a signal to the process group reaches both. */
  | { readonly kind: "stop" }
  | { readonly kind: "last-good"; readonly config: string | null }
  /** @property texts by file, in base64 */
  | { readonly kind: "piped"; readonly texts: Readonly<Record<string, string>> }
  | { readonly kind: "replace-failed"; readonly reason: string };
