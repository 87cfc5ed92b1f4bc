// Owns the order in which the policies of a route run before anything is sent upstream: phase by phase, not hook by hook.
// Must never let what needs no caller come behind what asks for one.

import { PHASES, type Phase, type Policy } from "../exchange/policy.ts";
import { POLICIES, type PolicyEntry } from "../policies/registry.ts";

/** @returns the phase of each policy of a registry, by name */
export const phasesOf = (policies: readonly PolicyEntry[]): ReadonlyMap<string, Phase> =>
  new Map(policies.map(({ name, phase }) => [name, phase]));

const PHASE_OF = phasesOf(POLICIES);

/**
 * All hooks become one list, so that the pipeline knows one kind of step: onRequest.
 * @param policies of one route, in the registry's order
 * @param phases of policies that do not say it themselves, by name
 * @returns null for none
 */
export function requestSteps(policies: readonly Policy[], phases: ReadonlyMap<string, Phase> = PHASE_OF): readonly Policy[] | null {
  const steps = PHASES.flatMap((phase) => policies.flatMap((policy) => stepsIn(phase, policy, policy.phase ?? phases.get(policy.name))));
  return steps.length === 0 ? null : steps;
}

/** @param ownPhase of the policy's onRequest */
function stepsIn(phase: Phase, policy: Policy, ownPhase: Phase | undefined): readonly Policy[] {
  const { name } = policy;
  const own = policy.onRequest !== undefined && ownPhase === phase ? [policy] : [];
  if (phase === "edge" && policy.onEdge !== undefined) return [{ name, onRequest: (x) => policy.onEdge?.(x) }, ...own];
  if (phase === "identified" && policy.onIdentified !== undefined) return [...own, { name, onRequest: (x) => policy.onIdentified?.(x) }];
  return own;
}
