// Owns what `sluice validate` says of limits that a fleet shares: what each may admit too much at worst. Pure.
import { formatDurationMs } from "../../base/units.ts";
import type { QuotaPlan, RatePlan, TierPlan } from "../../plan/plan.ts";
import { type Cost, isFromClaim, type LimitConfig, limitIdentities, limitNames } from "../../plan/rate-limit.ts";
import { describeRedis } from "../../store/redis-settings.ts";
import type { Config } from "../config/schema/schema.ts";
import { worstOvershoot } from "./overshoot.ts";

/** Fleets that are computed when the configuration does not say how large it is. */
const SIZES = [2, 4, 8];

/** @returns lines with their ends; none without Redis */
export function describeFleetLimits({ redis, routes, tiers }: Config): string {
  if (redis === null) return "";
  const sizes = redis.fleetSize === null ? SIZES : [redis.fleetSize];
  const seen = new Set<string>();
  const lines: string[] = [];
  for (const route of routes) {
    const limits = (route.policies.find((policy) => policy.name === "rateLimit")?.config ?? []) as readonly LimitConfig[]; // parsed by rateLimitSchema
    const [names, identities] = [limitNames(limits), limitIdentities(limits, route.name)];
    for (const [i, limit] of limits.entries()) {
      if (limit.mode === "local" || seen.has(identities[i] ?? "")) continue;
      seen.add(identities[i] ?? "");
      for (const text of describeLimit(limit, tiers, { sizes, syncIntervalMs: redis.syncIntervalMs }))
        lines.push(`  ${route.name}, ${names[i]}: ${text}\n`);
    }
  }
  const fleets = `${sizes.join(" / ")} instances`;
  const head = `redis: ${describeRedis(redis)}, every ${formatDurationMs(redis.syncIntervalMs)}\n`;
  if (lines.length === 0) return head;
  return `${head}limits of the fleet, and what they may admit at worst beyond burst + rate x time, with ${fleets}:\n${lines.join("")}`;
}

interface Fleets {
  readonly sizes: readonly number[];
  readonly syncIntervalMs: number;
}

function describeLimit(limit: LimitConfig, tiers: readonly TierPlan[], fleets: Fleets): string[] {
  const own = (size: LimitConfig["rate"] | LimitConfig["quota"]) => (isFromClaim(size) ? size.max : size);
  const told = limit.tier ? tiers.flatMap((tier) => describeSizes(limit, tier, fleets).map((text) => `tier ${tier.name}, ${text}`)) : [];
  return [...told, ...describeSizes(limit, { rate: own(limit.rate), burst: limit.burst, quota: own(limit.quota) }, fleets)];
}

interface Sizes {
  readonly rate: RatePlan | null;
  readonly burst: number | null;
  readonly quota: RatePlan | QuotaPlan | null;
}

function describeSizes(limit: LimitConfig, { rate, burst, quota }: Sizes, { sizes, syncIntervalMs }: Fleets): string[] {
  const cost = costMax(limit.cost);
  const texts: string[] = [];
  if (rate !== null) {
    // As buckets.ts has it: a second's worth, and no less than one request.
    const whole = Math.max(cost, burst ?? Math.floor((rate.count * 1000) / rate.periodMs));
    const worst = sizes.map((instances) => worstOvershoot({ ...rate, burst: whole, cost }, { instances, syncIntervalMs }));
    texts.push(`${rateText(rate)} burst ${whole}, ${limit.mode}: ${limit.mode === "strict" ? "nothing" : worst.join(" / ")}`);
  }
  if (quota !== null) {
    const worst = sizes.map((instances) => 2 * instances * cost).join(" / ");
    const text = limit.mode === "strict" ? "nothing" : `what was left two intervals before its end, and ${worst}`;
    texts.push(`quota ${rateText(quota)}, ${limit.mode}: ${text}`);
  }
  return limit.cost.kind === "response" ? texts.map((text) => `${text}, and what answers turn out to cost`) : texts;
}

const costMax = (cost: Cost): number => (cost.kind === "fixed" ? cost.units : cost.kind === "header" ? cost.max : 1);

const PERIODS: readonly (readonly [number, string])[] = [
  [1000, "s"],
  [60_000, "min"],
  [3_600_000, "hour"],
  [86_400_000, "day"],
  [604_800_000, "week"],
];

function rateText(rate: RatePlan | QuotaPlan): string {
  if ("month" in rate && rate.month) return `${rate.count}/month`;
  return `${rate.count}/${PERIODS.find(([ms]) => ms === rate.periodMs)?.[1] ?? formatDurationMs(rate.periodMs)}`;
}
