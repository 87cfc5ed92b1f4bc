// Which target is chosen when some are at their in-flight limits, by each balance; and a slow target in simulated time.
import { describe, expect, it } from "vitest";
import type { RequestView } from "../../../../../src/data/routing/request-view.ts";
import type { Endpoint } from "../../../../../src/data/upstream/upstream.ts";
import type { Balance, UpstreamPlan } from "../../../../../src/plan/plan.ts";
import { NO_TICKET } from "../../../../../src/shared/breaker-word.ts";
import { TestExchange } from "../../../../support/exchange.ts";
import { exponential, fixed } from "../../../../support/overload-sim.ts";
import { OVERLOAD, simulateTargets, type TargetResult } from "../../../../support/overload-targets-sim.ts";
import { endpoint, endpoints, Rig, upstreamPlan } from "../../../../support/upstreams.ts";

const x = new TestExchange({ ip: "198.51.100.7" });
const BALANCES: readonly Balance[] = ["round-robin", "least-request", "random", "hash"];
const LIMIT = 4;

const rigOf = (plan: Partial<UpstreamPlan>, weights: readonly number[] = [1, 1, 1]) =>
  new Rig(upstreamPlan({ overload: OVERLOAD, ...plan }), endpoints(weights));

const NO_TICKETS = { upstreamTicket: NO_TICKET, targetTicket: NO_TICKET, answered: false };
const steered = (rig: Rig, key: string): number => rig.targets.read(rig.named(key).slot).steered;

/** Requests that end at once, and where they go. */
const goes = (rig: Rig, times: number, who: RequestView = x): Record<string, number> => {
  const found: Record<string, number> = {};
  for (let i = 0; i < times; i++) {
    const chosen = rig.upstream.take(who, null, NO_TICKETS);
    if (chosen === null) continue;
    rig.upstream.done(chosen, "neutral");
    found[chosen.plan.key] = (found[chosen.plan.key] ?? 0) + 1;
  }
  return found;
};

/** How often each is chosen. */
const counts = (rig: Rig, times: number, tried: readonly Endpoint[] | null = null): Record<string, number> => {
  const found: Record<string, number> = {};
  for (let i = 0; i < times; i++) {
    const key = rig.upstream.select(x, tried)?.plan.key ?? "none";
    found[key] = (found[key] ?? 0) + 1;
  }
  return found;
};

describe.each(BALANCES)("%s", (balance) => {
  it.each([[[1, 1, 1]], [[3, 1, 2]]])("passes over a target at its limit until it has room again (weights %j)", (weights) => {
    const rig = rigOf({ balance }, weights);
    const [favourite] = Object.entries(counts(rig, 60)).sort(([, a], [, b]) => b - a)[0] as [string, number];
    rig.load(favourite, LIMIT, LIMIT);
    expect(Object.keys(counts(rig, 60))).not.toContain(favourite);
    expect(steered(rig, favourite)).toBe(0); // looked for, and not sent
    expect(Object.keys(goes(rig, 60))).not.toContain(favourite);
    expect(steered(rig, favourite)).toBeGreaterThan(0);
    expect(steered(rig, favourite)).toBeLessThanOrEqual(60);
    rig.load(favourite, LIMIT - 1, LIMIT);
    expect(Object.keys(counts(rig, 60))).toContain(favourite);
  });

  it("chooses one that is at its limit where all are", () => {
    const rig = rigOf({ balance });
    for (const key of ["a", "b", "c"]) rig.load(key, LIMIT, LIMIT);
    expect(Object.keys(counts(rig, 60))).not.toContain("none");
  });

  it("steers nobody away in the shadow where all targets are at their limits", () => {
    const rig = rigOf({ balance, overload: { ...OVERLOAD, shadow: true } });
    for (const key of ["a", "b", "c"]) rig.load(key, LIMIT, LIMIT);
    goes(rig, 60);
    expect(["a", "b", "c"].map((key) => steered(rig, key))).toEqual([0, 0, 0]);
  });

  it("gives a further attempt to an untried target with room, and else to an untried one", () => {
    const rig = rigOf({ balance });
    rig.load("b", LIMIT, LIMIT);
    expect(counts(rig, 60, [rig.named("a")])).toEqual({ c: 60 });
    rig.load("c", LIMIT, LIMIT);
    expect(Object.keys(counts(rig, 60, [rig.named("a")])).filter((key) => key === "a")).toEqual([]);
    expect(counts(rig, 60, [rig.named("a"), rig.named("b")])).toEqual({ c: 60 });
  });

  it("goes on as before in the shadow, and counts who would have gone elsewhere", () => {
    const rig = rigOf({ balance, overload: { ...OVERLOAD, shadow: true } });
    const plain = rigOf({ balance, overload: null });
    for (const each of [rig, plain]) for (const key of ["a", "b", "c"]) each.load(key, key === "b" ? LIMIT : 0, LIMIT);
    const found = goes(rig, 300);
    expect(found).toEqual(goes(plain, 300));
    expect(steered(rig, "b")).toBe(found["b"] ?? 0);
  });
});

it("those who take turns share evenly what a target at its limit leaves, by weight", () => {
  const even = rigOf({ balance: "round-robin" });
  even.load("a", LIMIT, LIMIT);
  expect(counts(even, 100)).toEqual({ b: 50, c: 50 });
  const weighted = rigOf({ balance: "round-robin" }, [3, 1, 2]);
  weighted.load("a", LIMIT, LIMIT);
  expect(counts(weighted, 300)).toEqual({ b: 100, c: 200 });
  // It is owed nothing for the turns that it missed.
  weighted.load("a", 0, LIMIT);
  expect(counts(weighted, 60)).toEqual({ a: 30, b: 10, c: 20 });
});

it("keys of a target at its limit go to the next on the ring, each to its own, and come back", () => {
  const rig = new Rig(upstreamPlan({ balance: "hash", hashOn: { kind: "path" }, overload: OVERLOAD }), endpoints([1, 1, 1, 1]));
  const owners = (): string[] =>
    Array.from({ length: 200 }, (_, i) => rig.upstream.select(new TestExchange({ path: `/${i}` }), null)?.plan.key ?? "none");
  const before = owners();
  rig.load("a", LIMIT, LIMIT);
  const during = owners();
  rig.health.setDown(0, true, rig.nowMs);
  expect(owners()).toEqual(during); // where they go when it is away
  rig.health.setDown(0, false, rig.nowMs);
  expect(during.filter((owner, i) => owner !== before[i] && before[i] !== "a")).toEqual([]);
  expect(new Set(during.filter((_, i) => before[i] === "a"))).toEqual(new Set(["b", "c", "d"]));
  rig.load("a", 0, LIMIT);
  expect(owners()).toEqual(before);
});

it("a client of a session stays at its target up to twice the limit, and then goes on elsewhere", () => {
  const plan = upstreamPlan({
    overload: OVERLOAD,
    sticky: { cookie: "s", attributes: "", secure: false, key: "k" },
  });
  const rig = new Rig(plan, endpoints([1, 1, 1]));
  const headers: string[] = [];
  rig.upstream.sticky?.remember(x, rig.named("b"), headers);
  const client = new TestExchange({ headers: { cookie: headers[1]?.split(";")[0] ?? "" } });
  const where = (): Set<string> => new Set(Array.from({ length: 50 }, () => rig.upstream.select(client, null)?.plan.key ?? "none"));
  rig.load("b", LIMIT, LIMIT);
  expect(where()).toEqual(new Set(["b"]));
  goes(rig, 10, client);
  expect(steered(rig, "b")).toBe(0);
  rig.load("b", 2 * LIMIT, LIMIT);
  expect(where().has("b")).toBe(false);
  goes(rig, 10, client);
  expect(steered(rig, "b")).toBe(10);
  rig.load("b", 2 * LIMIT - 1, LIMIT);
  expect(where()).toEqual(new Set(["b"]));
});

describe("limits of targets", () => {
  it("are none where one target serves, and come and go with the second one", () => {
    const rig = rigOf({}, [1, 0]);
    expect([rig.upstream.targets, rig.named("a").places, rig.named("b").places]).toEqual([null, null, null]);
    rig.upstream.setEndpoints(endpoints([1, 1]));
    expect(rig.upstream.targets).not.toBeNull();
    const places = rig.named("a").places;
    expect(places).not.toBeNull();
    rig.upstream.setEndpoints([...endpoints([1, 1]), endpoint("c", 9)]);
    expect(rig.named("a").places).toBe(places);
    rig.upstream.setEndpoints(endpoints([1]));
    expect([rig.upstream.targets, rig.named("a").places]).toEqual([null, null]);
  });

  const clocks = { nowMs: 1, wallMs: 1e12 };
  const total = (rig: Rig, plan = OVERLOAD): number => rig.upstream.targets?.look(clocks, plan, 0) ?? 0;

  it("come to the sum of those that may be chosen, within the upstream's bounds", () => {
    const rig = rigOf({});
    rig.upstream.select(x, null);
    const start = total(rig) / 3;
    expect(start).toBe(rig.named("a").places?.limit);
    rig.health.setDown(1, true, rig.nowMs);
    rig.upstream.select(x, null);
    expect(total(rig)).toBe(2 * start);
    expect(total(rig, { ...OVERLOAD, maximum: start + 1 })).toBe(start + 1);
    expect(total(rig, { ...OVERLOAD, minimum: 900 })).toBe(900);
    rig.health.setDown(0, true, rig.nowMs);
    rig.health.setDown(2, true, rig.nowMs);
    rig.upstream.select(x, null);
    expect(total(rig)).toBe(3 * start); // there is nobody to wait for: whoever chooses says so
  });

  it("leave room to the others where one has more in flight than its limit by now", () => {
    const rig = rigOf({});
    rig.upstream.select(x, null);
    const others = (total(rig) / 3) * 2;
    rig.load("b", 30, 30);
    expect(total(rig)).toBe(others + 30);
    rig.load("b", 30, 10);
    expect(total(rig)).toBe(others + 30);
    rig.load("b", 12, 10);
    expect(total(rig)).toBe(others + 12);
    // Who comes to it all the same has room nowhere.
    rig.load("b", 20, 10);
    expect(total(rig)).toBe(others + 12);
    rig.load("b", 1, 10);
    expect(total(rig)).toBe(others + 10);
  });

  it("of more targets than one look goes over are all in the sum", () => {
    const rig = rigOf(
      {},
      Array.from({ length: 200 }, () => 1),
    );
    rig.upstream.select(x, null);
    const plan = { ...OVERLOAD, maximum: 100_000 };
    const start = total(rig, plan) / 200;
    rig.load("a", 0, 2);
    for (let i = 0; i < 4; i++) total(rig, plan);
    expect(total(rig, plan)).toBe(199 * start + 2);
  });
});

const SEEDS = [1, 2, 3];
const SERVICES: readonly [string, ReturnType<typeof fixed>][] = [
  ["fixed", fixed(20)],
  ["exponential", exponential(20)],
];
const PLANS = BALANCES.map((balance) => [balance, { balance, hashOn: { kind: "path" as const } }] as const);
const CALLERS = 1000;
const SLOWS_MS = 10_000;
const within = (instants: readonly number[], fromS: number, toS: number): number =>
  instants.filter((ms) => ms >= fromS * 1000 && ms < toS * 1000).length;

/** Three targets of 400/s each; after ten seconds the last one takes ten times as long. */
function oneSlows(seed: number, rate: number, latency: ReturnType<typeof fixed>, plan: Partial<UpstreamPlan>): TargetResult {
  const slows = (ms: number, random: () => number) => latency(ms, random) * (ms > SLOWS_MS ? 10 : 1);
  const path = (random: () => number) => `/${Math.floor(random() * CALLERS)}`;
  return simulateTargets({ seed, seconds: 30, warm: 2, rate, plan, servers: 8, path, targets: [latency, latency, slows] });
}

describe.each(SERVICES)("three targets of %s latency", (_, latency) => {
  describe.each(PLANS)("balanced by %s", (_name, plan) => {
    it.each(SEEDS)("have nobody refused, although one slows by ten, while the others can answer all (seed %i)", (seed) => {
      const { offered, answered, refused, answeredAtMs } = oneSlows(seed, 680, latency, plan);
      expect(refused).toBe(0);
      expect(answered).toBe(offered);
      // It is not left out: what it can do is done.
      expect(within(answeredAtMs[2] ?? [], 15, 30)).toBeGreaterThan(0.1 * 15 * 40);
    });

    it.each(SEEDS)("answer at the capacity that is left, where more is asked of them (seed %i)", (seed) => {
      const { answeredAtMs } = oneSlows(seed, 2400, latency, plan);
      const answered = answeredAtMs.reduce((sum, each) => sum + within(each, 12, 30), 0);
      expect(answered).toBeGreaterThan(0.92 * 840 * 18);
    });
  });
});
