// Owns an upstream in one worker: choosing an endpoint, counting what is under way, passive health, the retry budget.
// Must never send anything: that is the pool's part.
import { assertNever } from "../../base/errors.ts";
import type { EndpointPlan, PassiveHealthPlan, UpstreamPlan } from "../../plan/plan.ts";
import type { BreakerTable } from "../../shared/breaker-table.ts";
import { REFUSED } from "../../shared/breaker-word.ts";
import { ejectionLock, type TargetHealth } from "../../shared/target-health.ts";
import type { RequestView } from "../routing/request-view.ts";
import { type Balancer, isTried } from "./balance/balancer.ts";
import { ConsistentHash } from "./balance/hash.ts";
import { LeastRequest } from "./balance/least-request.ts";
import { WeightedRandom } from "./balance/random.ts";
import { RoundRobin } from "./balance/round-robin.ts";
import { type Tickets, UpstreamBreaker } from "./breaker.ts";
import { EndpointSet, type EndpointSetDeps, type Member } from "./endpoint-set.ts";
import type { Gate } from "./overload/gate.ts";
import { TargetLimits } from "./overload/target-limits.ts";
import { RetryBudget } from "./retry-budget.ts";
import { Sticky } from "./sticky.ts";
import type { Endpoint, Outcome, Upstream } from "./upstream.ts";

/** Clients of a session stay at their target up to so many times its in-flight limit. */
const STICKY_LIMITS = 2;

/** What an upstream needs from its worker. */
export interface UpstreamDeps extends EndpointSetDeps {
  /** Uniform in [0, 1): Math.random, or seeded in tests. */
  random(): number;
  /** Its gate; left out: it has none, whatever its plan says. */
  readonly gate?: Gate | null;
}

/** An upstream whose endpoints can change while it serves. */
export interface LiveUpstream extends Upstream {
  /** All endpoints, usable or not. */
  readonly endpoints: readonly Endpoint[];
  /** Replaces the endpoints; those that stay keep pool, health and counts. See {@link EndpointSetDeps.retire} for those that go. */
  setEndpoints(list: readonly EndpointPlan[]): void;
}

/**
 * Brings an upstream to life. Choosing costs 10 to 100 ns and allocates nothing, except round-robin with differing weights, which is linear
 * in the endpoints (2 ns each); begin() and done() cost some 10 ns (bench/micro/select.ts, 8 workers' cells).
 * @param deps `now` must be monotonicMs() of base/clock.ts: ejections are compared between threads.
 */
export function createUpstream(plan: UpstreamPlan, endpoints: readonly EndpointPlan[], deps: UpstreamDeps): LiveUpstream {
  const upstream = new BalancedUpstream(plan, deps);
  upstream.setEndpoints(endpoints);
  return upstream;
}

class BalancedUpstream implements LiveUpstream {
  readonly name: string;
  readonly plan: UpstreamPlan;
  readonly breaker: UpstreamBreaker | null;
  readonly sticky: Sticky | null;
  readonly gate: Gate | null;
  targets: TargetLimits | null = null;
  readonly #health: TargetHealth;
  readonly #now: () => number;
  readonly #set: EndpointSet;
  readonly #balancer: Balancer;
  /** The balancer again when it wants to know what is under way. */
  readonly #hash: ConsistentHash | null;
  readonly #budget: RetryBudget;
  readonly #lock: number;
  /** Endpoints that one call of {@link take} passes over. */
  readonly #passedOver: Endpoint[] = [];

  constructor(plan: UpstreamPlan, deps: UpstreamDeps) {
    this.name = plan.name;
    this.plan = plan;
    this.gate = plan.overload === null ? null : (deps.gate ?? null);
    this.#health = deps.health;
    this.#now = () => deps.now();
    this.#set = new EndpointSet(plan, deps);
    this.sticky = plan.sticky === null ? null : new Sticky(plan.sticky);
    this.#balancer = createBalancer(plan, deps);
    this.#hash = plan.hashLoadFactor !== null && this.#balancer instanceof ConsistentHash ? this.#balancer : null;
    this.#budget = new RetryBudget(plan.retry.budget, this.#now);
    this.#lock = ejectionLock(plan.name);
    this.breaker = plan.breaker === null ? null : new UpstreamBreaker(plan.breaker, tableOf(deps), this.#now);
  }

  get endpoints(): readonly Endpoint[] {
    return this.#set.all;
  }

  setEndpoints(list: readonly EndpointPlan[]): void {
    this.#set.setEndpoints(list);
    this.sticky?.setMembers(this.#set.all);
    this.#limitTargets();
  }

  /** A single target needs no limit of its own. */
  #limitTargets(): void {
    const { gate, plan } = this;
    if (gate === null || plan.overload === null) return;
    const { all, slots } = this.#set;
    for (const member of all) {
      if (slots.length < 2 || member.plan.weight <= 0) member.places = null;
      else member.places ??= gate.placesOf(member.slot, plan.overload);
    }
    this.targets = TargetLimits.over(all);
  }

  select(x: RequestView, tried: readonly Endpoint[] | null): Endpoint | null {
    const set = this.#set;
    set.choice.passed = null;
    const rebuilt = set.refresh();
    if (set.available.length === 0) return null;
    if (rebuilt) this.#balancer.rebuild(set.available, set.all);
    if (this.sticky !== null) {
      const named = this.sticky.find(x);
      if (named !== null && !isTried(named, tried) && !named.passesOver(STICKY_LIMITS)) return named;
    }
    return this.#balancer.pick(x, tried);
  }

  take(x: RequestView, tried: readonly Endpoint[] | null, tickets: Tickets): Endpoint | null {
    const { breaker } = this;
    if (breaker !== null && !breaker.tryAcquire(tickets)) return null;
    let chosen = this.select(x, tried);
    if (breaker !== null) {
      if (chosen !== null && !breaker.tryAcquireTarget(chosen.slot, tickets)) chosen = this.#another(x, tried, tickets, breaker, chosen);
      if (chosen === null) breaker.release(tickets);
    }
    if (chosen !== null) {
      if (this.#set.choice.passed !== null) this.#countSteered(this.#set.choice.passed, chosen, tried);
      this.begin(chosen);
    }
    return chosen;
  }

  /** @param passed at its limit @param chosen itself where no other has room, or its limit is not enforced: then it would have gone to who has room */
  #countSteered(passed: Member, chosen: Endpoint, tried: readonly Endpoint[] | null): void {
    const hasRoom = (other: Member): boolean => other !== passed && !isTried(other, tried) && other.places?.isFull() === false;
    const steers = passed.places?.enforced === true ? chosen !== passed : this.#set.available.some(hasRoom);
    if (steers) passed.places?.countSteered();
  }

  closedForMs(tickets: Tickets): number {
    const { breaker } = this;
    if (breaker === null) return -1;
    if (tickets.upstreamTicket === REFUSED) return breaker.retryAfterMs(breaker.plan.slot);
    const nowMs = this.#now();
    let least = -1;
    for (const { plan, slot } of this.#set.all) {
      if (plan.weight <= 0 || this.#health.isDown(slot) || this.#health.ejectedUntilMs(slot) > nowMs) continue;
      const ms = breaker.retryAfterMs(slot); // healthy and yet not to be had
      least = least < 0 ? ms : Math.min(least, ms);
    }
    return least;
  }

  begin(endpoint: Endpoint): void {
    this.#health.begin(endpoint.slot);
    this.#budget.request();
    this.#hash?.count(1);
  }

  done(endpoint: Endpoint, outcome: Outcome): void {
    this.#health.end(endpoint.slot);
    this.#hash?.count(-1);
    if (outcome === "success") this.#health.succeeded(endpoint.slot);
    else if (outcome === "failure") this.#failed(endpoint);
    else if (outcome === "unasked") this.#budget.withdraw();
  }

  takeRetry(): boolean {
    return this.#budget.take();
  }

  giveRetryBack(): void {
    this.#budget.giveBack();
  }

  /** The first choice's breaker refused, having no trial left or recovering: rare, so looking again may cost something. */
  #another(
    x: RequestView,
    tried: readonly Endpoint[] | null,
    tickets: Tickets,
    breaker: UpstreamBreaker,
    first: Endpoint,
  ): Endpoint | null {
    const over = this.#passedOver;
    over.length = 0;
    if (tried !== null) for (const each of tried) if (each !== first) over.push(each);
    const triedCount = over.push(first) - 1;
    let chosen: Endpoint | null = null;
    while (over.length - triedCount <= this.#set.all.length) {
      const next = this.select(x, over);
      if (next === null || over.indexOf(next) >= triedCount) break;
      if (breaker.tryAcquireTarget(next.slot, tickets)) {
        chosen = next;
        break;
      }
      over.push(next);
    }
    over.length = 0;
    return chosen;
  }

  #failed(endpoint: Endpoint): void {
    const nowMs = this.#now();
    const consecutive = this.#health.failed(endpoint.slot, nowMs);
    const { passive } = this.plan.health;
    if (passive !== null && consecutive >= passive.consecutiveFailures) this.#eject(endpoint, passive, nowMs);
  }

  #eject(endpoint: Endpoint, passive: PassiveHealthPlan, nowMs: number): void {
    const group = this.#set.slots;
    // A late failure of an endpoint that left the list must not eject whoever has its slot now.
    if (!group.includes(endpoint.slot)) return;
    this.#health.eject({
      slot: endpoint.slot,
      group,
      // The epsilon repairs products such as 0.29 * 100 = 28.999999999999996.
      unavailableMax: Math.floor(passive.maxEjected * group.length + 1e-9),
      lock: this.#lock,
      ejectForMs: passive.ejectForMs,
      nowMs,
    });
  }
}

/** @throws Error when the worker has no table: a breaker must not be passed over silently. */
function tableOf(deps: UpstreamDeps): BreakerTable {
  if (deps.breakers === undefined) throw new Error("a breaker needs the table of breakers");
  return deps.breakers;
}

function createBalancer(plan: UpstreamPlan, deps: UpstreamDeps): Balancer {
  const random = () => deps.random();
  switch (plan.balance) {
    case "round-robin":
      return new RoundRobin(random);
    case "least-request":
      return new LeastRequest(deps.health, random);
    case "random":
      return new WeightedRandom(random);
    case "hash":
      return new ConsistentHash({ health: deps.health, hashOn: plan.hashOn, loadFactor: plan.hashLoadFactor, random });
    default:
      return assertNever(plan.balance);
  }
}
