import { expect, test } from "vitest";
import { ERROR_CODES, ERRORS, errorNumber } from "../../../src/base/errors.ts";
import type { BreakerStatus } from "../../../src/observe/instance-state.ts";
import { renderPrometheus } from "../../../src/observe/prometheus.ts";
import { PHASE } from "../../../src/shared/breaker-word.ts";
import { CELL } from "../../../src/shared/metric-layout.ts";
import { fleetState, instanceState, instanceTotals } from "../../support/instance.ts";
import { type Family, parsePrometheus } from "../../support/prometheus-parser.ts";

const scrape = (totals = instanceTotals(), state = instanceState()): Map<string, Family> =>
  parsePrometheus(renderPrometheus(totals, state));

function value(families: Map<string, Family>, name: string, labels: Record<string, string> = {}): number | undefined {
  const family = [...families.values()].find((f) => f.samples.some((s) => s.name === name));
  return family?.samples.find((s) => s.name === name && Object.entries(labels).every(([key, text]) => s.labels[key] === text))?.value;
}

test("an idle instance is a valid exposition", () => {
  const families = scrape();
  expect([...families.keys()]).toEqual(expect.arrayContaining(["sluice_requests_total", "process_resident_memory_bytes"]));
  expect(families.get("sluice_requests_total")?.samples).toEqual([]);
});

test("the cache's tier in Redis, where routes use it", () => {
  expect([...scrape().keys()].filter((name) => name.startsWith("sluice_cache_tier"))).toEqual([]);
  const cacheTier = {
    workers: 4,
    leavingAlone: 1,
    looks: { hit: 1, miss: 2, purged: 3, invalid: 4, error: 5, skipped: 6 },
    writes: { written: 7, dropped: 8, error: 9 },
    readBytes: 10,
    writtenBytes: 11,
    waitingBytes: 12,
  };
  const families = scrape(instanceTotals(), { ...instanceState(), cacheTier });
  for (const [result, count] of Object.entries(cacheTier.looks))
    expect(value(families, "sluice_cache_tier_looks_total", { result })).toBe(count);
  for (const [result, count] of Object.entries(cacheTier.writes))
    expect(value(families, "sluice_cache_tier_writes_total", { result })).toBe(count);
  const plain = ["read_bytes_total", "written_bytes_total", "waiting_bytes", "workers", "open"];
  expect(plain.map((name) => value(families, `sluice_cache_tier_${name}`))).toEqual([10, 11, 12, 4, 1]);
});

test("requests, histogram and bytes by route", () => {
  const totals = instanceTotals();
  const slot = totals.routeNames.slot("users-read");
  const [first, second] = totals.cells;
  first?.request(slot, 200, 0, 0.4, 5, 100);
  second?.request(slot, 200, 0, 3, 5, 100);
  second?.request(slot, 502, errorNumber("connect_failed"), 70_000, 0, 50);
  second?.request(0, 404, errorNumber("route_not_found"), 1, 0, 10);
  const families = scrape(totals);
  const route = "users-read";
  expect(value(families, "sluice_requests_total", { route, status: "2xx" })).toBe(2);
  expect(value(families, "sluice_requests_total", { route, status: "5xx" })).toBe(1);
  expect(value(families, "sluice_requests_total", { route: "_none", status: "4xx" })).toBe(1);
  expect(value(families, "sluice_request_duration_seconds_bucket", { route, le: "0.0005" })).toBe(1);
  expect(value(families, "sluice_request_duration_seconds_bucket", { route, le: "60" })).toBe(2);
  expect(value(families, "sluice_request_duration_seconds_bucket", { route, le: "+Inf" })).toBe(3);
  expect(value(families, "sluice_request_duration_seconds_sum", { route })).toBeCloseTo(70.0034, 6);
  expect(value(families, "sluice_request_body_bytes_total", { route })).toBe(10);
  expect(value(families, "sluice_response_body_bytes_total", { route })).toBe(250);
  expect(value(families, "sluice_errors_total", { code: "connect_failed", source: "upstream" })).toBe(1);
});

test("calls to deprecated routes by consumer, without one for callers that are not known", () => {
  const totals = instanceTotals();
  totals.deprecated.add("old", "acme", 2);
  totals.deprecated.add("old", "", 3);
  totals.deprecated.add("old", "acme", 1);
  expect(scrape(totals).get("sluice_deprecated_requests_total")?.samples).toEqual([
    { name: "sluice_deprecated_requests_total", labels: { route: "old", consumer: "acme" }, value: 3 },
    { name: "sluice_deprecated_requests_total", labels: { route: "old" }, value: 3 },
  ]);
});

test("every code of the error table has a series with its source", () => {
  const samples = scrape()
    .get("sluice_errors_total")
    ?.samples.map((s) => s.labels);
  expect(samples).toEqual(ERROR_CODES.map((code) => ({ code, source: ERRORS[code].source })));
});

test("targets", () => {
  const totals = instanceTotals();
  totals.cells[0]?.attempt(0, 0, 20, 200);
  totals.cells[1]?.attempt(1, errorNumber("connect_timeout"), -1);
  totals.cells[1]?.retry(0);
  const families = scrape(totals);
  const [one, two] = ["http://10.0.0.1:9001", "http://10.0.0.2:9001"].map((target) => ({ upstream: "users", target }));
  expect([value(families, "sluice_target_healthy", one), value(families, "sluice_target_healthy", two)]).toEqual([1, 0]);
  expect(value(families, "sluice_upstream_attempts_total", one)).toBe(1);
  expect(value(families, "sluice_upstream_retries_total", one)).toBe(1);
  expect(value(families, "sluice_upstream_first_byte_seconds_sum", one)).toBeCloseTo(0.02, 9);
  expect(value(families, "sluice_upstream_failures_total", { ...two, code: "connect_timeout" })).toBe(1);
  expect(value(families, "sluice_target_in_flight", one)).toBe(3);
});

const breaker: BreakerStatus = {
  state: "open",
  phase: PHASE.open,
  forMs: 10,
  halfOpenInMs: 20,
  openings: 2,
  window: { total: 0, failed: 0, slow: 0 },
  round: null,
  totals: { opened: 4, halfOpened: 3, recovered: 2, closed: 1, trials: 9, rejected: 70, fallbacks: 5 },
};

test("breakers: the upstream's own without a target, no series where there is none", () => {
  const target = {
    key: "t",
    slot: 0,
    weight: 1,
    healthy: true,
    reason: "ok",
    inFlight: 0,
    overload: null,
    breaker: { ...breaker, phase: PHASE.halfOpen },
  };
  const upstreams = [
    { name: "u", balance: "random", overload: null, breaker, targets: [target] },
    { name: "v", balance: "random", overload: null, breaker: null, targets: [{ ...target, breaker: null }] },
  ];
  const families = scrape(instanceTotals(), instanceState({ upstreams }));
  expect(families.get("sluice_breaker_state")?.samples.map((s) => [s.labels, s.value])).toEqual([
    [{ upstream: "u" }, 1],
    [{ upstream: "u", target: "t" }, 2],
  ]);
  const changes = ["open", "half-open", "recovering", "closed"];
  expect(changes.map((to) => value(families, "sluice_breaker_transitions_total", { target: "t", to }))).toEqual([4, 3, 2, 1]);
  expect(value(families, "sluice_breaker_trials_total", { target: "t" })).toBe(9);
  expect(families.get("sluice_breaker_rejected_total")?.samples.map((s) => [s.labels, s.value])).toEqual([[{ upstream: "u" }, 70]]);
  expect(families.get("sluice_breaker_fallbacks_total")?.samples.map((s) => [s.labels, s.value])).toEqual([[{ upstream: "u" }, 5]]);
});

test("overload: an upstream without a limit has no series", () => {
  const overload = {
    mode: "on" as const,
    limit: 20,
    inFlight: 19,
    apart: 3,
    waiting: 7,
    baseMs: 25,
    shedding: true,
    refused: [
      { reason: "line" as const, priority: "low" as const, count: 4 },
      { reason: "limit" as const, priority: "high" as const, count: 5 },
    ],
    waited: 6,
    waitedMs: 1500,
    shadowed: 8,
  };
  const upstreams = [
    { name: "u", balance: "random", overload, breaker: null, targets: [] },
    { name: "v", balance: "random", overload: null, breaker: null, targets: [] },
  ];
  const families = scrape(instanceTotals(), instanceState({ upstreams }));
  const gauges = ["limit", "in_flight", "apart", "waiting", "base_seconds"];
  expect(gauges.map((name) => families.get(`sluice_overload_${name}`)?.samples.map((s) => s.value))).toEqual([
    [20],
    [19],
    [3],
    [7],
    [0.025],
  ]);
  expect(value(families, "sluice_overload_refused_total", { reason: "line", priority: "low" })).toBe(4);
  expect(value(families, "sluice_overload_refused_total", { reason: "limit", priority: "high" })).toBe(5);
  expect(value(families, "sluice_overload_shadowed_total")).toBe(8);
  expect(families.get("sluice_overload_wait_seconds")?.samples.map((s) => s.value)).toEqual([1.5, 6]);
});

test("other instances' breakers: of breakers that this one has too, and nothing while nothing is known", () => {
  const key = "http://10.0.0.1:9001";
  const target = { key, slot: 0, weight: 1, healthy: true, reason: "ok", inFlight: 0, overload: null, breaker };
  const upstreams = [{ name: "users", balance: "random", overload: null, breaker, targets: [target] }];
  const fleet = fleetState();
  const others = {
    ...fleet.breakers,
    breakers: [...fleet.breakers.breakers, { upstream: "elsewhere", target: null, states: { open: 1 }, instances: [] }],
  };
  const families = scrape(instanceTotals(), instanceState({ upstreams, fleet: { ...fleet, breakers: others } }));
  expect(families.get("sluice_breaker_fleet_instances")?.samples.map(({ labels, value }) => [labels, value])).toEqual([
    ...["open", "half-open", "recovering", "forced open", "forced closed"].map((state) => [{ upstream: "users", state }, 0]),
    ...["open", "half-open", "recovering", "forced open", "forced closed"].map((state) => [
      { upstream: "users", target: key, state },
      { open: 2, "half-open": 1 }[state] ?? 0,
    ]),
  ]);
  expect(value(families, "sluice_breaker_fleet_reporting")).toBe(7);
  expect(value(families, "sluice_breaker_fleet_age_seconds")).toBe(0.12);
  expect(value(families, "sluice_breaker_fleet_failures_total")).toBe(1);
  expect(value(families, "sluice_breaker_fleet_ignored_total")).toBe(4);
  const unknown = { ...others, knowledge: "unknown" as const, ageMs: null, instances: null, breakers: [] };
  const blind = scrape(instanceTotals(), instanceState({ upstreams, fleet: { ...fleet, breakers: unknown } }));
  expect(blind.get("sluice_breaker_fleet_instances")?.samples).toEqual([]);
  expect([value(blind, "sluice_breaker_fleet_reporting"), value(blind, "sluice_breaker_fleet_age_seconds")]).toEqual([-1, -1]);
  expect(scrape(instanceTotals(), instanceState({ upstreams })).has("sluice_breaker_fleet_instances")).toBe(false);
});

test("requests that were refused for want of room, by reason, priority and tier", () => {
  const totals = instanceTotals();
  const gold = totals.tierNames.slot("gold");
  totals.cells[0]?.refused(gold, "instance", 0);
  totals.cells[1]?.refused(gold, "instance", 0);
  totals.cells[1]?.refused(0, "pool", 2);
  totals.cells[1]?.refused(9999, "line", 3);
  expect(
    scrape(totals)
      .get("sluice_overload_shed_total")
      ?.samples.map(({ labels, value }) => [labels, value]),
  ).toEqual([
    [{ reason: "pool", priority: "normal" }, 1],
    [{ reason: "line", priority: "low", tier: "_other" }, 1],
    [{ reason: "instance", priority: "critical", tier: "gold" }, 2],
  ]);
});

test("workers and instance", () => {
  const totals = instanceTotals();
  totals.cells[1]?.set(CELL.loopUtilisation, 0.25);
  totals.cells[1]?.set(CELL.loopDelayMs, 125);
  totals.cells[1]?.set(CELL.refusedPart, 0.75);
  totals.cells[1]?.add(CELL.retriesRefusedTotal, 3);
  totals.cells[1]?.add(CELL.backgroundRefusedTotal, 5);
  totals.cells[1]?.add(CELL.logDroppedTotal, 4);
  totals.cells[0]?.set(CELL.webSockets, 6);
  const families = scrape(totals);
  expect(value(families, "sluice_workers", { state: "serving" })).toBe(1);
  expect(value(families, "sluice_workers", { state: "failed" })).toBe(0);
  expect(value(families, "sluice_worker_restarts_total", { worker: "1" })).toBe(2);
  expect(value(families, "sluice_worker_loop_utilisation", { worker: "1" })).toBe(0.25);
  expect(value(families, "sluice_worker_loop_delay_seconds", { worker: "1" })).toBe(0.125);
  expect(value(families, "sluice_worker_refused_ratio", { worker: "1" })).toBe(0.75);
  expect(value(families, "sluice_worker_spared_total", { worker: "1", kind: "retry" })).toBe(3);
  expect(value(families, "sluice_worker_spared_total", { worker: "1", kind: "background" })).toBe(5);
  expect(value(families, "sluice_websockets")).toBe(6);
  expect(value(families, "sluice_log_dropped_total", { stage: "ring" })).toBe(4);
  expect(value(families, "sluice_log_dropped_total", { stage: "sink" })).toBe(5);
  expect(value(families, "sluice_reloads_total", { result: "failed" })).toBe(1);
  expect([value(families, "sluice_plan_version"), value(families, "sluice_ready")]).toEqual([3, 1]);
  expect(value(families, "process_resident_memory_bytes")).toBeGreaterThan(1e6);
  expect(value(scrape(totals, instanceState({ phase: "draining" })), "sluice_ready")).toBe(0);
});

test.each(['quo"te', "back\\slash", "line\nfeed", "\\n", "comma,brace}", 'all\\"\n'])("label value %j survives", (name) => {
  const target = { key: name, slot: 0, weight: 1, healthy: true, reason: "ok", inFlight: 0, overload: null, breaker: null };
  const families = scrape(
    instanceTotals(),
    instanceState({ upstreams: [{ name: "u", balance: "random", overload: null, breaker: null, targets: [target] }] }),
  );
  expect(value(families, "sluice_target_healthy", { target: name })).toBe(1);
});

test("counters of a replaced worker do not fall", () => {
  const totals = instanceTotals();
  const slot = totals.routeNames.slot("r");
  totals.cells[0]?.request(slot, 200, 0, 1, 0, 0);
  totals.cells[0]?.add(CELL.inFlight, 1);
  const before = scrape(totals);
  totals.cells[0]?.resetGauges();
  const after = scrape(totals);
  const labels = { route: "r", status: "2xx" };
  expect([value(before, "sluice_requests_total", labels), value(after, "sluice_requests_total", labels)]).toEqual([1, 1]);
  expect([value(before, "sluice_worker_in_flight"), value(after, "sluice_worker_in_flight")]).toEqual([1, 0]);
});

test("the fleet, when there is one", () => {
  const families = scrape(instanceTotals(), instanceState({ fleet: fleetState() }));
  const values = {
    sluice_redis_up: 1,
    sluice_redis_sync_age_seconds: 0.04,
    sluice_redis_sync_duration_seconds_sum: 0.15,
    sluice_redis_sync_duration_seconds_count: 100,
    sluice_redis_sync_failures_total: 2,
    sluice_redis_sync_entries_total: 4000,
    sluice_fleet_instances: 8,
    sluice_fleet_drift_requests: 5.5,
    sluice_fleet_leases: 3,
  };
  for (const [name, expected] of Object.entries(values)) expect([name, value(families, name)]).toEqual([name, expected]);
  const apart = scrape(instanceTotals(), instanceState({ fleet: fleetState({ connected: false, syncAgeMs: null }) }));
  expect([value(apart, "sluice_redis_up"), value(apart, "sluice_redis_sync_age_seconds")]).toEqual([0, -1]);
  expect(scrape().has("sluice_redis_up")).toBe(false);
});

test("decisions of services by who asked and outcome, once there are any", () => {
  const totals = instanceTotals();
  expect(renderPrometheus(totals, instanceState())).not.toContain("sluice_forward_auth_decisions_total{");
  const slot = totals.decisionNames.slot("forwardAuth:shop");
  totals.cells[0]?.decision(slot, "allowed");
  totals.cells[1]?.decision(slot, "allowed");
  totals.cells[1]?.decision(slot, "failed_open");
  totals.cells[0]?.decision(100_000, "error");
  const families = scrape(totals);
  const count = (name: string, outcome: string) => value(families, "sluice_forward_auth_decisions_total", { name, outcome });
  expect(["allowed", "denied", "failed_open", "error", "cached"].map((outcome) => count("forwardAuth:shop", outcome))).toEqual([
    2, 0, 1, 0, 0,
  ]);
  expect(count("_other", "error")).toBe(1);
});

test("what each route has of the store of responses, and may have", () => {
  const families = scrape();
  const of = (name: string, route: string) => value(families, `sluice_cache_route_${name}`, { route });
  expect(["objects", "bytes", "occupied_bytes", "limit_bytes", "evicted_total"].map((name) => of(name, "users-read"))).toEqual([
    2, 8192, 12_288, 12_000_000, 2,
  ]);
  expect([of("objects", "users-write"), of("limit_bytes", "users-write")]).toEqual([1, undefined]);
});

test("legs of aggregated answers by route, leg and outcome", () => {
  const totals = instanceTotals();
  const slot = totals.legNames.slot("page user");
  totals.cells[0]?.leg(slot, "ok");
  totals.cells[1]?.leg(slot, "ok");
  totals.cells[1]?.leg(slot, "cancelled");
  totals.cells[0]?.leg(100_000, "skipped");
  const families = scrape(totals);
  const labels = { route: "page", leg: "user" };
  expect(value(families, "sluice_leg_outcomes_total", { ...labels, outcome: "ok" })).toBe(2);
  expect(value(families, "sluice_leg_outcomes_total", { ...labels, outcome: "failed" })).toBe(0);
  expect(value(families, "sluice_leg_outcomes_total", { ...labels, outcome: "cancelled" })).toBe(1);
  expect(value(families, "sluice_leg_outcomes_total", { route: "_other", leg: "_other", outcome: "skipped" })).toBe(1);
});

test("limits by route and outcome, and how full their table is", () => {
  const totals = instanceTotals();
  const slot = totals.limitNames.slot("users-read consumer-quota");
  totals.cells[0]?.limit(slot, "passed");
  totals.cells[1]?.limit(slot, "passed");
  totals.cells[1]?.limit(slot, "refused");
  totals.cells[0]?.limit(100_000, "shadowed");
  const families = scrape(totals);
  const labels = { route: "users-read", limit: "consumer-quota" };
  expect(value(families, "sluice_limit_decisions_total", { ...labels, outcome: "passed" })).toBe(2);
  expect(value(families, "sluice_limit_decisions_total", { ...labels, outcome: "refused" })).toBe(1);
  expect(value(families, "sluice_limit_decisions_total", { route: "_other", limit: "_other", outcome: "shadowed" })).toBe(1);
  expect(value(families, "sluice_limit_slots")).toBe(262_144);
  expect(value(families, "sluice_limit_slots_active")).toBe(7);
  expect(value(families, "sluice_limit_full_total")).toBe(3);
});

test("targets with limits of their own have series, the only target of an upstream has none", () => {
  const target = { slot: 0, weight: 1, healthy: true, reason: "ok", inFlight: 5, breaker: null };
  const limit = { limit: 8, inFlight: 4, baseMs: 25, steered: 3 };
  const upstreams = [
    { name: "u", balance: "random", overload: null, breaker: null, targets: [{ ...target, key: "a", overload: limit }] },
    { name: "v", balance: "random", overload: null, breaker: null, targets: [{ ...target, key: "b", overload: null }] },
  ];
  const text = renderPrometheus(instanceTotals(), instanceState({ upstreams }));
  const lines = text.split("\n").filter((line) => /^sluice_overload_(target|steered)/.test(line));
  expect(lines).toEqual([
    'sluice_overload_target_limit{upstream="u",target="a"} 8',
    'sluice_overload_target_in_flight{upstream="u",target="a"} 4',
    'sluice_overload_target_base_seconds{upstream="u",target="a"} 0.025',
    'sluice_overload_steered_total{upstream="u",target="a"} 3',
  ]);
});
