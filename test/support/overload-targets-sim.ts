// Overload control of several targets in simulated time: the gateway's own balancers, limits and line in front of services of some servers each.
// Only clock, randomness and the services are played.
import { Gate } from "../../src/data/upstream/overload/gate.ts";
import { Line, type Waiter } from "../../src/data/upstream/overload/line.ts";
import type { TargetLimits } from "../../src/data/upstream/overload/target-limits.ts";
import { createUpstream } from "../../src/data/upstream/select.ts";
import type { Endpoint } from "../../src/data/upstream/upstream.ts";
import type { OverloadPlan } from "../../src/plan/overload-plan.ts";
import type { UpstreamPlan } from "../../src/plan/plan.ts";
import { FlowRanks } from "../../src/shared/overload/flow-ranks.ts";
import { FLOW_SLOTS, FLOW_WORDS } from "../../src/shared/overload/layout.ts";
import { OverloadTable } from "../../src/shared/overload/overload-table.ts";
import { TargetTable } from "../../src/shared/overload/target-table.ts";
import { TargetHealth } from "../../src/shared/target-health.ts";
import { typicalExchange } from "./recorded-exchange.ts";
import { SimulatedTime } from "./simulated-time.ts";
import { endpoints, inertPool, seededRandom, upstreamPlan } from "./upstreams.ts";

export interface TargetSetup {
  readonly seed: number;
  readonly seconds: number;
  /** A second. */
  readonly rate: number;
  readonly plan: Partial<UpstreamPlan>;
  /** Of each target: milliseconds that one of its servers takes. */
  readonly targets: readonly ((ms: number, random: () => number) => number)[];
  /** Of each target. */
  readonly servers: number;
  /** Hash key of a request. */
  readonly path?: (random: () => number) => string;
  /** Counted from here on, s. */
  readonly warm: number;
}

export interface TargetResult {
  offered: number;
  answered: number;
  refused: number;
  /** Instants, ms. */
  readonly refusedAtMs: number[];
  /** Of each target, by instant of the answer, ms. */
  readonly answeredAtMs: readonly number[][];
  readonly latencies: number[];
  /** Of each target at the end. */
  readonly limits: number[];
}

export const OVERLOAD: OverloadPlan = {
  slot: 2,
  shadow: false,
  minimum: 1,
  maximum: 1000,
  queue: { length: 1024, bytes: 1 << 20, flows: 256, waitMs: 250 },
  fairBy: "none",
  tiers: {},
};

interface Request extends Waiter {
  readonly path: string;
  readonly arrivedMs: number;
}

export function simulateTargets(setup: TargetSetup): TargetResult {
  return new TargetSimulation(setup).run();
}

class TargetSimulation {
  readonly #setup: TargetSetup;
  readonly #random: () => number;
  readonly #time = new SimulatedTime();
  readonly #upstream;
  readonly #limits: TargetLimits;
  readonly #table = new TargetTable(TargetTable.allocate(1));
  readonly #plan: OverloadPlan;
  readonly #line: Line;
  readonly #queues: (() => void)[][];
  readonly #busy: number[];
  readonly #result: TargetResult;
  readonly #expired: Waiter[] = [];
  /** What is chosen for: only its path matters. */
  readonly #exchange = typicalExchange();
  #inFlight = 0;
  #limit = 0;
  #blocked = 0;

  constructor(setup: TargetSetup) {
    this.#setup = setup;
    this.#random = seededRandom(setup.seed);
    this.#plan = setup.plan.overload ?? OVERLOAD;
    const tables = { upstreams: new OverloadTable(OverloadTable.allocate(1)), targets: this.#table };
    this.#upstream = createUpstream(upstreamPlan({ ...setup.plan, overload: this.#plan }), endpoints(setup.targets.map(() => 1)), {
      health: new TargetHealth(TargetHealth.allocate(1), 0),
      gate: new Gate(this.#plan, tables, 0),
      poolFor: inertPool,
      now: () => this.#time.nowMs,
      random: this.#random,
    });
    this.#limits = this.#upstream.targets as TargetLimits; // there are several
    this.#line = new Line(this.#plan.queue, new FlowRanks(new ArrayBuffer((FLOW_SLOTS * FLOW_WORDS + 1) * 8), 1, 0));
    this.#queues = setup.targets.map(() => []);
    this.#busy = setup.targets.map(() => 0);
    const answeredAtMs = setup.targets.map(() => []);
    this.#result = { offered: 0, answered: 0, refused: 0, refusedAtMs: [], answeredAtMs, latencies: [], limits: [] };
  }

  run(): TargetResult {
    const endMs = this.#setup.seconds * 1000;
    const arrive = (): void => {
      this.#accept();
      const next = this.#time.nowMs - (Math.log(1 - this.#random()) * 1000) / this.#setup.rate;
      if (next < endMs) this.#time.at(next, arrive);
    };
    this.#time.at(10, arrive);
    const look = (): void => {
      this.#look();
      if (this.#time.nowMs < endMs) this.#time.at(this.#time.nowMs + 10, look);
    };
    this.#time.at(0, look);
    this.#time.run();
    for (const { slot } of this.#upstream.endpoints) this.#result.limits.push(this.#table.read(slot).limit);
    return this.#result;
  }

  #look(): void {
    const { nowMs } = this.#time;
    this.#limit = this.#limits.look({ nowMs: nowMs + 1, wallMs: nowMs + 1e12 }, this.#plan, this.#blocked);
    this.#line.setPace(this.#limits.baseMs, this.#limits.variation);
    this.#pump();
  }

  #accept(): void {
    const { path = () => "/x" } = this.#setup;
    const request: Request = {
      path: path(this.#random),
      arrivedMs: this.#time.nowMs,
      flow: "all",
      weight: 1,
      priority: 2,
      bytes: 0,
      deadlineMs: 0,
      sinceMs: 0,
      place: null,
    };
    if (this.#counts(request)) this.#result.offered++;
    if (this.#line.size === 0 && this.#inFlight < this.#limit) return this.#send(request);
    this.#blocked++;
    const refused = this.#line.push(request, this.#time.nowMs);
    if (refused !== null) this.#refuse(refused as Request);
    this.#pump();
  }

  #pump(): void {
    this.#line.expire(this.#time.nowMs, this.#expired);
    for (const each of this.#expired.splice(0)) this.#refuse(each as Request);
    while (this.#line.size > 0 && this.#inFlight < this.#limit) this.#send(this.#line.shift(this.#time.nowMs) as Request);
  }

  #send(request: Request): void {
    this.#exchange.path = request.path;
    const endpoint = this.#upstream.select(this.#exchange, null) as Endpoint;
    this.#inFlight++;
    this.#upstream.begin(endpoint);
    endpoint.places?.begin(this.#time.nowMs + 1);
    const sentMs = this.#time.nowMs;
    const { slot } = endpoint;
    this.#queues[slot]?.push(() => {
      const ms = this.#time.nowMs - sentMs;
      endpoint.places?.end(this.#time.nowMs + 1);
      endpoint.places?.sample(0, ms);
      this.#upstream.done(endpoint, "success");
      this.#inFlight--;
      if (this.#counts(request)) {
        this.#result.answered++;
        this.#result.latencies.push(this.#time.nowMs - request.arrivedMs);
        this.#result.answeredAtMs[slot]?.push(this.#time.nowMs);
      }
      this.#pump();
    });
    this.#serve(slot);
  }

  #serve(target: number): void {
    while ((this.#busy[target] ?? 0) < this.#setup.servers) {
      const answer = this.#queues[target]?.shift();
      if (answer === undefined) return;
      this.#busy[target] = (this.#busy[target] ?? 0) + 1;
      const ms = this.#setup.targets[target]?.(this.#time.nowMs, this.#random) ?? 0;
      this.#time.at(this.#time.nowMs + ms, () => {
        this.#busy[target] = (this.#busy[target] ?? 0) - 1;
        this.#serve(target);
        answer();
      });
    }
  }

  #refuse(request: Request): void {
    if (!this.#counts(request)) return;
    this.#result.refused++;
    this.#result.refusedAtMs.push(this.#time.nowMs);
  }

  #counts({ arrivedMs }: Request): boolean {
    return arrivedMs >= this.#setup.warm * 1000;
  }
}
