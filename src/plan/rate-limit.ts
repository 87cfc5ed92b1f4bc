// Owns what a parsed limit looks like, its labels and the identity of its buckets. Types and pure functions, for primary and workers.
// Equal limits must have equal identities in every instance of a fleet and in every plan, and different limits different ones.
import type { QuotaPlan, RatePlan } from "./plan.ts";

/** What a limit counts by. */
export type PerPart =
  | { readonly kind: "consumer" | "ip" | "route" | "gateway" }
  /** Lowercase. */
  | { readonly kind: "header"; readonly name: string }
  /** A claim's name, or names joined by dots for one inside another. */
  | { readonly kind: "claim"; readonly name: string }
  /** A template. */
  | { readonly kind: "key"; readonly template: string };

/** A size that each caller's claim says, within bounds. */
export interface FromClaim<T> {
  readonly claim: string;
  readonly max: T;
  readonly default: T;
}

export const isFromClaim = <T>(size: T | FromClaim<T>): size is FromClaim<T> =>
  typeof size === "object" && size !== null && "claim" in size;

/** What a request costs, in units. */
export type Cost =
  | { readonly kind: "fixed"; readonly units: number }
  /** What the request's header says. */
  | { readonly kind: "header"; readonly name: string; readonly default: number; readonly max: number }
  /** One when it comes, and what the upstream's answer says when that is there. */
  | { readonly kind: "response"; readonly name: string; readonly max: number };

export type Mode = "local" | "fleet" | "strict";
export type Window = "calendar" | "rolling";

/** One limit, as configured. */
export interface LimitConfig {
  readonly name: string | null;
  readonly per: readonly PerPart[];
  readonly ipv4Prefix: number;
  readonly ipv6Prefix: number;
  /** Sizes come from the consumer's tier; those given beside it are for callers without one. */
  readonly tier: boolean;
  readonly rate: RatePlan | FromClaim<RatePlan> | null;
  readonly burst: number | null;
  readonly quota: QuotaPlan | FromClaim<QuotaPlan> | null;
  readonly window: Window;
  readonly concurrency: number | FromClaim<number> | null;
  readonly cost: Cost;
  readonly mode: Mode;
  readonly waitMs: number;
  readonly shadow: boolean;
  /** Tell clients in RateLimit header fields. */
  readonly headers: boolean;
}

/** The parts of a limit that have buckets of their own. */
export type LimitPart = "rate" | "quota" | "concurrency";
export const LIMIT_PARTS: readonly LimitPart[] = ["rate", "quota", "concurrency"];

const partNeedsIdentity = (part: PerPart): boolean =>
  part.kind === "consumer" || part.kind === "claim" || (part.kind === "key" && /\{(consumer|claims)\b/.test(part.template));

/** Whether a limit must know the caller, and so can only be decided after the policy `auth`. */
export const needsIdentity = (limit: LimitConfig): boolean =>
  limit.tier ||
  limit.per.some(partNeedsIdentity) ||
  [limit.rate, limit.quota, limit.concurrency].some((size) => isFromClaim<unknown>(size));

/** Which parts a limit can have. With `tier` that depends on the caller. */
export const partsOf = (limit: LimitConfig): readonly LimitPart[] => LIMIT_PARTS.filter((part) => limit.tier || limit[part] !== null);

const partName = (part: PerPart): string => {
  if (part.kind === "header" || part.kind === "claim") return `${part.kind}-${part.name}`;
  return part.kind;
};

/** What limits are called in messages: their name; without one `consumer`, `ip-route`, `consumer-2` for the second. */
export function limitNames(limits: readonly LimitConfig[]): readonly string[] {
  const seen = new Map<string, number>();
  return limits.map((limit) => {
    const base = (limit.name ?? limit.per.map(partName).join("-")).replaceAll(/[^A-Za-z0-9._-]/g, "_");
    const nth = (seen.get(base) ?? 0) + 1;
    seen.set(base, nth);
    return nth === 1 ? base : `${base}-${nth}`;
  });
}

/**
 * What the parts of a route's limits are called in metrics and header fields, each by another label: a named limit of one part by its name, whatever the
 * part; else the rate by the limit's name, and the other parts with their kind behind it.
 */
export function partLabels(limits: readonly LimitConfig[]): readonly Readonly<Partial<Record<LimitPart, string>>>[] {
  const names = limitNames(limits);
  const seen = new Set<string>();
  return limits.map((limit, i) => {
    const parts = partsOf(limit);
    const name = names[i] ?? "";
    const labels: Partial<Record<LimitPart, string>> = {};
    for (const part of parts) {
      const base = part === "rate" || (limit.name !== null && parts.length === 1) ? name : `${name}-${part}`;
      let label = base;
      for (let nth = 2; seen.has(label); nth++) label = `${base}-${nth}`;
      seen.add(label);
      labels[part] = label;
    }
    return labels;
  });
}

/** Labels of all parts of a route's limits: what metrics count. */
export const limitLabels = (limits: readonly LimitConfig[]): readonly string[] =>
  partLabels(limits).flatMap((labels) => Object.values(labels));

/**
 * What the limit's buckets are shared by: its name if it has one, and then by all routes that name it; the tier; the whole gateway; else the route.
 * A limit without a name is known by what it counts by, so that another one before it in the list changes nothing.
 */
export function limitIdentities(limits: readonly LimitConfig[], routeName: string): readonly string[] {
  const seen = new Map<string, number>();
  return limits.map((limit) => {
    const per = JSON.stringify(limit.per);
    const inRoute = limit.per.some((part) => part.kind === "route") ? ` route ${routeName}` : "";
    if (limit.name !== null) return `name ${limit.name} per ${per}${inRoute}`;
    const where = isShared(limit) ? inRoute : ` route ${routeName}`;
    const base = `${limit.tier ? "tier" : "limit"} per ${per}${where}`;
    const nth = (seen.get(base) ?? 0) + 1;
    seen.set(base, nth);
    return nth === 1 ? base : `${base} ${nth}`;
  });
}

/** Whether a limit's buckets are those of other routes' limits like it. Then their sizes must be equal. */
export const isShared = (limit: LimitConfig): boolean =>
  limit.name !== null || limit.tier || limit.per.every((part) => part.kind === "gateway");
