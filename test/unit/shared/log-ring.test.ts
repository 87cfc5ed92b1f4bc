import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { benchLogRing } from "../../../bench/micro/log-ring.ts";
import { PRIORITIES } from "../../../src/base/priorities.ts";
import type { Exchange } from "../../../src/data/exchange/exchange.ts";
import type { Runtime } from "../../../src/data/exchange/runtime.ts";
import { CACHE } from "../../../src/shared/cache/outcomes.ts";
import { type AccessRecord, createLogRing, LogRingReader, LogRingWriter } from "../../../src/shared/log-ring.ts";
import { MetricCells, metricBytes } from "../../../src/shared/metric-cells.ts";
import { CELL } from "../../../src/shared/metric-layout.ts";
import { identityOf } from "../../support/authenticator.ts";
import { recordedRoute, recordedRuntime, typicalExchange } from "../../support/recorded-exchange.ts";

function rig(bytes?: number) {
  const cells = new MetricCells(new SharedArrayBuffer(metricBytes()));
  const ring = createLogRing(bytes);
  return { cells, ring, writer: new LogRingWriter(ring, cells), reader: new LogRingReader(ring) };
}

/** The plan has the query logged; what hides credentials in it is told by the capitals. */
const askingForQueries = (): Runtime => Object.assign(recordedRuntime(), { logQuery: (query: string) => query.toUpperCase() });

function drained(reader: LogRingReader, max?: number): AccessRecord[] {
  const records: AccessRecord[] = [];
  reader.drain((record) => records.push(record), max);
  return records;
}

function roundTrip(x: Exchange): AccessRecord | undefined {
  const { writer, reader } = rig();
  writer.write(x, 12.5);
  return drained(reader)[0];
}

describe("a record", () => {
  test("has what a request waited for, and for want of what it was refused", () => {
    const { writer, reader } = rig();
    const x = typicalExchange();
    x.identity = identityOf("acme", { tier: "gold" });
    x.lineMs = 1.5;
    x.overloadReason = "line";
    writer.write(x, 12.5, PRIORITIES.indexOf("high"));
    x.errorCode = "overloaded";
    writer.write(x, 12.5, PRIORITIES.indexOf("background"));
    expect(drained(reader)).toMatchObject([
      { reason: "", priority: "high", lineMs: 1.5, tier: "gold" }, // something else came of it
      { reason: "line", priority: "background", lineMs: 1.5, tier: "gold" },
    ]);
  });

  test("arrives as it was", () => {
    const earliest = Date.now() - 12.5;
    const { timeMs, ...rest } = roundTrip(typicalExchange()) ?? expect.fail("nothing arrived");
    expect(timeMs).toBeGreaterThanOrEqual(earliest);
    expect(timeMs).toBeLessThanOrEqual(Date.now());
    expect(rest).toEqual({
      requestId: "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
      client: "203.0.113.7",
      method: "GET",
      scheme: "http",
      host: "api.example.com",
      path: "/v1/users/12345/orders",
      query: "",
      protocol: "http/1.1",
      route: "users-read",
      upstream: "users",
      target: "http://10.0.0.1:9001",
      legs: "",
      reason: "",
      priority: "",
      lineMs: 0,
      tier: "",
      detail: "",
      userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
      consumer: "",
      status: 200,
      code: null,
      planVersion: 1,
      attempts: 1,
      cache: "",
      bytesIn: 0,
      bytesOut: 512,
      totalMs: 12.5,
      upstreamConnectMs: 0.25,
      upstreamFirstByteMs: 1.5,
    });
  });

  test.each<[string, (x: Exchange) => void, Partial<AccessRecord>]>([
    ["a caller", (x) => (x.identity = identityOf("acme")), { consumer: "acme" }],
    ["a caller beyond ASCII, as UTF-8 bytes", (x) => (x.identity = identityOf("caf\u00e9")), { consumer: "caf\xc3\xa9" }],
    ["what the store of responses did", (x) => (x.cacheResult = CACHE.collapsed), { cache: "collapsed" }],
    ["no route", (x) => (x.route = null), { route: "" }],
    ["a path that was not admitted, as sent", (x) => (x.unadmitted = { path: "//v1/%2e%2e", query: "" }), { path: "//v1/%2e%2e" }],
    ["a path decoded by the engine, as bytes", (x) => (x.unadmitted = { path: "/caf\u00e9", query: "" }), { path: "/caf\xc3\xa9" }],
    ["an upstream none of whose targets could be tried", (x) => (x.target = ""), { upstream: "users", target: "" }],
    ["an error code", (x) => Object.assign(x, { status: 502, errorCode: "upstream_tls" }), { status: 502, code: "upstream_tls" }],
    ["nothing sent", (x) => Object.assign(x, { status: 0, errorCode: "client_aborted" }), { status: 0, code: "client_aborted" }],
    ["a WebSocket", (x) => Object.assign(x, { status: 101, wantsWebSocket: true }), { protocol: "websocket" }],
    ["a refused WebSocket", (x) => Object.assign(x, { status: 403, wantsWebSocket: true }), { protocol: "http/1.1" }],
    ["unknown timings", (x) => Object.assign(x, { upstreamConnectMs: -1 }), { upstreamConnectMs: -1 }],
    ["bytes beyond 4 GiB", (x) => (x.bytesIn = 2 ** 33 + 1), { bytesIn: 2 ** 33 + 1 }],
    ["bytes above 0x7f", (x) => (x.path = "/caf\xe9"), { path: "/caf\xe9" }],
    ["what is no byte", (x) => (x.errorDetail = "saw \u20ac"), { detail: "saw ?" }],
    ["NUL and line feeds", (x) => (x.method = "\0\r\n"), { method: "\0\r\n" }],
    ["no user agent", (x) => (x.headers = []), { userAgent: "" }],
    ["strings of the native path", (x) => (x.host = "h".repeat(40)), { host: "h".repeat(40) }],
    ["strings over their bounds", (x) => (x.path = `/${"p".repeat(5000)}`), { path: `/${"p".repeat(1023)}`, route: "users-read" }],
  ])("with %s", (_name, change, expected) => {
    const x = typicalExchange();
    change(x);
    expect(roundTrip(x)).toMatchObject(expected);
  });

  test("https and plan version", () => {
    expect(roundTrip(typicalExchange(recordedRuntime("::1", "https", 77)))).toMatchObject({
      scheme: "https",
      planVersion: 77,
      client: "::1",
    });
  });

  test("holds the query only when asked to", () => {
    expect(roundTrip(typicalExchange())?.query).toBe("");
    expect(roundTrip(typicalExchange(askingForQueries()))?.query).toBe("TOKEN=SECRET");
  });

  test("holds the query as sent when the request was not admitted", () => {
    const x = typicalExchange(askingForQueries());
    x.unadmitted = { path: "//", query: "a=\u20ac" };
    expect(roundTrip(x)?.query).toBe("A=\xe2\x82\xac");
  });

  test.each(["route_not_found", "method_not_allowed"] as const)("with code %s has the route that came nearest", (errorCode) => {
    const nearest = { router: { nearest: () => 1 }, routes: [recordedRoute("far"), recordedRoute("near")] };
    const x = Object.assign(typicalExchange(Object.assign(recordedRuntime(), nearest)), { route: null, errorCode });
    expect(roundTrip(x)?.route).toBe("near");
  });

  test.each([
    ["no route has the path", "route_not_found", -1],
    ["the request was refused before it could match", "bad_path", 1],
  ] as const)("has no route when %s", (_when, errorCode, id) => {
    const nearest = { router: { nearest: () => id }, routes: [recordedRoute("far"), recordedRoute("near")] };
    const x = Object.assign(typicalExchange(Object.assign(recordedRuntime(), nearest)), { route: null, errorCode });
    expect(roundTrip(x)?.route).toBe("");
  });

  test("is not made for a route without access log", () => {
    const x = typicalExchange();
    x.route = recordedRoute("quiet", false);
    expect(roundTrip(x)).toBeUndefined();
  });

  test("with every string at its bound fits a frame, and so does the next", () => {
    const { writer, reader } = rig();
    const x = typicalExchange(askingForQueries());
    const long = "x".repeat(9000);
    Object.assign(x, {
      requestId: long,
      method: long,
      host: long,
      path: long,
      query: long,
      upstream: long,
      target: long,
      errorDetail: long,
    });
    x.headers = ["user-agent", long];
    x.route = recordedRoute(long);
    writer.write(x, 1);
    writer.write(typicalExchange(), 1);
    expect(drained(reader).map((record) => record.userAgent.length)).toEqual([256, 70]);
    expect(reader.corrupted).toBe(0);
  });
});

describe("the ring", () => {
  test("full: drops whole records, counts them, and goes on when there is room", () => {
    const { writer, reader, cells } = rig(4096);
    for (let i = 0; i < 50; i++) writer.write(typicalExchange(), i);
    const kept = drained(reader).map((record) => record.totalMs);
    expect(kept.length).toBeGreaterThan(5);
    expect(kept).toEqual(kept.map((_, i) => i)); // the oldest, in order, none torn
    expect(cells.get(CELL.logDroppedTotal)).toBe(50 - kept.length);
    writer.write(typicalExchange(), 99);
    expect(drained(reader).map((record) => record.totalMs)).toEqual([99]);
  });

  test("wraps at every offset", () => {
    const { writer, reader } = rig(2048);
    const x = typicalExchange();
    for (let i = 0; i < 2000; i++) {
      x.path = `/${"a".repeat(i % 97)}`;
      writer.write(x, i);
      expect(drained(reader)).toMatchObject([{ totalMs: i, path: x.path, userAgent: expect.stringContaining("Firefox") }]);
    }
  });

  test("gives at most what was asked for", () => {
    const { writer, reader } = rig();
    for (let i = 0; i < 5; i++) writer.write(typicalExchange(), i);
    expect([drained(reader, 2).length, drained(reader).length, drained(reader).length]).toEqual([2, 3, 0]);
  });

  test("with nonsense in it: is emptied, said, and usable afterwards", () => {
    const { writer, reader, ring } = rig();
    writer.write(typicalExchange(), 1);
    new Uint32Array(ring, 8)[0] = 0xffffffff;
    expect([drained(reader).length, reader.corrupted]).toEqual([0, 1]);
    writer.write(typicalExchange(), 2);
    expect(drained(reader)).toMatchObject([{ totalMs: 2 }]);
  });

  test("carries everything between threads, in order, or counts it as dropped", async () => {
    const { cells: _, ring } = rig(16 * 1024);
    const metrics = new SharedArrayBuffer(metricBytes());
    const total = 50_000;
    const here = (path: string): string => new URL(path, import.meta.url).href;
    const producer = new Worker(
      `const { workerData } = require("node:worker_threads");
       (async () => {
         const { LogRingWriter } = await import(workerData.ringModule);
         const { MetricCells } = await import(workerData.cellsModule);
         const { typicalExchange } = await import(workerData.exchangeModule);
         const writer = new LogRingWriter(workerData.ring, new MetricCells(workerData.metrics));
         const x = typicalExchange();
         for (let i = 1; i <= ${total}; i++) { x.path = "/" + "y".repeat(i % 50); x.bytesOut = i; writer.write(x, i); }
       })();`,
      {
        eval: true,
        workerData: {
          ring,
          metrics,
          ringModule: here("../../../src/shared/log-ring.ts"),
          cellsModule: here("../../../src/shared/metric-cells.ts"),
          exchangeModule: here("../../support/recorded-exchange.ts"),
        },
      },
    );
    let ended = false;
    producer.once("exit", () => {
      ended = true;
    });
    const reader = new LogRingReader(ring);
    let received = 0;
    let last = 0;
    const take = (record: AccessRecord): void => {
      const sound = record.bytesOut === record.totalMs && record.totalMs > last && record.path.length === (record.totalMs % 50) + 1;
      if (!sound) throw new Error(`record ${JSON.stringify(record)} after ${last}`);
      last = record.totalMs;
      received++;
    };
    while (!ended) {
      reader.drain(take);
      await new Promise(setImmediate);
    }
    reader.drain(take);
    expect(reader.corrupted).toBe(0);
    expect(received).toBeGreaterThan(100);
    expect(received + new MetricCells(metrics).get(CELL.logDroppedTotal)).toBe(total);
  });
});

test("the benchmark runs", () => {
  const { writeNs, records } = benchLogRing(2);
  expect(records).toBe(4000);
  expect(writeNs).toBeGreaterThan(0);
});
