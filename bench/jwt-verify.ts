// Measures what first verifications cost: through the pool thread, by jose on the event loop, by node:crypto on the event loop; and how late
// everything else on that loop gets meanwhile. Then the same against a real gateway: latency of public requests beside a flood of forged tokens.
// Run: npm run -s build && node bench/jwt-verify.ts [seconds a measurement]
import { spawn } from "node:child_process";
import fs from "node:fs";
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { compactVerify, importJWK } from "jose";
import { keyOfSecret, keysOfJwks } from "../src/data/credentials/key-material.ts";
import { VerifyPool } from "../src/offload/verify-pool.ts";
import { verifyBatch } from "../src/offload/verify-task.ts";
import type { VerificationKeyPlan } from "../src/plan/keys.ts";
import { hsToken, ISSUER, newSecret, signingKey, token } from "../test/support/jwt.ts";

const TOKENS = 300;
/** Tokens under way at once. */
const CONCURRENCY = 64;
/** The other traffic on the loop: a short task each so often (ms), whose lateness is measured. */
const TICK_MS = 2;
const FLOOD_CONNECTIONS = 48;
const PROBE_CONNECTIONS = 4;
/** A flood runs so long before anything beside it is measured: its code paths are compiled by then. */
const FLOOD_WARM_MS = 1500;

type Verify = (text: string) => Promise<boolean>;

interface Case {
  readonly alg: string;
  readonly texts: readonly string[];
  readonly plan: VerificationKeyPlan;
}

function caseOf(alg: string): Case {
  const secret = newSecret();
  const key = alg.startsWith("HS") ? null : signingKey(alg, "k");
  const outcome = key === null ? keyOfSecret(secret) : keysOfJwks([key.jwk], false);
  const plan = "key" in outcome ? outcome.key : "keys" in outcome ? outcome.keys[0] : undefined;
  if (plan === undefined) throw new Error(`no key for ${alg}`);
  const claims = (i: number) => ({ jti: String(i), roles: ["admin", "user"], email: "alice@example.com" });
  return {
    alg,
    plan,
    texts: Array.from({ length: TOKENS }, (_, i) => (key === null ? hsToken(alg, secret, claims(i)) : token(key, claims(i)))),
  };
}

async function waysOf({ alg, plan }: Case, pool: VerifyPool): Promise<Readonly<Record<string, Verify>>> {
  const key = plan.jwk.kty === "oct" ? Buffer.from(plan.jwk.k, "base64url") : await importJWK({ ...plan.jwk }, alg);
  return {
    "pool thread": async (text) => (await pool.verify(text, alg, plan)) === "good",
    "jose inline": async (text) => (await compactVerify(text, key, { algorithms: [alg] })).payload.length > 0,
    "node:crypto inline": async (text) => (await verifyBatch({ keys: [plan], tokens: [{ token: text, alg, key: 0 }] }))[0] === 1,
  };
}

/** Lateness of a periodic task, ms. */
class Ticker {
  readonly late: number[] = [];
  readonly #timer: NodeJS.Timeout;
  constructor() {
    let due = performance.now() + TICK_MS;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.late.push(Math.max(0, now - due));
      due = now + TICK_MS;
    }, TICK_MS);
  }
  stop(): void {
    clearInterval(this.#timer);
  }
}

const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN;

async function measure(texts: readonly string[], verify: Verify, ms: number): Promise<string> {
  let done = 0;
  const endMs = performance.now() + ms;
  const ticker = new Ticker();
  const cpu = process.threadCpuUsage();
  const whole = process.cpuUsage();
  const lane = async (first: number): Promise<void> => {
    for (let i = first; performance.now() < endMs; i += CONCURRENCY) {
      if (!(await verify(texts[i % texts.length] ?? ""))) throw new Error("a good token was refused");
      done++;
      // As between two requests of a connection: the loop turns.
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, (_, i) => lane(i)));
  ticker.stop();
  const loop = process.threadCpuUsage(cpu);
  const all = process.cpuUsage(whole);
  const us = (used: { readonly user: number; readonly system: number }): string =>
    ((used.user + used.system) / done).toFixed(1).padStart(6);
  return `${String(Math.round((done / ms) * 1000)).padStart(7)}/s  loop ${us(loop)} us  process ${us(all)} us a token  other work late p99 ${quantile(ticker.late, 0.99).toFixed(1)} ms`;
}

async function inProcess(ms: number): Promise<void> {
  const warnings: string[] = [];
  const pool = new VerifyPool((message) => warnings.push(message));
  for (const each of ["HS256", "RS256", "ES256", "EdDSA"].map(caseOf)) {
    for (const [name, verify] of Object.entries(await waysOf(each, pool))) {
      await measure(each.texts, verify, ms / 4); // warm
      console.log(`${each.alg.padEnd(6)} ${name.padEnd(19)} ${await measure(each.texts, verify, ms)}`);
    }
  }
  await pool.close();
  if (warnings.length > 0) throw new Error(warnings.join());
}

/** Asks one after the other on each connection until the time is up. @returns latencies, ms, and statuses with how often */
async function ask(url: string, connections: number, ms: number, headers: () => Readonly<Record<string, string>>) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const latencies: number[] = [];
  const statuses = new Map<number, number>();
  const endMs = performance.now() + ms;
  const once = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const start = performance.now();
      const asked = request(url, { agent, headers: headers() }, (response) => {
        response.resume().once("end", () => {
          latencies.push(performance.now() - start);
          statuses.set(response.statusCode ?? 0, (statuses.get(response.statusCode ?? 0) ?? 0) + 1);
          resolve();
        });
      });
      asked.once("error", reject).end();
    });
  const lane = async (): Promise<void> => {
    while (performance.now() < endMs) await once();
  };
  await Promise.all(Array.from({ length: connections }, lane));
  agent.destroy();
  return { latencies, statuses };
}

/** Runs as a thread of its own, so that the flood does not delay the probe. */
const FLOOD = `
const { workerData, parentPort } = require("node:worker_threads");
const { Agent, request } = require("node:http");
const { url, token, connections, ms } = workerData;
const agent = new Agent({ keepAlive: true, maxSockets: connections });
const head = token.slice(0, -9);
let n = 0; const statuses = {};
const end = performance.now() + ms;
const once = () => new Promise((resolve) => {
  const forged = head + (n++).toString(36).padStart(8, "A") + "A";
  request(url, { agent, headers: { authorization: "Bearer " + forged } }, (r) => r.resume().once("end", () => {
    statuses[r.statusCode] = (statuses[r.statusCode] ?? 0) + 1; resolve();
  })).once("error", resolve).end();
});
const lane = async () => { while (performance.now() < end) await once(); };
Promise.all(Array.from({ length: connections }, lane)).then(() => { agent.destroy(); parentPort.postMessage(statuses); });
`;

async function againstGateway(ms: number): Promise<void> {
  const origin = createServer((_, response) => response.end("ok")).listen(0, "127.0.0.1");
  await new Promise((resolve) => origin.once("listening", resolve));
  const key = signingKey("RS256", "k");
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bench-"));
  fs.writeFileSync(path.join(folder, "jwks.json"), JSON.stringify({ keys: [key.jwk] }));
  const { port } = origin.address() as AddressInfo; // a TCP server that listens has one
  fs.writeFileSync(
    path.join(folder, "c.yaml"),
    `version: 1
workers: 1
admin: false
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { u: { targets: [{ url: "http://127.0.0.1:${port}" }] } }
auth: { corp: { jwt: { issuer: "${ISSUER}", audience: api, keys: "file:jwks.json", algorithms: [RS256] } } }
routes:
  - { name: open, match: { path: /open }, auth: none, to: u }
  - { name: jwt, match: { path: /jwt }, auth: corp, to: u }
`,
  );
  const gateway = spawn(process.execPath, ["dist/main.js", "start", "-c", path.join(folder, "c.yaml")], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, SLUICE_RUN_DIR: path.join(folder, "run") },
  });
  const url = await new Promise<string>((resolve) => {
    gateway.stdout.setEncoding("utf8").on("data", (text: string) => {
      const ready = /^ready (\S+)/m.exec(text);
      if (ready?.[1] !== undefined) resolve(ready[1]);
    });
  });
  const good = token(key);
  const probe = async (what: string, target: string, headers: () => Readonly<Record<string, string>>) => {
    const { latencies, statuses } = await ask(url + target, PROBE_CONNECTIONS, ms, headers);
    const said = [...statuses].map(([status, count]) => `${count} x ${status}`).join(", ");
    console.log(
      `${what.padEnd(44)} p50 ${quantile(latencies, 0.5).toFixed(2)} ms  p99 ${quantile(latencies, 0.99).toFixed(2)} ms  (${said})`,
    );
  };
  const bearer = () => ({ authorization: `Bearer ${good}` });
  const flood = async (target: string) => {
    const worker = new Worker(FLOOD, {
      eval: true,
      workerData: { url: url + target, token: good, connections: FLOOD_CONNECTIONS, ms: ms * 2 + FLOOD_WARM_MS + 500 },
    });
    const statuses = new Promise<unknown>((resolve) => worker.once("message", resolve));
    await new Promise((resolve) => setTimeout(resolve, FLOOD_WARM_MS));
    return { statuses };
  };
  await probe("warming up", "/open", () => ({}));
  await probe("public requests, alone", "/open", () => ({}));
  await probe("remembered token, alone", "/jwt", bearer);
  // The same load without a decision to make tells what the flood's requests cost by themselves.
  const plain = await flood("/nowhere");
  await probe("public requests, beside a flood of 404", "/open", () => ({}));
  await probe("remembered token, beside a flood of 404", "/jwt", bearer);
  console.log("  the flood:", await plain.statuses);
  const forged = await flood("/jwt");
  await probe("public requests, beside a flood of forged", "/open", () => ({}));
  await probe("remembered token, beside a flood of forged", "/jwt", bearer);
  console.log("  the flood:", await forged.statuses);
  gateway.kill("SIGTERM");
  await new Promise((resolve) => gateway.once("exit", resolve));
  origin.close();
  fs.rmSync(folder, { recursive: true });
}

if (import.meta.main) {
  const ms = Number(process.argv[2] ?? 3) * 1000;
  await inProcess(ms);
  await againstGateway(ms);
}
