// Owns the order in which the policies of a route run before anything is sent upstream: phase by phase, not hook by hook.
// Must never let what needs no caller come behind what asks for one.

import { PHASES, type Phase, type Policy } from "../exchange/policy.ts";
import { POLICIES } from "../policies/registry.ts";

const PHASE_OF: ReadonlyMap<string, Phase> = new Map(POLICIES.map(({ name, phase }) => [name, phase]));

/**
 * All hooks become one list, so that the pipeline knows one kind of step: onRequest.
 * @param policies of one route, in the registry's order
 * @returns null for none
 */
export function requestSteps(policies: readonly Policy[]): readonly Policy[] | null {
  const steps = PHASES.flatMap((phase) => policies.flatMap((policy) => stepsIn(phase, policy)));
  return steps.length === 0 ? null : steps;
}

function stepsIn(phase: Phase, policy: Policy): readonly Policy[] {
  const { name } = policy;
  const own = policy.onRequest !== undefined && PHASE_OF.get(name) === phase ? [policy] : [];
  if (phase === "edge" && policy.onEdge !== undefined) return [{ name, onRequest: (x) => policy.onEdge?.(x) }, ...own];
  if (phase === "identified" && policy.onIdentified !== undefined) return [...own, { name, onRequest: (x) => policy.onIdentified?.(x) }];
  return own;
}
