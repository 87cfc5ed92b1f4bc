// Owns the `rateLimit` key of a route: how much of what each caller may send. Schema and docs only.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { claimName, duration, headerName, name, once, quota, rate } from "../../../base/schema.ts";
import { formatDurationMs } from "../../../base/units.ts";
import type { QuotaPlan, RatePlan } from "../../../plan/plan.ts";
import { type Cost, type FromClaim, isFromClaim, type LimitConfig, type PerPart } from "../../../plan/rate-limit.ts";
import { TOLERANCE_MS_MAX, UNITS_PER_MS_MAX } from "../../../shared/limit-size.ts";

/** Limits of one route. */
export const LIMITS_MAX = 16;
const PER_MAX = 4;
const UNITS_MAX = 1_000_000_000;
const CONCURRENCY_MAX = 1_000_000;
const COST_MAX = 1_000_000;
const WAIT_MS_MAX = 5000;

const units = (max: number) => z.int().min(1).max(max);

/** The caller's claim says, within bounds. */
const fromClaim = <T extends z.ZodType>(value: T, what: string) =>
  z.strictObject({
    claim: claimName().meta({ description: `Claim that holds it: ${what}. Names joined by dots reach into nested claims.` }),
    max: value.meta({ description: "What it is bounded by; of a claim that is a plain number, also the period." }),
    default: value.meta({ description: "For callers without such a claim, or with one that cannot be read." }),
  });

const perPart = once(() =>
  z
    .union(
      [
        z.enum(["consumer", "ip", "route", "gateway"]),
        z.strictObject({ header: headerName().meta({ description: "A request header's value; absent or sent twice: ''." }) }),
        z.strictObject({ claim: claimName().meta({ description: "A claim's value; absent: ''." }) }),
        z.strictObject({
          key: z.string().min(1).max(1024).meta({
            description:
              "A text with variables, such as `{path.tenant}` or `{header.x-api-key}`; headers and query parameters that are absent or sent twice: ''.",
          }),
        }),
      ],
      { error: "expected consumer, ip, route, gateway, {header: NAME}, {claim: NAME} or {key: TEMPLATE}" },
    )
    .transform((part): PerPart => {
      if (typeof part === "string") return { kind: part };
      if ("header" in part) return { kind: "header", name: part.header };
      return "claim" in part ? { kind: "claim", name: part.claim } : { kind: "key", template: part.key };
    }),
);

const cost = once(() =>
  z
    .union(
      [
        units(COST_MAX),
        z.strictObject({
          header: headerName().meta({ description: "Request header with the units that the request costs." }),
          default: units(COST_MAX).prefault(1).meta({ description: "When it is absent, sent twice or no whole number of at least 1." }),
          max: units(COST_MAX).meta({ description: "Largest value taken from it." }),
        }),
        z.strictObject({
          responseHeader: headerName().meta({
            description:
              "Header of the upstream's response with the units that it cost; it is not passed on. The request costs 1 when it comes, the rest afterwards: a bucket may so go into debt.",
          }),
          max: units(COST_MAX).meta({ description: "Largest value taken from it." }),
        }),
      ],
      { error: "expected a whole number, {header, max} or {responseHeader, max}" },
    )
    .transform((value): Cost => {
      if (typeof value === "number") return { kind: "fixed", units: value };
      if ("header" in value) return { kind: "header", name: value.header, default: value.default, max: value.max };
      return { kind: "response", name: value.responseHeader, max: value.max };
    }),
);

const limit = once(() =>
  withRules(
    z.strictObject({
      name: name().optional().meta({
        description:
          "Stands in metrics, messages and RateLimit header fields. Routes that name the same limit share its buckets, so it must be equal in all of them.",
      }),
      per: z
        .union([perPart(), z.array(perPart()).min(1).max(PER_MAX)])
        .transform((per) => (Array.isArray(per) ? per : [per]))
        .meta({
          description:
            "What is counted by itself: each `consumer` (callers who may be nobody: by address), `ip`, `{header: NAME}`, `{claim: NAME}`, `{key: TEMPLATE}`, each `route` or the whole `gateway`; a list for each combination.",
          examples: ["consumer", ["ip", "route"], { header: "x-tenant" }],
        }),
      ipv4Prefix: z.int().min(8).max(32).prefault(32).meta({ description: "Addresses that agree in so many bits count as one." }),
      ipv6Prefix: z.int().min(16).max(128).prefault(64).meta({ description: "The same for IPv6: a caller usually has a whole /64." }),
      tier: z.boolean().prefault(false).meta({
        description:
          "Sizes come from the consumer's tier, over all routes with `tier: true`. `rate`, `quota` and `concurrency` beside it are for callers without a tier; without them those are not limited.",
      }),
      rate: z
        .union([rate(), fromClaim(rate(), "a number, or a text such as 100/s")])
        .optional()
        .meta({ description: "Units in the long run.", examples: ["100/s", "5000/min"] }),
      burst: units(UNITS_MAX)
        .optional()
        .meta({ description: "Units that may come at once; by default a second's worth of the rate, at least 1." }),
      quota: z
        .union([quota(), fromClaim(quota(), "a number, or a text such as 10000/day")])
        .optional()
        .meta({
          description: "Units in one period: second, minute, hour, day, week or month; `window` sets when it begins.",
          examples: ["10000/day", "1000000/month"],
        }),
      window: z.enum(["calendar", "rolling"]).prefault("calendar").meta({
        description:
          "Of the quota. `calendar`: begins anew with each minute, hour, day, week (Monday) or month of UTC. `rolling`: counts the time just past, taking what came in the period before as spread evenly over it.",
      }),
      concurrency: z
        .union([units(CONCURRENCY_MAX), fromClaim(units(CONCURRENCY_MAX), "a number")])
        .optional()
        .meta({ description: "Requests under way at once, in this instance." }),
      cost: cost()
        .prefault(1)
        .meta({ description: "Units that a request costs; concurrency always counts 1.", examples: [5, { header: "x-cost", max: 100 }] }),
      mode: z.enum(["local", "fleet", "strict"]).prefault("local").meta({
        description:
          "`local`: each instance for itself. `fleet`: instances report to each other through Redis what they have let pass, each goes on with a share of what is left, and a request waits only when that share is spent. `strict`: an instance lets pass only what Redis has granted it, and may wait.",
      }),
      wait: duration()
        .refine((ms) => ms <= WAIT_MS_MAX, `expected at most ${formatDurationMs(WAIT_MS_MAX)}`)
        .prefault("50ms")
        .meta({
          description:
            "Longest wait for Redis. `strict`: for a grant, then 503 `limits_unavailable`. `fleet`: for a new share of what is left, when this instance has spent its own; then 429 `rate_limited` with `Retry-After: 1`. `0s` never waits.",
        }),
      shadow: z.boolean().prefault(false).meta({ description: "Count and log what it would refuse, and let it pass." }),
      headers: z.boolean().prefault(true).meta({ description: "Tell clients about it in `RateLimit` and `RateLimit-Policy`." }),
    }),
    ({ tier, rate, quota, concurrency, burst }, object) => {
      if (!tier && [rate, quota, concurrency].every((size) => size === undefined))
        object("expected at least one of rate, quota, concurrency and tier");
      else if (burst !== undefined && rate === undefined) object("a burst needs a rate beside it", ["burst"]);
    },
    ({ per }, object) => {
      if (per.length > 1 && per.some((part) => part.kind === "gateway"))
        object("`gateway` stands alone: it counts everything together", ["per"]);
      if (new Set(per.map((part) => JSON.stringify(part))).size < per.length) object("something is named twice", ["per"]);
    },
    ({ rate, burst }, object) => {
      const problem = rate === undefined ? null : sizeProblem(rate, burst ?? null);
      if (problem !== null) object(problem, ["rate"]);
    },
    ({ rate, burst, quota, cost }, object) => {
      const costMax = cost.kind === "fixed" ? cost.units : cost.kind === "header" ? cost.max : 1;
      for (const [key, least] of leastSizes(rate, burst ?? null, quota))
        if (costMax > least) object(`a request may cost ${costMax}, more than ${key} ${least}: it could never pass`, ["cost"]);
    },
  ).transform(
    ({ wait, ...value }): LimitConfig => ({
      ...value,
      name: value.name ?? null,
      rate: value.rate ?? null,
      burst: value.burst ?? null,
      quota: value.quota ?? null,
      concurrency: value.concurrency ?? null,
      waitMs: wait,
    }),
  ),
);

export const rateLimitSchema = once(() =>
  z.array(limit()).min(1).max(LIMITS_MAX).meta({
    description:
      "How much each caller may send. All limits must have room; a request that one of them refuses spends none of the others. Limits that need to know the caller are decided after `auth` and `authorize`, all others before. Refused: 429 `rate_limited`, `quota_exceeded` or `concurrency_limited`.",
  }),
);

/** The burst of a rate that has none of its own: a second's worth. */
export const burstOf = ({ count, periodMs }: RatePlan): number => Math.max(1, Math.floor((count * 1000) / periodMs));

function sizeProblem(size: RatePlan | FromClaim<RatePlan>, burst: number | null): string | null {
  for (const each of isFromClaim(size) ? [size.max, size.default] : [size]) {
    if (each.count / each.periodMs > UNITS_PER_MS_MAX) return `expected at most ${UNITS_PER_MS_MAX * 1000}/s`;
    if ((burst ?? burstOf(each)) * (each.periodMs / each.count) > TOLERANCE_MS_MAX)
      return `the burst would take more than ${formatDurationMs(TOLERANCE_MS_MAX)} to come back: use a quota`;
  }
  return null;
}

/** Sizes that every caller has at least, with their key. Claims are not counted: what they say is raised to what a request costs. */
function leastSizes(
  rateOf: RatePlan | FromClaim<RatePlan> | undefined,
  burst: number | null,
  quotaOf: QuotaPlan | FromClaim<QuotaPlan> | undefined,
): [string, number][] {
  const sizes: [string, number][] = [];
  if (rateOf !== undefined && !isFromClaim(rateOf)) sizes.push(["the burst of", burst ?? burstOf(rateOf)]);
  if (quotaOf !== undefined && !isFromClaim(quotaOf)) sizes.push(["the quota of", quotaOf.count]);
  return sizes;
}
