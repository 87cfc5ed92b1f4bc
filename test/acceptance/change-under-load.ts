// `npm run acceptance:change`: wrk for a minute while the gateway is reloaded 100 times, one worker throws, and one of two
// targets is killed and comes back. Prints what failed; exits 1 when anything did that retries should have hidden.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errorsOf, runWrk } from "../../native-bench/measure/wrk.ts";
import { startOrigin } from "../../native-bench/peers/origin.ts";
import type { Peer } from "../../native-bench/peers/peer.ts";
import { startSluiceWith } from "../../native-bench/peers/sluice.ts";
import { processTree, residentBytes } from "../../src/cli/bench/process-cost.ts";

const SECONDS = Number(process.env["SECONDS"] ?? 60);
const RELOADS = Number(process.env["RELOADS"] ?? 100);
const CONNECTIONS = 64;
const PORTS = { gateway: 19_300, admin: 19_301, steady: 19_302, killed: 19_303 };

const configuration = (generation: number): string => `version: 1
workers: 2
listeners: [{ address: 127.0.0.1:${PORTS.gateway} }]
admin: { address: 127.0.0.1:${PORTS.admin} }
defaults: { accessLog: false }
upstreams:
  app:
    targets: [{ url: "http://127.0.0.1:${PORTS.steady}" }, { url: "http://127.0.0.1:${PORTS.killed}" }]
    retry: { attempts: 2, on: [connect-failure, reset, 502, 503], budget: 20% }
    health: { passive: { consecutiveFailures: 3, ejectFor: 2s, maxEjected: 50% } }
routes:
  - { name: all, match: { path: /** }, headers: { response: { set: { x-generation: "${generation}" } } }, to: app }
`;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-accept-"));
fs.chmodSync(directory, 0o755);
const admin = `http://127.0.0.1:${PORTS.admin}`;
const running = new Map<string, Peer>();
const startedMs = performance.now();
const say = (text: string): void => console.log(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(5)} s  ${text}`);

async function reloadOften(endMs: number): Promise<{ done: number; refused: string[] }> {
  const refused: string[] = [];
  let done = 0;
  const everyMs = (endMs - performance.now()) / (RELOADS + 1);
  for (let generation = 1; generation <= RELOADS; generation++) {
    await sleep(everyMs);
    fs.writeFileSync(path.join(directory, "next.yaml"), configuration(generation));
    fs.renameSync(path.join(directory, "next.yaml"), path.join(directory, "sluice.yaml"));
    const response = await fetch(`${admin}/reload`, { method: "POST" });
    if (response.ok) done++;
    else refused.push(`${response.status} ${await response.text()}`);
  }
  return { done, refused };
}

async function disturb(): Promise<void> {
  await sleep(SECONDS * 250);
  say(`worker 0 is made to throw: ${(await fetch(`${admin}/debug/crash?worker=0`, { method: "POST" })).status}`);
  await sleep(SECONDS * 200);
  const killed = running.get("killed") as Peer; // started below
  for (const pid of processTree(killed.pid)) process.kill(pid, "SIGKILL");
  await killed.stop();
  say("one of two targets killed with SIGKILL");
  await sleep(SECONDS * 200);
  running.set("killed", await startOrigin(directory, PORTS.killed, "killed"));
  say("the target is back");
}

try {
  running.set("steady", await startOrigin(directory, PORTS.steady, "steady"));
  running.set("killed", await startOrigin(directory, PORTS.killed, "killed"));
  const gateway = await startSluiceWith(directory, PORTS.gateway, configuration(0));
  running.set("gateway", gateway);
  say(`${CONNECTIONS} connections for ${SECONDS} s, ${RELOADS} reloads`);
  const load = runWrk({ url: gateway.url, seconds: SECONDS, connections: CONNECTIONS });
  const [result, reloads] = await Promise.all([load, reloadOften(performance.now() + SECONDS * 950), disturb()]);
  const metrics = await (await fetch(`${admin}/metrics`)).text();
  const generation = (await fetch(gateway.url)).headers.get("x-generation");
  say(`${result.requests} requests, ${result.failedStatus} of status 400 and above, socket errors ${JSON.stringify(result.socketErrors)}`);
  say(
    `reloads: ${reloads.done} done, ${reloads.refused.length} refused ${reloads.refused[0] ?? ""}; the last answer came from generation ${generation}`,
  );
  say(
    `latency p50 ${result.latencyMs.p50} ms, p99 ${result.latencyMs.p99} ms; resident ${(residentBytes(processTree(gateway.pid)) / 1024 ** 2).toFixed(0)} MiB`,
  );
  for (const line of metrics.split("\n"))
    if (/^sluice_(errors_total|worker_restarts_total|reloads_total|upstream_retries_total)/.test(line)) say(line);
  if (errorsOf(result) > 0 || reloads.done !== RELOADS || generation !== String(RELOADS)) process.exitCode = 1;
} finally {
  await Promise.all([...running.values()].map((peer) => peer.stop()));
  fs.rmSync(directory, { recursive: true, force: true });
}
