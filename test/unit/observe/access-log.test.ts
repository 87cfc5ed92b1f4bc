import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Exchange } from "../../../src/data/exchange/exchange.ts";
import { AccessLog, formatAccessRecord } from "../../../src/observe/access-log.ts";
import { FileSink } from "../../../src/observe/log-sink.ts";
import { type AccessRecord, createLogRing, LogRingReader, LogRingWriter } from "../../../src/shared/log-ring.ts";
import { MetricCells, metricBytes } from "../../../src/shared/metric-cells.ts";
import { typicalExchange } from "../../support/recorded-exchange.ts";

const RECORD: AccessRecord = {
  timeMs: Date.UTC(2026, 0, 2, 3, 4, 5, 67),
  requestId: "id-1",
  client: "203.0.113.7",
  consumer: "acme",
  method: "GET",
  scheme: "https",
  host: "api.example.com",
  path: "/users/1",
  query: "",
  protocol: "http/1.1",
  route: "users-read",
  upstream: "users",
  target: "http://10.0.0.1:9001",
  attempts: 1,
  cache: "",
  legs: "",
  reason: "",
  lineMs: 0,
  priority: "",
  tier: "",
  status: 200,
  code: null,
  detail: "",
  bytesIn: 0,
  bytesOut: 512,
  totalMs: 2.58734,
  upstreamConnectMs: -1,
  upstreamFirstByteMs: 1.5,
  userAgent: "curl/8",
  planVersion: 3,
};

describe("a line", () => {
  test("says what the cache did, on routes that have one", () => {
    expect(JSON.parse(formatAccessRecord({ ...RECORD, cache: "revalidated" }))).toMatchObject({ cache: "revalidated" });
    expect(JSON.parse(formatAccessRecord(RECORD))).not.toHaveProperty("cache");
  });

  test("has every key, in order", () => {
    expect(formatAccessRecord(RECORD)).toBe(
      '{"time":"2026-01-02T03:04:05.067Z","requestId":"id-1","client":"203.0.113.7","consumer":"acme","method":"GET","scheme":"https",' +
        '"host":"api.example.com","path":"/users/1","protocol":"http/1.1","route":"users-read","upstream":"users","target":"http://10.0.0.1:9001",' +
        '"attempts":1,"status":200,"code":null,"detail":"","bytesIn":0,"bytesOut":512,"totalMs":2.587,"connectMs":null,' +
        '"firstByteMs":1.5,"userAgent":"curl/8","plan":3}\n',
    );
  });

  test("says how long a request waited in line, and for want of what it was refused, and nothing of others", () => {
    const line = (of: Partial<AccessRecord>) => JSON.parse(formatAccessRecord({ ...RECORD, ...of }));
    expect(line({ reason: "line", lineMs: 12.5, priority: "low", tier: "free" })).toMatchObject({
      reason: "line",
      waitMs: 12.5,
      priority: "low",
      tier: "free",
    });
    expect(line({ lineMs: 3, priority: "normal" })).toMatchObject({ reason: null, waitMs: 3, priority: "normal", tier: null });
    for (const key of ["reason", "waitMs", "priority", "tier"]) expect(line({})).not.toHaveProperty(key);
  });

  test("says of an aggregated answer how many legs it has and which failed, and nothing of others", () => {
    const line = (legs: string) => JSON.parse(formatAccessRecord({ ...RECORD, legs }));
    expect(line("3")).toMatchObject({ attempts: 1, legs: 3, failedLegs: [], status: 200 });
    expect(line("3 recs,orders")).toMatchObject({ legs: 3, failedLegs: ["recs", "orders"] });
    expect(line("")).not.toHaveProperty("legs");
  });

  test("has the query when the record has one, and null for no route, upstream and target", () => {
    expect(JSON.parse(formatAccessRecord({ ...RECORD, consumer: "B\xc3\xbcro" }))).toMatchObject({ consumer: "Büro" });
    const line = JSON.parse(
      formatAccessRecord({ ...RECORD, consumer: "", query: "a=1", route: "", upstream: "", target: "", code: "route_not_found" }),
    );
    expect(line).toMatchObject({ consumer: null, query: "a=1", route: null, upstream: null, target: null, code: "route_not_found" });
  });

  test.each([0, 1, 999, 1000, 59_999, 86_399_999.9, 1_700_000_000_123.7])("writes %d ms as the time it is", (timeMs) => {
    expect(JSON.parse(formatAccessRecord({ ...RECORD, timeMs })).time).toBe(new Date(timeMs).toISOString());
  });

  test("can hold any byte, and is one line of printable ASCII", () => {
    const every = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join("");
    const line = formatAccessRecord({ ...RECORD, path: every, userAgent: every, route: every, method: every });
    expect(line).toMatch(/^[\x20-\x7e]*\n$/);
    expect(JSON.parse(line)).toMatchObject({ path: every, userAgent: every, route: every, method: every });
  });
});

describe("the log", () => {
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-log-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const lines = async (): Promise<Record<string, unknown>[]> => {
    const text = await readFile(join(directory, "access.log"), "latin1");
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  };
  const rig = async (workers: number) => {
    const rings = Array.from({ length: workers }, () => createLogRing());
    const cells = new MetricCells(new SharedArrayBuffer(metricBytes()));
    const log = new AccessLog(
      rings.map((ring) => new LogRingReader(ring)),
      await FileSink.open(join(directory, "access.log")),
    );
    return { log, writers: rings.map((ring) => new LogRingWriter(ring, cells)) };
  };
  const exchange = (bytesOut: number, userAgent = "curl/8"): Exchange => {
    const x = typicalExchange();
    x.bytesOut = bytesOut;
    x.headers = ["user-agent", userAgent];
    return x;
  };

  test("writes what all workers record, while it runs", async () => {
    const { log, writers } = await rig(2);
    log.start();
    for (const [i, writer] of writers.entries()) writer.write(exchange(i), 1);
    await vi.waitFor(async () => expect((await lines()).map((line) => line["bytesOut"])).toEqual([0, 1]), { timeout: 5000 });
    await log.stop(1000);
  });

  test("stop writes everything that is left, more than one turn and one chunk of it", async () => {
    const { log, writers } = await rig(1);
    const total = 5000;
    for (let i = 0; i < total; i++) writers[0]?.write(exchange(i, i % 100 === 0 ? "\x01".repeat(256) : "curl/8"), 1);
    await log.stop(5000);
    expect((await lines()).map((line) => line["bytesOut"])).toEqual(Array.from({ length: total }, (_, i) => i));
    expect([log.dropped, log.failure]).toEqual([0, null]);
  });
});
