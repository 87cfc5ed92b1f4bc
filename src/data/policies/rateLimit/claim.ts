// Owns reading a claim of the caller for limits: as a text to count by, as a size. Must never trust a claim beyond the bounds it is given.
import { parseQuota, parseRate } from "../../../base/units.ts";
import type { QuotaPlan, RatePlan } from "../../../plan/plan.ts";
import type { FromClaim } from "../../../plan/rate-limit.ts";
import type { Identity } from "../../exchange/identity/identity.ts";

/** @param name a claim's own name, which wins, or names joined by dots. @returns undefined for none */
export function claimValue(identity: Identity | null, name: string): unknown {
  const claims = identity?.claims ?? null;
  if (claims === null) return undefined;
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const part of name.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part]; // an object that has it, as was just seen
  }
  return value;
}

/** A claim as text to count by; '' for what is no text, number or boolean. */
export function claimText(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

/** A rate that a claim says: `100/s`, or a number in the period of the bound. Never above the bound, at least 1. */
export function claimRate({ max, default: fallback }: FromClaim<RatePlan>, value: unknown): RatePlan {
  const said = typeof value === "string" ? parseRate(value) : null;
  if (said !== null) return said.count / said.periodMs > max.count / max.periodMs ? max : said;
  const count = claimCount(value);
  return count === null ? fallback : { ...max, count: Math.min(count, max.count) };
}

/** As {@link claimRate}. A claim for another period is taken as its share of the bound's period. */
export function claimQuota({ max, default: fallback }: FromClaim<QuotaPlan>, value: unknown): QuotaPlan {
  const said = typeof value === "string" ? parseQuota(value) : null;
  const count = said === null ? claimCount(value) : Math.max(1, Math.floor((said.count / said.periodMs) * max.periodMs));
  return count === null ? fallback : { ...max, count: Math.min(count, max.count) };
}

export function claimConcurrency({ max, default: fallback }: FromClaim<number>, value: unknown): number {
  return Math.min(claimCount(value) ?? fallback, max);
}

/** A whole number of at least 1, also as text; null for anything else. */
function claimCount(value: unknown): number | null {
  const count = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof count === "number" && Number.isFinite(count) && count >= 1 ? Math.floor(count) : null;
}
