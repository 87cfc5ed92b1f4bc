// Measures what a breaker adds to the CPU time of a whole proxied request (aim: 0.5 us): the same gateway with and without, in turns.
// Run: npm run -s build && node bench/breaker-cpu.ts [rounds] [seconds]. Needs nginx and wrk.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { errorsOf, runWrk } from "../native-bench/measure/wrk.ts";
import { startOrigin } from "../native-bench/peers/origin.ts";
import type { Peer } from "../native-bench/peers/peer.ts";
import { startSluiceWith } from "../native-bench/peers/sluice.ts";
import { cpuMicros, processTree } from "../src/cli/bench/process-cost.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = Number(process.argv[3] ?? 3);
const CONNECTIONS = 32;
const ORIGIN_PORT = 19_330;
const KINDS = [
  { name: "no breaker", port: 19_331, breaker: "" },
  { name: "scope: target", port: 19_332, breaker: ", breaker: { slowCall: 2s }" },
  { name: "scope: both", port: 19_333, breaker: ", breaker: { scope: both, slowCall: 2s }" },
];

const configuration = (port: number, breaker: string): string => `version: 1
workers: 1
listeners: [{ address: 127.0.0.1:${port} }]
admin: { address: 127.0.0.1:0 }
defaults: { accessLog: false }
upstreams: { origin: { targets: [{ url: "http://127.0.0.1:${ORIGIN_PORT}" }]${breaker} } }
routes: [{ name: all, match: { path: /** }, to: origin }]
`;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bench-"));
fs.chmodSync(directory, 0o755);
const running: Peer[] = [];
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

async function microsPerRequest(gateway: Peer): Promise<number> {
  const pids = processTree(gateway.pid);
  const before = cpuMicros(pids);
  const result = await runWrk({ url: gateway.url, seconds: SECONDS, connections: CONNECTIONS });
  if (errorsOf(result) > 0) throw new Error(`${gateway.name}: ${errorsOf(result)} answers were not 2xx`);
  return (cpuMicros(pids) - before) / result.requests;
}

try {
  running.push(await startOrigin(directory, ORIGIN_PORT));
  const rows = [];
  for (const { name, port, breaker } of KINDS) {
    const folder = fs.mkdtempSync(path.join(directory, "gateway-"));
    const gateway = await startSluiceWith(folder, port, configuration(port, breaker));
    running.push(gateway);
    await microsPerRequest(gateway); // warms it up
    rows.push({ name, gateway, micros: [] as number[] });
  }
  for (let round = 0; round < ROUNDS; round++) for (const row of rows) row.micros.push(await microsPerRequest(row.gateway));
  const base = rows[0]?.micros ?? [];
  for (const { name, micros } of rows) {
    const added = median(micros.map((value, round) => value - (base[round] ?? value)));
    console.log(`${name.padEnd(16)} ${median(micros).toFixed(2).padStart(6)} us CPU a request, ${added.toFixed(2)} us more than without`);
  }
} finally {
  await Promise.all(running.map((peer) => peer.stop()));
  fs.rmSync(directory, { recursive: true, force: true });
}
