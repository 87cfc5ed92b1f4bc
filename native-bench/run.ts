// `npm run native-bench`: what a proxied request costs here and at native peers, in one run, interleaved rounds.
// The machine is shared: the numbers to quote are CPU microseconds a request and their ratio, never throughput.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type Peer, startHaproxy, startNginxProxy, startOrigin, startSluice } from "./peers.ts";
import { cpuMicros, processTree, residentBytes } from "./proc.ts";
import { runWrk } from "./wrk.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const SECONDS = Number(process.env["SECONDS"] ?? 5);
const CONNECTIONS = 64;
const BODY_BYTES = 256;
const PORT_BASE = 19_200;

interface Sample {
  readonly peer: string;
  readonly microsPerRequest: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
  readonly rssBytes: number;
}

async function sample(peer: Peer): Promise<Sample> {
  const pids = processTree(peer.pid);
  const before = cpuMicros(pids);
  const result = await runWrk({ url: peer.url, seconds: SECONDS, connections: CONNECTIONS });
  const micros = cpuMicros(pids) - before;
  const { connect, read, write, timeout } = result.socketErrors;
  return {
    peer: peer.name,
    microsPerRequest: micros / result.requests,
    requestsPerSecond: result.requests / result.seconds,
    p50Ms: result.latencyMs.p50,
    p99Ms: result.latencyMs.p99,
    errors: result.non2xx + connect + read + write + timeout,
    rssBytes: residentBytes(pids),
  };
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

function report(samples: readonly Sample[], peers: readonly Peer[]): string {
  const of = (name: string, pick: (s: Sample) => number): number => median(samples.filter((s) => s.peer === name).map(pick));
  const nginx = of("nginx", (s) => s.microsPerRequest);
  const lines = ["peer       µs/request   x nginx   req/s    p50 ms   p99 ms   errors   RSS MiB"];
  for (const { name } of peers) {
    const micros = of(name, (s) => s.microsPerRequest);
    const cells = [
      name.padEnd(10),
      micros.toFixed(1).padStart(10),
      (micros / nginx).toFixed(2).padStart(9),
      of(name, (s) => s.requestsPerSecond)
        .toFixed(0)
        .padStart(8),
      of(name, (s) => s.p50Ms)
        .toFixed(2)
        .padStart(9),
      of(name, (s) => s.p99Ms)
        .toFixed(2)
        .padStart(8),
      String(samples.filter((s) => s.peer === name).reduce((sum, s) => sum + s.errors, 0)).padStart(8),
      (of(name, (s) => s.rssBytes) / 1024 ** 2).toFixed(0).padStart(9),
    ];
    lines.push(cells.join(" "));
  }
  return lines.join("\n");
}

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bench-"));
fs.chmodSync(directory, 0o755); // nginx workers may run as another user
const running: Peer[] = [];
try {
  const origin = await startOrigin(directory, PORT_BASE, BODY_BYTES);
  running.push(origin);
  const peers: Peer[] = [];
  for (const start of [startNginxProxy, startHaproxy, startSluice]) {
    const peer = await start(directory, PORT_BASE + 1 + peers.length, PORT_BASE);
    peers.push(peer);
    running.push(peer);
  }
  for (const peer of peers) await runWrk({ url: peer.url, seconds: 2, connections: CONNECTIONS }); // warm-up
  const samples: Sample[] = [];
  for (let round = 0; round < ROUNDS; round++) for (const peer of peers) samples.push(await sample(peer));
  console.log(`plain proxy, ${BODY_BYTES} B, ${CONNECTIONS} connections, median of ${ROUNDS} rounds of ${SECONDS} s, one worker each\n`);
  console.log(report(samples, peers));
} finally {
  await Promise.all(running.map((peer) => peer.stop()));
  fs.rmSync(directory, { recursive: true, force: true });
}
