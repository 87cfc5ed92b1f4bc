import { expect, test } from "vitest";
import { errorNumber } from "../../../src/base/errors.ts";
import { ROUTE_NONE, ROUTE_OVERFLOW, Totals } from "../../../src/observe/totals.ts";
import { MetricCells, metricBytes } from "../../../src/shared/metric-cells.ts";
import { CELL, METRIC_LEGS_MAX, METRIC_LIMITS_MAX, ROUTE_SLOT_NONE } from "../../../src/shared/metric-layout.ts";

const ROUTES = 3; // one slot for a name
const ENDPOINTS = 2;

function rig(): { totals: Totals; first: MetricCells; second: MetricCells } {
  const create = (): MetricCells => new MetricCells(new SharedArrayBuffer(metricBytes(ROUTES, ENDPOINTS)), ROUTES, ENDPOINTS);
  const [first, second] = [create(), create()];
  return { totals: new Totals([first, second], ROUTES), first, second };
}

test("sums all workers", () => {
  const { totals, first, second } = rig();
  const slot = totals.routeNames.slot("users");
  first.request(slot, 200, 0, 3, 1, 10);
  second.request(slot, 503, errorNumber("overloaded"), 4, 2, 20);
  second.request(ROUTE_SLOT_NONE, 404, errorNumber("route_not_found"), 1, 0, 0);
  first.add(CELL.inFlight, 1);
  second.add(CELL.inFlight, 2);
  expect(totals.routes()).toMatchObject([
    { route: ROUTE_NONE, requests: 1 },
    { route: ROUTE_OVERFLOW, requests: 0 },
    { route: "users", requests: 2, byClass: [0, 0, 1, 0, 0, 1], durationSumMs: 7, bytesIn: 3, bytesOut: 30 },
  ]);
  expect([totals.errors().get("overloaded"), totals.errors().get("route_not_found"), totals.cell(CELL.inFlight)]).toEqual([1, 1, 3]);
});

test("a reused route slot does not give its past to the new name", () => {
  const { totals, first } = rig();
  first.request(totals.routeNames.slot("old"), 200, 0, 3, 1, 10);
  totals.routeNames.keepOnly([]);
  const slot = totals.routeNames.slot("new");
  first.request(slot, 200, 0, 1, 0, 0);
  expect(totals.routes().slice(2)).toMatchObject([{ route: "new", requests: 1, durationSumMs: 1 }]);
});

test("a reused endpoint slot does not give its past to the new owner", () => {
  const { totals, first, second } = rig();
  totals.claim(1, "users a");
  first.attempt(1, errorNumber("upstream_reset"), -1);
  second.attempt(1, 0, 5, 500);
  const old = totals.endpoint(1, "users a");
  expect(old).toMatchObject({ attempts: 2, serverErrors: 1, firstByteCount: 1, firstByteSumMs: 5 });
  expect(old.failures).toEqual(new Map([["upstream_reset", 1]]));
  totals.claim(1, "users b");
  first.attempt(1, errorNumber("bad_path"), -1);
  const fresh = totals.endpoint(1, "users b");
  expect(fresh).toMatchObject({ attempts: 1, firstByteCount: 0 });
  expect(fresh.failures).toEqual(new Map([["other", 1]]));
});

test("counts made before the first claim belong to the first owner", () => {
  const { totals, first } = rig();
  first.attempt(0, 0, 1, 200);
  expect(totals.endpoint(0, "users a").attempts).toBe(1);
});

test("a reused limit slot does not give its past to the new name", () => {
  const { totals, first } = rig();
  first.limit(totals.limitNames.slot("route old"), "refused");
  totals.limitNames.keepOnly([]);
  for (let i = 0; i < METRIC_LIMITS_MAX - 3; i++) totals.limitNames.slot(`route filler${i}`);
  const slot = totals.limitNames.slot("route new");
  first.limit(slot, "passed");
  expect(totals.limits().find((each) => each.limit === "new")).toEqual({ route: "route", limit: "new", outcomes: [1, 0, 0] });
});

test("a reused leg slot does not give its past to the new name", () => {
  const { totals, first } = rig();
  first.leg(totals.legNames.slot("route old"), "failed");
  totals.legNames.keepOnly([]);
  for (let i = 0; i < METRIC_LEGS_MAX - 3; i++) totals.legNames.slot(`route filler${i}`);
  const slot = totals.legNames.slot("route new");
  first.leg(slot, "ok");
  expect(totals.legs().find((each) => each.leg === "new")).toEqual({ route: "route", leg: "new", outcomes: [1, 0, 0, 0] });
});
