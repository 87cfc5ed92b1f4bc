// `npm run acceptance:bodies`: 1 GiB down and 1 GiB up through a peer that takes or gives 1 MB/s for a while, then all it can.
// Prints the gateway's resident memory on the way; exits 1 when a byte is lost or memory grows with the body.
import { createHash } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startSluiceWith } from "../../native-bench/peers/sluice.ts";
import { processTree, residentBytes } from "../../src/cli/bench/process-cost.ts";

const BYTES = Number(process.env["BYTES"] ?? 1024 ** 3);
const SLOW_SECONDS = Number(process.env["SLOW_SECONDS"] ?? 15);
const SLOW_BYTES_PER_SECOND = 1_000_000;
/** What a 2 Gbit/s link carries. At memory speed the uws engine cannot stop a peer in the middle of a burst (docs/engines.md). */
const FAST_BYTES_PER_SECOND = 250_000_000;
const SLICE = Buffer.alloc(64 * 1024, "sluice");
/** Garbage included; and the uws engine cannot stop in the middle of a burst from a client on this machine. */
const GROWTH_BYTES_MAX = 128 * 1024 ** 2;
const PORTS = { gateway: 19_310, origin: 19_311 };

const expected = createHash("sha256");
for (let sent = 0; sent < BYTES; sent += SLICE.length) expected.update(SLICE.subarray(0, Math.min(SLICE.length, BYTES - sent)));
const digest = expected.digest("hex");

/** Sends the body as fast as the other side takes it, or `slow` for the first seconds. */
async function send(stream: NodeJS.WritableStream, slow: boolean): Promise<void> {
  const startMs = performance.now();
  for (let sent = 0; sent < BYTES; sent += SLICE.length) {
    const room = stream.write(SLICE.subarray(0, Math.min(SLICE.length, BYTES - sent)));
    if (!room) await new Promise((resolve) => stream.once("drain", resolve));
    await pace(startMs, sent, slow);
  }
  stream.end();
}

/** Reads a body, `slow` for the first seconds. @returns its SHA-256 */
async function receive(stream: AsyncIterable<Buffer>, slow: boolean): Promise<string> {
  const startMs = performance.now();
  const hash = createHash("sha256");
  let received = 0;
  for await (const chunk of stream) {
    hash.update(chunk);
    received += chunk.length;
    if (slow) await pace(startMs, received, true);
  }
  return hash.digest("hex");
}

/** Waits while more went through than the link carries. @param slow 1 MB/s for the first seconds */
async function pace(startMs: number, bytes: number, slow: boolean): Promise<void> {
  const elapsedMs = performance.now() - startMs;
  const slowMs = slow ? Math.min(elapsedMs, SLOW_SECONDS * 1000) : 0;
  const allowed = (slowMs * SLOW_BYTES_PER_SECOND + (elapsedMs - slowMs) * FAST_BYTES_PER_SECOND) / 1000;
  if (bytes <= allowed) return;
  const rate = slow && elapsedMs < SLOW_SECONDS * 1000 ? SLOW_BYTES_PER_SECOND : FAST_BYTES_PER_SECOND;
  await sleep(Math.max(1, ((bytes - allowed) / rate) * 1000));
}

const origin = http.createServer((request, response) => {
  if (request.method === "GET") {
    response.writeHead(200, { "content-length": BYTES });
    void send(response, false);
    return;
  }
  const slow = request.url === "/slow-origin";
  void receive(request, slow).then((hash) => response.end(hash));
});
await new Promise<void>((resolve) => origin.listen(PORTS.origin, "127.0.0.1", resolve));

function get(): Promise<string> {
  return new Promise((resolve, reject) => {
    http
      .get({ port: PORTS.gateway, host: "127.0.0.1", path: "/" }, (response) => receive(response, true).then(resolve, reject))
      .on("error", reject);
  });
}

function put(target: string, slow: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { port: PORTS.gateway, host: "127.0.0.1", path: target, method: "PUT", headers: { "content-length": BYTES } },
      (response) => response.toArray().then((parts) => resolve(Buffer.concat(parts).toString()), reject),
    );
    request.on("error", reject);
    void send(request, slow);
  });
}

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bodies-"));
const gateway = await startSluiceWith(
  directory,
  PORTS.gateway,
  `version: 1
workers: 1
limits: { bodyBytes: 2GiB }
listeners: [{ address: 127.0.0.1:${PORTS.gateway} }]
upstreams: { origin: { targets: [{ url: "http://127.0.0.1:${PORTS.origin}" }] } }
routes: [{ name: all, match: { path: /** }, to: origin }]
`,
);
const resident = (): number => residentBytes(processTree(gateway.pid));
const mib = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
try {
  for (const [name, run] of [
    ["download, slow client", get],
    ["upload, slow client", () => put("/", true)],
    ["upload, slow upstream", () => put("/slow-origin", false)],
  ] as const) {
    const before = resident();
    let peak = before;
    const watch = setInterval(() => {
      peak = Math.max(peak, resident());
    }, 200);
    const startMs = performance.now();
    const hash = await run();
    clearInterval(watch);
    const intact = hash === digest;
    console.log(
      `${name}: ${mib(BYTES)} in ${((performance.now() - startMs) / 1000).toFixed(1)} s, ${intact ? "intact" : "DAMAGED"}, resident ${mib(before)} before, ${mib(peak)} at most`,
    );
    if (!intact || peak - before > GROWTH_BYTES_MAX) process.exitCode = 1;
  }
} finally {
  await gateway.stop();
  origin.close();
  fs.rmSync(directory, { recursive: true, force: true });
}
