// Owns one worker's counters and gauges in shared memory: the worker writes, the primary reads and sums on scrape.
// Must never allocate, lock or throw in a hot method, and must never be written by two threads.
// Layout: metric-layout.ts.
// Writer: the worker that holds the index (its replacement after a crash goes on with the same cells, so counters never
// fall). The primary may write only while no worker holds them (resetGauges). Reader: the primary.
// Ordering: plain stores. Each word stands for itself, so none is needed between words; a reader may be a few stores late.
// ECMAScript allows a non-atomic float access to tear, but V8 compiles an aligned 64-bit access to one instruction on x64
// and arm64, the only 64-bit targets of the listener's native addon.

import { ERROR_CODES } from "../base/errors.ts";
import { OVERLOAD_REASONS, type OverloadReason, PRIORITIES } from "../base/priorities.ts";
import { AGE_BOUNDS_S, CACHE } from "./cache/outcomes.ts";
import {
  BOUNDS_MS,
  type CachedExchange,
  CELL_WORDS,
  type Cell,
  DECISION_WORD,
  DECISION_WORDS,
  DECISIONS,
  type DecisionOutcome,
  ENDPOINT,
  ENDPOINT_SLOT_WORDS,
  ENDPOINT_WORDS,
  FAILURE_WORD,
  GAUGES,
  LEG_OUTCOME_WORDS,
  LEG_OUTCOMES,
  LEG_WORDS,
  type LegOutcome,
  LIMIT_OUTCOMES,
  LIMIT_WORDS,
  type LimitOutcome,
  METRIC_DECISIONS_MAX,
  METRIC_ENDPOINTS_MAX,
  METRIC_ERRORS_MAX,
  METRIC_LEGS_MAX,
  METRIC_LIMITS_MAX,
  METRIC_POLICIES_MAX,
  METRIC_ROUTES_MAX,
  METRIC_TIERS_MAX,
  OUTCOME_WORDS,
  POLICY,
  POLICY_WORDS,
  REFUSED_WORDS,
  ROUTE,
  ROUTE_BASE,
  ROUTE_SLOT_OVERFLOW,
  ROUTE_SLOT_WORDS,
  ROUTE_WORDS,
  WORD_BYTES,
} from "./metric-layout.ts";

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
