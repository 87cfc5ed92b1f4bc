// `npm run acceptance:waiting`: 100,000 HTTP/2 requests (STREAMS) at once for an upstream that answers nobody. Prints how many of them wait at most and what each
// holds in the gateway, how fast the others are refused, and that all of it is given back; exits 1 when a bound does not hold.
import fs from "node:fs";
import http, { type ServerResponse } from "node:http";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startSluiceWith } from "../../native-bench/peers/sluice.ts";
import { processTree, residentBytes } from "../../src/cli/bench/process-cost.ts";
import { WAITER_BYTES } from "../../src/data/upstream/overload/gate.ts";
import { H2Crowd } from "../support/h2-crowd.ts";
import { request } from "../support/raw-h2-client.ts";

const STREAMS = Number(process.env["STREAMS"] ?? 100_000);
/** Callers told apart. */
const CALLERS = Number(process.env["CALLERS"] ?? 1000);
const FLOWS = Number(process.env["FLOWS"] ?? 256);
const PER_CONNECTION = 1000;
const IN_FLIGHT = 64;
/** How long the service takes before it stops answering, ms: what is long in line, goes by it. */
const SERVICE_MS = 900;
const TAUGHT = 4 * IN_FLIGHT;
const BATCH = 100;
/** A refused request whose answer is on its way, and what was garbage by then. */
const REFUSED_BYTES = 2048;
/** Besides: garbage, connections. */
const SPARE_BYTES = 64 * 1024 ** 2;
/** Asked one by one while the line is full, and how fast half of them must have somebody refused, ms. */
const SINGLES = 200;
const REFUSED_MS_MAX = 5;
const WITHIN_MS = 120_000;
const PORTS = { gateway: 19_350, origin: 19_351, admin: 19_352 };

let asked = 0;
const origin = http.createServer((_request, response: ServerResponse) => {
  if (asked++ < TAUGHT) setTimeout(() => response.end(), SERVICE_MS);
});
await new Promise<void>((resolve) => origin.listen(PORTS.origin, "127.0.0.1", resolve));
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-waiting-"));
let failures = 0;

interface Overload {
  readonly inFlight: number;
  readonly apart: number;
  readonly waiting: number;
}

async function overload(): Promise<Overload> {
  const response = await fetch(`http://127.0.0.1:${PORTS.admin}/upstreams`);
  return ((await response.json()) as { readonly overload: Overload }[])[0]?.overload as Overload; // the admin listener's documented form
}

async function reached(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadlineMs = performance.now() + WITHIN_MS;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${WITHIN_MS / 1000} s: ${what}`);
    await sleep(50);
  }
}

function holds(what: string, isSo: boolean): void {
  console.log(`${isSo ? "holds " : "FAILS "} ${what}`);
  if (!isSo) failures++;
}

const quantile = (list: number[], part: number): number => list.sort((a, b) => a - b)[Math.floor(list.length * part)] ?? 0;
const mib = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;

/** So many more, a batch at a time. */
async function ask(crowd: H2Crowd, requests: number): Promise<void> {
  for (let i = 0; i < requests; i++) {
    const n = crowd.sent;
    crowd.ask(Math.floor(n / PER_CONNECTION), request("/wait", "GET", ["x-caller", `caller-${n % CALLERS}`]));
    if (i % BATCH === BATCH - 1) await new Promise(setImmediate);
  }
}

/** The line is full: each one that comes has somebody refused at once. */
async function singles(crowd: H2Crowd): Promise<void> {
  const took: number[] = [];
  for (let i = 0; i < SINGLES; i++) {
    const before = crowd.answered;
    const startMs = performance.now();
    await ask(crowd, 1);
    while (crowd.answered === before) await new Promise(setImmediate);
    took.push(performance.now() - startMs);
  }
  console.log(`one by one: refused after ${quantile(took, 0.5).toFixed(2)} ms, p99 ${quantile(took, 0.99).toFixed(2)} ms`);
  holds(`half of them within ${REFUSED_MS_MAX} ms`, quantile(took, 0.5) <= REFUSED_MS_MAX);
}

const configuration = (bytes: number): string => `version: 1
workers: 1
admin: { address: "127.0.0.1:${PORTS.admin}" }
limits: { streamsPerConnection: ${PER_CONNECTION} }
listeners: [{ address: "127.0.0.1:${PORTS.gateway}", h2c: true }]
upstreams:
  u:
    targets: [{ url: "http://127.0.0.1:${PORTS.origin}" }]
    pool: { connections: 1000 }
    timeouts: { attempt: 10m, total: 10m }
    overload:
      { mode: on, minimum: ${IN_FLIGHT}, maximum: ${IN_FLIGHT}, fairBy: { header: x-caller }, queue: { length: ${STREAMS}, bytes: ${bytes}, flows: ${FLOWS}, wait: 60s } }
routes: [{ name: all, match: { path: /** }, to: u }]
`;

async function run(name: string, room: number): Promise<void> {
  console.log(`\n## ${name}: ${STREAMS} requests of ${CALLERS} callers, ${room} may wait, ${FLOWS} flows`);
  asked = 0;
  const gateway = await startSluiceWith(directory, PORTS.gateway, configuration(room * WAITER_BYTES));
  const resident = (): number => residentBytes(processTree(gateway.pid));
  try {
    await using crowd = await H2Crowd.open(PORTS.gateway, Math.ceil((STREAMS + TAUGHT + SINGLES) / PER_CONNECTION));
    for (let sent = 0; sent < TAUGHT; sent += IN_FLIGHT) {
      await ask(crowd, IN_FLIGHT);
      await reached("the service has answered the first ones", () => crowd.answered === crowd.sent);
    }
    crowd.answers.took.clear();
    const before = resident();
    let most: Overload & { readonly resident: number } = { inFlight: 0, apart: 0, waiting: 0, resident: before };
    let peak = before;
    let sampling = true;
    const samples = (async () => {
      while (sampling) {
        const now = { ...(await overload()), resident: resident() };
        if (now.waiting > most.waiting) most = now;
        peak = Math.max(peak, now.resident);
        await sleep(100);
      }
    })();
    const startMs = performance.now();
    await ask(crowd, STREAMS);
    await reached("all are answered or wait", async () => {
      const { inFlight, apart, waiting } = await overload();
      return crowd.answered + inFlight + apart + waiting >= crowd.sent;
    });
    const tookMs = performance.now() - startMs;
    sampling = false;
    await samples;
    const refusals = crowd.answers.took.get(503) ?? [];
    const each = most.waiting === 0 ? 0 : (most.resident - before) / most.waiting;
    console.log(
      `all there after ${(tookMs / 1000).toFixed(1)} s; at most ${most.waiting} waited, ${refusals.length} were refused: half of these within ${quantile(refusals, 0.5).toFixed(0)} ms`,
    );
    console.log(
      `resident ${mib(before)} before, ${mib(most.resident)} while most waited (${each.toFixed(0)} bytes each), ${mib(peak)} at most`,
    );
    holds(`no more than ${room} wait`, most.waiting <= room);
    holds("every request was refused, waits or is with the service", crowd.answers.counts["200"] === TAUGHT && crowd.closed === 0);
    holds(
      "what waits holds no more than queue.bytes",
      peak - before <= WAITER_BYTES * room + REFUSED_BYTES * refusals.length + SPARE_BYTES,
    );
    if (refusals.length > 0) await singles(crowd);
    const cancelMs = performance.now();
    crowd.cancelAll();
    await reached("nobody waits", async () => {
      const { inFlight, apart, waiting } = await overload();
      return inFlight + apart + waiting === 0;
    });
    console.log(`all gave up: nobody waits after ${((performance.now() - cancelMs) / 1000).toFixed(1)} s`);
  } finally {
    await gateway.stop();
  }
}

try {
  const which = process.env["ONLY"] ?? "";
  if (which !== "bytes") await run("bounded by length", STREAMS);
  if (which !== "length") await run("bounded by bytes", STREAMS / 10);
} finally {
  origin.close();
  origin.closeAllConnections();
  fs.rmSync(directory, { recursive: true, force: true });
}
console.log(failures === 0 ? "\nall bounds hold" : `\n${failures} do not hold`);
process.exit(failures === 0 ? 0 : 1);
