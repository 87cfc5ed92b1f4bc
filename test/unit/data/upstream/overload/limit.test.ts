// The in-flight limit and the line in front of it, in simulated time: how much of a service's answers are left, and for whom.
import { describe, expect, it } from "vitest";
import { bimodal, exponential, fixed, lognormal, type Result, type Setup, simulate } from "../../../../support/overload-sim.ts";

/** Of a service of 8 servers and 20 ms, a second. */
const CAPACITY = 400;
const SEEDS = [1, 2, 3];
const SERVICES: readonly [string, Setup["latency"]][] = [
  ["fixed", fixed(20)],
  ["exponential", exponential(20)],
  ["lognormal", lognormal(20, 1)],
];
/** One in 10,000. */
const NEXT_TO_NONE = 0.0001;

const one = (setup: Omit<Setup, "streams"> & { readonly rate: number | ((ms: number) => number) }): Result => {
  const { rate, ...rest } = setup;
  return simulate({ ...rest, streams: [{ name: "all", rate }] }).get("all") as Result;
};
/** Answers a second between two moments, s. */
const pace = ({ atMs }: Result, from: number, to: number): number =>
  atMs.filter((ms) => ms >= from * 1000 && ms < to * 1000).length / (to - from);
const refusedIn = ({ refusedAtMs }: Result, from: number, to: number): number =>
  refusedAtMs.filter((ms) => ms >= from * 1000 && ms < to * 1000).length;

describe.each(SERVICES)("a service of %s latency", (_name, latency) => {
  it.each(SEEDS)("answers at its capacity whatever is asked of it, and nobody who is answered waits long (seed %i)", (seed) => {
    for (const load of [2, 10]) {
      const result = one({ seed, seconds: 40, warm: 8, latency, rate: load * CAPACITY });
      expect(pace(result, 8, 40)).toBeGreaterThan(0.93 * CAPACITY);
      expect(result.p99).toBeLessThan(350);
    }
  });

  it.each(SEEDS)("has nobody refused while it can answer all (seed %i)", (seed) => {
    const { offered, refused } = one({ seed, seconds: 300, warm: 0, latency, rate: 0.7 * CAPACITY });
    expect(refused).toBeLessThanOrEqual(offered * NEXT_TO_NONE);
  });

  it.each(SEEDS)("answers a caller of half its share beside one of twenty times its own (seed %i)", (seed) => {
    const streams = [
      { name: "greedy", rate: 10 * CAPACITY },
      { name: "modest", rate: 0.25 * CAPACITY },
    ];
    const modest = simulate({ seed, seconds: 30, warm: 5, latency, streams }).get("modest") as Result;
    expect(modest.refused).toBeLessThanOrEqual(modest.offered * 0.01);
    expect(modest.p99).toBeLessThan(400);
  });
});

it.each(SEEDS)("of a hundred callers only the greedy one is refused (seed %i)", (seed) => {
  const others = Array.from({ length: 99 }, (_, i) => ({ name: `caller ${i}`, rate: 2 }));
  const results = simulate({ seed, seconds: 30, warm: 5, latency: exponential(20), streams: [{ name: "greedy", rate: 4000 }, ...others] });
  let offered = 0;
  let refused = 0;
  for (const { name } of others) {
    offered += results.get(name)?.offered ?? 0;
    refused += results.get(name)?.refused ?? 0;
  }
  expect(offered).toBeGreaterThan(4000);
  expect(refused).toBeLessThanOrEqual(offered * 0.005);
});

it.each(SEEDS)("of a service of two speeds nobody is refused while it can answer all (seed %i)", (seed) => {
  const { offered, refused } = one({ seed, seconds: 300, warm: 0, latency: bimodal, rate: 0.7 * CAPACITY });
  expect(refused).toBeLessThanOrEqual(offered * NEXT_TO_NONE);
});

it.each(SEEDS)("a service of two speeds that was overloaded has nobody refused once it can answer all (seed %i)", (seed) => {
  const rate = (ms: number) => (ms > 10_000 && ms < 30_000 ? 2 * CAPACITY : 0.7 * CAPACITY);
  const result = one({ seed, seconds: 300, warm: 31, latency: bimodal, rate });
  expect(result.refused).toBeLessThanOrEqual(result.offered * NEXT_TO_NONE);
});

it.each(SEEDS)("a cold start beside a service of many servers has nobody refused (seed %i)", (seed) => {
  for (const latency of [fixed(20), exponential(20), bimodal]) {
    expect(one({ seed, seconds: 20, warm: 0, servers: 64, latency, rate: 0.7 * 3200 }).refused).toBe(0);
  }
});

it.each(SEEDS)("a cold start in an overload finds the limit within some seconds, also where the service is slow (seed %i)", (seed) => {
  for (const [servers, ms] of [
    [8, 20],
    [1, 20],
    [8, 200],
  ] as const) {
    const capacity = (servers * 1000) / ms;
    const result = one({ seed, seconds: 40, warm: 10, servers, latency: fixed(ms), rate: 10 * capacity });
    expect(pace(result, 10, 40)).toBeGreaterThan(0.9 * capacity);
    expect(result.p99).toBeLessThan(6 * ms);
  }
});

it.each(SEEDS)("a slow route beside a fast one has nobody refused below saturation (seed %i)", (seed) => {
  const streams = [
    { name: "fast", rate: 280 },
    { name: "slow", rate: 28, latency: () => 200, route: 1 },
  ];
  const results = simulate({ seed, seconds: 120, warm: 0, servers: 16, latency: exponential(20), streams });
  for (const { offered, refused } of results.values()) expect(refused).toBeLessThanOrEqual(offered * 0.001);
});

describe("a change", () => {
  it.each(SEEDS)("of latency with the capacity kept has nobody refused (seed %i)", (seed) => {
    const doubles = (ms: number) => (ms > 10_000 ? 40 : 20);
    const servers = (ms: number) => (ms > 10_000 ? 16 : 8);
    const { refused } = one({ seed, seconds: 40, warm: 0, servers, latency: doubles, rate: 350 });
    expect(refused).toBe(0);
  });

  it.each(SEEDS)("of latency with the capacity kept has nobody refused either where the limit was found before (seed %i)", (seed) => {
    const rate = (ms: number) => (ms < 10_000 ? 800 : ms < 12_000 ? 200 : 300);
    const doubles = (ms: number, random: () => number) => exponential(ms > 20_000 ? 40 : 20)(ms, random);
    const servers = (ms: number) => (ms > 20_000 ? 16 : 8);
    const result = one({ seed, seconds: 60, warm: 12, servers, latency: doubles, rate });
    expect(refusedIn(result, 13, 60)).toBe(0);
  });

  it.each(SEEDS)("of capacity to half and back is followed within two seconds, both ways (seed %i)", (seed) => {
    const servers = (ms: number) => (ms > 10_000 && ms < 20_000 ? 4 : 8);
    const result = one({ seed, seconds: 30, latency: fixed(20), servers, rate: 350 });
    expect(pace(result, 12, 20)).toBeGreaterThan(0.92 * 200);
    expect(pace(result, 22, 29)).toBeGreaterThan(0.92 * 350);
    expect(refusedIn(result, 22, 30)).toBe(0);
  });

  it.each(SEEDS)("of capacity to the double while saturated is used within two seconds (seed %i)", (seed) => {
    const servers = (ms: number) => (ms > 10_000 ? 16 : 8);
    const result = one({ seed, seconds: 30, latency: fixed(20), servers, rate: 1600 });
    expect(pace(result, 12, 30)).toBeGreaterThan(0.95 * 800);
  });

  it.each(SEEDS)("is over a second after a spike of ten times the capacity is (seed %i)", (seed) => {
    const rate = (ms: number) => (ms > 10_000 && ms < 20_000 ? 4000 : 280);
    const result = one({ seed, seconds: 40, latency: exponential(20), rate });
    expect(pace(result, 10.5, 20)).toBeGreaterThan(0.9 * CAPACITY);
    expect(refusedIn(result, 21, 40)).toBe(0);
  });
});

it.each(SEEDS)("two instances, one of them started while the service is saturated, share it and waste little of it (seed %i)", (seed) => {
  const streams = [
    { name: "first", rate: 800 },
    { name: "second", at: 1, rate: (ms: number) => (ms > 10_000 ? 800 : 0) },
  ];
  const results = simulate({ seed, seconds: 60, instances: 2, latency: exponential(20), streams });
  const [first, second] = [...results.values()].map((result) => pace(result, 40, 60)) as [number, number];
  expect(first + second).toBeGreaterThan(0.9 * CAPACITY);
  expect(Math.max(first, second) / Math.min(first, second)).toBeLessThan(2);
  for (const { p99 } of results.values()) expect(p99).toBeLessThan(600);
});
