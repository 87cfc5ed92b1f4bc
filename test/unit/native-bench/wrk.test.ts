// What wrk is told, and how its numbers are read.
import { describe, expect, it } from "vitest";
import { errorsOf, parseWrk, wrkScript } from "../../../native-bench/measure/wrk.ts";

const REPORT = `Running 1s test @ http://127.0.0.1:19203/
  1 threads and 64 connections
  1000 requests in 1.10s, 1.00MB read
Requests/sec:   909.09
measured: 1000 1100000 1048576 7 1 2 3 4 1500 20000 30250
`;

describe("parseWrk", () => {
  it("reads the line that the script prints", () => {
    const result = parseWrk(REPORT);
    expect(result).toEqual({
      requests: 1000,
      seconds: 1.1,
      bytes: 1_048_576,
      failedStatus: 7,
      socketErrors: { connect: 1, read: 2, write: 3, timeout: 4 },
      latencyMs: { p50: 1.5, p99: 20, p999: 30.25 },
    });
    expect(errorsOf(result)).toBe(17);
  });
  it("fails with wrk's own words when it did not get to its end", () => {
    expect(() => parseWrk("unable to connect to 127.0.0.1:1 Connection refused")).toThrow("unable to connect");
    expect(() => parseWrk("measured: 1 2 3\n")).toThrow("did not report");
  });
});

describe("wrkScript", () => {
  it("says nothing more than it must", () => {
    expect(wrkScript({})).toMatch(/^function done\(/);
  });
  it("sets method, body and headers, as Lua strings", () => {
    const script = wrkScript({ method: "POST", bodyBytes: 4096, headers: { Connection: "close", "X-Quote": 'a"b' } });
    expect(script).toContain('wrk.method = "POST"');
    expect(script).toContain('wrk.body = string.rep("x", 4096)');
    expect(script).toContain('wrk.headers["Connection"] = "close"');
    expect(script).toContain('wrk.headers["X-Quote"] = "a\\"b"');
  });
  it("asks for each of many paths as often as for the others", () => {
    const script = wrkScript({ paths: { pattern: "/v1/svc-%d/x", count: 10_000 } });
    const [, stride = ""] = /n \* (\d+) % 10000/.exec(script) ?? [];
    const visited = new Set(Array.from({ length: 10_000 }, (_, n) => (n * Number(stride)) % 10_000));
    expect(visited.size).toBe(10_000);
    expect(script).toContain('string.format("/v1/svc-%d/x"');
  });
});
