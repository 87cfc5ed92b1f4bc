// The native bench runs its smallest cases for real: nginx, wrk, ours; one second each. No number is judged, only that all are there.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, it } from "vitest";
import type { Sample } from "../../../native-bench/cases/case.ts";
import { readResults } from "../../../native-bench/report/results.ts";

const RUN = path.join(import.meta.dirname, "../../../native-bench/run.ts");
const TIMEOUT_MS = 120_000;

it("measures ours beside nginx, and adds a case to the results", { timeout: TIMEOUT_MS }, () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-native-bench-"));
  const file = path.join(directory, "results.json");
  const run = (...args: string[]): void => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [RUN, "--rounds", "1", "--seconds", "1", "--no-install", "--into", file, ...args],
      { encoding: "utf8" },
    );
    expect(`${status} ${stderr}`, stdout).toBe("0 ");
  };
  run("--case", "plain-256", "--peers", "sluice,uws-hello,net-floor");
  run("--case", "open-half,guarded-hs256,websocket-echo", "--peers", "sluice,nginx-lua");
  const results = readResults(file);
  expect(results.cases.map(({ name }) => name)).toEqual(["plain-256", "guarded-hs256", "websocket-echo", "open-half"]);
  const [plain, guarded, webSocket, open] = results.cases;
  expect(plain?.samples.map(({ label }) => label)).toEqual(["sluice", "nginx", "uws-hello", "net-floor"]);
  // HAProxy, which a case compares with, need not be here.
  const withoutHaproxy = (samples: readonly Sample[] = []) => samples.map(({ label }) => label).filter((label) => label !== "haproxy");
  expect(withoutHaproxy(guarded?.samples)).toEqual(["sluice", "nginx-lua"]);
  for (const { values } of [...(plain?.samples ?? []), ...(guarded?.samples ?? [])]) {
    expect(values.errors).toBe(0);
    for (const metric of ["micros", "rate", "p50", "p99", "p999", "rss"] as const) expect(values[metric]).toBeGreaterThan(0);
  }
  expect(withoutHaproxy(webSocket?.samples)).toEqual(["sluice", "nginx"]);
  for (const { values } of webSocket?.samples ?? []) {
    expect(values.errors).toBe(0);
    for (const metric of ["perMessage", "messages", "p50", "p99", "p999", "rss"] as const) expect(values[metric]).toBeGreaterThan(0);
  }
  for (const { values } of open?.samples ?? [])
    for (const metric of ["offered", "p99", "addedP99", "micros"] as const) expect(values[metric]).toBeGreaterThan(0);
  // Whoever did not run is named with the reason.
  expect(plain?.contenders.find(({ label }) => label === "caddy")?.reason).toContain("--peers");
  for (const suffix of [".md", ".html"]) expect(fs.readFileSync(file.replace(".json", suffix), "utf8")).toContain("Plain proxy, 256 bytes");
  fs.rmSync(directory, { recursive: true });
});
