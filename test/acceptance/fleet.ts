// `npm run acceptance:fleet`: eight gateways on one real Redis, skewed traffic far beyond every limit. In the middle Redis is stopped for a
// while, later killed and started again empty. Prints what was admitted beside the limits and the bounds that `validate` prints; exits 1 when a
// strict limit was exceeded, a fleet limit by more than its bound and once more for each outage, or a request failed otherwise.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Peer } from "../../native-bench/peers/peer.ts";
import { startSluiceWith } from "../../native-bench/peers/sluice.ts";
import { worstOvershoot } from "../../src/control/fleet/overshoot.ts";
import { RedisServer } from "../support/redis.ts";
import { certainOvershoot, quantileMs, type Sample, SkewedLoad } from "./fleet-load.ts";

const SECONDS = Number(process.env["SECONDS"] ?? 120);
const GATEWAYS = Number(process.env["GATEWAYS"] ?? 8);
/** How long Redis is stopped. */
const STOPPED_S = Math.min(20, SECONDS / 6);
const FIRST_PORT = 19_400;
const SYNC_INTERVAL_MS = 100;

const LIMITS = [
  { name: "local", mode: "local", count: 20, burst: 10, offered: 250 },
  { name: "fleet", mode: "fleet", count: 100, burst: 50, offered: 250 },
  { name: "fleet-small", mode: "fleet", count: 3, burst: 3, offered: 40 },
  { name: "strict", mode: "strict", count: 100, burst: 50, offered: 200 },
] as const;

const configuration = (port: number, redisUrl: string): string => `version: 1
workers: 1
listeners: [{ address: 127.0.0.1:${port} }]
admin: { address: 127.0.0.1:${port + 100} }
redis: { url: "${redisUrl}", secret: 0123456789abcdef, syncInterval: ${SYNC_INTERVAL_MS}ms, fleetSize: ${GATEWAYS} }
defaults: { accessLog: false }
routes:
${LIMITS.map(({ name, mode, count, burst }) => `  - { name: ${name}, match: { path: /${name} }, rateLimit: [{ name: ${name}, per: ip, rate: ${count}/s, burst: ${burst}, mode: ${mode} }], respond: { status: 200 } }`).join("\n")}
`;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-fleet-"));
const startedMs = performance.now();
const say = (text: string): void => console.log(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(5)} s  ${text}`);
const running: Peer[] = [];

/** What happened, and from when on. */
interface Phase {
  readonly name: string;
  readonly sinceMs: number;
}
const phases: Phase[] = [];
const enter = (name: string): void => {
  phases.push({ name, sinceMs: performance.now() });
  say(name);
};

async function metric(gateway: Peer, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${Number(new URL(gateway.url).port) + 100}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
}

async function untilAll(name: string, holds: (value: number) => boolean): Promise<number> {
  const fromMs = performance.now();
  for (;;) {
    const values = await Promise.all(running.map((gateway) => metric(gateway, name)));
    if (values.every(holds)) return performance.now() - fromMs;
    if (performance.now() - fromMs > 30_000) throw new Error(`${name} is ${values.join(", ")}`);
    await sleep(50);
  }
}

async function disturb(redis: RedisServer): Promise<void> {
  enter("together");
  await sleep(SECONDS * 333);
  enter("Redis stopped");
  redis.signal("SIGSTOP");
  await sleep(STOPPED_S * 1000);
  redis.signal("SIGCONT");
  enter("Redis goes on");
  say(`all are together again after ${(await untilAll("sluice_redis_up", (up) => up === 1)).toFixed(0)} ms`);
  await sleep(Math.max(0, SECONDS * 700 - (performance.now() - (phases[0]?.sinceMs ?? 0))));
  enter("Redis killed, back empty");
  await redis.kill();
  await sleep(1000);
  await redis.launch();
  say(`all are together again after ${(await untilAll("sluice_redis_up", (up) => up === 1)).toFixed(0)} ms`);
  await sleep(Math.max(0, SECONDS * 1000 - (performance.now() - (phases[0]?.sinceMs ?? 0))));
}

function report(samples: readonly Sample[], endMs: number): boolean {
  const rows: string[][] = [["limit", "phase", "s", "asked/s", "admitted", "rate x time", "overshoot", "bound", "p50 ms", "p99 ms", "503"]];
  let held = true;
  for (const { name, mode, count, burst } of LIMITS) {
    const own = samples.filter((sample) => sample.limit === name);
    const shares = mode === "local" ? GATEWAYS : 1;
    const limit = { perMs: (count * shares) / 1000, burst: burst * shares };
    const bound =
      mode === "fleet"
        ? worstOvershoot({ count, periodMs: 1000, burst, cost: 1 }, { instances: GATEWAYS, syncIntervalMs: SYNC_INTERVAL_MS })
        : 0;
    const whole = { name: "whole run", sinceMs: phases[0]?.sinceMs ?? 0 };
    for (const [i, phase] of [...phases, whole].entries()) {
      const untilMs = phases[i + 1]?.sinceMs ?? endMs;
      const within = own.filter((sample) => sample.sentMs >= phase.sinceMs && (i === phases.length || sample.sentMs < untilMs));
      const seconds = ((i === phases.length ? endMs : untilMs) - phase.sinceMs) / 1000;
      const overshoot = certainOvershoot(within, limit);
      const allowed = mode === "fleet" && i === phases.length ? 3 * bound : bound;
      if (overshoot > allowed) held = false;
      const admitted = within.filter((sample) => sample.status === 200).length;
      const numbers = [
        seconds.toFixed(1),
        (within.length / seconds).toFixed(0),
        String(admitted),
        (limit.perMs * seconds * 1000).toFixed(0),
      ];
      const times = [quantileMs(within, 0.5), quantileMs(within, 0.99)].map((ms) => ms.toFixed(2));
      const closed = within.filter((sample) => sample.status === 503).length;
      rows.push([
        i === 0 ? `${name} ${count}/s burst ${burst}` : "",
        phase.name,
        ...numbers,
        overshoot.toFixed(1),
        String(allowed),
        ...times,
        String(closed),
      ]);
    }
    const other = own.filter(({ status }) => status !== 200 && status !== 429 && !(mode === "strict" && status === 503));
    if (other.length > 0) {
      held = false;
      say(`${name}: ${other.length} other answers, such as ${other[0]?.status}`);
    }
  }
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of rows)
    console.log(row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  "));
  return held;
}

const redis = await RedisServer.start();
try {
  const ports = Array.from({ length: GATEWAYS }, (_, i) => FIRST_PORT + i);
  for (const port of ports) {
    const own = path.join(directory, String(port));
    fs.mkdirSync(own);
    running.push(await startSluiceWith(own, port, configuration(port, redis.url)));
  }
  const main = path.join(import.meta.dirname, "../../dist/main.js");
  const file = path.join(directory, String(FIRST_PORT), "sluice.yaml");
  console.log(execFileSync(process.execPath, [main, "validate", "-c", file], { encoding: "utf8" }).split(/^(?=redis: )/m)[1]);
  await untilAll("sluice_fleet_instances", (instances) => instances === GATEWAYS);
  await untilAll("sluice_redis_up", (up) => up === 1);
  const load = new SkewedLoad(
    running.map((gateway) => gateway.url),
    LIMITS.map(({ name, offered }) => ({ limit: name, perSecond: offered })),
  );
  say(
    `${GATEWAYS} gateways know of each other; the first gets ${(100 / running.reduce((sum, _, i) => sum + 1 / (i + 1), 0)).toFixed(0)} % of the traffic`,
  );
  load.start();
  await disturb(redis);
  const endMs = performance.now();
  await load.stop();
  const drift = await Promise.all(running.map((gateway) => metric(gateway, "sluice_fleet_drift_requests")));
  say(`drift as the gateways measured it in the last 10 to 20 s: ${Math.max(...drift).toFixed(1)} requests`);
  if (!report(load.samples, endMs)) process.exitCode = 1;
} finally {
  await Promise.all(running.map((gateway) => gateway.stop()));
  await redis[Symbol.asyncDispose]();
  fs.rmSync(directory, { recursive: true, force: true });
}
