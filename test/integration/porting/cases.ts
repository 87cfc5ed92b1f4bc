// Owns the list of all cases of docs/porting.md.
import { POLICY_CASES } from "./policy-cases.ts";
import type { PortingCase } from "./porting-case.ts";
import { ROUTING_CASES } from "./routing-cases.ts";
import { UPSTREAM_CASES } from "./upstream-cases.ts";

export { REFUSED_CASES } from "./routing-cases.ts";
export const CASES: readonly PortingCase[] = [...ROUTING_CASES, ...POLICY_CASES, ...UPSTREAM_CASES];
