// Owns tests of an upstream in one worker: availability, ejection, slow start, retries elsewhere, changing endpoints.
import { describe, expect, test } from "vitest";
import { benchSelect } from "../../../../bench/micro/select.ts";
import type { Endpoint } from "../../../../src/data/upstream/upstream.ts";
import type { Balance, PassiveHealthPlan } from "../../../../src/plan/plan.ts";
import { TestExchange } from "../../../support/exchange.ts";
import { endpoint, endpoints, Rig, upstreamPlan } from "../../../support/upstreams.ts";

const x = new TestExchange({ ip: "198.51.100.7" });
const BALANCES: readonly Balance[] = ["round-robin", "least-request", "random", "hash"];

const passive = (part: Partial<PassiveHealthPlan> = {}) => ({
  active: null,
  passive: { consecutiveFailures: 3, ejectForMs: 1000, maxEjected: 0.5, ...part },
});

/** Keys chosen in `count` selects without anything under way. */
const chosen = (rig: Rig, count: number, tried: readonly Endpoint[] | null = null): string[] =>
  Array.from({ length: count }, () => rig.upstream.select(x, tried)?.plan.key ?? "none");

const distinct = (rig: Rig, count = 200): string[] => [...new Set(chosen(rig, count))].sort();

const fail = (rig: Rig, key: string, times: number): void => {
  for (let i = 0; i < times; i += 1) rig.attempt(key, "failure");
};

describe.each(BALANCES)("%s", (balance) => {
  test("never chooses what is down, and nothing when all are", () => {
    const rig = new Rig(upstreamPlan({ balance }), endpoints([1, 1, 1]));
    rig.health.setDown(0, true, rig.nowMs);
    rig.health.setDown(2, true, rig.nowMs);
    expect(distinct(rig)).toEqual(["b"]);
    rig.health.setDown(1, true, rig.nowMs);
    expect(distinct(rig)).toEqual(["none"]);
    rig.health.setDown(2, false, rig.nowMs);
    expect(distinct(rig)).toEqual(["c"]);
  });

  test("avoids tried endpoints while another is there", () => {
    const rig = new Rig(upstreamPlan({ balance }), endpoints([1, 3, 2]));
    const [a, b, c] = ["a", "b", "c"].map((key) => rig.named(key)) as [Endpoint, Endpoint, Endpoint]; // three in, three out
    expect(new Set(chosen(rig, 100, [a, c]))).toEqual(new Set(["b"]));
    expect(chosen(rig, 100, [b])).not.toContain("b");
    expect(chosen(rig, 100, [a, b, c])).not.toContain("none");
    rig.health.setDown(b.slot, true, rig.nowMs);
    expect(chosen(rig, 100, [a, c])).not.toContain("b");
  });

  test("never chooses weight 0 and has nothing without endpoints", () => {
    expect(distinct(new Rig(upstreamPlan({ balance }), endpoints([0, 1, 0])))).toEqual(["b"]);
    expect(distinct(new Rig(upstreamPlan({ balance }), endpoints([0, 0])))).toEqual(["none"]);
    expect(distinct(new Rig(upstreamPlan({ balance }), []))).toEqual(["none"]);
  });
});

describe("passive ejection", () => {
  test("consecutive failures eject for a while, a success between them does not let it come to that", () => {
    const rig = new Rig(upstreamPlan({ health: passive() }), endpoints([1, 1]));
    fail(rig, "a", 2);
    rig.attempt("a", "success");
    fail(rig, "a", 2);
    expect(distinct(rig)).toEqual(["a", "b"]);
    fail(rig, "a", 1);
    expect(distinct(rig)).toEqual(["b"]);
    rig.nowMs += 999;
    expect(distinct(rig)).toEqual(["b"]);
    rig.nowMs += 1;
    expect(distinct(rig)).toEqual(["a", "b"]);
  });

  test("all workers count together and see each other's ejections", () => {
    const rig = new Rig(upstreamPlan({ health: passive() }), endpoints([1, 1]));
    expect(rig.otherWorker.failed(0, rig.nowMs)).toBe(1);
    expect(rig.otherWorker.failed(0, rig.nowMs)).toBe(2);
    fail(rig, "a", 1);
    expect(rig.otherWorker.ejectedUntilMs(0)).toBe(rig.nowMs + 1000);
  });

  test("failures that end after the ejection count for nothing", () => {
    const rig = new Rig(upstreamPlan({ health: passive() }), endpoints([1, 1]));
    fail(rig, "a", 3);
    fail(rig, "a", 10);
    rig.nowMs += 1000;
    fail(rig, "a", 2);
    expect(distinct(rig)).toEqual(["a", "b"]);
  });

  test("neutral says nothing", () => {
    const rig = new Rig(upstreamPlan({ health: passive({ consecutiveFailures: 1 }) }), endpoints([1, 1]));
    rig.upstream.begin(rig.named("a"));
    rig.upstream.done(rig.named("a"), "neutral");
    expect(distinct(rig)).toEqual(["a", "b"]);
    expect(rig.health.read(0)).toMatchObject({ inFlight: 0, requests: 1, failures: 0 });
  });

  test("without passive health nothing is ejected", () => {
    const rig = new Rig(upstreamPlan(), endpoints([1, 1]));
    fail(rig, "a", 100);
    expect(distinct(rig)).toEqual(["a", "b"]);
    expect(rig.health.read(0).failures).toBe(100);
  });

  test.each([
    { count: 1, maxEjected: 0.5, ejected: 0 },
    { count: 1, maxEjected: 1, ejected: 1 },
    { count: 2, maxEjected: 0.5, ejected: 1 },
    { count: 3, maxEjected: 0.5, ejected: 1 },
    { count: 4, maxEjected: 0.5, ejected: 2 },
    { count: 4, maxEjected: 0, ejected: 0 },
    { count: 10, maxEjected: 0.1, ejected: 1 },
    { count: 100, maxEjected: 0.29, ejected: 29 },
  ])("of $count endpoints at most $maxEjected are ejected: $ejected", ({ count, maxEjected, ejected }) => {
    const rig = new Rig(upstreamPlan({ health: passive({ maxEjected }) }), endpoints(Array<number>(count).fill(1)));
    for (const one of rig.upstream.endpoints) fail(rig, one.plan.key, 5);
    expect(rig.upstream.endpoints.filter((one) => rig.health.ejectedUntilMs(one.slot) > rig.nowMs)).toHaveLength(ejected);
  });

  test("what is down counts towards maxEjected: the rest keeps serving", () => {
    const rig = new Rig(upstreamPlan({ health: passive() }), endpoints([1, 1]));
    rig.health.setDown(0, true, rig.nowMs);
    fail(rig, "b", 10);
    expect(distinct(rig)).toEqual(["b"]);
  });

  test("the ejected are the last resort when the others go down, unless all may be ejected", () => {
    const careful = new Rig(upstreamPlan({ health: passive() }), endpoints([1, 1]));
    fail(careful, "a", 3);
    careful.health.setDown(1, true, careful.nowMs);
    expect(distinct(careful)).toEqual(["a"]);

    const strict = new Rig(upstreamPlan({ health: passive({ maxEjected: 1 }) }), endpoints([1, 1]));
    fail(strict, "a", 3);
    fail(strict, "b", 3);
    expect(distinct(strict)).toEqual(["none"]);
    strict.nowMs += 1000;
    expect(distinct(strict)).toEqual(["a", "b"]);
  });

  test("failing again soon ejects for longer, up to ten times; time in service is forgiven", () => {
    const rig = new Rig(upstreamPlan({ health: passive() }), endpoints([1, 1]));
    const ejectionMs = (): number => {
      fail(rig, "a", 3);
      const until = rig.health.ejectedUntilMs(0);
      const lasts = until - rig.nowMs;
      rig.nowMs = until;
      return lasts;
    };
    expect(Array.from({ length: 12 }, ejectionMs)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10].map((n) => n * 1000));
    rig.nowMs += 4000;
    expect(ejectionMs()).toBe(7000);
    rig.nowMs += 1e6;
    expect(ejectionMs()).toBe(1000);
  });

  test("a request that outlives its endpoint does not eject the slot's next owner", () => {
    const rig = new Rig(upstreamPlan({ health: passive({ consecutiveFailures: 1 }) }), endpoints([1, 1]));
    const a = rig.named("a");
    rig.upstream.begin(a);
    rig.upstream.setEndpoints([endpoint("b", 1), endpoint("c", 2)]);
    rig.upstream.done(a, "failure");
    expect(rig.health.read(0)).toMatchObject({ ejections: 0, inFlight: 0 });
  });
});

describe("slow start", () => {
  const share = (rig: Rig): number => chosen(rig, 1100).filter((key) => key === "b").length / 1100;

  test.each([
    { afterMs: 0, weight: 0.1 },
    { afterMs: 5000, weight: 0.55 },
    { afterMs: 9000, weight: 0.91 },
    { afterMs: 10_000, weight: 1 },
    { afterMs: 60_000, weight: 1 },
  ])("$afterMs ms after it appeared an endpoint has $weight of its weight", ({ afterMs, weight }) => {
    const rig = new Rig(upstreamPlan({ slowStartMs: 10_000 }), [endpoint("a", 0), endpoint("b", 1, { sinceMs: 1_000_000 })]);
    rig.nowMs += afterMs;
    expect(share(rig)).toBeCloseTo(weight / (1 + weight), 2);
  });

  test("moves on by itself while requests come", () => {
    const rig = new Rig(upstreamPlan({ slowStartMs: 10_000 }), [endpoint("a", 0), endpoint("b", 1, { sinceMs: 1_000_000 })]);
    const shares = [0, 2500, 5000, 7500, 10_000].map((afterMs) => {
      rig.nowMs = 1_000_000 + afterMs;
      return share(rig);
    });
    expect([...shares].sort((p, q) => p - q)).toEqual(shares);
    expect(new Set(shares).size).toBe(5);
  });

  test("counts from recovery and from the end of an ejection too", () => {
    const plan = upstreamPlan({ slowStartMs: 10_000, health: passive() });
    const recovered = new Rig(plan, endpoints([1, 1]));
    recovered.health.setDown(1, true, recovered.nowMs);
    recovered.nowMs += 3000;
    recovered.health.setDown(1, false, recovered.nowMs);
    expect(share(recovered)).toBeCloseTo(0.1 / 1.1, 2);

    const ejected = new Rig(plan, endpoints([1, 1]));
    fail(ejected, "b", 3);
    ejected.nowMs += 1000;
    expect(share(ejected)).toBeCloseTo(0.1 / 1.1, 2);
    ejected.nowMs += 10_000;
    expect(share(ejected)).toBeCloseTo(0.5, 2);
  });
});

describe("changing endpoints", () => {
  test("those that stay keep object and pool, also with another weight; new ones get a pool; gone ones are retired", () => {
    const rig = new Rig(upstreamPlan(), endpoints([1, 1]));
    const b = rig.named("b");
    rig.upstream.setEndpoints([endpoint("b", 1, { weight: 3 }), endpoint("c", 2)]);
    expect(rig.named("b")).toBe(b);
    expect(rig.pooled).toEqual(["a", "b", "c"]);
    expect(rig.retired).toEqual(["a"]);
    const keys = chosen(rig, 40);
    expect(keys.filter((key) => key === "b")).toHaveLength(30);
    expect(keys).not.toContain("a");
  });

  test("another address under the same key is another endpoint", () => {
    const rig = new Rig(upstreamPlan(), [endpoint("a", 0)]);
    const before = rig.named("a");
    rig.upstream.setEndpoints([endpoint("a", 0, { port: 9 })]);
    expect(rig.named("a")).not.toBe(before);
    expect(rig.retired).toEqual(["a"]);
  });
});

test("begin and done count for all workers", () => {
  const rig = new Rig(upstreamPlan(), endpoints([1, 1]));
  rig.upstream.begin(rig.named("a"));
  rig.upstream.begin(rig.named("a"));
  rig.otherWorker.begin(0);
  expect(rig.otherWorker.inFlight(0)).toBe(3);
  rig.upstream.done(rig.named("a"), "success");
  expect(rig.health.inFlight(0)).toBe(2);
  expect(rig.health.ownInFlight(0)).toBe(1);
});

test("the benchmark chooses with every balance", () => {
  const costs = benchSelect(1, [3]);
  expect(costs.map((cost) => cost.balance)).toContain("hash");
  for (const cost of costs) expect(cost.wholeNs).toBeGreaterThan(0);
});
