// Where each counter and gauge of a worker lies in its cells (metric-cells.ts): words, slots, and what they count. Must never hold a value.
//
// Layout: one Float64Array, in 8-byte words.
//   [0 .. 32)                    gauges and worker-wide counters, see CELL
//   [32 .. 32+128)               errors by errorNumber(code); word 32+0 is unused (0 means no error)
//   [160 .. 160+48*R)            route slots, 48 words each, see ROUTE: slot 0 is "no route", slot 1 is "overflow"
//   [.. +4*512)                  limit slots, 4 words each, see LIMIT_OUTCOMES: slot 1 is "overflow"
//   [.. +8*512)                  decision slots, 8 words each, see DECISIONS: slot 1 is "overflow"
//   [.. +4*512)                  leg slots, 4 words each, see LEG_OUTCOMES: slot 1 is "overflow"
//   [.. +4*66)                   slots of users' own policies, 4 words each, see POLICY: slot 1 is "overflow"
//   [.. +30*34)                  slots of tiers, a word for each reason and priority, see refused(): slot 0 is "no tier", slot 1 is "overflow"
//   [.. +16*E)                   endpoint slots (the slots of target-health), 16 words each, see ENDPOINT

import { type ErrorCode, errorNumber } from "../base/errors.ts";
import { OVERLOAD_REASONS, PRIORITIES } from "../base/priorities.ts";
import { AGE_BUCKETS } from "./cache/outcomes.ts";

/** Words before the error table. */
export const CELL_WORDS = 32;
/** Capacity for error codes; a test holds it above the table. */
export const METRIC_ERRORS_MAX = 128;
export const ROUTE_BASE = CELL_WORDS + METRIC_ERRORS_MAX;
export const ROUTE_WORDS = 48;
export const ENDPOINT_WORDS = 16;
export const LIMIT_WORDS = 4;
export const DECISION_WORDS = 8;
export const LEG_WORDS = 4;
export const POLICY_WORDS = 4;
/** Of a tier's slot: the reasons, and of each the priorities. */
export const REFUSED_WORDS = OVERLOAD_REASONS.length * PRIORITIES.length;
export const WORD_BYTES = 8;

/** Route slots by default; beyond it routes share {@link ROUTE_SLOT_OVERFLOW}. 1024 routes cost 384 KiB a worker. */
export const METRIC_ROUTES_MAX = 1024;
/** Endpoint slots: the capacity of the shared target-health table. 512 KiB a worker, touched only where used. */
export const METRIC_ENDPOINTS_MAX = 4096;

/** Limit slots: beyond it limits share {@link ROUTE_SLOT_OVERFLOW}. 16 KiB a worker. */
export const METRIC_LIMITS_MAX = 512;

/** Slots of policies of the user's own, by name: as many as a configuration may have modules, and the two that no name has. */
export const METRIC_POLICIES_MAX = 66;

/** Slots of tiers of callers, and the two that no tier has; beyond it tiers share {@link ROUTE_SLOT_OVERFLOW}. 8 KiB a worker. */
export const METRIC_TIERS_MAX = 34;
/** Callers without a tier. */
export const TIER_SLOT_NONE = 0;

/** Words of a policy's slot. */
export const POLICY = {
  /** Calls of its hooks. */
  calls: 0,
  /** Time in them in which the event loop did nothing else, ms. */
  busyMs: 1,
  /** Time for which requests waited for its promises, ms. */
  waitMs: 2,
  /** Calls that threw or gave what is no answer. */
  failures: 3,
} as const;

/** What came of a request at a limit; the last: a shadow limit would have refused it. */
export const LIMIT_OUTCOMES = ["passed", "refused", "shadowed"] as const;
export type LimitOutcome = (typeof LIMIT_OUTCOMES)[number];
export const OUTCOME_WORDS: Readonly<Record<LimitOutcome, number>> = { passed: 0, refused: 1, shadowed: 2 };

/** Slots of those that call a service about requests (forwardAuth): beyond it they share {@link ROUTE_SLOT_OVERFLOW}. 32 KiB a worker. */
export const METRIC_DECISIONS_MAX = 512;

/** What came of a request that a service is called about; `cached`: decided as one before it. */
export const DECISIONS = ["allowed", "denied", "failed_open", "error", "cached"] as const;
export type DecisionOutcome = (typeof DECISIONS)[number];
export const DECISION_WORD: Readonly<Record<DecisionOutcome, number>> = { allowed: 0, denied: 1, failed_open: 2, error: 3, cached: 4 };

/** Leg slots: beyond it legs share {@link ROUTE_SLOT_OVERFLOW}. 16 KiB a worker. */
export const METRIC_LEGS_MAX = 512;

/** What became of a leg of an aggregated answer; skipped: one that it needs had failed; cancelled: the client had gone, or there was no answer to make any more. */
export const LEG_OUTCOMES = ["ok", "failed", "skipped", "cancelled"] as const;
export type LegOutcome = (typeof LEG_OUTCOMES)[number];
export const LEG_OUTCOME_WORDS: Readonly<Record<LegOutcome, number>> = { ok: 0, failed: 1, skipped: 2, cancelled: 3 };

/** A finished request of a route with a cache. */
export interface CachedExchange {
  /** Index in {@link CACHE_RESULTS}. */
  readonly cacheResult: number;
  /** Of what was served from the store, seconds. */
  readonly cacheAge: number;
  readonly bytesOut: number;
}

/** Requests that matched no route. */
export const ROUTE_SLOT_NONE = 0;
/** Routes that found no slot of their own. */
export const ROUTE_SLOT_OVERFLOW = 1;

/** Upper bounds of the latency buckets in seconds; one more bucket (+Inf) follows. */
export const LATENCY_BOUNDS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;
export const BOUNDS_MS = Float64Array.from(LATENCY_BOUNDS_S, (s) => s * 1000);
export const LATENCY_BUCKETS = LATENCY_BOUNDS_S.length + 1;

/** Worker-wide words. Gauges unless the name says `Total`. */
export const CELL = {
  inFlight: 0,
  connections: 1,
  webSockets: 2,
  poolConnections: 3,
  poolQueued: 4,
  /** Event loop utilisation since the last sample, 0..1. */
  loopUtilisation: 5,
  logDroppedTotal: 6,
  mirroredTotal: 7,
  mirrorDroppedTotal: 8,
  connectionsOverTotal: 9,
  connectionsOverAddressTotal: 10,
  /** Bytes of request bodies that are kept. */
  bodyBytes: 11,
  // In the order of CLIENT_FAULTS:
  protocolFaultsTotal: 12,
  floodsTotal: 13,
  slowClientsTotal: 14,
  refusedStreamsTotal: 15,
  // Of the worker's own overload (data/load/worker-load.ts):
  /** How late its event loop was, at the last look. */
  loopDelayMs: 16,
  /** Heap and buffers in use. */
  memoryBytes: 17,
  /** Of what comes, that is refused, 0..1. */
  refusedPart: 18,
  /** When it had more to do than it can last, monotonicMs() in whole seconds; 0 for never. */
  overloadedAtS: 19,
  shadowedTotal: 20,
  backgroundRefusedTotal: 21,
  retriesRefusedTotal: 22,
} as const;
export type Cell = (typeof CELL)[keyof typeof CELL];

/** For what HTTP/2 connections are ended: broken rules, floods, slowness; or requests refused unseen as their client does not read. */
export const CLIENT_FAULTS = ["protocol", "flood", "slow", "refused"] as const;
export type ClientFault = (typeof CLIENT_FAULTS)[number];

/** The gauges: what a dead worker must not leave behind. */
export const GAUGES: readonly Cell[] = [
  CELL.inFlight,
  CELL.connections,
  CELL.webSockets,
  CELL.poolConnections,
  CELL.poolQueued,
  CELL.loopUtilisation,
  CELL.bodyBytes,
  CELL.loopDelayMs,
  CELL.memoryBytes,
  CELL.refusedPart,
  CELL.overloadedAtS,
];

/** Words of a route slot. */
export const ROUTE = {
  /** +0 no status was sent (aborted), +1..+5 by status class. */
  byClass: 0,
  durationSumMs: 6,
  bytesIn: 7,
  bytesOut: 8,
  /** {@link LATENCY_BUCKETS} words, not cumulative. */
  buckets: 9,
  /** {@link CACHE_OUTCOMES}, one word each. */
  cache: 9 + LATENCY_BUCKETS,
  /** Body bytes sent from the store. */
  cacheBytes: 16 + LATENCY_BUCKETS,
  cacheAgeSum: 17 + LATENCY_BUCKETS,
  /** {@link AGE_BUCKETS} words, not cumulative: of hits and what was served stale. */
  cacheAges: 18 + LATENCY_BUCKETS,
} as const;

/** Why an attempt failed, as counted for each endpoint: the codes of WireError. */
export const WIRE_CODES = [
  "connect_failed",
  "connect_timeout",
  "response_timeout",
  "upstream_reset",
  "upstream_invalid",
  "upstream_tls",
  "upstream_idle_timeout",
  "overloaded",
] as const satisfies readonly ErrorCode[];

/** Words of an endpoint slot. */
export const ENDPOINT = {
  attempts: 0,
  retries: 1,
  firstByteSumMs: 2,
  firstByteCount: 3,
  /** Responses with a status of 500 or more. */
  serverErrors: 4,
  /** Failures with a code outside {@link WIRE_CODES}. */
  otherFailures: 5,
  /** One word for each of {@link WIRE_CODES}. */
  failures: 6,
} as const;

/** errorNumber -> word of the endpoint slot that counts it. */
export const FAILURE_WORD = new Uint8Array(METRIC_ERRORS_MAX).fill(ENDPOINT.otherFailures);
WIRE_CODES.forEach((code, i) => {
  FAILURE_WORD[errorNumber(code)] = ENDPOINT.failures + i;
});

/** Words of a route slot that are in use. */
export const ROUTE_SLOT_WORDS = ROUTE.cacheAges + AGE_BUCKETS;
/** Words of an endpoint slot that are in use. */
export const ENDPOINT_SLOT_WORDS = ENDPOINT.failures + WIRE_CODES.length;
