// The commands as an operator types them (dist/sluice): configurations through pipes, readers that go away, and what is asked of a running gateway.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, describe, expect, onTestFailed, test } from "vitest";
import { LAUNCHER_ENV } from "../../support/gateway.ts";
import { until } from "../../support/until.ts";

const SLUICE = path.join(import.meta.dirname, "../../../dist/sluice");
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-commands-"));

/** @param token of the admin listener */
const config = (body = "one", token = "") => `version: 1
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "127.0.0.1:0"${token === "" ? "" : `, token: "${token}"`} }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:9" } ] } }
routes:
  - { name: all, match: { path: /** }, respond: { status: 200, body: "${body}" } }
  - { name: up, match: { path: /up }, to: u }
`;
const BROKEN = `${config().replace('"127.0.0.1:0"', "nowhere")}route: []\n`;

let written = 0;
function file(text: string): string {
  const name = path.join(directory, `${written++}.yaml`);
  fs.writeFileSync(name, text);
  return name;
}

interface Run {
  readonly process: ChildProcess;
  readonly ended: Promise<number | null>;
  stdout: string;
  stderr: string;
}
const runs: Run[] = [];

interface Surroundings {
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly program?: string;
  /** The reader of its output has gone before it writes anything. */
  readonly unread?: boolean;
}

/** With a run directory of its own unless one is named. */
function launch(args: readonly string[], { input, env = {}, program = SLUICE, unread = false }: Surroundings = {}): Run {
  const child = spawn(program, args, {
    cwd: directory,
    env: { ...process.env, ...LAUNCHER_ENV, SLUICE_RUN_DIR: path.join(directory, `run-${runs.length}-${written}`), ...env },
  });
  const ended = once(child, "close").then(([code]) => code as number | null); // the event's arguments
  const run: Run = { process: child, ended, stdout: "", stderr: "" };
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (run.stderr += text));
  if (unread) child.stdout.destroy();
  else child.stdout.setEncoding("utf8").on("data", (text: string) => void (run.stdout += text));
  child.stdin.on("error", () => {}); // it has ended
  if (input !== undefined) child.stdin.end(input);
  runs.push(run);
  onTestFailed(() => console.error(args.join(" "), run.stdout, run.stderr));
  return run;
}

afterEach(async () => {
  for (const run of runs.splice(0)) {
    run.process.kill("SIGTERM");
    await run.ended;
  }
});

/** A command that ends by itself. */
async function call(args: readonly string[], surroundings: Surroundings = {}) {
  const run = launch(args, { input: "", ...surroundings });
  const code = await run.ended;
  return { code, stdout: run.stdout, stderr: run.stderr };
}

/** @returns the base URL of a gateway's first listener, once it is ready for the nth time */
async function ready(run: Run): Promise<string> {
  await until("it is ready", () => /^ready /m.test(run.stdout) || run.process.exitCode !== null, 30_000);
  return /^ready (\S+) /m.exec(run.stdout)?.[1] ?? expect.fail(run.stderr);
}

const body = async (url: string): Promise<string> => (await fetch(url, { headers: { connection: "close" } })).text();

describe("a configuration through a pipe", () => {
  test("is checked, and messages name it", async () => {
    expect(await call(["validate", "-c", "-"], { input: config() })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^stdin: valid\n/),
    });
    const { code, stderr } = await call(["validate", "-"], { input: BROKEN });
    expect([code, stderr.trim().split("\n").at(-1)]).toEqual([1, "2 errors in stdin"]);
    expect(stderr).toContain("stdin:2:25: listeners[0].address: ");
  });

  test("is laid over files, and they over it, in the order of the arguments", async () => {
    const over = 'listeners: [ { address: "127.0.0.1:1" } ]\n';
    expect((await call(["validate", file(config()), "-"], { input: over })).stdout).toContain("127.0.0.1:1: engine");
    expect((await call(["validate", "-", file(over)], { input: config() })).stdout).toContain("127.0.0.1:1: engine");
  });

  test("names files relative to where the command was called", async () => {
    fs.writeFileSync(path.join(directory, "beside.txt"), "from a file");
    const text = config().replace('body: "one"', "file: beside.txt");
    expect(await call(["validate", "-c", "-"], { input: text })).toMatchObject({ code: 0 });
  });

  test("may be a shell's process substitution, of several commands", async () => {
    const args = ["-c", '"$1" validate <(cat "$2") -c <(cat "$3")', "bash", SLUICE, file(config()), file("admin: false\n")];
    expect(await call(args, { program: "bash" })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^pipe \d+, pipe \d+: valid\n/),
      stderr: expect.any(String),
    });
  });

  test("serves, is not read again, and serves on under the next primary", async () => {
    const run = launch(["start", "-c", "-"], { input: config("piped") });
    const url = await ready(run);
    expect(await body(url)).toBe("piped");
    run.process.kill("SIGHUP");
    await until("SIGHUP is answered", () => run.stderr.includes("there is nothing to read again"));
    expect(run.stderr).toMatch(/came through a pipe \(stdin\): there is nothing to read again/);
    const primary = primaryOf(run);
    process.kill(primary, "SIGKILL");
    await until("another primary serves", () => run.stderr.includes('"ready again"'), 30_000);
    expect(primaryOf(run)).not.toBe(primary);
    expect(await body(url)).toBe("piped");
  });

  test("from a shell's process substitution serves, also under the next primary", async () => {
    const run = launch(["-c", 'exec "$1" start -c <(cat "$2")', "bash", SLUICE, file(config("substituted"))], { program: "bash" });
    const url = await ready(run);
    expect(await body(url)).toBe("substituted");
    process.kill(primaryOf(run), "SIGKILL");
    await until("another primary serves", () => run.stderr.includes('"ready again"'), 30_000);
    expect(await body(url)).toBe("substituted");
  });

  test("is what bench drives", async () => {
    const args = ["bench", "-c", "-", "--rate", "20", "--duration", "1", "--url", "/", "--json"];
    const { code, stdout, stderr } = await call(args, { input: config() });
    expect([code, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout)).toMatchObject({ failed: 0 });
  });

  test("serves without a supervisor too", async () => {
    const run = launch(["start", "--no-supervisor", "-c", "-"], { input: config("alone") });
    expect(await body(await ready(run))).toBe("alone");
  });

  test.each([
    ["is refused", BROKEN, /2 errors/],
    ["is empty", "", /-c -: no configuration came through the pipe/],
  ])("that %s ends the start with status 1, said once", async (_, input, said) => {
    const { code, stderr } = await call(["start", "-c", "-"], { input });
    expect([code, stderr.match(new RegExp(said, "g"))?.length]).toEqual([1, 1]);
  });
});

/** @returns the pid of its child that runs: of what a shell has left, only the record is there */
function primaryOf(run: Run): number {
  const children = fs.readFileSync(`/proc/${run.process.pid}/task/${run.process.pid}/children`, "utf8").trim();
  return Number(children.split(" ").find((pid) => fs.readFileSync(`/proc/${pid}/cmdline`, "utf8") !== ""));
}

describe("output", () => {
  test.each([["validate"], ["routes"], ["validate", "--json"]])("%s: a reader that has gone is no error", async (...args) => {
    expect(await call([...args, "-"], { unread: true, input: config() })).toEqual({
      code: 0,
      stdout: "",
      stderr: expect.not.stringMatching(/EPIPE|Error|at /),
    });
  });

  test.each([["--help"], ["start", "--help"], ["completion", "bash"]])("%s %s: nor is one of a help text", async (...args) => {
    expect(await call(args, { unread: true })).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("what cannot be written is an error", async () => {
    const run = await call(["-c", '"$1" --help > /dev/full', "bash", SLUICE], { program: "bash" });
    expect(run).toMatchObject({ code: 1, stderr: expect.stringContaining("sluice: cannot write the output: ") });
  });

  test("validate --json tells programs what is right and what is wrong", async () => {
    const good = await call(["validate", "--json", file(config())]);
    expect([good.code, JSON.parse(good.stdout)]).toMatchObject([
      0,
      {
        valid: true,
        errors: [],
        listeners: [{ address: "127.0.0.1:0", engine: "uws", tls: false }],
        routes: 2,
        upstreams: [{ name: "u", targets: 1 }],
      },
    ]);
    const name = file(BROKEN);
    const bad = await call(["validate", "--json", name]);
    const { errors, ...rest } = JSON.parse(bad.stdout);
    expect([bad.code, bad.stderr, rest]).toEqual([1, "", { valid: false, files: [name], warnings: [] }]);
    expect(errors).toHaveLength(2);
    expect(errors[0]).toEqual({
      file: name,
      line: 2,
      column: 25,
      path: "listeners[0].address",
      message: expect.any(String),
      remedy: expect.any(String),
    });
  });
});

describe("a running gateway", () => {
  test("is asked through its control socket, reloaded, and drained", async () => {
    const name = file(config());
    const env = { SLUICE_RUN_DIR: path.join(directory, "run-control") };
    const run = launch(["start", name], { env });
    const url = await ready(run);
    const status = await call(["status", name], { env });
    expect(status).toMatchObject({ code: 0, stderr: "" });
    expect(status.stdout).toMatch(/^serving|^ready/);
    expect(status.stdout).toMatch(/\nworkers: (\d+) of \1 serving\nupstream u: 1 of 1 targets healthy\n/);
    fs.writeFileSync(name, config("two"));
    expect(await call(["reload", name], { env })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^reloaded: plan \d+ is in force\n/),
    });
    expect(await body(url)).toBe("two");
    fs.writeFileSync(name, BROKEN);
    const refused = await call(["reload", name], { env });
    expect([refused.code, refused.stdout]).toEqual([1, ""]);
    expect(refused.stderr).toMatch(
      /:2:25: listeners\[0\]\.address: .*\n.*\nthe reload was refused: 2 errors; the old configuration stays in force\n/,
    );
    expect(JSON.parse((await call(["status", "--json", name], { env })).stdout)).toMatchObject({ instance: { pid: run.process.pid } });
    expect(await call(["drain", name], { env })).toMatchObject({ code: 0, stdout: expect.stringMatching(/^draining: /) });
    expect(await run.ended).toBe(0);
    expect(await call(["status", name], { env })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no gateway is running; name the admin listener by --admin"),
    });
  });

  test("is asked through its admin listener with its token, which goes nowhere else", async () => {
    const env = { SLUICE_RUN_DIR: path.join(directory, "run-admin") };
    const run = launch(["start", file(config("one", "s3cret"))], { env });
    await ready(run);
    const listens = /"url":"(http:[^"]+)"/;
    await until("the admin listener listens", () => listens.test(run.stderr));
    const admin = listens.exec(run.stderr)?.[1] ?? "";
    const asked = (token: string) => call(["status", "--admin", admin], { env: { SLUICE_RUN_DIR: directory, SLUICE_ADMIN_TOKEN: token } });
    expect(await asked("s3cret")).toMatchObject({ code: 0, stdout: expect.stringContaining("workers: ") });
    expect(await asked("")).toMatchObject({ code: 1, stderr: expect.stringContaining("A token is required") });
    const port = new URL(admin).port;
    const named = file(config("one", "s3cret").replace('admin: { address: "127.0.0.1:0"', `admin: { address: "127.0.0.1:${port}"`));
    expect(await call(["status", "-c", named], { env: { SLUICE_RUN_DIR: directory } })).toMatchObject({ code: 0 });
  });

  test.each([
    [
      "nobody who listens",
      "http://127.0.0.1:1",
      1,
      /no answer from the admin interface at http:\/\/127\.0\.0\.1:1: .*is the gateway running\?/,
    ],
    ["no URL", "127.0.0.1:9901", 2, /--admin: expected http:\/\/host:port/],
    ["a password, which is not shown", "http://u:s3cret@127.0.0.1", 2, /not "http:\/\/\*\*\*@127\.0\.0\.1"/],
  ])("%s is said with its remedy", async (_, admin, code, said) => {
    const answer = await call(["status", "--admin", admin]);
    expect(answer).toMatchObject({ code, stdout: "" });
    expect(answer.stderr).toMatch(said);
  });
});
