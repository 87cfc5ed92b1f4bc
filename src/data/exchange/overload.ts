// The one place where a request is turned away because the gateway itself has no room for it: code `overloaded`, with the reason.
// Says nothing about a target: whoever calls this has kept health, breaker and retry budget out of it.
import type { OverloadReason } from "../upstream/call-request.ts";
import type { Exchange } from "./exchange.ts";
import type { Reply } from "./policy.ts";

/** @param detail for the log @returns the answer, 503 */
export function overloaded(x: Exchange, reason: OverloadReason, detail: string): Extract<Reply, { readonly kind: "problem" }> {
  x.overloadReason = reason;
  return { kind: "problem", code: "overloaded", detail: `${reason}: ${detail}` };
}
