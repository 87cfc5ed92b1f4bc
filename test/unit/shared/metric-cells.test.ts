import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { ERROR_CODES, errorNumber } from "../../../src/base/errors.ts";
import { CACHE, CACHE_OUTCOMES } from "../../../src/shared/cache/outcomes.ts";
import { MetricCells, metricBytes } from "../../../src/shared/metric-cells.ts";
import {
  CELL,
  ENDPOINT,
  ENDPOINT_SLOT_WORDS,
  LATENCY_BOUNDS_S,
  METRIC_ERRORS_MAX,
  ROUTE,
  ROUTE_SLOT_OVERFLOW,
  ROUTE_SLOT_WORDS,
  WIRE_CODES,
} from "../../../src/shared/metric-layout.ts";

const ROUTES = 8;
const ENDPOINTS = 4;
const shared = (): SharedArrayBuffer => new SharedArrayBuffer(metricBytes(ROUTES, ENDPOINTS));
const cellsOf = (buffer = shared()): MetricCells => new MetricCells(buffer, ROUTES, ENDPOINTS);

function route(cells: MetricCells, slot: number): Float64Array {
  const words = new Float64Array(ROUTE_SLOT_WORDS);
  cells.sumRoute(slot, words);
  return words;
}

function endpoint(cells: MetricCells, slot: number): Float64Array {
  const words = new Float64Array(ENDPOINT_SLOT_WORDS);
  cells.sumEndpoint(slot, words);
  return words;
}

describe("requests", () => {
  test.each([
    [200, 2],
    [101, 1],
    [304, 3],
    [404, 4],
    [599, 5],
    [0, 0],
    [999, 5],
  ])("status %i counts in class %i and nowhere else", (status, expected) => {
    const cells = cellsOf();
    cells.request(2, status, 0, 1, 0, 0);
    const classes = [...route(cells, 2).subarray(ROUTE.byClass, ROUTE.byClass + 6)];
    expect(classes).toEqual([0, 1, 2, 3, 4, 5].map((i) => (i === expected ? 1 : 0)));
  });

  test.each([
    [0, 0],
    [0.5, 0],
    [0.501, 1],
    [60_000, LATENCY_BOUNDS_S.length - 1],
    [60_001, LATENCY_BOUNDS_S.length],
  ])("%f ms falls in bucket %i: bounds are inclusive", (ms, bucket) => {
    const cells = cellsOf();
    cells.request(2, 200, 0, ms, 0, 0);
    const words = route(cells, 2);
    expect(words[ROUTE.buckets + bucket]).toBe(1);
    expect(words[ROUTE.durationSumMs]).toBe(ms);
  });

  test("a WebSocket is counted but is no latency", () => {
    const cells = cellsOf();
    cells.request(2, 101, 0, 3_600_000, 10, 20);
    const words = route(cells, 2);
    expect(words.subarray(ROUTE.buckets).every((n) => n === 0)).toBe(true);
    expect([words[1], words[ROUTE.durationSumMs], words[ROUTE.bytesIn], words[ROUTE.bytesOut]]).toEqual([1, 0, 10, 20]);
  });

  test.each([-1, ROUTES, 1e9, Number.NaN])("slot %d out of range counts towards the overflow", (slot) => {
    const cells = cellsOf();
    cells.request(slot, 200, 0, 1, 0, 0);
    expect(route(cells, ROUTE_SLOT_OVERFLOW)[2]).toBe(1);
  });

  test("the last slots do not reach into their neighbours", () => {
    const cells = cellsOf();
    cells.request(ROUTES - 1, 200, 0, 1e9, 1, 1);
    cells.attempt(0, 0, 1);
    cells.attempt(ENDPOINTS - 1, errorNumber("overloaded"), 1, 503);
    cells.cache(ROUTES - 1, { cacheResult: CACHE.hit, cacheAge: 1e9, bytesOut: 1 });
    expect(route(cells, ROUTES - 1)[ROUTE.cache - 1]).toBe(1);
    expect(route(cells, ROUTES - 1).at(-1)).toBe(1);
    expect([...endpoint(cells, 0)]).toEqual([1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe("caches", () => {
  test("each result has a word; bytes and ages are of what the store has served", () => {
    const cells = cellsOf();
    for (let cacheResult: number = CACHE.hit; cacheResult <= CACHE.redis; cacheResult++)
      for (let n = 0; n < cacheResult; n++) cells.cache(1, { cacheResult, cacheAge: 70, bytesOut: 10 });
    const words = route(cells, 1);
    expect([...words.subarray(ROUTE.cache, ROUTE.cache + CACHE_OUTCOMES.length)]).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(words[ROUTE.cacheBytes]).toBe(10 * (1 + 2 + 3 + 5 + 7));
    expect([...words.subarray(ROUTE.cacheAges)]).toEqual([0, 0, 0, 10, 0, 0, 0]);
    expect(words[ROUTE.cacheAgeSum]).toBe(700);
  });
});

describe("errors", () => {
  test("the table fits and every code has its own cell", () => {
    expect(ERROR_CODES.length).toBeLessThan(METRIC_ERRORS_MAX);
    const cells = cellsOf();
    ERROR_CODES.forEach((code, i) => {
      for (let n = 0; n <= i; n++) cells.request(0, 500, errorNumber(code), 1, 0, 0);
    });
    const sums = new Float64Array(METRIC_ERRORS_MAX);
    cells.sumErrors(sums);
    expect([...sums.subarray(1, ERROR_CODES.length + 1)]).toEqual(ERROR_CODES.map((_, i) => i + 1));
  });
});

describe("attempts", () => {
  test.each(WIRE_CODES.map((code, i) => [code, i] as const))("%s is counted by its code", (code, i) => {
    const cells = cellsOf();
    cells.attempt(1, errorNumber(code), -1);
    const words = endpoint(cells, 1);
    expect(words[ENDPOINT.failures + i]).toBe(1);
    expect([words[ENDPOINT.attempts], words[ENDPOINT.otherFailures], words[ENDPOINT.firstByteCount]]).toEqual([1, 0, 0]);
  });

  test("success, server errors, other failures, retries", () => {
    const cells = cellsOf();
    cells.attempt(1, 0, 5, 200);
    cells.attempt(1, 0, 7, 503);
    cells.attempt(1, errorNumber("internal_error"), -1);
    cells.retry(1);
    const words = endpoint(cells, 1);
    expect([...words.subarray(0, ENDPOINT.failures)]).toEqual([3, 1, 12, 2, 1, 1]);
  });

  test.each([-1, ENDPOINTS])("slot %i out of range counts nothing and breaks nothing", (slot) => {
    const buffer = shared();
    const cells = cellsOf(buffer);
    cells.attempt(slot, 0, 1);
    cells.retry(slot);
    expect(new Float64Array(buffer).every((n) => n === 0)).toBe(true);
  });
});

test("a replacement goes on with the counters but not with the gauges", () => {
  const buffer = shared();
  const first = cellsOf(buffer);
  first.request(2, 200, 0, 1, 0, 0);
  first.set(CELL.connections, 7);
  first.add(CELL.inFlight, 3);
  first.add(CELL.logDroppedTotal, 2);
  const second = cellsOf(buffer);
  second.resetGauges();
  second.request(2, 200, 0, 1, 0, 0);
  expect(route(second, 2)[2]).toBe(2);
  expect([second.get(CELL.connections), second.get(CELL.inFlight), second.get(CELL.logDroppedTotal)]).toEqual([0, 0, 2]);
});

test("a buffer of another capacity is refused", () => {
  expect(() => new MetricCells(shared(), ROUTES + 1, ENDPOINTS)).toThrow(RangeError);
});

test("a reader in another thread sees whole numbers that never fall", async () => {
  const buffer = shared();
  const total = 300_000;
  const step = 2 ** 34 + 1; // changes both halves of the word; sums stay exact
  const writer = new Worker(
    `const { workerData } = require("node:worker_threads");
     import(workerData.module).then(({ MetricCells }) => {
       const cells = new MetricCells(workerData.buffer, ${ROUTES}, ${ENDPOINTS});
       for (let i = 0; i < ${total}; i++) cells.request(2, 200, 0, 1, ${step}, 0);
     });`,
    { eval: true, workerData: { buffer, module: new URL("../../../src/shared/metric-cells.ts", import.meta.url).href } },
  );
  let ended = false;
  writer.once("exit", () => {
    ended = true;
  });
  const cells = cellsOf(buffer);
  let last = 0;
  while (!ended) {
    for (let i = 0; i < 1000; i++) {
      const bytesIn = route(cells, 2)[ROUTE.bytesIn]!;
      if (bytesIn < last || bytesIn % step !== 0) throw new Error(`torn or falling: ${last} then ${bytesIn}`);
      last = bytesIn;
    }
    await new Promise(setImmediate);
  }
  expect(route(cells, 2)[2]).toBe(total);
});
