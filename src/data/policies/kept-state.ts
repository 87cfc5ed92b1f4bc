// Owns what authenticators and policies keep from one plan to the next in a worker (verified credentials, decisions), so that a reload is no stampede.
// Must never keep what depends on the consumers: they may have changed.
import type { Services } from "../exchange/runtime.ts";

/** Kept for each worker and kind: of the plans in force, and those that reloads lately brought. The longest kept goes first. */
const KEPT_MAX = 256;

/** Of each worker: kind -> name and fingerprint -> state. */
const byWorker = new WeakMap<Services, Map<string, Map<string, unknown>>>();

/** Whose state it is. */
export interface KeptFor {
  /** Of authenticator, or the name of a policy. */
  readonly kind: string;
  /** Of the authenticator or route. */
  readonly name: string;
  /** Other when anything in the configuration is. */
  readonly fingerprint: string;
}

/** @returns what was kept for this one under the same configuration, or what `create` makes. */
export function keptState<T>(services: Services, of: KeptFor, create: () => T): T {
  let kinds = byWorker.get(services);
  if (kinds === undefined) byWorker.set(services, (kinds = new Map()));
  let kept = kinds.get(of.kind);
  if (kept === undefined) kinds.set(of.kind, (kept = new Map()));
  const key = `${of.name} ${of.fingerprint}`;
  const state = kept.has(key) ? (kept.get(key) as T) : create(); // a kind is the only one to use its keys
  kept.delete(key); // so that it stands last
  kept.set(key, state);
  const [oldest] = kept.keys();
  if (kept.size > KEPT_MAX && oldest !== undefined) kept.delete(oldest);
  return state;
}
