// `npm run acceptance:aggregate`: how long three legs of 50 ms take, and how soon calls are cut when the client goes; then 100,000 aggregated requests whose legs fail by the roll of dice, some with clients that go away. Prints what came of them;
// exits 1 when an answer was not what it must be, a call was left behind, or a counter did not return to zero.
import fs from "node:fs";
import { get } from "node:http";
import os from "node:os";
import path from "node:path";
import { startSluiceWith } from "../../native-bench/peers/sluice.ts";
import { leftBehind, runStorm, startStormService, stormRoutes } from "../support/aggregate-storm.ts";
import { json } from "../support/scripted-service.ts";
import { until } from "../support/until.ts";

const REQUESTS = Number(process.env["REQUESTS"] ?? 100_000);
const CONCURRENCY = Number(process.env["CONCURRENCY"] ?? 64);
const SEED = Number(process.env["SEED"] ?? 1);
const PORTS = { gateway: 19_320, admin: 19_321 };

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-accept-"));
fs.chmodSync(directory, 0o755);
const service = await startStormService();
const gateway = await startSluiceWith(
  directory,
  PORTS.gateway,
  `version: 1
workers: 2
listeners: [{ address: 127.0.0.1:${PORTS.gateway} }]
admin: { address: 127.0.0.1:${PORTS.admin} }
defaults: { accessLog: false }
${stormRoutes(service.url)}  - { name: three, match: { path: /three }, aggregate: { a: { to: service, path: /slow }, b: { to: service, path: /slow }, c: { to: service, path: /slow } } }
  - { name: held, match: { path: /held }, aggregate: { a: { to: service, path: /held }, b: { to: service, path: /held }, c: { to: service, path: /held } } }
`,
);

const LEG_MS = 50;
const ROUNDS = 100;
const percentiles = (ms: readonly number[]): string => {
  const sorted = [...ms].sort((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`;
};

/** @returns ms of each request whose three legs take LEG_MS each */
async function threeAtOnce(url: string): Promise<readonly number[]> {
  service.scripts.set("/slow", (response, asked) => void setTimeout(() => json({})(response, asked), LEG_MS));
  const took: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const startMs = performance.now();
    await (await fetch(`${url}/three`)).text();
    took.push(performance.now() - startMs);
  }
  return took;
}

/** @returns ms from the client's going to the end of the last of its three calls, as the service sees it */
async function untilCut(url: string): Promise<readonly number[]> {
  service.scripts.set("/held", () => {});
  const took: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const asked = get(`${url}/held`);
    asked.on("error", () => {});
    await until("three calls are under way", () => service.underWay === 3);
    const goneMs = performance.now();
    asked.destroy();
    while (service.underWay > 0) await new Promise((resolve) => setImmediate(resolve));
    took.push(performance.now() - goneMs);
  }
  return took;
}

const startedMs = performance.now();
const metrics = async (): Promise<string> => (await fetch(`http://127.0.0.1:${PORTS.admin}/metrics`)).text();
try {
  const url = `http://127.0.0.1:${PORTS.gateway}`;
  console.log(`three legs of ${LEG_MS} ms: ${percentiles(await threeAtOnce(url))}`);
  console.log(`a client goes, until its three calls are cut: ${percentiles(await untilCut(url))}`);
  console.log(`${REQUESTS} requests on ${CONCURRENCY} connections, seed ${SEED}`);
  const { answers, aborted, wrong } = await runStorm(url, {
    requests: REQUESTS,
    concurrency: CONCURRENCY,
    seed: SEED,
  });
  const left = await leftBehind(service, metrics);
  const page = await metrics();
  console.log(
    `${((performance.now() - startedMs) / 1000).toFixed(0)} s; by status ${JSON.stringify(answers)}, ${aborted} clients went away`,
  );
  for (const [line] of page.matchAll(/^sluice_leg_outcomes_total\{route="storm".*$/gm)) console.log(line);
  for (const each of wrong) console.log(`WRONG ${each}`);
  console.log(left === "" ? "no call was left behind, and counters are back at zero" : `LEFT BEHIND: ${left}`);
  if (wrong.length > 0 || left !== "") process.exitCode = 1;
} finally {
  await gateway.stop();
  await service[Symbol.asyncDispose]();
  fs.rmSync(directory, { recursive: true, force: true });
}
