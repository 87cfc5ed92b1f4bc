// Measures the CPU that a request costs the gateway without a subrequest to a service, with one, and with a decision that is kept: one gateway,
// interleaved rounds, medians. Run: npm run -s build && node bench/forward-auth-cpu.ts. ROUNDS and SECONDS (of each round) may be set in the environment.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { runWrk } from "../native-bench/measure/wrk.ts";
import { startOrigin } from "../native-bench/peers/origin.ts";
import type { Peer } from "../native-bench/peers/peer.ts";
import { startSluiceWith } from "../native-bench/peers/sluice.ts";
import { cpuMicros, processTree } from "../src/cli/bench/process-cost.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 15);
const SECONDS = Number(process.env["SECONDS"] ?? 2);
const CONNECTIONS = 64;
const PORTS = { gateway: 19_330, origin: 19_331, service: 19_332 };

/** All send the same headers. */
const headers = { authorization: "Bearer abcdefghijklmnopqrstuvwxyz", cookie: "session=0123456789abcdef; theme=dark" };

const service = `url: "http://127.0.0.1:${PORTS.service}/verify", responseHeaders: [x-user]`;
const configuration = `version: 1
workers: 1
listeners: [{ address: 127.0.0.1:${PORTS.gateway} }]
admin: false
defaults: { accessLog: false }
upstreams: { app: { targets: [{ url: "http://127.0.0.1:${PORTS.origin}" }] } }
routes:
  - { name: none, match: { path: /none }, to: app }
  - { name: asked, match: { path: /asked }, forwardAuth: { ${service} }, to: app }
  - { name: kept, match: { path: /kept }, forwardAuth: { ${service}, cache: { for: 1h } }, to: app }
`;

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bench-"));
fs.chmodSync(directory, 0o755); // nginx workers may run as another user
const running: Peer[] = [];
try {
  running.push(await startOrigin(directory, PORTS.origin), await startOrigin(directory, PORTS.service, "service"));
  const gateway = await startSluiceWith(directory, PORTS.gateway, configuration);
  running.push(gateway);
  const pids = processTree(gateway.pid);
  const micros: Record<string, number[]> = { none: [], asked: [], kept: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [route, samples] of Object.entries(micros)) {
      const before = cpuMicros(pids);
      const result = await runWrk({ url: `${gateway.url}${route}`, seconds: SECONDS, connections: CONNECTIONS, headers });
      if (result.failedStatus > 0 || result.requests === 0)
        throw new Error(`/${route}: ${result.failedStatus} of ${result.requests} refused`);
      if (round > 0) samples.push((cpuMicros(pids) - before) / result.requests); // the first round warms up
    }
  }
  const base = micros["none"] ?? [];
  for (const [route, samples] of Object.entries(micros)) {
    // Each round's difference from the same round without a subrequest: noise of the machine that lasts longer than a round falls out.
    const added = median(samples.map((each, i) => each - (base[i] ?? each)));
    console.log(`${route.padEnd(5)} ${median(samples).toFixed(1)} us a request, added in a round ${added.toFixed(1)} us`);
  }
} finally {
  await Promise.all(running.map((peer) => peer.stop()));
  fs.rmSync(directory, { recursive: true, force: true });
}
