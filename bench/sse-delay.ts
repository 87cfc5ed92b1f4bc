// Measures what the gateway adds to each server-sent event on its way (aim: under 5 ms), on both engines, from `dist/` when it is built.
// Run: node bench/sse-delay.ts [events]. Service and client are this process, so that one clock times both ends; the gateway is its own.
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import http, { type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const EVENTS = Number(process.argv[2] ?? 200);
/** Between two events: long enough that each travels alone; varied, so that no timer can fall into step with it. */
const GAP_MS_MIN = 10;
const GAP_MS_MAX = 30;
const READY_WITHIN_MS = 20_000;
const ROOT = path.join(import.meta.dirname, "..");

/** An event stream that this process writes. */
interface Stream {
  /** Asks for it. @returns the first byte's delay, and the delay of each event, ms */
  measure(url: string): Promise<{ readonly headMs: number; readonly eventMs: readonly number[] }>;
  readonly url: string;
  close(): void;
}

async function startService(): Promise<Stream> {
  let opened: (response: ServerResponse) => void = () => {};
  const server = http.createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.flushHeaders();
    opened(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
    async measure(url) {
      let headSentMs = 0;
      const source = new Promise<ServerResponse>((resolve) => {
        opened = (response) => {
          headSentMs = performance.now();
          resolve(response);
        };
      });
      const request = http.get(url, { agent: false });
      const response = await new Promise<http.IncomingMessage>((resolve, reject) =>
        request.once("response", resolve).once("error", reject),
      );
      const headMs = performance.now() - headSentMs;
      const events = await source;
      const eventMs: number[] = [];
      let arrived: () => void = () => {};
      response.setEncoding("latin1").on("data", (text: string) => {
        if (text.includes("data:")) arrived(); // not the comment that carries the head
      });
      for (let i = 0; i < EVENTS; i++) {
        await pause(GAP_MS_MIN + Math.random() * (GAP_MS_MAX - GAP_MS_MIN));
        const delivery = new Promise<void>((resolve) => {
          arrived = resolve;
        });
        const sentMs = performance.now();
        events.write(`data: event ${i}\n\n`);
        await delivery;
        eventMs.push(performance.now() - sentMs);
      }
      events.end();
      request.destroy();
      return { headMs, eventMs };
    },
  };
}

/** @returns base URLs of a uws and a node listener, and the process */
async function startGateway(upstream: string): Promise<{ readonly urls: readonly string[]; readonly child: ChildProcess }> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-sse-"));
  const file = path.join(folder, "sluice.yaml");
  fs.writeFileSync(
    file,
    `version: 1
workers: 1
admin: false
listeners: [ { address: "127.0.0.1:0" }, { address: "127.0.0.1:0", engine: net } ]
upstreams: { u: { targets: [ { url: "${upstream}" } ] } }
routes: [ { name: all, match: {}, to: u }, { name: compress, match: { path: /compress }, compress: {}, to: u } ]
`,
  );
  const bundle = path.join(ROOT, "dist/main.js");
  const entry = fs.existsSync(bundle) ? bundle : path.join(ROOT, "src/main.ts");
  const env = { ...process.env, SLUICE_RUN_DIR: path.join(folder, "run") };
  const child = spawn(process.execPath, [entry, "start", "-c", file, "--no-supervisor"], { stdio: ["ignore", "pipe", "inherit"], env });
  process.once("exit", () => {
    child.kill("SIGKILL");
    fs.rmSync(folder, { recursive: true, force: true });
  });
  let printed = "";
  child.stdout.setEncoding("latin1").on("data", (text: string) => {
    if (printed.length < 64 * 1024) printed += text;
  });
  const deadlineMs = performance.now() + READY_WITHIN_MS;
  while (!/^ready .* pid/m.test(printed)) {
    if (child.exitCode !== null || performance.now() > deadlineMs) throw new Error(`the gateway did not get ready:\n${printed}`);
    await pause(10);
  }
  return { urls: /^ready (.+) pid/m.exec(printed)?.[1]?.split(" ") ?? [], child };
}

const at = (sorted: readonly number[], part: number): string =>
  (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(3);

const service = await startService();
const { urls, child } = await startGateway(service.url);
const [uws = "", net = ""] = urls;
const ways = [
  ["direct", service.url],
  ["uws", uws],
  ["net", net],
  ["uws, route with compress", `${uws}/compress`],
] as const;
let directMs = 0;
for (const [name, url] of ways) {
  await service.measure(url); // once to be warm
  const { headMs, eventMs } = await service.measure(url);
  const sorted = eventMs.toSorted((a, b) => a - b);
  const median = Number(at(sorted, 0.5));
  if (name === "direct") directMs = median;
  const added = name === "direct" ? "" : `, added ${(median - directMs).toFixed(3)} ms`;
  console.log(
    `${name}: head ${headMs.toFixed(3)} ms; ${EVENTS} events: median ${at(sorted, 0.5)} ms${added}, p99 ${at(sorted, 0.99)} ms, worst ${at(sorted, 1)} ms`,
  );
}
service.close();
const ended = new Promise((resolve) => child.once("exit", resolve));
child.kill("SIGTERM");
await ended;
