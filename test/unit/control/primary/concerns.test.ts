import { expect, test } from "vitest";
import { type ConcernSources, concerns } from "../../../../src/control/primary/concerns.ts";
import type { BreakerStatus, TargetStatus, UpstreamStatus } from "../../../../src/observe/instance-state.ts";
import { PHASE } from "../../../../src/shared/breaker-word.ts";

const WELL: ConcernSources = {
  control: { lastProblems: 0, inForce: { plan: { version: 4 } }, waiting: [] },
  blocked: [],
  overload: { shadow: false, workers: [] },
  pins: null,
  keySources: [],
  accessLog: { failure: null },
  adminTrouble: null,
  cells: { limitWatch: { concern: null }, totals: { routeNames: { overflowed: 0 } } },
  fleet: null,
  redisConsumers: null,
  cacheTier: null,
};

const breaker = (phase: number): BreakerStatus => ({ phase }) as BreakerStatus; // nothing else is looked at
const target = (key: string, healthy: boolean, phase: number | null = null): TargetStatus =>
  ({ key, healthy, breaker: phase === null ? null : breaker(phase) }) as TargetStatus;
const upstream = (name: string, targets: readonly TargetStatus[], phase: number | null = null): UpstreamStatus =>
  ({ name, targets, breaker: phase === null ? null : breaker(phase) }) as UpstreamStatus;

test("nothing is said of an instance that is well", () => {
  const fine = upstream("users", [target("http://10.0.0.1", true, PHASE.closed), target("http://10.0.0.2", false)], PHASE.recovering);
  expect(concerns(WELL, [{ seat: 0, restartInMs: 0 }], [fine])).toEqual([]);
});

test("an upstream without a target that can be used is named, also when discovery found none", () => {
  const upstreams = [
    upstream("users", [target("http://10.0.0.1", false), target("http://10.0.0.2", false)]),
    upstream("orders", []),
    upstream("fine", [target("http://10.0.0.3", true)]),
  ];
  expect(concerns(WELL, [], upstreams)).toEqual([
    { summary: "an upstream has no target that can be used", detail: "no target can be used of upstream users, orders" },
  ]);
});

test("breakers that let nothing or trials only through are named, an upstream's own and its targets'", () => {
  const upstreams = [
    upstream("users", [target("http://10.0.0.1", true, PHASE.halfOpen), target("http://10.0.0.2", true, PHASE.closed)], PHASE.forcedOpen),
    upstream("orders", [target("http://10.0.0.3", true, PHASE.forcedClosed)], PHASE.open),
  ];
  expect(concerns(WELL, [], upstreams)).toEqual([
    { summary: "a circuit breaker is open", detail: "open circuit breakers: users, users http://10.0.0.1, orders" },
  ]);
});

test("of very many names some are told", () => {
  const upstreams = Array.from({ length: 30 }, (_, i) => upstream(`u${i}`, []));
  expect(concerns(WELL, [], upstreams)[0]?.detail).toMatch(/u0, u1, .*u9 and 20 more$/);
});

test("settings that wait for a restart are named", () => {
  const waiting = { ...WELL, control: { ...WELL.control, waiting: ["workers", "log"] } };
  expect(concerns(waiting, [], [])).toEqual([
    {
      summary: "a changed setting waits for the next start",
      detail: "workers, log changed and wait for the next start (or takeover): the gateway goes on with what it started with",
    },
  ]);
});

test("a cache that leaves Redis alone is told, with how many workers do", () => {
  const found = (leavingAlone: number) => concerns({ ...WELL, cacheTier: { workers: 4, leavingAlone } }, [], []);
  expect(found(0)).toEqual([]);
  expect(found(3)).toEqual([
    {
      summary: "the cache leaves Redis alone until it answers again",
      detail: "the cache leaves Redis alone until it answers again (workers: 3 of 4): what is not in memory is asked of the origin",
    },
  ]);
});

test("no summary holds a name, an address or a cause", () => {
  const planted = "planted-10.9.8.7";
  const found = concerns(
    {
      control: { lastProblems: 3, inForce: null, waiting: [planted] },
      blocked: [77],
      overload: { shadow: true, workers: [77] },
      pins: { trouble: planted },
      keySources: [{ url: planted, trouble: planted }],
      accessLog: { failure: planted },
      adminTrouble: planted,
      cells: { limitWatch: { concern: planted }, totals: { routeNames: { overflowed: 77 } } },
      fleet: {
        connected: false,
        redis: planted,
        instances: 77,
        trouble: planted,
        purges: { pending: 2, applied: 0, missed: 0, ageMs: null, trouble: planted },
      },
      redisConsumers: { redis: planted, inForce: 77, trouble: planted },
      cacheTier: { workers: 77, leavingAlone: 77 },
    },
    [{ seat: 77, restartInMs: 77 }],
    [upstream(planted, [target(planted, false, PHASE.open)], PHASE.open)],
  );
  expect(found).toHaveLength(17);
  for (const { summary, detail } of found) {
    expect(summary).not.toMatch(/planted|77|10\.9/);
    expect(summary).toMatch(/^[\w' :,-]+$/);
    expect(detail.length).toBeGreaterThanOrEqual(planted.length);
  }
});
