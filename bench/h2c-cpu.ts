// What a plain route to an upstream that speaks h2c costs beside one that speaks HTTP/1.1, and beside nginx doing the latter: CPU a request at 64 connections,
// interleaved rounds, medians. Run: npm run -s build && node bench/h2c-cpu.ts. ROUNDS and SECONDS (of each round) may be set in the environment.
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { runWrk } from "../native-bench/measure/wrk.ts";
import { launch } from "../native-bench/peers/launch.ts";
import { writeNginx } from "../native-bench/peers/nginx.ts";
import { startOrigin } from "../native-bench/peers/origin.ts";
import type { Peer } from "../native-bench/peers/peer.ts";
import { startSluiceWith } from "../native-bench/peers/sluice.ts";
import { cpuMicros, processTree } from "../src/cli/bench/process-cost.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 9);
const SECONDS = Number(process.env["SECONDS"] ?? 2);
const CONNECTIONS = 64;
const PORTS = { gateway: 19_330, origin: 19_331, h2c: 19_332, nginx: 19_333, joining: 19_334 };

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const gatewayConfig = `version: 1
workers: 1
listeners: [{ address: 127.0.0.1:${PORTS.gateway} }]
admin: false
defaults: { accessLog: false }
upstreams:
  one: { targets: [{ url: "http://127.0.0.1:${PORTS.origin}" }] }
  two: { targets: [{ url: "http://127.0.0.1:${PORTS.h2c}" }], protocol: h2c }
  three: { targets: [{ url: "http://127.0.0.1:${PORTS.joining}" }], protocol: h2c }
routes:
  - { name: one, match: { path: /one }, to: one }
  - { name: two, match: { path: /two }, to: two }
  - { name: three, match: { path: /three }, to: three }
`;

function startNginx(directory: string, name: string, port: number, http: string): Promise<Peer> {
  const { file, text } = writeNginx({ name, directory, workers: 1, http });
  return launch({ name, directory, port, command: "nginx", arguments: ["-c", file], configuration: text });
}

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-h2c-"));
fs.chmodSync(directory, 0o755); // nginx workers may run as another user
const running: Peer[] = [];
let joining: ChildProcess | null = null;
try {
  running.push(await startOrigin(directory, PORTS.origin));
  const location = `location / { default_type text/plain; return 200 "${"x".repeat(256)}"; }`;
  const h2c = writeNginx({ name: "h2c", directory, workers: 1, http: `server { listen 127.0.0.1:${PORTS.h2c} http2; ${location} }` });
  // It answers no HTTP/1.1, by which launch() would see that it is there.
  const origin = { name: "h2c", directory, port: PORTS.origin, command: "nginx", arguments: ["-c", h2c.file], configuration: h2c.text };
  running.push(await launch(origin));
  const nginx = await startNginx(
    directory,
    "proxy",
    PORTS.nginx,
    `upstream origin { server 127.0.0.1:${PORTS.origin}; keepalive 128; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:${PORTS.nginx}; location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; } }`,
  );
  joining = spawn(process.execPath, [path.join(import.meta.dirname, "h2c-origin.ts"), String(PORTS.joining)], { stdio: "inherit" });
  const gateway = await startSluiceWith(directory, PORTS.gateway, gatewayConfig);
  running.push(nginx, gateway);
  const cases = [
    { name: "HTTP/1.1", url: `${gateway.url}one`, pids: processTree(gateway.pid) },
    { name: "h2c, nginx", url: `${gateway.url}two`, pids: processTree(gateway.pid) },
    { name: "h2c, an origin that joins writes", url: `${gateway.url}three`, pids: processTree(gateway.pid) },
    { name: "nginx, HTTP/1.1", url: `http://127.0.0.1:${PORTS.nginx}/`, pids: processTree(nginx.pid) },
  ];
  const samples = new Map(cases.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { name, url, pids } of cases) {
      const before = cpuMicros(pids);
      const result = await runWrk({ url, seconds: SECONDS, connections: CONNECTIONS, headers: {} });
      if (result.failedStatus > 0 || result.requests === 0)
        throw new Error(`${name}: ${result.failedStatus} of ${result.requests} refused`);
      if (round > 0) samples.get(name)?.push((cpuMicros(pids) - before) / result.requests); // the first round warms up
    }
  }
  for (const [name, list] of samples)
    console.log(`${name.padEnd(32)} ${median(list).toFixed(1)} us a request; rounds ${list.map((each) => each.toFixed(1)).join(" ")}`);
} finally {
  joining?.kill();
  await Promise.all(running.map((peer) => peer.stop()));
  fs.rmSync(directory, { recursive: true, force: true });
}
