// THE ordered list of policies: the order here is the order of onRequest (and the reverse of onResponse).
// Data plane side: name -> factory. The schemas stand in schemas.ts, which only the primary loads.
import type { PolicyFactory } from "../policy.ts";

/** Every policy, in execution order. */
export const POLICIES: readonly { readonly name: string; readonly create: PolicyFactory }[] = [];
