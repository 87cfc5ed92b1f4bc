// Owns tests of how balancers spread requests: exact sequences where they exist, seeded statistics elsewhere.
import { describe, expect, test } from "vitest";
import { WeightedSampler } from "../../../../../src/data/upstream/balance/weighted-sampler.ts";
import type { Balance } from "../../../../../src/plan/plan.ts";
import { TestExchange } from "../../../../support/exchange.ts";
import { chiSquare, endpoints, Rig, seededRandom, upstreamPlan } from "../../../../support/upstreams.ts";

const x = new TestExchange();
/** 99.9 % quantiles of chi-square for 1..4 degrees of freedom: a right balancer fails one seed in a thousand, and seeds are fixed. */
const CHI_999 = [0, 10.83, 13.82, 16.27, 18.47] as const;

const draw = (rig: Rig, count: number): string =>
  Array.from({ length: count }, () => rig.upstream.select(x, null)?.plan.key ?? "-").join("");

const countsOf = (text: string, weights: readonly number[]): number[] =>
  weights.map((_, i) => text.split(String.fromCharCode(97 + i)).length - 1);

test.each([
  { weights: [5, 1, 1], expected: "aabacaa" },
  { weights: [2, 1], expected: "aba" },
  { weights: [1, 2, 3], expected: "cbacbc" },
])("smooth round-robin of $weights is $expected", ({ weights, expected }) => {
  const rig = new Rig(upstreamPlan(), endpoints(weights));
  expect(draw(rig, expected.length * 3)).toBe(expected.repeat(3));
});

test("equal weights take turns", () => {
  const text = draw(new Rig(upstreamPlan(), endpoints([2, 2, 2])), 9);
  expect("abcabcabcabc").toContain(text);
});

describe.each([
  { balance: "round-robin", weights: [3, 2, 1] },
  { balance: "random", weights: [1, 1, 1, 1] },
  { balance: "random", weights: [5, 3, 1, 0.5] },
  { balance: "random", weights: [1000, 1, 1000] },
  { balance: "least-request", weights: [1, 1, 1] },
  { balance: "least-request", weights: [4, 2, 1] },
] satisfies { balance: Balance; weights: number[] }[])("$balance of $weights, idle", ({ balance, weights }) => {
  test.each([1, 2, 3])("goes by weight (seed %i)", (seed) => {
    const counts = countsOf(draw(new Rig(upstreamPlan({ balance }), endpoints(weights), seed), 20_000), weights);
    expect(chiSquare(counts, weights)).toBeLessThan(CHI_999[weights.length - 1] ?? 0);
  });
});

test("the sampler's table is the distribution, to the last digit", () => {
  const weights = [7, 0.25, 3, 1, 1, 12];
  const sampler = new WeightedSampler(weights);
  const steps = 97_000;
  const counts = weights.map(() => 0);
  for (let i = 0; i < steps; i += 1) {
    const index = sampler.draw((i + 0.5) / steps);
    counts[index] = (counts[index] ?? 0) + 1;
  }
  const sum = weights.reduce((a, b) => a + b, 0);
  weights.forEach((weight, i) => {
    expect((counts[i] ?? 0) / steps).toBeCloseTo(weight / sum, 3);
  });
});

describe("least-request", () => {
  test("prefers the endpoint with fewer requests under way, whoever's they are", () => {
    const rig = new Rig(upstreamPlan({ balance: "least-request" }), endpoints([1, 1]));
    rig.otherWorker.begin(0);
    expect(draw(rig, 50)).toBe("b".repeat(50));
    rig.health.begin(1);
    rig.health.begin(1);
    expect(draw(rig, 50)).toBe("a".repeat(50));
  });

  test("load follows weight: requests under way per weight stay level", () => {
    const weights = [4, 2, 1, 1];
    const rig = new Rig(upstreamPlan({ balance: "least-request" }), endpoints(weights));
    for (let i = 0; i < 800; i += 1) {
      const chosen = rig.upstream.select(x, null);
      if (chosen !== null) rig.upstream.begin(chosen);
    }
    weights.forEach((weight, slot) => {
      expect(Math.abs(rig.health.inFlight(slot) / weight - 100)).toBeLessThan(6);
    });
  });

  test("keeps the fullest far nearer the mean than random does", () => {
    const fullest = (balance: Balance): number => {
      const rig = new Rig(upstreamPlan({ balance }), endpoints(Array<number>(20).fill(1)));
      for (let i = 0; i < 2000; i += 1) {
        const chosen = rig.upstream.select(x, null);
        if (chosen !== null) rig.upstream.begin(chosen);
      }
      return Math.max(...rig.upstream.endpoints.map((one) => rig.health.inFlight(one.slot)));
    };
    expect(fullest("least-request")).toBeLessThanOrEqual(104);
    expect(fullest("random")).toBeGreaterThan(110);
  });

  test("a retry takes the least loaded of the untried", () => {
    const rig = new Rig(upstreamPlan({ balance: "least-request" }), endpoints([1, 1, 1, 1]));
    for (const slot of [1, 1, 2, 3, 3]) rig.health.begin(slot);
    const tried = [rig.named("a")];
    for (let i = 0; i < 50; i += 1) expect(rig.upstream.select(x, tried)?.plan.key).toBe("c");
  });
});

test("seeded randomness is uniform enough for these tests", () => {
  const random = seededRandom(5);
  const counts = [0, 0, 0, 0, 0];
  for (let i = 0; i < 10_000; i += 1) {
    const bin = Math.floor(random() * 5);
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  expect(chiSquare(counts, [1, 1, 1, 1, 1])).toBeLessThan(CHI_999[4]);
});
