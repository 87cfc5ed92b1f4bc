// `sluice bench` as its operator runs it: the command as a process, a real gateway that it starts, a real origin.
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BenchReport } from "../../../src/cli/bench/bench-report.ts";
import { makeCertificate } from "../../support/certificates.ts";
import { entry } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";

let folder = "";
let origin: Origin;
beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bench-test-"));
  origin = await Origin.start("origin");
});
afterAll(async () => {
  await origin[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true, force: true });
});

const config = (listener = "{ address: 127.0.0.1:8080 }", target = origin.url): string => `version: 1
workers: 1
listeners: [${listener}]
upstreams: { u: { targets: [{ url: "${target}" }] } }
routes:
  - { name: users, match: { path: "/users/{id}" }, to: u }
  - { name: order, match: { path: /orders, methods: [POST] }, to: u }
  - { name: gone, match: { path: /gone }, respond: { status: 410 } }
`;

async function bench(
  text: string,
  ...args: string[]
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const file = path.join(folder, "sluice.yaml");
  fs.writeFileSync(file, text);
  const child = spawn(process.execPath, [entry(), "bench", "-c", file, "--duration", "1", "--connections", "4", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (part: string) => {
      said[name] += part;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, ...said };
}

const reportOf = (stdout: string): BenchReport => JSON.parse(stdout); // what --json prints

describe("sluice bench", () => {
  it("drives every route that can be guessed, closed loop, and says what is left out", async () => {
    const before = origin.requests;
    const { code, stdout, stderr } = await bench(config(), "--json");
    expect([code, stderr]).toEqual([0, ""]);
    const report = reportOf(stdout);
    expect(report).toMatchObject({ loop: "closed", failed: 0, skipped: [{ route: "order" }] });
    expect(Object.fromEntries(report.routes.map(({ route, statuses }) => [route, Object.keys(statuses)]))).toEqual({
      users: ["200"],
      gone: ["410"],
    });
    expect(origin.requests - before).toBeGreaterThanOrEqual(report.routes.find(({ route }) => route === "users")?.answers ?? Number.NaN);
    expect(report.cpuMicrosPerAnswer).toBeGreaterThan(0);
    expect(report.residentMiB).toBeGreaterThan(10);
  });

  it("sends as many requests as the rate says, to the routes that are named", async () => {
    const { code, stdout } = await bench(config(), "--json", "--rate", "50", "--url", "/users/7", "--url", "POST /orders", "--body", "{}");
    const report = reportOf(stdout);
    expect([code, report.loop, report.answers, report.failed]).toEqual([0, "open", 50, 0]);
    expect(report.routes.map(({ route, requests, answers }) => [route, requests, answers])).toEqual([
      ["users", ["GET /users/7"], 25],
      ["order", ["POST /orders"], 25],
    ]);
  });

  it("serves TLS where the configuration does, and prints a table", async () => {
    const { cert, key } = makeCertificate(folder, "bench", ["127.0.0.1"]);
    const { code, stdout } = await bench(
      config(`{ address: 127.0.0.1:8443, tls: { certificates: [{ cert: "${cert}", key: "${key}" }] } }`),
      "--rate",
      "20",
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^https:\/\/127\.0\.0\.1:\d+: open loop, 20 requests\/s/);
    expect(stdout).toMatch(/^users +GET \/users\/1 +10 +200 +0 /m);
  });

  it("drives a gateway that runs already", async () => {
    const { code, stdout } = await bench(
      config(),
      "--json",
      "--rate",
      "20",
      "--url",
      "/users/1",
      "--target",
      origin.url,
      "--pid",
      String(process.pid),
    );
    const report = reportOf(stdout);
    expect([code, report.url, report.answers]).toEqual([0, origin.url, 20]);
    expect(report.residentMiB).toBeGreaterThan(10);
  });

  it.each<[string, () => Promise<{ code: number | null; stderr: string }>, number, RegExp]>([
    ["a target elsewhere", () => bench(config(), "--target", "http://192.0.2.1"), 1, /the load would leave this machine: 192\.0\.2\.1/],
    ["an upstream elsewhere", () => bench(config(undefined, "http://192.0.2.1:80")), 1, /192\.0\.2\.1.*--allow-remote/],
    ["a path that no route takes", () => bench(config(), "--url", "/none"), 2, /no route takes "\/none"/],
    ["a wrong configuration", () => bench("version: 1\nlisteners: []\n"), 1, /sluice\.yaml:2:/],
    ["unknown options", () => bench(config(), "--fast"), 2, /--fast/],
    [
      "nobody at the target",
      () => bench(config(), "--rate", "10", "--target", "http://127.0.0.1:1"),
      1,
      /cannot connect to http:\/\/127\.0\.0\.1:1/,
    ],
  ])("refuses %s", async (_, run, status, message) => {
    const { code, stderr } = await run();
    expect(stderr).toMatch(message);
    expect(code).toBe(status);
  });
});
