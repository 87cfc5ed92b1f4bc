// Owns what clients are told about limits: Retry-After, and the RateLimit and RateLimit-Policy fields
// (draft-ietf-httpapi-ratelimit-headers-10: lists of strings with parameters, RFC 9651). Must never tell of shadow limits.
import type { LimitAsk, Verdict } from "../../../shared/limit-size.ts";
import { NO_SHARE, REFUSED } from "../../../shared/limit-size.ts";
import type { LimitTable } from "../../../shared/limit-table.ts";
import type { Reply } from "../../exchange/policy.ts";
import { type Bucket, PART_CODES } from "./buckets.ts";

/** Seconds that are said when nobody can know: places come free when other requests end. */
const CONCURRENCY_RETRY_S = 1;

/** Seconds that are said when the bucket has room and only this instance's share of it is spent: the fleet shares out anew within a moment. */
const SHARE_RETRY_S = 1;

/** Whole seconds, rounded up, so that who waits as told is not refused again; at least 1. */
export function retryAfterS({ part, period }: Bucket, ask: LimitAsk, table: LimitTable): number {
  if (part === "concurrency") return CONCURRENCY_RETRY_S;
  if (ask.verdict === NO_SHARE) return SHARE_RETRY_S;
  return Math.max(1, Math.ceil((period === null ? ask.waitMs : period.waitMs(ask, table)) / 1000));
}

/** The refusal by one part. */
export function refusal(bucket: Bucket, verdict: Verdict, retryS: number): Reply {
  if (verdict !== REFUSED && verdict !== NO_SHARE)
    return { kind: "problem", code: "limits_unavailable", detail: `the limit ${bucket.limitName}` };
  return {
    kind: "problem",
    // A quota of which units are left is not used up: its caller is only too quick.
    code: PART_CODES[verdict === NO_SHARE ? "rate" : bucket.part],
    detail: `the limit ${bucket.limitName}: try again in ${retryS} s`,
    headers: ["retry-after", String(retryS)],
  };
}

/** Item of the RateLimit field: what is left, and how long until it is all there again; of a refusal, until one more would pass. */
export function limitField(bucket: Bucket, ask: LimitAsk, table: LimitTable, retryS: number): string {
  if (retryS > 0) return `"${bucket.label}";r=0;t=${retryS}`;
  const resetMs = bucket.period === null ? ask.refillMs : Math.max(0, bucket.period.endMs - table.nowEpochMs);
  return `"${bucket.label}";r=${ask.left};t=${Math.ceil(resetMs / 1000)}`;
}
