// `npm run acceptance:breaker`: wrk load on one target, which is killed with SIGKILL and later comes back. Prints how long until every
// worker is open, how many probes a half-open breaker lets through, how many requests failed fast and in what time.
// Exits 1 when a half-open round let another number through, or a request went to the dead target after its breaker was open.
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { runWrk } from "../../native-bench/measure/wrk.ts";
import { startOrigin } from "../../native-bench/peers/origin.ts";
import type { Peer } from "../../native-bench/peers/peer.ts";
import { startSluiceWith } from "../../native-bench/peers/sluice.ts";
import { processTree } from "../../src/cli/bench/process-cost.ts";
import { BreakerAdmin } from "../../src/shared/breaker-admin.ts";
import { BreakerTable, OUTCOME } from "../../src/shared/breaker-table.ts";
import { PHASE } from "../../src/shared/breaker-word.ts";
import { breakerRules } from "../support/breaker-rig.ts";

const CONNECTIONS = Number(process.env["CONNECTIONS"] ?? 32);
const SECONDS = 12;
const TRIALS = 3;
const PORTS = { gateway: 19_320, admin: 19_321, target: 19_322 };
const SAMPLES = 400;

const configuration = (directory: string): string => `version: 1
workers: 2
listeners: [{ address: 127.0.0.1:${PORTS.gateway} }]
admin: { address: 127.0.0.1:${PORTS.admin} }
log: { file: ${path.join(directory, "access.log")} }
upstreams:
  app:
    targets: [{ url: "http://127.0.0.1:${PORTS.target}" }]
    retry: { attempts: 0 }
    health: { passive: false }
    breaker: { minimumRequests: 20, window: 1s, openFor: 1s, maxOpenFor: 1s, halfOpenRequests: ${TRIALS}, recovery: 1s }
routes:
  - { name: all, match: { path: /** }, to: app }
`;

interface Line {
  /** Arrival, Unix ms. */
  readonly beganMs: number;
  readonly endedMs: number;
  /** The part of the request id that names the thread. */
  readonly worker: string;
  readonly code: string | null;
  readonly target: string | null;
  readonly totalMs: number;
}

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-accept-"));
fs.chmodSync(directory, 0o755);
const startedMs = performance.now();
const say = (text: string): void => console.log(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(5)} s  ${text}`);
const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
const sorted = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);
const admin = async (target: string): Promise<string> => (await fetch(`http://127.0.0.1:${PORTS.admin}${target}`)).text();
let failed = false;
const expect = (what: string, holds: boolean): void => {
  if (holds) return;
  failed = true;
  say(`NOT MET: ${what}`);
};

async function state(): Promise<string> {
  const states: { readonly target: string | null; readonly status: { readonly state: string } }[] = JSON.parse(await admin("/breakers"));
  return states.find((each) => each.target !== null)?.status.state ?? "";
}

async function until(wanted: string): Promise<void> {
  while ((await state()) !== wanted) await sleep(5);
}

/** The target as it comes back: takes its time for the first requests, so that those a round lets through can be counted. */
function heldOrigin(): { readonly server: http.Server; requests(): number; release(): void } {
  const waiting: http.ServerResponse[] = [];
  let requests = 0;
  let held = true;
  const server = http.createServer((_request, response) => {
    requests++;
    if (held) waiting.push(response);
    else response.end("back");
  });
  server.keepAliveTimeout = 60_000;
  const release = (): void => {
    held = false;
    for (const response of waiting) response.end("back");
  };
  return { server, requests: () => requests, release };
}

/** How long one request takes while others fail fast, from outside. */
async function sampleLatency(): Promise<number[]> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const once = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const beganMs = performance.now();
      http
        .get({ port: PORTS.gateway, host: "127.0.0.1", agent }, (response) => {
          response.resume().once("end", () => resolve(performance.now() - beganMs));
        })
        .once("error", reject);
    });
  const samples: number[] = [];
  for (let i = 0; i < SAMPLES; i++) samples.push(await once());
  agent.destroy();
  return samples;
}

function readLog(): Line[] {
  return fs
    .readFileSync(path.join(directory, "access.log"), "utf8")
    .split("\n")
    .flatMap((text) => {
      if (!text.endsWith("}")) return [];
      const { time, requestId, code, target, totalMs } = JSON.parse(text);
      const beganMs = Date.parse(time);
      return [{ beganMs, endedMs: beganMs + totalMs, worker: String(requestId).split("-")[0] ?? "", code, target, totalMs }];
    });
}

function reportLog(killedMs: number, backMs: number): void {
  const all = readLog();
  say(`log: ${all.length} lines of ${new Set(all.map((line) => line.worker)).size} workers`);
  const lines = all.filter((line) => line.beganMs >= killedMs - 50 && line.endedMs < backMs);
  const refused = lines.filter((line) => line.code === "breaker_open");
  const tripMs = Math.min(...refused.map((line) => line.beganMs));
  const firstFailureMs = Math.min(...lines.filter((line) => line.code !== null).map((line) => line.endedMs));
  const workers = new Set(lines.map((line) => line.worker));
  say(
    `the first failure ${(firstFailureMs - killedMs).toFixed(0)} ms after the kill; half of the window failed, and somebody was refused, ${(tripMs - firstFailureMs).toFixed(0)} ms later`,
  );
  // Trials come a second later.
  const sent = lines.filter((line) => line.code !== "breaker_open" && line.beganMs < tripMs + 900);
  for (const worker of workers) {
    const lastMs = Math.max(...sent.filter((line) => line.worker === worker).map((line) => line.beganMs));
    say(
      `worker ${worker}: its last request to the dead target began ${(lastMs - tripMs).toFixed(1)} ms after the first refusal of any worker`,
    );
    expect("every worker is open within 10 ms", lastMs <= tripMs + 10);
  }
  const fast = sorted(refused.map((line) => line.totalMs));
  const share = (100 * refused.length) / lines.length;
  say(
    `while it was dead: ${lines.length} requests, ${refused.length} refused at once (${share.toFixed(3)} %), ${lines.length - refused.length} failed at the target`,
  );
  say(
    `refused in (gateway): p50 ${quantile(fast, 0.5).toFixed(3)} ms, p99 ${quantile(fast, 0.99).toFixed(3)} ms, p99.9 ${quantile(fast, 0.999).toFixed(3)} ms`,
  );
}

/** From the compare-and-swap that opens to the last of four busy threads having seen it. */
async function measureSight(rounds: number): Promise<void> {
  const buffer = BreakerTable.allocate(8, 1);
  const admin = new BreakerAdmin(buffer);
  const seen = new SharedArrayBuffer(4 * 8 + rounds * 8);
  const source = `
    const { workerData, parentPort } = require("node:worker_threads");
    const sync = new Int32Array(workerData.seen, 0, 8);
    const state = new Int32Array(workerData.buffer);
    parentPort.postMessage("ready");
    for (let round = 1; round <= workerData.rounds; round++) {
      while (Atomics.load(sync, 0) < round) {}
      while (((state[32] >>> 14) & 7) !== 1) Atomics.load(sync, 0);
      const at = Number(process.hrtime.bigint());
      parentPort.postMessage(at);
      Atomics.add(sync, 1, 1);
    }`;
  const threads = Math.max(1, Math.min(4, os.availableParallelism() - 1));
  const times: number[][] = Array.from({ length: threads }, () => []);
  const workers = times.map((list) => {
    const worker = new Worker(source, { eval: true, workerData: { buffer, seen, rounds } });
    worker.on("message", (message: number | "ready") => typeof message === "number" && list.push(message));
    return worker;
  });
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("message", resolve))));
  const sync = new Int32Array(seen, 0, 8);
  const rules = breakerRules({ minimumRequests: 1 });
  const opener = new BreakerTable(buffer, 0);
  const openedAt: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    admin.force(0, PHASE.closed, 1);
    Atomics.store(sync, 1, 0);
    Atomics.store(sync, 0, round);
    await sleep(1);
    openedAt.push(Number(process.hrtime.bigint()));
    opener.settle(
      0,
      opener.admit(0, 0, () => 0),
      OUTCOME.failed,
      rules,
      1e9,
    );
    while (Atomics.load(sync, 1) < threads) await sleep(0);
  }
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("exit", resolve))));
  const micros = sorted(openedAt.map((at, round) => Math.max(...times.map((list) => (list[round] ?? at) - at)) / 1000));
  say(
    `${rounds} openings, ${threads} other thread(s) that look all the time: the last saw it after p50 ${quantile(micros, 0.5).toFixed(1)} us, p99 ${quantile(micros, 0.99).toFixed(1)} us, at most ${micros.at(-1)?.toFixed(1)} us`,
  );
}

const running: Peer[] = [];
const held = heldOrigin();
try {
  await measureSight(500);
  const target = await startOrigin(directory, PORTS.target, "target");
  running.push(target, await startSluiceWith(directory, PORTS.gateway, configuration(directory)));
  while (!(await fetch(`http://127.0.0.1:${PORTS.admin}/readyz`).catch(() => null))?.ok) await sleep(20); // both workers listen
  say(`${CONNECTIONS} connections for ${SECONDS} s`);
  const load = runWrk({ url: `http://127.0.0.1:${PORTS.gateway}/`, seconds: SECONDS, connections: CONNECTIONS });
  await sleep(2000);
  const killedMs = Date.now();
  for (const pid of processTree(target.pid)) process.kill(pid, "SIGKILL");
  say("the target is killed");
  await until("open");
  const latencies = sorted(await sampleLatency());
  say(
    `refused in (a client under the same load): p50 ${quantile(latencies, 0.5).toFixed(2)} ms, p99 ${quantile(latencies, 0.99).toFixed(2)} ms`,
  );
  await sleep(Math.max(0, killedMs + 5000 - Date.now()));
  const backMs = Date.now();
  await new Promise<void>((resolve) => held.server.listen(PORTS.target, "127.0.0.1", resolve));
  say("the target is back, and holds its first answers");
  while (held.requests() < TRIALS) await sleep(5);
  await sleep(1000);
  say(`half-open: ${held.requests()} requests have reached it in the last second, while ${CONNECTIONS} connections ask`);
  expect(`exactly ${TRIALS} trials`, held.requests() === TRIALS);
  held.release();
  await until("recovering");
  say("its answers are released: recovering");
  await until("closed");
  say("closed");
  const { requests, failedStatus } = await load;
  say(`${requests} requests, ${failedStatus} not 2xx`);
  const metrics = await admin("/metrics");
  for (const line of metrics.split("\n")) if (/^sluice_(breaker_.*target|breaker_rejected|log_dropped)/.test(line)) say(line);
  reportLog(killedMs, backMs);
} finally {
  await Promise.all(running.map((peer) => peer.stop()));
  held.server.closeAllConnections();
  held.server.close();
  fs.rmSync(directory, { recursive: true, force: true });
}
if (failed) process.exitCode = 1;
