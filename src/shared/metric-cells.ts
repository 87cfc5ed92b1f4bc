// Owns one worker's counters and gauges in shared memory: the worker writes, the primary reads and sums on scrape.
// Must never allocate, lock or throw in a hot method, and must never be written by two threads.
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
// Writer: the worker that holds the index (its replacement after a crash goes on with the same cells, so counters never
// fall). The primary may write only while no worker holds them (resetGauges). Reader: the primary.
// Ordering: plain stores. Each word stands for itself, so none is needed between words; a reader may be a few stores late.
// ECMAScript allows a non-atomic float access to tear, but V8 compiles an aligned 64-bit access to one instruction on x64
// and arm64, the only 64-bit targets of the listener's native addon.

import { ERROR_CODES, type ErrorCode, errorNumber } from "../base/errors.ts";
import { OVERLOAD_REASONS, type OverloadReason, PRIORITIES } from "../base/priorities.ts";
import { AGE_BOUNDS_S, AGE_BUCKETS, CACHE } from "./cache/outcomes.ts";

/** Words before the error table. */
const CELL_WORDS = 32;
/** Capacity for error codes; a test holds it above the table. */
export const METRIC_ERRORS_MAX = 128;
const ROUTE_BASE = CELL_WORDS + METRIC_ERRORS_MAX;
const ROUTE_WORDS = 48;
const ENDPOINT_WORDS = 16;
const LIMIT_WORDS = 4;
const DECISION_WORDS = 8;
const LEG_WORDS = 4;
const POLICY_WORDS = 4;
/** Of a tier's slot: the reasons, and of each the priorities. */
export const REFUSED_WORDS = OVERLOAD_REASONS.length * PRIORITIES.length;
const WORD_BYTES = 8;

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
const OUTCOME_WORDS: Readonly<Record<LimitOutcome, number>> = { passed: 0, refused: 1, shadowed: 2 };

/** Slots of those that call a service about requests (forwardAuth): beyond it they share {@link ROUTE_SLOT_OVERFLOW}. 32 KiB a worker. */
export const METRIC_DECISIONS_MAX = 512;

/** What came of a request that a service is called about; `cached`: decided as one before it. */
export const DECISIONS = ["allowed", "denied", "failed_open", "error", "cached"] as const;
export type DecisionOutcome = (typeof DECISIONS)[number];
const DECISION_WORD: Readonly<Record<DecisionOutcome, number>> = { allowed: 0, denied: 1, failed_open: 2, error: 3, cached: 4 };

/** Leg slots: beyond it legs share {@link ROUTE_SLOT_OVERFLOW}. 16 KiB a worker. */
export const METRIC_LEGS_MAX = 512;

/** What became of a leg of an aggregated answer; skipped: one that it needs had failed; cancelled: the client had gone, or there was no answer to make any more. */
export const LEG_OUTCOMES = ["ok", "failed", "skipped", "cancelled"] as const;
export type LegOutcome = (typeof LEG_OUTCOMES)[number];
const LEG_OUTCOME_WORDS: Readonly<Record<LegOutcome, number>> = { ok: 0, failed: 1, skipped: 2, cancelled: 3 };

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
const BOUNDS_MS = Float64Array.from(LATENCY_BOUNDS_S, (s) => s * 1000);
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
const GAUGES: readonly Cell[] = [
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
const FAILURE_WORD = new Uint8Array(METRIC_ERRORS_MAX).fill(ENDPOINT.otherFailures);
WIRE_CODES.forEach((code, i) => {
  FAILURE_WORD[errorNumber(code)] = ENDPOINT.failures + i;
});

/** Bytes of the shared buffer for one worker. */
export function metricBytes(routeSlots = METRIC_ROUTES_MAX, endpointSlots = METRIC_ENDPOINTS_MAX): number {
  const legs = METRIC_LEGS_MAX * LEG_WORDS;
  const policies = METRIC_POLICIES_MAX * POLICY_WORDS;
  const tiers = METRIC_TIERS_MAX * REFUSED_WORDS;
  const shared = METRIC_LIMITS_MAX * LIMIT_WORDS + METRIC_DECISIONS_MAX * DECISION_WORDS + legs + policies + tiers;
  return (ROUTE_BASE + routeSlots * ROUTE_WORDS + shared + endpointSlots * ENDPOINT_WORDS) * WORD_BYTES;
}

/** One worker's cells. Slots out of range count towards the overflow slot (routes) or nothing (endpoints). */
export class MetricCells {
  readonly routeSlots: number;
  readonly endpointSlots: number;
  private readonly words: Float64Array;
  private readonly limitBase: number;
  private readonly decisionBase: number;
  private readonly legBase: number;
  private readonly policyBase: number;
  private readonly tierBase: number;
  private readonly endpointBase: number;

  /** @param shared of {@link metricBytes} with the same capacities. @throws RangeError when the size disagrees. */
  constructor(shared: SharedArrayBuffer, routeSlots = METRIC_ROUTES_MAX, endpointSlots = METRIC_ENDPOINTS_MAX) {
    if (shared.byteLength !== metricBytes(routeSlots, endpointSlots))
      throw new RangeError("metric cells: buffer size does not match capacity");
    this.words = new Float64Array(shared);
    this.routeSlots = routeSlots;
    this.endpointSlots = endpointSlots;
    this.limitBase = ROUTE_BASE + routeSlots * ROUTE_WORDS;
    this.decisionBase = this.limitBase + METRIC_LIMITS_MAX * LIMIT_WORDS;
    this.legBase = this.decisionBase + METRIC_DECISIONS_MAX * DECISION_WORDS;
    this.policyBase = this.legBase + METRIC_LEGS_MAX * LEG_WORDS;
    this.tierBase = this.policyBase + METRIC_POLICIES_MAX * POLICY_WORDS;
    this.endpointBase = this.tierBase + METRIC_TIERS_MAX * REFUSED_WORDS;
  }

  /**
   * Counts a finished exchange.
   * @param status as sent to the client; 0 when nothing was sent.
   * @param error errorNumber(code), 0 for none; counted in the worker-wide table.
   * @param totalMs whole exchange; not put into the histogram for a WebSocket (101), whose life is not a latency.
   * @param bytesIn body bytes received from the client.
   * @param bytesOut body bytes sent to the client.
   */
  request(routeSlot: number, status: number, error: number, totalMs: number, bytesIn: number, bytesOut: number): void {
    const words = this.words;
    const base = this.routeBase(routeSlot);
    const statusClass = (status / 100) | 0;
    words[base + Math.min(statusClass, 5)]! += 1;
    words[base + ROUTE.bytesIn]! += bytesIn;
    words[base + ROUTE.bytesOut]! += bytesOut;
    if (error !== 0 && error < METRIC_ERRORS_MAX) words[CELL_WORDS + error]! += 1;
    if (status === 101) return;
    let bucket = 0;
    while (bucket < BOUNDS_MS.length && totalMs > BOUNDS_MS[bucket]!) bucket++;
    words[base + ROUTE.buckets + bucket]! += 1;
    words[base + ROUTE.durationSumMs]! += totalMs;
  }

  /** Counts what the store of responses did for a finished exchange. */
  cache(routeSlot: number, { cacheResult, cacheAge, bytesOut }: CachedExchange): void {
    const words = this.words;
    const base = this.routeBase(routeSlot);
    words[base + ROUTE.cache + cacheResult - 1]! += 1;
    if (cacheResult === CACHE.miss || cacheResult === CACHE.bypass) return;
    words[base + ROUTE.cacheBytes]! += bytesOut;
    if (cacheResult !== CACHE.hit && cacheResult !== CACHE.stale && cacheResult !== CACHE.redis) return;
    let bucket = 0;
    while (bucket < AGE_BOUNDS_S.length && cacheAge > AGE_BOUNDS_S[bucket]!) bucket++;
    words[base + ROUTE.cacheAges + bucket]! += 1;
    words[base + ROUTE.cacheAgeSum]! += cacheAge;
  }

  /**
   * Counts one attempt against an endpoint.
   * @param error errorNumber of why it failed; 0 when a response head arrived.
   * @param firstByteMs from dispatch to the response head; negative when unknown.
   * @param status of the response; 0 when there was none.
   */
  attempt(endpointSlot: number, error: number, firstByteMs: number, status = 0): void {
    if (endpointSlot >= this.endpointSlots || endpointSlot < 0) return;
    const words = this.words;
    const base = this.endpointBase + endpointSlot * ENDPOINT_WORDS;
    words[base + ENDPOINT.attempts]! += 1;
    if (error !== 0) words[base + FAILURE_WORD[error]!]! += 1;
    if (status >= 500) words[base + ENDPOINT.serverErrors]! += 1;
    if (firstByteMs < 0) return;
    words[base + ENDPOINT.firstByteSumMs]! += firstByteMs;
    words[base + ENDPOINT.firstByteCount]! += 1;
  }

  /** Counts a retry, on the endpoint whose failure made it necessary. */
  retry(endpointSlot: number): void {
    if (endpointSlot >= this.endpointSlots || endpointSlot < 0) return;
    this.words[this.endpointBase + endpointSlot * ENDPOINT_WORDS + ENDPOINT.retries]! += 1;
  }

  /** Counts a decision of a limit. */
  limit(limitSlot: number, outcome: LimitOutcome): void {
    const slot = limitSlot > 0 && limitSlot < METRIC_LIMITS_MAX ? limitSlot : ROUTE_SLOT_OVERFLOW;
    this.words[this.limitBase + slot * LIMIT_WORDS + OUTCOME_WORDS[outcome]]! += 1;
  }

  /** Counts what came of a request that a service is called about. */
  decision(decisionSlot: number, outcome: DecisionOutcome): void {
    const slot = decisionSlot > 0 && decisionSlot < METRIC_DECISIONS_MAX ? decisionSlot : ROUTE_SLOT_OVERFLOW;
    this.words[this.decisionBase + slot * DECISION_WORDS + DECISION_WORD[outcome]]! += 1;
  }

  /** Counts the end of a leg of an aggregated answer. */
  leg(legSlot: number, outcome: LegOutcome): void {
    const slot = legSlot > 0 && legSlot < METRIC_LEGS_MAX ? legSlot : ROUTE_SLOT_OVERFLOW;
    this.words[this.legBase + slot * LEG_WORDS + LEG_OUTCOME_WORDS[outcome]]! += 1;
  }

  /** Counts a call of a user's policy. @param busyMs that it took */
  policy(policySlot: number, busyMs: number): void {
    const words = this.words;
    const base = this.policyAt(policySlot);
    words[base + POLICY.calls]! += 1;
    words[base + POLICY.busyMs]! += busyMs;
  }

  /** Counts the wait for a promise of a user's policy. */
  policyWait(policySlot: number, waitMs: number): void {
    this.words[this.policyAt(policySlot) + POLICY.waitMs]! += waitMs;
  }

  /** Counts a call of a user's policy that failed. */
  policyFailure(policySlot: number): void {
    this.words[this.policyAt(policySlot) + POLICY.failures]! += 1;
  }

  /** Counts a request of a client that was refused for want of room. @param priority index of PRIORITIES */
  refused(tierSlot: number, reason: OverloadReason, priority: number): void {
    const slot = tierSlot >= 0 && tierSlot < METRIC_TIERS_MAX ? tierSlot : ROUTE_SLOT_OVERFLOW;
    this.words[this.tierBase + slot * REFUSED_WORDS + OVERLOAD_REASONS.indexOf(reason) * PRIORITIES.length + priority]! += 1;
  }

  /** Adds a tier's slot to `into`, by reason and priority. @param into {@link REFUSED_WORDS} long */
  sumRefused(tierSlot: number, into: Float64Array): void {
    const base = this.tierBase + tierSlot * REFUSED_WORDS;
    for (let i = 0; i < REFUSED_WORDS; i++) into[i]! += this.words[base + i]!;
  }

  /** Adds to a worker-wide cell. */
  add(cell: Cell, delta: number): void {
    this.words[cell]! += delta;
  }

  /** Sets a gauge. */
  set(cell: Cell, value: number): void {
    this.words[cell] = value;
  }

  /** Zeroes the gauges: what a dead worker left behind. By its replacement at start, or by the primary before that. */
  resetGauges(): void {
    for (const cell of GAUGES) this.words[cell] = 0;
  }

  /** Reads a worker-wide cell. */
  get(cell: Cell): number {
    return this.words[cell]!;
  }

  /** Adds this worker's error counts to `into`, indexed by errorNumber. @param into at least METRIC_ERRORS_MAX long */
  sumErrors(into: Float64Array): void {
    for (let i = 1; i <= ERROR_CODES.length; i++) into[i]! += this.words[CELL_WORDS + i]!;
  }

  /** Adds a route slot to `into`. @param into {@link ROUTE_SLOT_WORDS} long */
  sumRoute(routeSlot: number, into: Float64Array): void {
    const base = this.routeBase(routeSlot);
    for (let i = 0; i < ROUTE_SLOT_WORDS; i++) into[i]! += this.words[base + i]!;
  }

  /** Adds a limit slot to `into`, by {@link LIMIT_OUTCOMES}. */
  sumLimit(limitSlot: number, into: Float64Array): void {
    const base = this.limitBase + limitSlot * LIMIT_WORDS;
    for (let i = 0; i < LIMIT_OUTCOMES.length; i++) into[i]! += this.words[base + i]!;
  }

  /** Adds a decision slot to `into`, by {@link DECISIONS}. */
  sumDecision(decisionSlot: number, into: Float64Array): void {
    const base = this.decisionBase + decisionSlot * DECISION_WORDS;
    for (let i = 0; i < DECISIONS.length; i++) into[i]! += this.words[base + i]!;
  }

  /** Adds a leg slot to `into`, by {@link LEG_OUTCOMES}. */
  sumLeg(legSlot: number, into: Float64Array): void {
    const base = this.legBase + legSlot * LEG_WORDS;
    for (let i = 0; i < LEG_OUTCOMES.length; i++) into[i]! += this.words[base + i]!;
  }

  /** Adds the slot of a user's policy to `into`, by {@link POLICY}. */
  sumPolicy(policySlot: number, into: Float64Array): void {
    const base = this.policyAt(policySlot);
    for (let i = 0; i < POLICY_WORDS; i++) into[i]! += this.words[base + i]!;
  }

  /** Adds an endpoint slot to `into`. @param into {@link ENDPOINT_SLOT_WORDS} long */
  sumEndpoint(endpointSlot: number, into: Float64Array): void {
    if (endpointSlot >= this.endpointSlots || endpointSlot < 0) return;
    const base = this.endpointBase + endpointSlot * ENDPOINT_WORDS;
    for (let i = 0; i < ENDPOINT_SLOT_WORDS; i++) into[i]! += this.words[base + i]!;
  }

  private policyAt(policySlot: number): number {
    const slot = policySlot > 0 && policySlot < METRIC_POLICIES_MAX ? policySlot : ROUTE_SLOT_OVERFLOW;
    return this.policyBase + slot * POLICY_WORDS;
  }

  private routeBase(routeSlot: number): number {
    const slot = routeSlot >= 0 && routeSlot < this.routeSlots ? routeSlot : ROUTE_SLOT_OVERFLOW;
    return ROUTE_BASE + slot * ROUTE_WORDS;
  }
}

/** Words of a route slot that are in use. */
export const ROUTE_SLOT_WORDS = ROUTE.cacheAges + AGE_BUCKETS;
/** Words of an endpoint slot that are in use. */
export const ENDPOINT_SLOT_WORDS = ENDPOINT.failures + WIRE_CODES.length;
