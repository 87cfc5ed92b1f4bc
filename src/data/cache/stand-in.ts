// Owns how long a stored response may stand in for an error by the operator's word, beyond what the response allows itself. Pure.
import type { ErrorCode } from "../../base/errors.ts";
import type { Upstream } from "../upstream/upstream.ts";

/** @param code of the gateway's own error @param staleIfOpen of the route, seconds; -1 for not given. @returns how long after its lifetime a response may stand in by the operator's word, seconds */
export function standInGrant(code: ErrorCode | null, staleIfOpen: number, { plan }: Upstream): number {
  if (code !== "breaker_open" && code !== "overloaded") return 0;
  if (staleIfOpen >= 0) return staleIfOpen;
  const fallback = plan.breaker?.fallback ?? null;
  if (code === "overloaded" || fallback?.kind !== "stale") return 0;
  return fallback.forS < 0 ? Number.POSITIVE_INFINITY : fallback.forS;
}
