// Types of what the primary knows about its instance, as the metrics and the admin listener show it. No logic.
import type { StoreState } from "../shared/cache/counts.ts";
import type { WorkerState } from "../shared/heartbeat.ts";

export type Phase = "starting" | "serving" | "draining";

export interface Concern {
  /** For anybody who can reach /readyz: no name, address or cause stands in it. */
  readonly summary: string;
  /** For operators, with what to do. */
  readonly detail: string;
}

export interface InstanceState {
  /** Sluice's own version. */
  readonly release: string;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly phase: Phase;
  /** Why it is not as it should be although it serves (a worker in a crash loop, a stalled worker): shown by /readyz. */
  readonly concerns: readonly Concern[];
  /** Named ways out that the plan in force takes, with where each is taken: `any-issuer (auth.corp)`. For operators. */
  readonly insecure: readonly string[];
  /** 0 before the first plan is in force. */
  readonly planVersion: number;
  readonly planSinceMs: number;
  readonly reloads: { readonly ok: number; readonly failed: number };
  readonly listeners: readonly ListenerState[];
  readonly workers: readonly WorkerStatus[];
  readonly upstreams: readonly UpstreamStatus[];
  readonly limits: LimitTableStatus;
  /** The store of responses. */
  readonly cache: StoreState;
  /** null when no route shares what it stores with the fleet. */
  readonly cacheTier: CacheTierState | null;
  /** Where keys for tokens are fetched. */
  readonly keySources: readonly KeySourceStatus[];
  /** Access-log records that the sink could not take. */
  readonly logSinkDropped: number;
  /** null without Redis. */
  readonly fleet: FleetState | null;
  /** null unless consumers come from Redis. */
  readonly redisConsumers: RedisConsumersState | null;
}

/** How the consumers stand that come from Redis. */
export interface RedisConsumersState {
  /** Where Redis is, without credentials. */
  readonly redis: string;
  /** Redis says what consumers it has. */
  readonly connected: boolean;
  /** Consumers of Redis in force. */
  readonly inForce: number;
  /** The marker that those in force were last seen under; null while there are none. */
  readonly version: string | null;
  /** Since Redis last said what it has; null before the first time. */
  readonly ageMs: number | null;
  /** Sets that were refused since start. */
  readonly refusals: number;
  /** Why those in force are not known to be what Redis has; null when they are. */
  readonly trouble: string | null;
}

/** The cache's second tier in Redis, over all workers. */
export interface CacheTierState {
  /** Workers that use it; of them those that leave Redis alone, as it does not answer in time. */
  readonly workers: number;
  readonly leavingAlone: number;
  /** Ever: looks by what came of them. */
  readonly looks: Readonly<Record<"hit" | "miss" | "purged" | "invalid" | "error" | "skipped", number>>;
  /** Ever: records by what became of them. */
  readonly writes: Readonly<Record<"written" | "dropped" | "error", number>>;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly waitingBytes: number;
}

/** How the instance stands to its fleet. */
export interface FleetState {
  /** Where Redis is, without credentials. */
  readonly redis: string;
  /** Limits are reconciled. While not, the instance goes on with its share. */
  readonly connected: boolean;
  /** Since when that is so, epoch ms. */
  readonly sinceMs: number;
  /** Why not; null while connected. */
  readonly trouble: string | null;
  readonly instances: number;
  /** Since Redis last answered for every part of the keys; null before the first time. */
  readonly syncAgeMs: number | null;
  readonly lastSyncMs: number;
  readonly syncs: number;
  readonly syncFailures: number;
  readonly syncMsSum: number;
  /** Buckets told to Redis, all together. */
  readonly entries: number;
  /** Units by which the fleet was found to have overdrawn a bucket at most, of late. */
  readonly drift: number;
  /** Strict buckets with a lease. */
  readonly leases: number;
  /** What others call this instance. */
  readonly name: string;
  readonly breakers: OthersBreakers;
  readonly purges: PurgesState;
}

/** How purges of the fleet's stored responses stand. */
export interface PurgesState {
  /** Orders of this instance that Redis has not been told yet. */
  readonly pending: number;
  /** Ever: orders of others that were followed; times that everything was purged because some may have been missed. */
  readonly applied: number;
  readonly missed: number;
  /** Since the fleet's purges were last read; null before the first time. */
  readonly ageMs: number | null;
  /** Why they could not be; null when they could. */
  readonly trouble: string | null;
}

/** What the other instances say of their breakers. It informs: no breaker here goes by it. */
export interface OthersBreakers {
  /** stale: Redis does not answer, this was said last. unknown: nothing was heard, or too long ago; then there is nothing below. */
  readonly knowledge: "fresh" | "stale" | "unknown";
  /** Since Redis last answered; null before the first time. */
  readonly ageMs: number | null;
  /** Other instances that report; null while unknown. */
  readonly instances: number | null;
  /** Those that are not closed somewhere else, the most widespread first. */
  readonly breakers: readonly OthersBreaker[];
  /** Breakers that are not closed and not listed: an instance or the list had too many. */
  readonly leftOut: number;
  /** Ever: what stood in Redis and no instance of this release writes; rounds that failed. */
  readonly ignored: number;
  readonly failures: number;
  /** Why the last round failed; null when it did not. */
  readonly trouble: string | null;
}

export interface OthersBreaker {
  readonly upstream: string;
  readonly target: string | null;
  /** How many instances, by state (PHASE_NAMES of shared/breaker-word.ts); closed is not among them. */
  readonly states: Readonly<Record<string, number>>;
  /** Some of them. */
  readonly instances: readonly { readonly name: string; readonly state: string }[];
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
  /** The CPU that it is pinned to; null where the kernel chooses. */
  readonly cpu: number | null;
  /** In the last seconds it had more to do than it can. */
  readonly overloaded: boolean;
}

/** An upstream's in-flight limit and the line in front of it, over all workers. */
export interface OverloadStatus {
  readonly mode: "on" | "shadow";
  /** Requests that may be in flight; 0 before the first one. */
  readonly limit: number;
  readonly inFlight: number;
  /** Streams, WebSockets, long polls: they take no place. */
  readonly apart: number;
  readonly waiting: number;
  /** Latency of the service without a queue, as far as it is known, ms. */
  readonly baseMs: number;
  /** Somebody was refused in the last seconds. */
  readonly shedding: boolean;
  /** Ever, by reason and priority. */
  readonly refused: readonly { readonly reason: "line" | "limit"; readonly priority: string; readonly count: number }[];
  /** Ever: those that were let through after waiting, and how long in all. */
  readonly waited: number;
  readonly waitedMs: number;
  /** Ever: those that `mode: on` would have refused. */
  readonly shadowed: number;
}

/** A target's own in-flight limit, over all workers. */
export interface TargetOverloadStatus {
  /** Requests that may be in flight before others are preferred; 0 before the first one. */
  readonly limit: number;
  /** Without streams, WebSockets and long polls. */
  readonly inFlight: number;
  /** Latency of the target without a queue, as far as it is known, ms. */
  readonly baseMs: number;
  /** Ever: requests that found it at its limit, and went to others (`mode: shadow`: would have gone). */
  readonly steered: number;
}

export interface UpstreamStatus {
  readonly name: string;
  readonly balance: string;
  /** The upstream's own; null when it has none. */
  readonly breaker: BreakerStatus | null;
  /** null: off. */
  readonly overload: OverloadStatus | null;
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
  /** `ok`, `active check failed` with what was seen and expected, `breaker open`, `ejected`: one phrase. */
  readonly reason: string;
  readonly inFlight: number;
  /** null: off, or the only target: the upstream's limit is its own. */
  readonly overload: TargetOverloadStatus | null;
  readonly breaker: BreakerStatus | null;
}

export interface BreakerStatus {
  /** `closed`, `open`, `half-open`, `recovering`, `forced open`, `forced closed`. */
  readonly state: string;
  /** The same as a number (PHASE of shared/breaker-word.ts). */
  readonly phase: number;
  /** Time in this state; null since ever. */
  readonly forMs: number | null;
  /** While open. */
  readonly halfOpenInMs: number | null;
  /** In a row, without having been closed in between. */
  readonly openings: number;
  /** What was counted in the rolling window. */
  readonly window: { readonly total: number; readonly failed: number; readonly slow: number };
  /** While half-open: trials wanted, given out, gone well. */
  readonly round: { readonly trials: number; readonly taken: number; readonly succeeded: number } | null;
  /** Ever: changes to a state, trials, requests turned away, requests that the fallback took. */
  readonly totals: Readonly<Record<"opened" | "halfOpened" | "recovered" | "closed" | "trials" | "rejected" | "fallbacks", number>>;
}

/** The table of limits as a whole. Counts of slots are some seconds old. */
export interface LimitTableStatus {
  readonly slots: number;
  /** Shared memory, most of it never touched. */
  readonly bytes: number;
  /** Slots that belong to a caller. */
  readonly inUse: number;
  /** Those of them that hold something: no other caller can have these. */
  readonly active: number;
  /** Decisions that found no slot and shared a bucket, and requests refused because not even that was there; since start. */
  readonly fullEvents: number;
  readonly refusedEvents: number;
}
