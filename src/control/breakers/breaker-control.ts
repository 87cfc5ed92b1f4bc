// Owns the breakers of the plan in force, in the primary: one driver each, woken by the shared table; an operator's orders; their state.
// Must never be waited for by a request.
import type CircuitBreaker from "opossum";
import { monotonicMs } from "../../base/clock.ts";
import type { BreakerStatus } from "../../observe/instance-state.ts";
import type { Log } from "../../observe/log.ts";
import type { EndpointMap } from "../../plan/messages.ts";
import type { BreakerPlan, Plan } from "../../plan/plan.ts";
import type { BreakerAdmin } from "../../shared/breaker-admin.ts";
import { PHASE, PHASE_NAMES, type Phase } from "../../shared/breaker-word.ts";
import { BreakerDriver, type BreakerOrder, type BreakerPlace } from "./breaker-driver.ts";

/** Looks this often without being woken: a worker may have died before it could wake anybody. */
const LOOK_MS = 250;

/** One breaker, for whoever shows it. */
export interface BreakerState extends BreakerPlace {
  readonly status: BreakerStatus;
}

/** The same for whoever tells others about it (the fleet): informing, not deciding. */
export interface BreakerPhase extends BreakerPlace {
  readonly phase: Phase;
}

interface Wanted extends BreakerPlace {
  readonly plan: BreakerPlan;
}

export class BreakerControl {
  readonly #admin: BreakerAdmin;
  readonly #log: Log;
  readonly #drivers = new Map<number, BreakerDriver>();
  #opossum: typeof CircuitBreaker | null = null;
  #loading: Promise<void> | null = null;
  /** By slot. */
  #wanted: ReadonlyMap<number, Wanted> = new Map();
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: { readonly admin: BreakerAdmin; readonly log: Log }) {
    this.#admin = options.admin;
    this.#log = options.log;
  }

  /** A plan is in force, or an upstream has other endpoints. Breakers whose upstream and target stay keep their state. */
  update(plan: Pick<Plan, "upstreams">, endpoints: EndpointMap): void {
    this.#wanted = wantedBy(plan, endpoints);
    if (this.#opossum !== null) this.#apply(this.#opossum);
    else if (this.#wanted.size > 0) void this.#load();
  }

  /** @returns whether there is such a breaker. @param target null: the upstream's own */
  async force(upstream: string, target: string | null, order: BreakerOrder): Promise<boolean> {
    await this.#loading;
    for (const driver of this.#drivers.values()) {
      if (driver.place.upstream !== upstream || driver.place.target !== target) continue;
      driver.look();
      driver.force(order);
      return true;
    }
    return false;
  }

  /** Every breaker there is. */
  states(): readonly BreakerState[] {
    return [...this.#wanted].map(([slot, { upstream, target, plan }]) => ({
      upstream,
      target,
      status: breakerStatus(this.#admin, slot, plan),
    }));
  }

  /** Those that are not closed, without all that {@link states} adds up: it is asked twice a second, with thousands of targets too. */
  notClosed(): BreakerPhase[] {
    const found: BreakerPhase[] = [];
    for (const [slot, { upstream, target }] of this.#wanted) {
      const phase = this.#admin.phase(slot);
      if (phase !== PHASE.closed) found.push({ upstream, target, phase });
    }
    return found;
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const driver of this.#drivers.values()) driver.stop();
    this.#drivers.clear();
    this.#admin.wake();
  }

  /** Loaded with the first breaker: most gateways start without it. */
  #load(): Promise<void> {
    this.#loading ??= import("opossum").then((module) => {
      this.#opossum = module.default;
      if (this.#stopped) return;
      this.#apply(module.default);
      this.#timer = setInterval(() => this.#look(), LOOK_MS);
      this.#timer.unref();
      void this.#listen();
    });
    return this.#loading;
  }

  #apply(opossum: typeof CircuitBreaker): void {
    for (const [slot, driver] of this.#drivers) {
      const wanted = this.#wanted.get(slot);
      if (wanted !== undefined && wanted.upstream === driver.place.upstream && wanted.target === driver.place.target) continue;
      driver.stop();
      this.#drivers.delete(slot);
      if (wanted === undefined) this.#admin.reset(slot);
    }
    for (const [slot, { upstream, target, plan }] of this.#wanted) {
      const driver = this.#drivers.get(slot);
      if (driver !== undefined) driver.plan = plan;
      else {
        const deps = { admin: this.#admin, log: this.#log, opossum, now: monotonicMs };
        this.#drivers.set(slot, new BreakerDriver(slot, { upstream, target }, plan, deps));
      }
    }
  }

  async #listen(): Promise<void> {
    while (!this.#stopped) {
      const seen = this.#admin.changes();
      this.#look();
      // Without a wait there is more to see already; other work has its turn first.
      await (this.#admin.changed(seen) ?? new Promise((resolve) => setImmediate(resolve)));
    }
  }

  #look(): void {
    for (const driver of this.#drivers.values()) driver.look();
  }
}

/** How a breaker stands, for metrics, the admin listener and people. */
export function breakerStatus(admin: BreakerAdmin, slot: number, plan: BreakerPlan): BreakerStatus {
  const nowMs = monotonicMs();
  const { phase, sinceMs, openUntilMs, openings, round, opened, halfOpened, recovered, closed, trials, rejected, fallbacks } =
    admin.read(slot);
  return {
    state: PHASE_NAMES[phase],
    phase,
    forMs: sinceMs === 0 ? null : Math.round(Math.max(0, nowMs - sinceMs)),
    halfOpenInMs: phase === PHASE.open ? Math.round(Math.max(0, openUntilMs - nowMs)) : null,
    openings,
    window: admin.counts(slot, plan.windowMs, nowMs),
    round: phase === PHASE.halfOpen ? round : null,
    totals: { opened, halfOpened, recovered, closed, trials, rejected, fallbacks },
  };
}

function wantedBy(plan: Pick<Plan, "upstreams">, endpoints: EndpointMap): Map<number, Wanted> {
  const wanted = new Map<number, Wanted>();
  for (const { name, breaker } of plan.upstreams) {
    if (breaker === null) continue;
    wanted.set(breaker.slot, { upstream: name, target: null, plan: breaker });
    for (const { slot, key } of endpoints.get(name) ?? []) wanted.set(slot, { upstream: name, target: key, plan: breaker });
  }
  return wanted;
}
