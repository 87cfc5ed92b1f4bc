// The one place where a request is turned away because the gateway itself has no room for it: code `overloaded`, with the reason.
// Says nothing about a target: whoever calls this has kept health, breaker and retry budget out of it.
import type { Exchange } from "../exchange/exchange.ts";
import type { Reply } from "../exchange/policy.ts";

/** What there was no room in: `pool` all connections to the target are busy with requests; `bodies` limits.bufferedBodyBytes are held. */
export type OverloadReason = "pool" | "bodies";

/** @param detail for the log @returns the answer, 503 */
export function overloaded(x: Exchange, reason: OverloadReason, detail: string): Extract<Reply, { readonly kind: "problem" }> {
  x.overloadReason = reason;
  return { kind: "problem", code: "overloaded", detail: `${reason}: ${detail}` };
}
