// Owns the endpoints of one upstream in one worker, and which of them may be used now with what weight.
// Must never choose between them (balance/ does) and never change shared health.
import type { EndpointPlan, UpstreamPlan } from "../../plan/plan.ts";
import type { BreakerTable } from "../../shared/breaker-table.ts";
import type { TargetPlaces } from "../../shared/overload/target-table.ts";
import type { TargetHealth } from "../../shared/target-health.ts";
import type { Endpoint, Pool } from "./upstream.ts";

/** A new or recovered endpoint starts with this part of its weight. */
const SLOW_START_WEIGHT_MIN = 0.1;
/** While somebody is in slow start, weights are computed again this often in its course. */
const SLOW_START_STEPS = 50;
const SLOW_START_STEP_MS_MIN = 5;

/** Of one upstream: which target would be chosen, and is passed over or would be, being at its limit; null for none. */
export interface Choice {
  passed: Member | null;
}

/** An endpoint with what the balancers keep about it. The object stays the same while its key and slot do. */
export class Member implements Endpoint {
  plan: EndpointPlan;
  readonly slot: number;
  readonly pool: Pool;
  /** May be chosen: neither down nor ejected (or the last resort, see {@link EndpointSet}). */
  available = false;
  /** Configured weight, scaled by slow start. */
  weight = 0;
  /** Smooth round-robin's running credit. */
  credit = 0;
  /** Which walk of a ring came by last. */
  walk = 0;
  /** null: that of the upstream is enough. */
  places: TargetPlaces | null = null;

  readonly #choice: Choice;

  constructor(plan: EndpointPlan, pool: Pool, choice: Choice = { passed: null }) {
    this.plan = plan;
    this.slot = plan.slot;
    this.pool = pool;
    this.#choice = choice;
  }

  /** At its in-flight limit: others come before it. */
  get full(): boolean {
    return this.places?.full === true;
  }

  /** It would be the choice. @returns whether it is at its in-flight limit, or so many times that, so that others come before it */
  passesOver(times = 1): boolean {
    const { places } = this;
    if (places === null || !places.found(times)) return false;
    this.#choice.passed = this;
    return places.enforced;
  }
}

/** What the set needs from outside. */
export interface EndpointSetDeps {
  readonly health: TargetHealth;
  /** Needed by upstreams with a breaker. */
  readonly breakers?: BreakerTable;
  poolFor(endpoint: EndpointPlan, upstream: UpstreamPlan): Pool;
  /** monotonicMs() of base/clock.ts: what sinceMs, ejections and recoveries are measured in. */
  now(): number;
  /** Called when an endpoint leaves the list: close its pool unless somebody else uses it. */
  retire?(endpoint: Endpoint): void;
}

/**
 * Keeps a list of available members that is rebuilt only when shared health moved or a known moment (end of an ejection, next slow start
 * step) has come, so that choosing costs one atomic load and, only while such a moment is pending, one look at the clock.
 *
 * Down (by active probes) is a fact and always excludes. Ejection (by passive health) is a guess: when nothing else is left, the ejected
 * that are not down serve as a last resort, unless the operator allowed all to be ejected (`maxEjected: 100%`), which asks for 503 then.
 * An open breaker is the operator's rule to leave the target alone: it always excludes, whatever `maxEjected` says, and such targets count
 * neither for nor against it.
 */
export class EndpointSet {
  readonly #upstream: UpstreamPlan;
  readonly #deps: EndpointSetDeps;
  readonly #breakers: BreakerTable | null;
  /** The one under way. */
  readonly choice: Choice = { passed: null };
  #seenChanges = 0;
  #seenBreakerChanges = 0;
  #recheckAtMs = Number.NEGATIVE_INFINITY;
  /** All, in the order of the list. */
  all: readonly Member[] = [];
  /** Slots of all that serve at all (weight above 0): the set that `maxEjected` is about. */
  slots: readonly number[] = [];
  /** Those that may be chosen. Never empty because of weights alone unless all weights are 0. */
  available: readonly Member[] = [];

  constructor(upstream: UpstreamPlan, deps: EndpointSetDeps) {
    this.#upstream = upstream;
    this.#deps = deps;
    this.#breakers = upstream.breaker === null ? null : (deps.breakers ?? null);
  }

  /** Replaces the list. Members whose identity is unchanged stay, with pool and credit; pools are made for new ones only. */
  setEndpoints(list: readonly EndpointPlan[]): void {
    const known = new Map(this.all.map((member) => [identity(member.plan), member]));
    const next: Member[] = [];
    for (const plan of list) {
      const member = known.get(identity(plan));
      known.delete(identity(plan));
      if (member === undefined) next.push(new Member(plan, this.#deps.poolFor(plan, this.#upstream), this.choice));
      else {
        member.plan = plan;
        next.push(member);
      }
    }
    this.all = next;
    this.slots = next.filter((member) => member.plan.weight > 0).map((member) => member.slot);
    for (const gone of known.values()) this.#deps.retire?.(gone);
    this.#recheckAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Brings `available` up to date. Hot: nothing happens while nothing changed. @returns true when it was rebuilt. */
  refresh(): boolean {
    const changes = this.#deps.health.changes();
    const breakerChanges = this.#breakers === null ? 0 : this.#breakers.changes();
    if (changes === this.#seenChanges && breakerChanges === this.#seenBreakerChanges) {
      if (this.#recheckAtMs === Number.POSITIVE_INFINITY) return false;
      if (this.#deps.now() < this.#recheckAtMs) return false;
    }
    this.#seenChanges = changes;
    this.#seenBreakerChanges = breakerChanges;
    this.#rebuild(this.#deps.now());
    return true;
  }

  #rebuild(nowMs: number): void {
    const { health } = this.#deps;
    const available: Member[] = [];
    const lastResort: Member[] = [];
    this.#recheckAtMs = Number.POSITIVE_INFINITY;
    for (const member of this.all) {
      member.available = false;
      if (member.plan.weight <= 0 || health.isDown(member.slot) || this.#breakers?.isOpen(member.slot) === true) continue;
      const ejectedUntilMs = health.ejectedUntilMs(member.slot);
      member.weight = this.#weightNow(member, ejectedUntilMs, nowMs);
      if (ejectedUntilMs > nowMs) {
        this.#recheckAtMs = Math.min(this.#recheckAtMs, ejectedUntilMs);
        lastResort.push(member);
      } else available.push(member);
    }
    const mayRunDry = (this.#upstream.health.passive?.maxEjected ?? 0) >= 1;
    this.available = available.length === 0 && !mayRunDry ? lastResort : available;
    for (const member of this.available) member.available = true;
  }

  #weightNow(member: Member, ejectedUntilMs: number, nowMs: number): number {
    const { slowStartMs } = this.#upstream;
    const { weight, sinceMs } = member.plan;
    if (slowStartMs <= 0 || ejectedUntilMs > nowMs) return weight;
    const startMs = Math.max(sinceMs, ejectedUntilMs, this.#deps.health.recoveredAtMs(member.slot));
    const part = (nowMs - startMs) / slowStartMs;
    if (part >= 1) return weight;
    this.#recheckAtMs = Math.min(this.#recheckAtMs, nowMs + Math.max(SLOW_START_STEP_MS_MIN, slowStartMs / SLOW_START_STEPS));
    return weight * (SLOW_START_WEIGHT_MIN + (1 - SLOW_START_WEIGHT_MIN) * Math.max(0, part));
  }
}

/** Same identity: the pool still leads to the same place and the slot holds the same counts. */
const identity = (plan: EndpointPlan): string => `${plan.key} ${plan.slot} ${plan.address}:${plan.port} ${plan.authority} ${plan.tls}`;
