// Measures the CPU a request costs without authentication, with a remembered JWT and with an API key: one gateway, interleaved rounds, medians.
// Run: npm run -s build && node bench/auth-cpu.ts. ROUNDS and SECONDS (of each round) may be set in the environment.
import { createHash } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { runWrk } from "../native-bench/measure/wrk.ts";
import { startOrigin } from "../native-bench/peers/origin.ts";
import type { Peer } from "../native-bench/peers/peer.ts";
import { startSluiceWith } from "../native-bench/peers/sluice.ts";
import { cpuMicros, processTree } from "../src/cli/bench/process-cost.ts";
import { ISSUER, signingKey, token } from "../test/support/jwt.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 15);
const SECONDS = Number(process.env["SECONDS"] ?? 2);
const CONNECTIONS = 64;
const PORTS = { gateway: 19_320, origin: 19_321 };
const API_KEY = "sk_a-key-of-this-benchmark-only";

const key = signingKey("RS256", "k1");
const jwt = token(key, { roles: ["admin", "user"], email: "alice@example.com", realm_access: { roles: ["a", "b", "c"] } });

/** All send the same headers: those of the other kinds must be carried by every request alike. */
const headers = { authorization: `Bearer ${jwt}`, "x-api-key": API_KEY };

const configuration = `version: 1
workers: 1
listeners: [{ address: 127.0.0.1:${PORTS.gateway} }]
admin: false
defaults: { accessLog: false }
upstreams: { app: { targets: [{ url: "http://127.0.0.1:${PORTS.origin}" }] } }
consumers: [{ id: acme, keys: ["sha256:${createHash("sha256").update(API_KEY).digest("hex")}"] }]
auth:
  corp: { jwt: { issuer: "${ISSUER}", audience: api, keys: ${JSON.stringify({ keys: [key.jwk] })}, algorithms: [RS256] } }
  partners: { apiKey: { in: header, name: x-api-key } }
routes:
  - { name: none, match: { path: /none }, auth: none, to: app }
  - { name: jwt, match: { path: /jwt }, auth: corp, to: app }
  - { name: key, match: { path: /key }, auth: partners, to: app }
`;

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bench-"));
fs.chmodSync(directory, 0o755); // nginx workers may run as another user
const running: Peer[] = [];
try {
  running.push(await startOrigin(directory, PORTS.origin));
  const gateway = await startSluiceWith(directory, PORTS.gateway, configuration);
  running.push(gateway);
  const pids = processTree(gateway.pid);
  const micros: Record<string, number[]> = { none: [], jwt: [], key: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [route, samples] of Object.entries(micros)) {
      const before = cpuMicros(pids);
      const result = await runWrk({
        url: `${gateway.url}${route}`,
        seconds: SECONDS,
        connections: CONNECTIONS,
        headers,
      });
      if (result.failedStatus > 0 || result.requests === 0)
        throw new Error(`/${route}: ${result.failedStatus} of ${result.requests} refused`);
      if (round > 0) samples.push((cpuMicros(pids) - before) / result.requests); // the first round warms up
    }
  }
  const base = micros["none"] ?? [];
  for (const [route, samples] of Object.entries(micros)) {
    // Each round's difference from the same round without authentication: noise of the machine that lasts longer than a round falls out.
    const added = median(samples.map((each, i) => each - (base[i] ?? each)));
    const rounds = samples.map((each) => each.toFixed(1)).join(" ");
    console.log(`${route.padEnd(5)} ${median(samples).toFixed(1)} us a request, added in a round ${added.toFixed(1)} us; rounds ${rounds}`);
  }
} finally {
  await Promise.all(running.map((peer) => peer.stop()));
  fs.rmSync(directory, { recursive: true, force: true });
}
