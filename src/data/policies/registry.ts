// THE ordered list of policies: the order here is the order of onRequest (and the reverse of onResponse).
// Data plane side: name -> factory. The schemas stand in schemas.ts, which only the primary loads.
import type { PolicyFactory } from "../policy.ts";
import { createAuth } from "./auth/policy.ts";
import { createAuthorize } from "./authorize/policy.ts";
import { createCompress } from "./compress/policy.ts";
import { createCors } from "./cors/policy.ts";
import { createHeaders } from "./headers/policy.ts";
import { createIp } from "./ip/policy.ts";
import { createRateLimit } from "./rateLimit/policy.ts";
import { createRedirect } from "./redirect/policy.ts";
import { createRespond } from "./respond/policy.ts";
import { createRewrite } from "./rewrite/policy.ts";

/** Every policy, in execution order. */
export const POLICIES: readonly { readonly name: string; readonly create: PolicyFactory }[] = [
  { name: "ip", create: createIp },
  { name: "cors", create: createCors },
  { name: "rateLimit", create: createRateLimit }, // what needs no identity: before credentials are looked at
  { name: "auth", create: createAuth }, // after cors: a preflight never carries credentials
  { name: "authorize", create: createAuthorize },
  { name: "redirect", create: createRedirect },
  { name: "respond", create: createRespond },
  { name: "rewrite", create: createRewrite },
  { name: "headers", create: createHeaders },
  { name: "compress", create: createCompress },
];

/** The first policy that comes after the caller is known: Policy.onIdentified runs right before it, whether or not the route has it. */
export const FIRST_AFTER_IDENTITY = "redirect";
