// Owns upstream plans, endpoints, seeded randomness and a hand-driven clock for tests of choosing and health.

import { Gate } from "../../src/data/upstream/overload/gate.ts";
import { createUpstream, type LiveUpstream } from "../../src/data/upstream/select.ts";
import type { Endpoint, Pool } from "../../src/data/upstream/upstream.ts";
import type { EndpointPlan, UpstreamPlan } from "../../src/plan/plan.ts";
import { BreakerAdmin } from "../../src/shared/breaker-admin.ts";
import { BreakerTable } from "../../src/shared/breaker-table.ts";
import { TOTAL_WORDS } from "../../src/shared/overload/limit-state.ts";
import { OverloadTable } from "../../src/shared/overload/overload-table.ts";
import { TargetTable } from "../../src/shared/overload/target-table.ts";
import { TargetHealth } from "../../src/shared/target-health.ts";

/** A plan of the shape compile.ts makes, with the parts that matter to a test replaced. */
export function upstreamPlan(part: Partial<UpstreamPlan> = {}): UpstreamPlan {
  return {
    name: "users",
    insecure: [],
    fingerprint: "f",
    targets: [],
    balance: "round-robin",
    hashOn: { kind: "ip" },
    hashLoadFactor: null,
    sticky: null,
    slowStartMs: 0,
    pool: { client: "http1", connections: 8, pipelining: 1, streams: 100, pingMs: 0, keepAliveMs: 1000, queue: 8 },
    protocol: "http1",
    timeouts: { connectMs: 1000, attemptMs: 1000, idleMs: 1000, totalMs: 0 },
    retry: { attempts: 2, on: [], statuses: [], backoffBaseMs: 25, backoffMaxMs: 250, budget: 0.2, nonIdempotent: false, bufferBytes: 0 },
    health: { active: null, passive: null },
    breaker: null,
    overload: null,
    tls: null,
    deadlineHeader: null,
    host: "target",
    connectMaxMs: 1000,
    ...part,
  };
}

/** Endpoints a, b, c ... in slots 0, 1, 2 ... with these weights. */
export const endpoints = (weights: readonly number[], sinceMs = -1e9): EndpointPlan[] =>
  weights.map((weight, slot) =>
    endpoint(String.fromCharCode(97 + (slot % 26)) + (slot < 26 ? "" : String(slot)), slot, { weight, sinceMs }),
  );

export function endpoint(name: string, slot: number, part: Partial<EndpointPlan> = {}): EndpointPlan {
  return { key: name, slot, tls: false, address: "127.0.0.1", port: 1000 + slot, authority: name, weight: 1, sinceMs: -1e9, ...part };
}

/** mulberry32: the same numbers in every run. @returns a source of numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Choosing never speaks to a pool: this one only remembers that it exists. */
export const inertPool = (): Pool => ({
  dispatch: () => {
    throw new Error("this test sends nothing");
  },
  classify: () => "success",
  close: () => undefined,
  stats: { connected: 0, running: 0, queued: 0 },
});

/** An upstream over a real health table of two workers, with a clock that moves when told. */
export class Rig {
  nowMs = 1_000_000;
  readonly health: TargetHealth;
  /** The same table as another worker sees it. */
  readonly otherWorker: TargetHealth;
  /** As the primary and this worker see it; openings are never shortened. */
  readonly breakers = new BreakerAdmin(BreakerTable.allocate(2), 0, () => 0);
  /** In-flight limits of targets. */
  readonly targets = new TargetTable(TargetTable.allocate(2));
  readonly upstream: LiveUpstream;
  readonly pooled: string[] = [];
  readonly retired: string[] = [];

  constructor(plan: UpstreamPlan, list: readonly EndpointPlan[], seed = 1) {
    const buffer = TargetHealth.allocate(2, 512);
    this.health = new TargetHealth(buffer, 0);
    this.otherWorker = new TargetHealth(buffer, 1);
    this.upstream = createUpstream(plan, list, {
      health: this.health,
      breakers: this.breakers,
      gate: plan.overload === null ? null : new Gate(plan.overload, this.#tables(), 0),
      poolFor: (of) => {
        this.pooled.push(of.key);
        return inertPool();
      },
      retire: (gone) => this.retired.push(gone.plan.key),
      now: () => this.nowMs,
      random: seededRandom(seed),
    });
  }

  /** An attempt that ends at once. */
  attempt(key: string, outcome: "success" | "failure"): void {
    const one = this.named(key);
    this.upstream.begin(one);
    this.upstream.done(one, outcome);
  }

  #tables() {
    return { upstreams: new OverloadTable(OverloadTable.allocate(2)), targets: this.targets };
  }

  /** The other worker has these in flight to a target that may have that many. */
  load(key: string, inFlight: number, limit: number): void {
    const places = this.targets.places(this.named(key).slot, 1, true);
    const bounds = { minimum: limit, maximum: limit, shadow: false };
    places.step(new Float64Array(TOTAL_WORDS), 0, { nowMs: (this.#stepMs += 10_000), wallMs: 1e12 }, bounds);
    while (places.inFlight < inFlight) places.begin(this.#stepMs);
    while (places.inFlight > inFlight) places.end(this.#stepMs);
  }

  #stepMs = 0;

  named(key: string): Endpoint {
    const found = this.upstream.endpoints.find((one) => one.plan.key === key);
    if (found === undefined) throw new Error(`no endpoint ${key}`);
    return found;
  }
}

/** Pearson's statistic of counts against expected proportions. */
export function chiSquare(counts: readonly number[], weights: readonly number[]): number {
  const total = counts.reduce((a, b) => a + b, 0);
  const sum = weights.reduce((a, b) => a + b, 0);
  return counts.reduce((chi, count, i) => {
    const expected = (total * (weights[i] ?? 0)) / sum;
    return chi + (count - expected) ** 2 / expected;
  }, 0);
}
