// Types of what the primary knows about its instance, as the metrics and the admin listener show it. No logic.
import type { WorkerState } from "../shared/heartbeat.ts";

export type Phase = "starting" | "serving" | "draining";

export interface InstanceState {
  /** Sluice's own version. */
  readonly release: string;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly phase: Phase;
  /** Why it is not as it should be although it serves (a worker in a crash loop, a stalled worker): shown by /readyz. */
  readonly concerns: readonly string[];
  /** 0 before the first plan is in force. */
  readonly planVersion: number;
  readonly planSinceMs: number;
  readonly reloads: { readonly ok: number; readonly failed: number };
  readonly listeners: readonly ListenerState[];
  readonly workers: readonly WorkerStatus[];
  readonly upstreams: readonly UpstreamStatus[];
  /** Where keys for tokens are fetched. */
  readonly keySources: readonly KeySourceStatus[];
  /** Access-log records that the sink could not take. */
  readonly logSinkDropped: number;
}

export interface ListenerState {
  readonly address: string;
  readonly url: string;
  readonly engine: string;
}

/** A worker's seat; its counters stand in the metric cells of the same index. */
export interface WorkerStatus {
  readonly index: number;
  readonly state: WorkerState;
  /** Times that this seat was filled again after a failure. */
  readonly restarts: number;
  readonly beatAgeMs: number;
}

export interface UpstreamStatus {
  readonly name: string;
  readonly balance: string;
  readonly targets: readonly TargetStatus[];
}

/** One key set of an identity provider. */
export interface KeySourceStatus {
  readonly url: string;
  /** Names of the authenticators that use it. */
  readonly authenticators: readonly string[];
  /** stale: the provider does not answer, its last keys are in use; missing: there are none, its tokens are answered with 503. */
  readonly state: "fresh" | "stale" | "missing";
  readonly keys: number;
  /** Since the last fetch that succeeded; null when there was none. */
  readonly ageMs: number | null;
  readonly fetches: { readonly ok: number; readonly failed: number };
  /** Why the last fetch failed; null when it did not. */
  readonly trouble: string | null;
}

/** One endpoint of an upstream. */
export interface TargetStatus {
  readonly key: string;
  /** Slot in target-health and in the metric cells. */
  readonly slot: number;
  readonly weight: number;
  readonly healthy: boolean;
  /** `ok`, `active check failed`, `ejected`: one short phrase. */
  readonly reason: string;
  readonly inFlight: number;
}
