// Holds a start (dist/sluice) to what an operator sees of it: signals, exit statuses and messages, and that no process stays behind, whichever of its two
// is first to go.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net, { type AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { processStatus } from "../../../src/control/instance/process-status.ts";
import { LAUNCHER_ENV } from "../../support/gateway.ts";
import { until } from "../../support/until.ts";

const LAUNCHER = path.join(import.meta.dirname, "../../../dist/sluice");
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-launcher-"));
const runDirectory = path.join(directory, "run");

const config = (address: string) => `version: 1
listeners: [ { address: "${address}" } ]
admin: false
routes: [ { name: all, match: { path: /** }, respond: { status: 200 } } ]
`;

function written(name: string, text: string): string {
  const file = path.join(directory, name);
  fs.writeFileSync(file, text);
  return file;
}

interface Run {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly ended: Promise<readonly [number | null, NodeJS.Signals | null]>;
  output: string;
}

const runs: Run[] = [];

/** A process group of its own, so that everything it leaves can be found. */
function launch(args: readonly string[], env: NodeJS.ProcessEnv = {}, program = LAUNCHER): Run {
  const child = spawn(program, args, {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...LAUNCHER_ENV, SLUICE_RUN_DIR: runDirectory, ...env },
  });
  const ended = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>; // the event's arguments
  const run: Run = { process: child, pid: child.pid ?? -1, ended, output: "" };
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      run.output += text;
    });
  }
  runs.push(run);
  return run;
}

/** Pids of a group that live; with their parents. */
function members(group: number): { readonly pid: number; readonly parent: number }[] {
  return fs.readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    const status = Number.isInteger(pid) ? processStatus(pid) : null;
    if (status === null || status.ended) return [];
    return groupOf(pid) === group ? [{ pid, parent: status.parent }] : [];
  });
}

function groupOf(pid: number): number {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[2]);
  } catch {
    return -1;
  }
}

const allGone = (run: Run) => until("no process is left", () => members(run.pid).length === 0);

afterEach(async () => {
  for (const run of runs.splice(0)) {
    if (members(run.pid).length > 0) process.kill(-run.pid, "SIGKILL");
    await run.ended;
  }
});

const ready = (run: Run) => until("it is ready", () => /^ready /m.test(run.output), 30_000);

async function serving(args: readonly string[] = []): Promise<Run> {
  const run = launch(["start", "-c", written("good.yaml", config("127.0.0.1:0")), ...args]);
  await ready(run);
  return run;
}

/** The gateway's process runs, however far it has got. @returns its pid */
async function begun(run: Run): Promise<number> {
  const child = () => members(run.pid).find(({ parent }) => parent === run.pid);
  await until("the gateway's process runs", () => child() !== undefined);
  return child()?.pid ?? 0;
}

test("the process that was started is the supervisor, and the pid of the ready line", async () => {
  const run = await serving();
  const [, url = "", pid] = /^ready (\S+) pid (\d+) /m.exec(run.output) ?? [];
  expect(Number(pid)).toBe(run.pid);
  expect((await fetch(url, { headers: { connection: "close" } })).status).toBe(200);
  expect(members(run.pid)).toHaveLength(2);
  run.process.kill("SIGTERM");
  expect(await run.ended).toEqual([0, null]);
  await allGone(run);
});

test("a gateway that is killed is started again, each time, with the signal in the log", async () => {
  const run = await serving();
  for (let deaths = 1; deaths <= 2; deaths++) {
    process.kill(await begun(run), "SIGKILL");
    await until("it is ready again", () => run.output.split("ready again").length > deaths, 30_000);
  }
  expect(run.output.match(/"how":"signal SIGKILL"/g)).toHaveLength(2);
  run.process.kill("SIGINT");
  expect(await run.ended).toEqual([0, null]);
});

test("a gateway that is killed before it serves is started again, with the signal in the log", async () => {
  const run = launch(["start", "-c", written("good.yaml", config("127.0.0.1:0"))]);
  process.kill(await begun(run), "SIGKILL");
  await ready(run);
  expect(run.output).toContain('"how":"signal SIGKILL"');
  run.process.kill("SIGTERM");
  expect(await run.ended).toEqual([0, null]);
  await allGone(run);
});

test("a request to reload that comes before the gateway serves is kept", async () => {
  const run = launch(["start", "-c", written("good.yaml", config("127.0.0.1:0"))]);
  await begun(run);
  run.process.kill("SIGHUP");
  await ready(run);
  await until("it has reloaded", () => run.output.includes('"version":2'), 20_000);
});

test.each<[string, (run: Run) => void]>([
  ["told to stop", (run) => void run.process.kill("SIGTERM")],
  ["interrupted from a terminal", (run) => void process.kill(-run.pid, "SIGINT")],
])("%s before it serves, it ends cleanly, and says so", async (_, stop) => {
  const run = launch(["start", "-c", written("good.yaml", config("127.0.0.1:0"))]);
  await begun(run);
  stop(run);
  expect(await run.ended).toEqual([0, null]);
  expect(run.output).toMatch(/"message":"stopp/);
  await allGone(run);
});

test("without its supervisor the gateway drains and goes", async () => {
  const run = await serving();
  run.process.kill("SIGKILL");
  await until("no process is left", () => members(run.pid).length === 0, 20_000);
  await run.ended; // and all that it printed was read
  expect(run.output).toContain("the supervisor is gone");
});

test.each([0, 20, 60, 120, 200])("told to stop %i ms after the start, neither stays behind", async (ms) => {
  const run = launch(["start", "-c", written("good.yaml", config("127.0.0.1:0"))]);
  await new Promise((resolve) => setTimeout(resolve, ms)); // any moment of a start will do
  run.process.kill("SIGTERM");
  await run.ended;
  await until("no process is left", () => members(run.pid).length === 0, 20_000);
});

test.each<[string, readonly string[], number, RegExp]>([
  ["an unknown option", ["start", "--takeovr"], 2, /unknown option '--takeovr'/g],
  ["an unknown option of the demo", ["demo", "--prt"], 2, /unknown option '--prt'/g],
  ["a file that is not there", ["start", "-c", "/nowhere.yaml"], 1, /nowhere\.yaml/g],
  ["a wrong configuration", ["start", "-c", written("bad.yaml", "version: 1\nlisteners: []\nroute: []\n")], 1, /route: unknown key/g],
  ["an unknown command", ["strat"], 2, /did you mean "start"/g],
  ["no command", [], 2, /^usage: sluice COMMAND/gm],
])("%s is said once, with the exit status of main.js", async (_, args, code, said) => {
  const run = launch(args);
  expect(await run.ended).toEqual([code, null]);
  expect(run.output.match(said)).toHaveLength(1);
  await allGone(run);
});

test("a port that is taken is said once", async () => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  const run = launch(["start", "-c", written("taken.yaml", config(`127.0.0.1:${port}`))]);
  expect(await run.ended).toEqual([1, null]);
  expect(run.output.match(/sluice: /g)).toHaveLength(1);
  expect(run.output).toContain(String(port));
  await allGone(run);
  server.close();
});

test("in a run directory that others may write to it does not start, and says why, once", async () => {
  const wide = path.join(directory, "wide");
  fs.mkdirSync(wide);
  fs.chmodSync(wide, 0o777);
  const run = launch(["start", "-c", written("good.yaml", config("127.0.0.1:0"))], { SLUICE_RUN_DIR: wide });
  expect(await run.ended).toEqual([1, null]);
  expect(run.output.match(/^sluice: run directory /gm)).toHaveLength(1);
  await allGone(run);
});

test.each<[string, string, RegExp]>([
  ["with exit status 0", "process.exit(0)", /exit status 0/],
  ["with exit status 1", "process.exit(1)", /exit status 1/],
  ["after its last words", 'require("node:fs").writeSync(2, "last words\\n"); process.exit(1)', /last words\n[^{]*{.*exit status 1/],
])("a gateway whose process ends %s before it serves ends too, and never without a line", async (name, end, said) => {
  // What happens there happens nowhere else: it stands for a fault of Node or of native code.
  const preload = written(
    `${name.replaceAll(" ", "-")}.cjs`,
    `if (process.env.SLUICE_LAUNCH && require("node:worker_threads").isMainThread) setImmediate(() => { ${end} });`,
  );
  const run = launch(["start", "-c", written("good.yaml", config("127.0.0.1:0"))], { NODE_OPTIONS: `--require=${preload}` });
  expect(await run.ended).toEqual([1, null]);
  expect(run.output).toMatch(said);
  expect(run.output).toContain("the primary ended before it served, and has not said why");
  await allGone(run);
});

test("a gateway whose process ends with exit status 0 without being told to is started again", async () => {
  const preload = written(
    "end-on-signal.cjs",
    'if (process.env.SLUICE_LAUNCH && require("node:worker_threads").isMainThread) process.on("SIGUSR2", () => process.exit(0));',
  );
  // With a listener of uWebSockets.js an exit is an abort.
  const file = written("net.yaml", config('127.0.0.1:0", engine: "net'));
  const run = launch(["start", "-c", file], { NODE_OPTIONS: `--require=${preload}` });
  await ready(run);
  run.process.kill("SIGUSR2");
  await until("it is ready again", () => run.output.includes("ready again"), 30_000);
  expect(run.output).toContain('"how":"exit status 0"');
  run.process.kill("SIGTERM");
  expect(await run.ended).toEqual([0, null]);
});

test("without a supervisor there is one process, through a symbolic link too", async () => {
  const link = path.join(directory, "sluice-link");
  fs.symlinkSync(LAUNCHER, link);
  const run = launch(["start", "--no-supervisor", "-c", written("good.yaml", config("127.0.0.1:0"))], {}, link);
  await ready(run);
  expect(members(run.pid)).toEqual([{ pid: run.pid, parent: process.pid }]);
  run.process.kill("SIGTERM");
  expect(await run.ended).toEqual([0, null]);
});

test("orders in the environment that no supervisor gave are not obeyed", async () => {
  const run = launch(["start", "-c", written("good.yaml", config("127.0.0.1:0"))], {
    SLUICE_LAUNCH: JSON.stringify({ takeover: false, restart: true, ports: {} }),
  });
  await ready(run);
  expect(members(run.pid)).toHaveLength(2);
  run.process.kill("SIGTERM");
  expect(await run.ended).toEqual([0, null]);
});

test("no process that has ended stays a zombie after the gateway was started again", async () => {
  const run = await serving();
  const first = await begun(run);
  process.kill(first, "SIGKILL");
  await until("it is ready again", () => run.output.includes("ready again"), 30_000);
  expect(processStatus(first)).toBeNull();
  run.process.kill("SIGTERM");
  expect(await run.ended).toEqual([0, null]);
});
