// Owns the fixed answer that an upstream's breaker gives instead of 503 (`breaker.fallback.respond`).
import type { Plan } from "../../plan/plan.ts";
import type { Policy, Reply } from "../exchange/policy.ts";
import { fixedReply } from "./fixed-reply.ts";
import type { RespondConfig } from "./respond/config.ts";

/** @returns what answers for the open breakers of a plan, on every route behind its other policies; null when none has a fixed answer */
export function breakerFallback({ upstreams }: Plan): Policy | null {
  const replies = new Map<string, () => Reply>();
  for (const { name, breaker } of upstreams)
    if (breaker?.fallback?.kind === "respond") replies.set(name, fixedReply(breaker.fallback.config as RespondConfig)); // parsed by respondSchema in the primary
  if (replies.size === 0) return null;
  return {
    name: "breaker",
    onUpstreamFailure: (_x, { hasFixedReply, upstream }) => (hasFixedReply ? replies.get(upstream.name)?.() : undefined),
  };
}
