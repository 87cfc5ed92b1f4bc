// The measurements behind docs/tuning.md run for real, as small as they go. No number is judged, only that all are there.
import { spawnSync } from "node:child_process";
import path from "node:path";
import { expect, it } from "vitest";

const BENCH = path.join(import.meta.dirname, "../../../bench");
const TIMEOUT_MS = 120_000;

/** @returns what it printed */
function run(file: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(BENCH, file), ...args], { encoding: "utf8" });
  expect(`${status} ${stderr}`, stdout).toBe("0 ");
  return stdout;
}

it("a knob", { timeout: TIMEOUT_MS }, () => {
  const args = ["client", "--rounds", "1", "--seconds", "1"];
  const { knob, rows } = JSON.parse(run("tuning/run.ts", ...args, "--json"));
  expect(knob).toBe("client");
  expect(rows.map((row: { readonly setting: string }) => row.setting)).toEqual(["pool.client: http1", "pool.client: undici"]);
  for (const { samples } of rows)
    for (const metric of ["cpuMicros", "perSecond", "p50Ms", "p99Ms", "residentMiB"]) expect(samples[0][metric]).toBeGreaterThan(0);
  expect(run("tuning/run.ts", ...args)).toMatch(/^\| pool\.client: undici \| [\d.]+ \| [\d.]+ \([\d.]+-[\d.]+\) \| \d+ \|/m);
});

it("the shares of connections, and the accept queue", { timeout: TIMEOUT_MS }, () => {
  const text = run("reuseport.ts", "--trials", "1");
  expect(text.match(/the busiest worker has \d+\.\d % in the median/g)).toHaveLength(2);
  expect(text.match(/: \d+ SYNs found no place/g)).toHaveLength(2);
});

it("connections that are handed over", { timeout: TIMEOUT_MS }, () => {
  expect(run("accept-handover.ts", "1", "1").match(/busiest of 2 threads: \d+\.\d-\d+\.\d % of the connections/g)).toHaveLength(4);
});
