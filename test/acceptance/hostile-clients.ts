// `npm run acceptance:hostile`: 500 idle uploads, dripping bodies, 15 KB of Connection options, slow readers and slow heads, all at once for a minute,
// beside honest requests at a fixed rate. Prints what the honest ones got, alone and beside the others. Exits 1 when one of them failed, when their p99 is
// more than twice what it is alone, or when a breaker or passive health holds it against the service.
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { startSluiceWith } from "../../native-bench/peers/sluice.ts";
import { processTree, residentBytes } from "../../src/cli/bench/process-cost.ts";
import type { CrowdPlan, CrowdReport } from "./hostile-crowd.ts";

const SECONDS = Number(process.env["SECONDS"] ?? 60);
const RATE = Number(process.env["RATE"] ?? 300);
/** MANY_OPTIONS=0 leaves that attack out. */
const MANY_OPTIONS = Number(process.env["MANY_OPTIONS"] ?? 30);
const ALONE_SECONDS = Math.min(SECONDS, 20);
const CONNECTIONS = 64;
const PORTS = { gateway: 19_330, admin: 19_331 };
const BODY = "x".repeat(4096);
/** One honest request in so many has a body. */
const POST_EVERY = 5;
const P99_FACTOR_MAX = 2;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-accept-"));
fs.chmodSync(directory, 0o755);
const say = (text: string): void => console.log(text);
let failed = false;
const expect = (what: string, holds: boolean): void => {
  if (holds) return;
  failed = true;
  say(`NOT MET: ${what}`);
};

interface Honest {
  readonly sent: number;
  readonly failures: Map<string, number>;
  readonly latencies: number[];
}

const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });

/** Time counts from here, though the request may wait for a connection. */
function ask(n: number, { failures, latencies }: Honest): Promise<void> {
  const sentMs = performance.now();
  return new Promise((resolve) => {
    const over = (what: string): void => {
      if (what !== "200") failures.set(what, (failures.get(what) ?? 0) + 1);
      latencies.push(performance.now() - sentMs);
      resolve();
    };
    const method = n % POST_EVERY === 0 ? "POST" : "GET";
    const headers = { "x-forwarded-for": `203.0.113.${n % 250}` };
    const request = http.request({ port: PORTS.gateway, host: "127.0.0.1", agent, method, path: "/honest", headers }, (response) => {
      response.resume().once("end", () => over(String(response.statusCode)));
      response.once("error", (error) => over(error.message));
    });
    request.once("error", (error) => over(error.message));
    request.end(method === "POST" ? BODY : undefined);
  });
}

/** Open loop: a request falls due when its time has come, whatever became of the others. */
async function honest(seconds: number): Promise<Honest> {
  const result: Honest = { sent: Math.round(seconds * RATE), failures: new Map(), latencies: [] };
  const startMs = performance.now();
  const under: Promise<void>[] = [];
  for (let n = 0; n < result.sent; n++) {
    const waitMs = startMs + (n * 1000) / RATE - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    under.push(ask(n, result));
  }
  await Promise.all(under);
  result.latencies.sort((a, b) => a - b);
  return result;
}

const quantile = ({ latencies }: Honest, q: number): number =>
  latencies[Math.min(latencies.length - 1, Math.floor(q * latencies.length))] ?? Number.NaN;
const show = (what: string, result: Honest): void => {
  const [p50, p99, p999] = [0.5, 0.99, 0.999].map((q) => quantile(result, q).toFixed(2));
  const failures = [...result.failures.values()].reduce((sum, count) => sum + count, 0);
  say(
    `${what}: ${result.sent} requests, ${failures} failed ${JSON.stringify([...result.failures])}, p50 ${p50} ms, p99 ${p99} ms, p99.9 ${p999} ms`,
  );
};

const admin = async (target: string): Promise<string> => (await fetch(`http://127.0.0.1:${PORTS.admin}${target}`)).text();

const origin = new Worker(new URL("./hostile-origin.ts", import.meta.url));
const [originPort] = (await once(origin, "message")) as [number]; // its first message
const gateway = await startSluiceWith(
  directory,
  PORTS.gateway,
  `version: 1
workers: 2
drainTimeout: 1s
listeners: [{ address: 127.0.0.1:${PORTS.gateway} }]
admin: { address: 127.0.0.1:${PORTS.admin} }
trustedProxies: [ 127.0.0.1 ]
log: { file: ${path.join(directory, "access.log")} }
upstreams: { app: { targets: [{ url: "http://127.0.0.1:${originPort}" }], breaker: {} } }
routes: [{ name: all, match: { path: /** }, to: app }]
`,
);
try {
  while (!(await fetch(`http://127.0.0.1:${PORTS.admin}/readyz`).catch(() => null))?.ok) await sleep(20); // both workers listen
  await honest(5);
  const alone = await honest(ALONE_SECONDS);
  show("alone", alone);
  const plan: CrowdPlan = {
    port: PORTS.gateway,
    idleUploads: 500,
    drippingBodies: 20,
    manyOptions: MANY_OPTIONS,
    slowReaders: 200,
    slowHeads: 1000,
  };
  const crowd = new Worker(new URL("./hostile-crowd.ts", import.meta.url), { workerData: plan });
  await sleep(3000); // they come within two seconds
  const beside = await honest(SECONDS);
  show("beside hostile clients", beside);
  crowd.postMessage("stop");
  const [report] = (await once(crowd, "message")) as [CrowdReport]; // its only message
  for (const [kind, { open, opened, answers }] of Object.entries(report))
    say(`  ${kind}: ${opened} opened, ${open} open, answers ${JSON.stringify(answers)}`);
  const metrics = await admin("/metrics");
  for (const line of metrics.split("\n"))
    if (/^sluice_(upstream_failures_total|errors_total|breaker_state|request_bodies_held_bytes)/.test(line) && !line.endsWith(" 0"))
      say(`  ${line}`);
  say(`  resident: ${Math.round(residentBytes(processTree(gateway.pid)) / 1024 ** 2)} MiB`);
  await crowd.terminate();
  const breakers: { readonly status: { readonly state: string } }[] = JSON.parse(await admin("/breakers"));
  const upstreams: { readonly targets: { readonly healthy: boolean }[] }[] = JSON.parse(await admin("/upstreams"));
  const factor = quantile(beside, 0.99) / quantile(alone, 0.99);
  say(`p99 beside them is ${factor.toFixed(2)} times p99 alone`);
  expect("no honest request failed", beside.failures.size === 0);
  expect(`p99 at most ${P99_FACTOR_MAX} times alone`, factor <= P99_FACTOR_MAX);
  expect(
    "breakers closed",
    breakers.every(({ status }) => status.state === "closed"),
  );
  expect("no opening of a breaker", !/sluice_breaker_transitions_total\{[^}]*to="open"\} [1-9]/.test(metrics));
  expect(
    "no target ejected",
    upstreams.every(({ targets }) => targets.every(({ healthy }) => healthy)),
  );
} finally {
  agent.destroy();
  await gateway.stop();
  await origin.terminate();
  fs.rmSync(directory, { recursive: true, force: true });
}
if (failed) process.exitCode = 1;
