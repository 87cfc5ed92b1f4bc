// Measures how the kernel shares connections out between the workers of a port (SO_REUSEPORT: by a hash of addresses and ports), and what a burst
// of connections meets while a worker stands still: the accept queue (backlog) of the uws engine is 512, that of the net engine 4096.
// Run: npm run -s build && node bench/reuseport.ts [--workers 2] [--trials 20]. Loopback; the gateway answers by itself.
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { median } from "../native-bench/measure/statistics.ts";
import { portsFrom } from "../native-bench/peers/launch.ts";
import { startSluiceWith } from "../native-bench/peers/sluice.ts";

const CONNECTIONS = [64, 1000];
/** At once: more than one accept queue holds, fewer than the other. */
const BURST = 2000;
/** Less than a second, after which a SYN that found no place is sent again. */
const STANDSTILL_MS = 900;
const OPENING_MAX = 64;
const WITHIN_MS = 20_000;
const REQUEST = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

interface WorkerView {
  readonly connections: number;
}

const { values } = parseArgs({ options: { workers: { type: "string" }, trials: { type: "string" } } });
const workers = Number(values.workers ?? 2);
const trials = Number(values.trials ?? 20);
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-reuseport-"));
const freePort = portsFrom(19_700);

/** @returns a socket that has had an answer. */
function connect(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(REQUEST));
    socket.once("data", () => resolve(socket)).once("error", reject);
    socket.resume();
  });
}

async function connectAll(port: number, count: number): Promise<readonly net.Socket[]> {
  const sockets: net.Socket[] = [];
  const some = async (): Promise<void> => {
    while (sockets.length + opening < count) {
      opening++;
      const socket = await connect(port);
      opening--;
      sockets.push(socket);
    }
  };
  let opening = 0;
  await Promise.all(Array.from({ length: OPENING_MAX }, some));
  return sockets;
}

/** Connections of each worker, when all of them together have that many. */
async function shares(admin: number, count: number): Promise<readonly number[]> {
  const endMs = performance.now() + WITHIN_MS;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${admin}/workers`);
    const views = (await answer.json()) as WorkerView[]; // the admin listener's documented form
    const held = views.map((each) => each.connections);
    if (held.reduce((a, b) => a + b, 0) === count) return held;
    if (performance.now() > endMs) throw new Error(`${count} connections were expected, the workers have ${held.join(" + ")}`);
    await pause(50);
  }
}

const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;

async function split(port: number, admin: number): Promise<void> {
  for (const count of CONNECTIONS) {
    const busiest: number[] = [];
    for (let trial = 0; trial < trials; trial++) {
      const sockets = await connectAll(port, count);
      busiest.push(Math.max(...(await shares(admin, count))) / count);
      for (const socket of sockets) socket.destroy();
      await shares(admin, 0);
    }
    console.log(
      `${String(count).padStart(5)} connections, ${workers} workers, ${trials} trials: the busiest worker has ${percent(median(busiest))} ` +
        `in the median, ${percent(Math.max(...busiest))} at worst (even: ${percent(1 / workers)})`,
    );
  }
}

/** Connections that the kernel found no place for, machine-wide since boot (ListenOverflows of /proc/net/netstat). */
function overflows(): number {
  const [names = [], numbers = []] = fs
    .readFileSync("/proc/net/netstat", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("TcpExt:"))
    .map((line) => line.split(" "));
  return Number(numbers[names.indexOf("ListenOverflows")] ?? 0);
}

/** @returns ms that a connection took until its answer. */
async function timed(port: number): Promise<number> {
  const startMs = performance.now();
  const socket = await connect(port);
  socket.destroy();
  return performance.now() - startMs;
}

async function burst(name: string, port: number, admin: number): Promise<void> {
  const before = overflows();
  const standsStill = fetch(`http://127.0.0.1:${admin}/debug/block?worker=0&ms=${STANDSTILL_MS}`, { method: "POST" });
  await standsStill;
  const times = await Promise.all(Array.from({ length: BURST }, () => timed(port)));
  console.log(
    `${name}: ${BURST} connections at once while the worker stands still for ${STANDSTILL_MS} ms: ${overflows() - before} SYNs found no place and ` +
      `were sent again a second later; answers after ${median(times).toFixed(0)} ms in the median, ${Math.max(...times).toFixed(0)} ms at worst`,
  );
}

async function withGateway(
  text: (port: number, admin: number) => string,
  use: (port: number, admin: number) => Promise<void>,
): Promise<void> {
  const [port, admin] = [await freePort(), await freePort()];
  const folder = fs.mkdtempSync(path.join(directory, "gateway-"));
  const gateway = await startSluiceWith(folder, port, text(port, admin));
  try {
    await use(port, admin);
  } finally {
    await gateway.stop();
  }
}

const configuration = (count: number, listener: string) => (port: number, admin: number) =>
  `version: 1
workers: ${count}
listeners: [{ address: 127.0.0.1:${port}${listener} }]
admin: { address: 127.0.0.1:${admin} }
defaults: { accessLog: false }
routes: [{ name: all, match: { path: /** }, respond: { body: ok } }]
`;

try {
  await withGateway(configuration(workers, ""), split);
  await withGateway(configuration(1, ""), (port, admin) => burst("engine uws, backlog 512", port, admin));
  await withGateway(configuration(1, ", engine: net"), (port, admin) => burst("engine net, backlog 4096", port, admin));
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
