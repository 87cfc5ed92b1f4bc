// Owns what authenticators keep from one plan to the next in a worker (verified credentials, connections to a provider), so that a reload is no stampede.
// Must never keep what depends on the consumers: they may have changed.
import type { AuthenticatorPlan } from "../../../plan/plan.ts";
import type { Services } from "../../exchange/runtime.ts";

/** Kept for each worker: the plans in force, and those that reloads lately brought. The longest kept goes first. */
const KEPT_MAX = 256;

const byWorker = new WeakMap<Services, Map<string, unknown>>();

/** @returns what was kept for this authenticator under the same configuration, or what `create` makes. */
export function keptState<T>(services: Services, plan: AuthenticatorPlan, create: () => T): T {
  let kept = byWorker.get(services);
  if (kept === undefined) byWorker.set(services, (kept = new Map()));
  const key = `${plan.kind} ${plan.name} ${plan.fingerprint}`;
  const state = kept.has(key) ? (kept.get(key) as T) : create(); // a kind is the only one to use its keys
  kept.delete(key); // so that it stands last
  kept.set(key, state);
  const [oldest] = kept.keys();
  if (kept.size > KEPT_MAX && oldest !== undefined) kept.delete(oldest);
  return state;
}
