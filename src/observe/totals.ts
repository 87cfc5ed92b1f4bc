// Owns the sums over all workers' metric cells, with slots attributed to the names that hold them now.
// Primary only. Must never write to the cells.
import { ERROR_CODES, type ErrorCode } from "../base/errors.ts";
import { OVERLOAD_REASONS, type OverloadReason, PRIORITIES, type Priority } from "../base/priorities.ts";
import { AGE_BUCKETS, CACHE_OUTCOMES } from "../shared/cache/outcomes.ts";
import { DeprecatedTotals } from "../shared/deprecated-totals.ts";
import type { MetricCells } from "../shared/metric-cells.ts";
import {
  type Cell,
  DECISIONS,
  ENDPOINT,
  ENDPOINT_SLOT_WORDS,
  LATENCY_BUCKETS,
  LEG_OUTCOMES,
  LIMIT_OUTCOMES,
  METRIC_DECISIONS_MAX,
  METRIC_ERRORS_MAX,
  METRIC_LEGS_MAX,
  METRIC_LIMITS_MAX,
  METRIC_POLICIES_MAX,
  METRIC_TIERS_MAX,
  POLICY,
  REFUSED_WORDS,
  ROUTE,
  ROUTE_SLOT_NONE,
  ROUTE_SLOT_OVERFLOW,
  ROUTE_SLOT_WORDS,
  TIER_SLOT_NONE,
  WIRE_CODES,
} from "../shared/metric-layout.ts";
import { SlotNames } from "../shared/slot-names.ts";

/** Label of requests that matched no route, and of routes without a slot of their own. No route can be called so. */
export const ROUTE_NONE = "_none";
export const ROUTE_OVERFLOW = "_other";

/** Labels of a status class: index 0 means that nothing was sent. */
export const STATUS_CLASSES = ["aborted", "1xx", "2xx", "3xx", "4xx", "5xx"] as const;

export interface RouteTotals {
  readonly route: string;
  readonly requests: number;
  /** By {@link STATUS_CLASSES}. */
  readonly byClass: readonly number[];
  /** Not cumulative; bounds are LATENCY_BOUNDS_S, the last is +Inf. */
  readonly buckets: readonly number[];
  readonly durationSumMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly cache: CacheTotals;
}

export interface CacheTotals {
  /** By CACHE_OUTCOMES. */
  readonly outcomes: readonly number[];
  readonly bytes: number;
  /** Not cumulative; bounds are AGE_BOUNDS_S, the last is +Inf. */
  readonly ages: readonly number[];
  readonly ageSumS: number;
}

export interface LimitTotals {
  readonly route: string;
  readonly limit: string;
  /** By LIMIT_OUTCOMES. */
  readonly outcomes: readonly number[];
}

/** What came of requests that a service is called about. */
export interface DecisionTotals {
  /** `forwardAuth:ROUTE` or `auth:NAME`. */
  readonly name: string;
  /** By DECISIONS. */
  readonly outcomes: readonly number[];
}

export interface LegTotals {
  readonly route: string;
  readonly leg: string;
  /** By LEG_OUTCOMES. */
  readonly outcomes: readonly number[];
}

/** Of the clients of one tier, that were refused for want of room. */
export interface RefusedTotals {
  /** '' for those without one. */
  readonly tier: string;
  readonly reason: OverloadReason;
  readonly priority: Priority;
  readonly count: number;
}

export interface PolicyTotals {
  readonly policy: string;
  readonly calls: number;
  readonly busyMs: number;
  readonly waitMs: number;
  readonly failures: number;
}

export interface EndpointTotals {
  readonly attempts: number;
  readonly retries: number;
  readonly serverErrors: number;
  /** Responses, and how long their first bytes took in all. */
  readonly firstByteCount: number;
  readonly firstByteSumMs: number;
  /** By code, only those that happened; `other` for codes without a cell. */
  readonly failures: ReadonlyMap<string, number>;
}

/** What a slot held when its present owner got it. */
interface Baseline {
  readonly owner: string;
  readonly words: Float64Array;
}

/** Reads the cells of all workers. */
export class Totals {
  readonly cells: readonly MetricCells[];
  readonly routeNames: SlotNames;
  /** Parts of limits, named `ROUTE LABEL`. */
  readonly limitNames: SlotNames;
  /** Calls to deprecated routes, as workers have reported them. */
  readonly deprecated = new DeprecatedTotals();
  /** Of those that call a service: `forwardAuth:ROUTE`, `auth:NAME`. */
  readonly decisionNames: SlotNames;
  /** Policies of the user's own. */
  readonly policyNames: SlotNames;
  /** Tiers of callers. */
  readonly tierNames: SlotNames;
  private readonly tierBaselines = new Map<number, Float64Array>();
  private readonly routeBaselines = new Map<number, Float64Array>();
  private readonly limitBaselines = new Map<number, Float64Array>();
  private readonly decisionBaselines = new Map<number, Float64Array>();
  /** Legs of aggregated answers, named `ROUTE LEG`. */
  readonly legNames: SlotNames;
  private readonly legBaselines = new Map<number, Float64Array>();
  private readonly policyBaselines = new Map<number, Float64Array>();
  private readonly endpointOwners = new Map<number, Baseline>();

  /** @param routeSlots capacity, as the cells have it */
  constructor(cells: readonly MetricCells[], routeSlots?: number) {
    this.cells = cells;
    this.routeNames = new SlotNames((slot) => this.routeBaselines.set(slot, this.sumRoute(slot)), routeSlots);
    this.limitNames = new SlotNames((slot) => this.limitBaselines.set(slot, this.sumLimit(slot)), METRIC_LIMITS_MAX);
    this.decisionNames = new SlotNames((slot) => this.decisionBaselines.set(slot, this.sumDecision(slot)), METRIC_DECISIONS_MAX);
    this.legNames = new SlotNames((slot) => this.legBaselines.set(slot, this.sumLeg(slot)), METRIC_LEGS_MAX);
    this.policyNames = new SlotNames((slot) => this.policyBaselines.set(slot, this.sumPolicy(slot)), METRIC_POLICIES_MAX);
    this.tierNames = new SlotNames((slot) => this.tierBaselines.set(slot, this.sumRefused(slot)), METRIC_TIERS_MAX);
  }

  /** Sum of a worker-wide cell. */
  cell(cell: Cell): number {
    let sum = 0;
    for (const cells of this.cells) sum += cells.get(cell);
    return sum;
  }

  /** Counts of every code of the error table. */
  errors(): ReadonlyMap<ErrorCode, number> {
    const sums = new Float64Array(METRIC_ERRORS_MAX);
    for (const cells of this.cells) cells.sumErrors(sums);
    return new Map(ERROR_CODES.map((code, i) => [code, sums[i + 1] ?? 0]));
  }

  /** Every route that has a slot, the two collective slots first. */
  routes(): RouteTotals[] {
    const all: RouteTotals[] = [this.route(ROUTE_NONE, ROUTE_SLOT_NONE), this.route(ROUTE_OVERFLOW, ROUTE_SLOT_OVERFLOW)];
    for (const [name, slot] of this.routeNames.entries()) all.push(this.route(name, slot));
    return all;
  }

  /** Every part of a limit that has a slot, the collective one first. */
  limits(): LimitTotals[] {
    const all = [this.limit(`${ROUTE_OVERFLOW} ${ROUTE_OVERFLOW}`, ROUTE_SLOT_OVERFLOW)];
    for (const [name, slot] of this.limitNames.entries()) all.push(this.limit(name, slot));
    return all;
  }

  /** Of everybody that has a slot, the collective one first. */
  decisions(): DecisionTotals[] {
    return [[ROUTE_OVERFLOW, ROUTE_SLOT_OVERFLOW] as const, ...this.decisionNames.entries()].map(([name, slot]) => {
      const words = this.sumDecision(slot);
      subtract(words, this.decisionBaselines.get(slot));
      return { name, outcomes: [...words] };
    });
  }

  /** Every leg that has a slot, the collective one first. */
  legs(): LegTotals[] {
    const all = [this.leg(`${ROUTE_OVERFLOW} ${ROUTE_OVERFLOW}`, ROUTE_SLOT_OVERFLOW)];
    for (const [name, slot] of this.legNames.entries()) all.push(this.leg(name, slot));
    return all;
  }

  /** Every policy of the user's own that has a slot, the collective one first. */
  policies(): PolicyTotals[] {
    const all = [this.policy(ROUTE_OVERFLOW, ROUTE_SLOT_OVERFLOW)];
    for (const [name, slot] of this.policyNames.entries()) all.push(this.policy(name, slot));
    return all;
  }

  /** Those that there were. */
  refused(): RefusedTotals[] {
    const all = [...this.refusedOf("", TIER_SLOT_NONE), ...this.refusedOf(ROUTE_OVERFLOW, ROUTE_SLOT_OVERFLOW)];
    for (const [name, slot] of this.tierNames.entries()) all.push(...this.refusedOf(name, slot));
    return all;
  }

  private refusedOf(tier: string, slot: number): RefusedTotals[] {
    const words = this.sumRefused(slot);
    subtract(words, this.tierBaselines.get(slot));
    return OVERLOAD_REASONS.flatMap((reason, r) =>
      PRIORITIES.map((priority, p) => ({ tier, reason, priority, count: words[r * PRIORITIES.length + p] ?? 0 })).filter(
        ({ count }) => count > 0,
      ),
    );
  }

  private sumRefused(slot: number): Float64Array {
    const words = new Float64Array(REFUSED_WORDS);
    for (const cells of this.cells) cells.sumRefused(slot, words);
    return words;
  }

  /** Tells who holds an endpoint slot, so that counts of an earlier holder are not taken for its own. Call when endpoints change. */
  claim(slot: number, owner: string): void {
    const known = this.endpointOwners.get(slot);
    if (known?.owner === owner) return;
    const words = known === undefined ? new Float64Array(ENDPOINT_SLOT_WORDS) : this.sumEndpoint(slot);
    this.endpointOwners.set(slot, { owner, words });
  }

  /** @param owner `upstream key`; claims the slot when nobody did. */
  endpoint(slot: number, owner: string): EndpointTotals {
    this.claim(slot, owner);
    const words = this.sumEndpoint(slot);
    subtract(words, this.endpointOwners.get(slot)?.words);
    const failures = new Map<string, number>();
    WIRE_CODES.forEach((code, i) => {
      const count = words[ENDPOINT.failures + i] ?? 0;
      if (count > 0) failures.set(code, count);
    });
    if (words[ENDPOINT.otherFailures]! > 0) failures.set("other", words[ENDPOINT.otherFailures]!);
    return {
      attempts: words[ENDPOINT.attempts]!,
      retries: words[ENDPOINT.retries]!,
      serverErrors: words[ENDPOINT.serverErrors]!,
      firstByteCount: words[ENDPOINT.firstByteCount]!,
      firstByteSumMs: words[ENDPOINT.firstByteSumMs]!,
      failures,
    };
  }

  private route(route: string, slot: number): RouteTotals {
    const words = this.sumRoute(slot);
    subtract(words, this.routeBaselines.get(slot));
    const byClass = [...words.subarray(ROUTE.byClass, ROUTE.byClass + STATUS_CLASSES.length)];
    return {
      route,
      requests: byClass.reduce((sum, n) => sum + n, 0),
      byClass,
      buckets: [...words.subarray(ROUTE.buckets, ROUTE.buckets + LATENCY_BUCKETS)],
      durationSumMs: words[ROUTE.durationSumMs]!,
      bytesIn: words[ROUTE.bytesIn]!,
      bytesOut: words[ROUTE.bytesOut]!,
      cache: {
        outcomes: [...words.subarray(ROUTE.cache, ROUTE.cache + CACHE_OUTCOMES.length)],
        bytes: words[ROUTE.cacheBytes]!,
        ages: [...words.subarray(ROUTE.cacheAges, ROUTE.cacheAges + AGE_BUCKETS)],
        ageSumS: words[ROUTE.cacheAgeSum]!,
      },
    };
  }

  private limit(name: string, slot: number): LimitTotals {
    const words = this.sumLimit(slot);
    subtract(words, this.limitBaselines.get(slot));
    const space = name.indexOf(" "); // names have none
    return { route: name.slice(0, space), limit: name.slice(space + 1), outcomes: [...words] };
  }

  private policy(policy: string, slot: number): PolicyTotals {
    const words = this.sumPolicy(slot);
    subtract(words, this.policyBaselines.get(slot));
    const word = (at: number): number => words[at] ?? 0;
    return {
      policy,
      calls: word(POLICY.calls),
      busyMs: word(POLICY.busyMs),
      waitMs: word(POLICY.waitMs),
      failures: word(POLICY.failures),
    };
  }

  private sumPolicy(slot: number): Float64Array {
    const words = new Float64Array(Object.keys(POLICY).length);
    for (const cells of this.cells) cells.sumPolicy(slot, words);
    return words;
  }

  private sumLimit(slot: number): Float64Array {
    const words = new Float64Array(LIMIT_OUTCOMES.length);
    for (const cells of this.cells) cells.sumLimit(slot, words);
    return words;
  }

  private sumDecision(slot: number): Float64Array {
    const words = new Float64Array(DECISIONS.length);
    for (const cells of this.cells) cells.sumDecision(slot, words);
    return words;
  }

  private leg(name: string, slot: number): LegTotals {
    const words = this.sumLeg(slot);
    subtract(words, this.legBaselines.get(slot));
    const space = name.indexOf(" "); // names have none
    return { route: name.slice(0, space), leg: name.slice(space + 1), outcomes: [...words] };
  }

  private sumLeg(slot: number): Float64Array {
    const words = new Float64Array(LEG_OUTCOMES.length);
    for (const cells of this.cells) cells.sumLeg(slot, words);
    return words;
  }

  private sumRoute(slot: number): Float64Array {
    const words = new Float64Array(ROUTE_SLOT_WORDS);
    for (const cells of this.cells) cells.sumRoute(slot, words);
    return words;
  }

  private sumEndpoint(slot: number): Float64Array {
    const words = new Float64Array(ENDPOINT_SLOT_WORDS);
    for (const cells of this.cells) cells.sumEndpoint(slot, words);
    return words;
  }
}

function subtract(words: Float64Array, baseline: Float64Array | undefined): void {
  if (baseline !== undefined) for (let i = 0; i < words.length; i++) words[i]! -= baseline[i] ?? 0;
}
