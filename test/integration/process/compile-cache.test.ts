// Holds the compiled code of the bundles to: it goes where the build goes, every process and thread takes it, and where none can be nobody notices.
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";

const ROOT = path.join(import.meta.dirname, "../../..");
/** Within the checkout, so that packages are found from there. */
const WORKSHOP = path.join(ROOT, "dist.building");
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-cache-"));
const made: string[] = [directory];
afterAll(() => {
  for (const each of made) fs.rmSync(each, { recursive: true, force: true });
});

let build = "";
beforeEach(() => {
  fs.mkdirSync(WORKSHOP, { recursive: true });
  build = fs.mkdtempSync(path.join(WORKSHOP, "moved-"));
  made.push(build);
  fs.cpSync(path.join(ROOT, "dist"), build, { recursive: true });
});

/** Runs main.js until it ends, or is ready; Node tells what it does with the cache. */
async function run(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly output: string; readonly code: number | null }> {
  const child = spawn(process.execPath, [path.join(build, "main.js"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    // Whoever runs the tests may have a cache of his own.
    env: {
      ...process.env,
      NODE_COMPILE_CACHE: undefined,
      NODE_DEBUG_NATIVE: "COMPILE_CACHE",
      SLUICE_RUN_DIR: path.join(directory, "run"),
      ...env,
    },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (/^ready /m.test(output)) child.kill("SIGTERM");
    });
  }
  const [code] = (await once(child, "close")) as [number | null]; // the event's arguments
  return { output, code };
}

/** Names of bundles -> what V8 said of their compiled code. */
function verdicts(output: string): ReadonlyMap<string, string> {
  const said = output.matchAll(/V8 code cache for CommonJS \S*\/([\w-]+\.js) was ([\w ]+)/g);
  return new Map([...said].map(([, name = "", verdict = ""]) => [name, verdict]));
}

test("a build that was moved elsewhere takes its compiled code along, for the process and its worker threads", async () => {
  const config = path.join(directory, "sluice.yaml");
  fs.writeFileSync(
    config,
    'version: 1\nlisteners: [ { address: "127.0.0.1:0" } ]\nadmin: false\nroutes: [ { name: all, match: { path: /** }, respond: {} } ]\n',
  );
  const { output, code } = await run(["start", "--no-supervisor", "-c", config]);
  expect(code).toBe(0);
  const found = verdicts(output);
  for (const bundle of ["command-line.js", "primary.js", "data-plane.js"])
    expect([bundle, found.get(bundle)]).toEqual([bundle, "accepted"]);
});

test("where nothing can be written it works without, and says nothing", async () => {
  fs.rmSync(path.join(build, "compiled"), { recursive: true });
  fs.writeFileSync(path.join(build, "compiled"), "a file where a directory should be");
  const { output, code } = await run(["--version"], { NODE_DEBUG_NATIVE: "", XDG_CACHE_HOME: "/dev/null", HOME: "/dev/null" });
  expect([code, output]).toEqual([0, expect.stringMatching(/^sluice \d+\.\d+\.\d+\n$/)]);
});

test("a user for whom nothing was compiled has it compiled once, in the directory for caches", async () => {
  fs.rmSync(path.join(build, "compiled"), { recursive: true });
  fs.writeFileSync(path.join(build, "compiled"), "");
  const env = { XDG_CACHE_HOME: path.join(directory, "caches") };
  expect(verdicts((await run(["--version"], env)).output).get("command-line.js")).toMatch(/^not initialized/);
  expect(verdicts((await run(["--version"], env)).output).get("command-line.js")).toBe("accepted");
  fs.chmodSync(path.join(directory, "caches/sluice"), 0o777);
  expect(verdicts((await run(["--version"], env)).output).size).toBe(0); // others could have written what would be executed
});
