// Measures cold starts: from the start of `DIST/sluice start` to the first answered request, on loopback, and the CPU time the whole process tree
// took until then; from the end of its primary by kill -9 to the next answered request; of the demo, what it prints itself. Several builds are measured in turn, so that what else the machine does meets all alike; runs that
// others took more than a tenth of the cores from are also left out of a second line (Linux). Beside them, what Node alone takes with nothing in it
// until there is a thread in a process, and everything as a ratio to that.
// Run: node bench/cold-start.ts [--runs N] [DIST ...]   (default: 15 runs, dist)
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net, { type AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

/** Between two tries to connect, ms; also about the error of a measurement. */
const RETRY_MS = 4;
const GIVE_UP_MS = 30_000;
/** Before each run, a quiet moment is waited for: this long (ms) without much going on, and at most so long. */
const QUIET_MS = 100;
const QUIET_WITHIN_MS = 4000;
/** Part of all cores that others may take in a quiet moment. */
const QUIET_SHARE = 0.1;

const ROOT = path.join(import.meta.dirname, "..");
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: "string", default: "15" } },
});
const builds = (positionals.length === 0 ? [path.join(ROOT, "dist")] : positionals).map((build) => path.resolve(build));

interface Sample {
  readonly wallMs: number;
  readonly cpuMs: number;
  /** Part of all cores' time that others took meanwhile. */
  readonly othersShare: number;
  /** Until the ready line, ms. */
  readonly readyMs: number;
  /** From kill -9 of the primary to an answer, ms. */
  readonly recoveryMs: number;
}

const THREAD = 'require("node:worker_threads").parentPort.postMessage("up")';
const INNER = `new (require("node:worker_threads").Worker)(${JSON.stringify(THREAD)}, { eval: true }).on("message", () => console.log("up"))`;

/** @returns how long bare Node takes to have a thread in a process, ms. */
async function measureBare(): Promise<number> {
  await quietMoment();
  const beganMs = performance.now();
  const child = spawn(process.execPath, ["-e", INNER], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  await once(child.stdout, "data");
  const wallMs = performance.now() - beganMs;
  await exited;
  return wallMs;
}

/** A service that answers everything with 200, as bare as can be. */
async function startOrigin(): Promise<net.Server> {
  const server = net.createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

const portOf = (server: net.Server): number => (server.address() as AddressInfo).port; // a TCP server that listens has one

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
}

/** @returns whether a request was answered with 200 */
function ask(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write("GET /users/7 HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    socket.once("data", (data) => {
      resolve(data.toString("latin1").startsWith("HTTP/1.1 200"));
      socket.destroy();
    });
    socket.once("error", () => resolve(false));
    socket.once("close", () => resolve(false));
  });
}

/** CPU time of a process and its children, all threads that still live, ms (Linux). */
function cpuMsOf(pid: number): number {
  let ns = 0;
  for (const task of fs.readdirSync(`/proc/${pid}/task`)) {
    const own = `/proc/${pid}/task/${task}`;
    ns += Number(fs.readFileSync(`${own}/schedstat`, "latin1").split(" ")[0]);
    for (const child of fs.readFileSync(`${own}/children`, "latin1").split(" ").filter(Boolean)) ns += cpuMsOf(Number(child)) * 1e6;
  }
  return ns / 1e6;
}

/** Time (ms) that all cores together were busy. */
function busyMs(): number {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] =
    fs.readFileSync("/proc/stat", "latin1").split("\n", 1)[0]?.split(/ +/).map(Number) ?? [];
  return (user + nice + system + irq + softirq + steal) * 10;
}

const ownMs = (): number => (process.cpuUsage().user + process.cpuUsage().system) / 1000;

async function quietMoment(): Promise<void> {
  const endMs = performance.now() + QUIET_WITHIN_MS;
  for (let before = busyMs(); performance.now() < endMs; before = busyMs()) {
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    if (busyMs() - before <= QUIET_SHARE * QUIET_MS * os.availableParallelism()) return;
  }
}

const launch = (build: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess =>
  spawn(path.join(build, "sluice"), args, {
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, SLUICE_NODE: process.execPath, ...env },
  });

/** @returns what the demo says of its gateway, ms */
async function measureDemo(build: string, directory: string): Promise<number> {
  await quietMoment();
  const child = launch(build, ["demo", "--port", "0", "--admin-port", "0"], { SLUICE_RUN_DIR: path.join(directory, "run") });
  let text = "";
  for await (const more of child.stdout?.setEncoding("utf8") ?? []) {
    text += more;
    if (text.includes("Cold start")) child.kill("SIGTERM");
  }
  return Number(/Cold start: (\d+) ms/.exec(text)?.[1] ?? Number.NaN);
}

async function measure(build: string, directory: string, upstream: number): Promise<Sample> {
  const port = await freePort();
  const config = path.join(directory, "sluice.yaml");
  fs.writeFileSync(
    config,
    `version: 1\nlisteners: [ { address: "127.0.0.1:${port}" } ]\nadmin: { address: "127.0.0.1:0" }\n` +
      `upstreams: { origin: { targets: [ { url: "http://127.0.0.1:${upstream}" } ] } }\n` +
      "routes: [ { name: all, match: { path: /** }, to: origin } ]\n",
  );
  await quietMoment();
  const before = { busyMs: busyMs(), ownMs: ownMs() };
  const beganMs = performance.now();
  const child = launch(build, ["start", "-c", config], { SLUICE_RUN_DIR: path.join(directory, "run") });
  const ready = readyAt(child);
  try {
    while (!(await ask(port))) {
      if (child.exitCode !== null || performance.now() - beganMs > GIVE_UP_MS) throw new Error(`${build} does not answer`);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    const wallMs = performance.now() - beganMs;
    const cpuMs = cpuMsOf(child.pid ?? 0);
    const othersMs = busyMs() - before.busyMs - cpuMs - (ownMs() - before.ownMs);
    const readyMs = (await ready) - beganMs;
    const recoveryMs = await measureRecovery(child.pid ?? 0, port);
    return { wallMs, cpuMs, othersShare: othersMs / wallMs / os.availableParallelism(), readyMs, recoveryMs };
  } finally {
    child.kill("SIGTERM");
    if (child.exitCode === null) await once(child, "exit");
  }
}

/** The supervisor has one child. @returns ms until somebody answers again */
async function measureRecovery(supervisor: number, port: number): Promise<number> {
  await quietMoment();
  const primary = Number(fs.readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, "latin1").split(" ")[0]);
  const beganMs = performance.now();
  process.kill(primary, "SIGKILL");
  while (fs.existsSync(`/proc/${primary}`)) await new Promise((resolve) => setImmediate(resolve)); // what answers then is another
  while (!(await ask(port))) {
    if (performance.now() - beganMs > GIVE_UP_MS) throw new Error("nobody answers after the primary was killed");
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  return performance.now() - beganMs;
}

function readyAt(child: ChildProcess): Promise<number> {
  let text = "";
  return new Promise((resolve) => {
    child.stdout?.setEncoding("utf8").on("data", (more: string) => {
      text += more;
      if (/^ready /m.test(text)) resolve(performance.now());
    });
    child.once("exit", () => resolve(Number.NaN));
  });
}

const at = (sorted: readonly number[], part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN;

function printLine<T>(name: string, list: readonly T[], value: (sample: T) => number): void {
  const sorted = list.map(value).sort((a, b) => a - b);
  const shown = [at(sorted, 0), at(sorted, 0.5)].map((ms) => ms.toFixed(0).padStart(5));
  console.log(`  ${name.padEnd(24)} min ${shown[0]} ms   median ${shown[1]} ms   (${list.length} runs)`);
}

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-cold-"));
const origin = await startOrigin();
const samples = new Map(builds.map((build) => [build, { start: [] as Sample[], demo: [] as number[] }]));
const bare: number[] = [];
for (let run = 0; run < Number(values.runs); run++) {
  bare.push(await measureBare());
  for (const [build, { start, demo }] of samples) {
    start.push(await measure(build, directory, portOf(origin)));
    demo.push(await measureDemo(build, directory));
  }
}
const medianOf = <T>(list: readonly T[], value: (sample: T) => number): number =>
  at(
    list.map(value).sort((a, b) => a - b),
    0.5,
  );
const bareMs = medianOf(bare, (ms) => ms);
/** @param aim at most so many times as long; null for none */
function printRatio(name: string, ms: number, aim: number | null): void {
  console.log(
    `  ${name.padEnd(24)} ${(ms / bareMs).toFixed(2)} times bare Node with a thread${aim === null ? "" : ` (aim: at most ${aim})`}`,
  );
}

printLine("bare Node, thread", bare, (ms) => ms);
for (const [build, { start: list, demo }] of samples) {
  const quiet = list.filter((sample) => sample.othersShare <= QUIET_SHARE);
  console.log(path.relative(process.cwd(), build) || build);
  printLine("first answer", list, (sample) => sample.wallMs);
  printLine("first answer, quiet", quiet, (sample) => sample.wallMs);
  printLine("CPU until then", list, (sample) => sample.cpuMs);
  printLine("ready line", list, (sample) => sample.readyMs);
  printLine("ready line, quiet", quiet, (sample) => sample.readyMs);
  printLine("after kill -9, answer", list, (sample) => sample.recoveryMs);
  printLine("demo, as it says", demo, (ms) => ms);
  printRatio(
    "first answer",
    medianOf(list, (sample) => sample.wallMs),
    2.5,
  );
  printRatio(
    "after kill -9",
    medianOf(list, (sample) => sample.recoveryMs),
    3,
  );
  printRatio(
    "demo",
    medianOf(demo, (ms) => ms),
    null,
  );
}
fs.rmSync(directory, { recursive: true, force: true });
process.exit(0);
