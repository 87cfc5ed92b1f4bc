// Measures reloads of a large configuration under light traffic, on loopback: how long a reload takes, the CPU time of all processes and that of the
// worker's thread, and the longest time that a client waited meanwhile, which is the longest stop of the worker's event loop. Beside them the CPU time of
// `validate` and `routes`. Several builds are measured in turn. Linux.
// Run: node bench/reload.ts [--routes N] [--runs N] [DIST ...]   (default: 5000 routes, 9 runs, dist)
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net, { type AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

/** Between two requests of the client that watches, ms. */
const PACE_MS = 1;
/** Reloads of one gateway, of which the first is not counted: it compiles code. */
const RELOADS = 3;
/** After a reload, for what belongs to it and comes behind: timers, garbage, ms. */
const SETTLE_MS = 1000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: "string", default: "9" }, routes: { type: "string", default: "5000" } },
});
const root = path.join(import.meta.dirname, "..");
const builds = (positionals.length === 0 ? [path.join(root, "dist")] : positionals).map((build) => path.resolve(build));

const SAMPLED = [
  "reload, ms",
  "CPU of a reload, ms",
  "of it the worker's, ms",
  "longest wait, ms",
  "CPU of validate, ms",
  "CPU of routes, ms",
] as const;
type Sample = Readonly<Record<(typeof SAMPLED)[number], number>>;

interface Ports {
  readonly port: number;
  readonly admin: number;
  readonly upstream: number;
}

/** What people have: prefixes, parameters, hosts; limits, CORS, headers and authentication on some. */
function routeText(n: number, round: number): string {
  const match = [`path: /v1/svc-${n}/**`, `path: "/v2/svc-${n}/{id}", methods: [GET, PUT]`, `hosts: [h${n}.example.com]`][n % 3];
  const policies = [
    "",
    ", rateLimit: [{ per: ip, rate: 1000/s }]",
    ', cors: { origins: ["https://app.example.com"] }, headers: { request: { set: { x-n: "{header.x-m}" } } }',
    ", auth: keys, rewrite: { stripPrefix: /v1 }",
  ][n % 4];
  return `  - { name: r${n}, match: { ${match} }, to: up${n % 50}, timeouts: { total: ${5 + (round % 2)}s }${policies} }\n`;
}

function configText({ port, admin, upstream }: Ports, round: number): string {
  const upstreams = Array.from({ length: 50 }, (_, n) => `  up${n}: { targets: [{ url: "http://127.0.0.1:${upstream}" }] }\n`).join("");
  const routes = Array.from({ length: Number(values.routes) }, (_, n) => routeText(n, round)).join("");
  return (
    `version: 1\nworkers: 1\nlisteners: [{ address: "127.0.0.1:${port}" }]\nadmin: { address: "127.0.0.1:${admin}" }\n` +
    "auth: { keys: { apiKey: { in: header, name: x-key } } }\ndefaults: { auth: none }\n" +
    `upstreams:\n${upstreams}routes:\n${routes}`
  );
}

/** CPU time of a process, of all threads that it had, ms; in steps of 10. */
function cpuMsOf(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** CPU time of the worker's thread, ms. */
function workerMsOf(pid: number): number {
  const tasks = fs.readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}`);
  const worker = tasks.find((task) => fs.readFileSync(`${task}/comm`, "latin1").startsWith("sluice-worker"));
  return Number(fs.readFileSync(`${worker}/schedstat`, "latin1").split(" ")[0]) / 1e6;
}

/** Asks again and again on one connection, and keeps the longest wait. */
class Watch {
  longestMs = 0;
  readonly #socket: net.Socket;
  #sinceMs = 0;

  constructor(port: number) {
    this.#socket = net.connect(port, "127.0.0.1", () => this.#ask());
    this.#socket.on("data", () => {
      this.longestMs = Math.max(this.longestMs, performance.now() - this.#sinceMs);
      setTimeout(() => this.#ask(), PACE_MS);
    });
    this.#socket.on("error", () => this.#socket.destroy());
  }

  #ask(): void {
    if (this.#socket.destroyed) return;
    this.#sinceMs = performance.now();
    this.#socket.write("GET /v1/svc-0/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }

  close(): void {
    this.#socket.destroy();
  }
}

function cpuOfCommand(build: string, command: string, file: string): number {
  const script = 'TIMEFORMAT="%U %S"; time "$@" >/dev/null 2>/dev/null';
  const timed = spawnSync("bash", ["-c", script, "bash", path.join(build, "sluice"), command, "-c", file], {
    encoding: "utf8",
    env: { ...process.env, SLUICE_NODE: process.execPath },
  });
  const [user = 0, system = 0] = timed.stderr.trim().split("\n").at(-1)?.split(" ").map(Number) ?? [];
  return (user + system) * 1000;
}

async function measure(build: string, directory: string, upstream: number): Promise<Sample[]> {
  const ports = { port: await freePort(), admin: await freePort(), upstream };
  const file = path.join(directory, "sluice.yaml");
  fs.writeFileSync(file, configText(ports, 0));
  const child = spawn(path.join(build, "sluice"), ["start", "--no-supervisor", "-c", file], {
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, SLUICE_NODE: process.execPath, SLUICE_RUN_DIR: path.join(directory, "run") },
  });
  const pid = child.pid ?? 0;
  await once(child.stdout, "data");
  child.stdout.resume();
  const watch = new Watch(ports.port);
  const samples: Sample[] = [];
  try {
    for (let round = 1; round <= RELOADS; round++) {
      const before = { cpuMs: cpuMsOf(pid), workerMs: workerMsOf(pid), ms: performance.now() };
      watch.longestMs = 0;
      fs.writeFileSync(file, configText(ports, round));
      const answer = await fetch(`http://127.0.0.1:${ports.admin}/reload`, { method: "POST" });
      if (!answer.ok) throw new Error(`${build}: ${await answer.text()}`);
      const reloadMs = performance.now() - before.ms;
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const after = { cpuMs: cpuMsOf(pid), workerMs: workerMsOf(pid) };
      if (round > 1)
        samples.push({
          "reload, ms": reloadMs,
          "CPU of a reload, ms": after.cpuMs - before.cpuMs,
          "of it the worker's, ms": after.workerMs - before.workerMs,
          "longest wait, ms": watch.longestMs,
          "CPU of validate, ms": cpuOfCommand(build, "validate", file),
          "CPU of routes, ms": cpuOfCommand(build, "routes", file),
        });
    }
    return samples;
  } finally {
    watch.close();
    child.kill("SIGTERM");
    if (child.exitCode === null) await once(child, "exit");
  }
}

async function listening(server: net.Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port; // a TCP server that listens has one
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  const port = await listening(server);
  server.close();
  await once(server, "close");
  return port;
}

const at = (sorted: readonly number[], part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-reload-"));
const origin = net.createServer((socket) => {
  socket.on("error", () => socket.destroy());
  socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
});
const upstream = await listening(origin);
const samples = new Map<string, Sample[]>(builds.map((build) => [build, []]));
for (let run = 0; run < Number(values.runs); run++)
  for (const [build, list] of samples) list.push(...(await measure(build, directory, upstream)));
for (const [build, list] of samples) {
  console.log(`${path.relative(process.cwd(), build) || build}, ${values.routes} routes, load ${os.loadavg()[0]?.toFixed(1)}`);
  for (const name of SAMPLED) {
    const sorted = list.map((sample) => sample[name]).sort((a, b) => a - b);
    const shown = [0, 0.5, 1].map((part) => at(sorted, part).toFixed(0).padStart(6));
    console.log(`  ${name.padEnd(24)} min ${shown[0]}   median ${shown[1]}   max ${shown[2]}   (${list.length})`);
  }
}
fs.rmSync(directory, { recursive: true, force: true });
process.exit(0);
