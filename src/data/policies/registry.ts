// THE ordered list of policies: phase by phase, the order here is the order of their steps before the upstream (and the reverse of onResponse).
// Data plane side: name -> factory. The schemas stand in schemas.ts, which only the primary loads.
import type { Phase, PolicyFactory } from "../exchange/policy.ts";
import { createAuth } from "./auth/policy.ts";
import { createAuthorize } from "./authorize/policy.ts";
import { createCors } from "./cors/policy.ts";
import { createDeprecation } from "./deprecation/policy.ts";
import { createForwardAuth } from "./forwardAuth/policy.ts";
import { createHeaders } from "./headers/policy.ts";
import { createIp } from "./ip/policy.ts";
import { createQuery } from "./query/policy.ts";
import { createRateLimit } from "./rateLimit/policy.ts";
import { createRedirect } from "./redirect/policy.ts";
import { createRewrite } from "./rewrite/policy.ts";

/** A policy as it is registered. */
export interface PolicyEntry {
  readonly name: string;
  /** When its onRequest runs. What it does in another phase has a hook of its own (policy.ts). */
  readonly phase: Phase;
  readonly create: PolicyFactory;
}

/** Every policy. In each phase they run in this order; docs/configuration.md, "Order of policies", is held to it by a test. */
export const POLICIES: readonly PolicyEntry[] = [
  { name: "ip", phase: "edge", create: createIp },
  // Before cors: a preflight that is answered over plain HTTP would let a page send its credentials there.
  { name: "redirect", phase: "edge", create: createRedirect },
  { name: "cors", phase: "edge", create: createCors },
  { name: "rateLimit", phase: "edge", create: createRateLimit },
  { name: "auth", phase: "identify", create: createAuth },
  { name: "forwardAuth", phase: "identify", create: createForwardAuth },
  { name: "authorize", phase: "identify", create: createAuthorize },
  { name: "rewrite", phase: "origin", create: createRewrite },
  // Behind rewrite, which may add to the query.
  { name: "query", phase: "origin", create: createQuery },
  { name: "headers", phase: "origin", create: createHeaders },
  // Behind headers, whose changes to responses come later and so have the last word.
  { name: "deprecation", phase: "origin", create: createDeprecation },
];
