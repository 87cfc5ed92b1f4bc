// What a bench says: results by route, totals, and the warnings that keep a number from being believed too much.
import { describe, expect, it } from "vitest";
import { overlayFor } from "../../../../src/cli/bench/bench-gateway.ts";
import { benchReport, benchText } from "../../../../src/cli/bench/bench-report.ts";
import type { LoadResult, RequestOutcome } from "../../../../src/cli/bench/load.ts";
import { latencyHistogram } from "../../../../src/cli/bench/open-loop.ts";
import { planOf } from "./plan-of.ts";

function outcome(route: string, path: string, micros: readonly number[], part: Partial<RequestOutcome> = {}): RequestOutcome {
  const latency = latencyHistogram();
  for (const each of micros) latency.record(each);
  const request = {
    route,
    method: "GET",
    host: "",
    path,
    query: "",
    listener: "",
    scheme: "http" as const,
    headers: [],
    authority: "",
    body: "",
  };
  return { request, latency, statuses: new Map([[200, micros.length]]), failed: 0, ...part };
}

function lateBy(micros: number) {
  const late = latencyHistogram();
  late.record(micros);
  return late;
}

const LOAD: LoadResult = {
  outcomes: [
    outcome("users", "/users/1", [1000, 1000, 1000, 1000]),
    outcome("users", "/users/2", [3000, 3000], { statuses: new Map([[404, 2]]), failed: 1 }),
    outcome("empty", "/empty", []),
  ],
  seconds: 2,
  failed: 1,
  failures: new Map([["no answer in time", 1]]),
  late: lateBy(10),
  waited: 0,
};
const RUN = {
  metrics: null,
  url: "http://127.0.0.1:1",
  rate: 3,
  connections: 4,
  cpuMicros: 600,
  residentMiB: 100,
  skipped: [{ route: "order", reason: "only POST" }],
};

describe("benchReport", () => {
  const report = benchReport(LOAD, RUN);
  it("adds up the requests of a route", () => {
    expect(report.routes[0]).toMatchObject({
      route: "users",
      requests: ["GET /users/1", "GET /users/2"],
      answers: 6,
      statuses: { 200: 4, 404: 2 },
      failed: 1,
    });
    expect(report.routes[0]?.latencyMs.p50).toBeCloseTo(1, 1);
    expect(report.routes[0]?.latencyMs.max).toBeCloseTo(3, 1);
  });
  it("says nothing of a route without answers that is not so", () => {
    expect(report.routes[1]).toMatchObject({ route: "empty", answers: 0, latencyMs: { p50: 0, max: 0 } });
  });
  it("has totals, and CPU time for each answer", () => {
    expect(report).toMatchObject({ loop: "open", answers: 6, answersPerSecond: 3, failed: 1, cpuMicrosPerAnswer: 100 });
    expect(benchReport(LOAD, { ...RUN, cpuMicros: null, residentMiB: null })).toMatchObject({
      cpuMicrosPerAnswer: null,
      residentMiB: null,
    });
  });
  it("is a closed loop without a rate, where failures are known only together", () => {
    const closed = benchReport({ ...LOAD, late: null }, { ...RUN, rate: null });
    expect(closed).toMatchObject({ loop: "closed", generatorLateMs: null, waited: null });
    expect(closed.routes[0]?.failed).toBeNull();
  });
});

describe("benchText", () => {
  const text = (load: Partial<LoadResult> = {}, run: Partial<typeof RUN> = {}) =>
    benchText(benchReport({ ...LOAD, ...load }, { ...RUN, ...run }));
  it("has a line for each route, all together, and what was not driven", () => {
    expect(text()).toMatch(/^users +2 requests +6 +200:4 404:2 +1 /m);
    expect(text()).toMatch(/^all +6 +1 /m);
    expect(text()).toContain("CPU 100.0 µs an answer");
    expect(text()).toContain("failed: 1 no answer in time");
    expect(text()).toContain("not driven: order: only POST");
    expect(text()).not.toContain("warning");
  });
  it("warns of a generator that was late, and of a rate that was not reached", () => {
    expect(text({ late: lateBy(5000) })).toContain("warning: so late that requests went out in bursts");
    expect(text({ waited: 0.3 })).toContain("warning: 30 % of the requests found no free connection");
  });
});

describe("the gateway that is started", () => {
  it("is like the operator's first listener, on a free loopback port, without admin listener and with a log to nowhere", () => {
    const plan = planOf(`version: 1
listeners: [{ address: 0.0.0.0:8080, engine: net }, { address: 0.0.0.0:8081 }]
routes: [{ name: a, match: {}, respond: { status: 204 } }]
`);
    expect(overlayFor(plan)).toEqual({ listeners: [{ address: "127.0.0.1:0", engine: "net" }], admin: false, log: { file: "/dev/null" } });
  });
  it("does not ask the generator for a PROXY protocol header", () => {
    const plan = planOf(`version: 1
listeners: [{ address: 0.0.0.0:8080, proxyProtocol: true }]
routes: [{ name: a, match: {}, respond: { status: 204 } }]
`);
    expect(overlayFor(plan)).toMatchObject({ listeners: [{ address: "127.0.0.1:0" }] });
  });
});

describe("policies of the user's own", () => {
  const page = (calls: number, seconds: number): string =>
    `# TYPE sluice_policy_calls_total counter\nsluice_policy_calls_total{policy="tenant"} ${calls}\nsluice_policy_seconds_total{policy="tenant"} ${seconds}\n`;
  const report = benchReport(LOAD, { ...RUN, metrics: [page(100, 1), page(100 + 2 * benchReport(LOAD, RUN).answers, 1.5)] });

  it("cost what their metrics have grown by, for each answer", () => {
    expect(report.policies).toEqual([
      { policy: "tenant", callsPerAnswer: 2, microsPerAnswer: expect.closeTo(500_000 / report.answers, 6) },
    ]);
    expect(benchText(report)).toContain(`policy tenant: ${(500_000 / report.answers).toFixed(2)} µs an answer, in 2.0 calls`);
  });

  it("are not there when nobody told", () => {
    expect(benchReport(LOAD, RUN).policies).toEqual([]);
  });
});
