// Builds of one checkout: at the same time, killed, and with nothing to do. In a checkout of their own, so that the one under test is not touched.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isAlive, processStatus } from "../../../src/control/instance/process-status.ts";
import { until } from "../../support/until.ts";

const ROOT = path.join(import.meta.dirname, "../../..");
const TIMEOUT_MS = 120_000;
let checkout = "";

beforeAll(() => {
  checkout = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-checkout-"));
  for (const name of ["src", "config", "package.json", "package-lock.json"])
    fs.cpSync(path.join(ROOT, name), path.join(checkout, name), { recursive: true });
  fs.symlinkSync(fs.realpathSync(path.join(ROOT, "node_modules")), path.join(checkout, "node_modules"));
});
afterAll(() => fs.rmSync(checkout, { recursive: true, force: true }));

function startBuild(): { readonly child: ChildProcess; readonly ended: Promise<readonly [number | null, string]> } {
  const child = spawn(process.execPath, [path.join(checkout, "src/start/build.ts")], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => void (output += text));
  return { child, ended: once(child, "close").then(([code]) => [code as number | null, output] as const) }; // the event's arguments
}

const build = async () => await startBuild().ended;

/** What lies in the folder of builds, but for what they wait with. */
const left = (): string[] => fs.readdirSync(path.join(checkout, "dist.building")).filter((name) => !name.endsWith(".turn"));

async function works(): Promise<void> {
  const child = spawn(path.join(checkout, "dist/sluice"), ["--version"], { stdio: ["ignore", "pipe", "inherit"] });
  const [text] = await once(child.stdout.setEncoding("utf8"), "data");
  expect(text).toMatch(/^sluice /);
}

/** Pids of the gateway that a build runs, and of all that it has started. */
function descendants(pid: number): number[] {
  const pids = fs.readdirSync("/proc").map(Number).filter(Number.isInteger);
  const own = pids.filter((each) => processStatus(each)?.parent === pid);
  return own.flatMap((each) => [each, ...descendants(each)]);
}

test("builds at once wait for each other, and all succeed", { timeout: TIMEOUT_MS }, async () => {
  const all = await Promise.all([build(), build(), build()]);
  expect(all).toEqual([
    [0, ""],
    [0, ""],
    [0, ""],
  ]);
  await works();
  expect(left()).toEqual([]);
});

test("what `npm pack` does first builds, and leaves what npm prints alone", { timeout: TIMEOUT_MS }, async () => {
  fs.rmSync(path.join(checkout, "dist"), { recursive: true, force: true });
  const child = spawn(process.execPath, [path.join(checkout, "src/start/prepack.mjs")], { stdio: ["ignore", "pipe", "ignore"] });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (printed += text));
  const [code] = await once(child, "close");
  expect([code, printed]).toEqual([0, ""]);
  await works();
});

test("a build with nothing to do leaves dist/ alone, and one with something replaces it whole", { timeout: TIMEOUT_MS }, async () => {
  const inode = () => fs.statSync(path.join(checkout, "dist")).ino;
  expect(await build()).toEqual([0, ""]);
  const before = inode();
  expect(await build()).toEqual([0, ""]);
  expect(inode()).toBe(before);
  fs.writeFileSync(path.join(checkout, "dist/left-over"), "");
  fs.appendFileSync(path.join(checkout, "src/main.ts"), "\n");
  expect(await build()).toEqual([0, ""]);
  expect(fs.existsSync(path.join(checkout, "dist/left-over"))).toBe(false);
  await works();
});

test("a build that fails leaves dist/ as it was", { timeout: TIMEOUT_MS }, async () => {
  const main = path.join(checkout, "src/main.ts");
  const text = fs.readFileSync(main, "utf8");
  expect(await build()).toEqual([0, ""]);
  fs.writeFileSync(main, `${text}\nthis is not TypeScript`);
  const [code, output] = await build();
  expect([code, output]).toEqual([1, expect.stringContaining("src/main.ts")]);
  fs.writeFileSync(main, text);
  await works();
});

test("a build that is killed takes what it runs with it, and the next one clears up after it", { timeout: TIMEOUT_MS }, async () => {
  fs.appendFileSync(path.join(checkout, "src/main.ts"), "\n");
  const { child, ended } = startBuild();
  const pid = child.pid ?? 0;
  // Supervisor and primary.
  const running = () => descendants(pid).filter((each) => fs.readFileSync(`/proc/${each}/cmdline`, "utf8").includes("main.js"));
  await until("it runs a gateway", () => running().length >= 2, 60_000);
  const gateway = running();
  child.kill("SIGKILL");
  await ended;
  await until("the gateway has ended", () => !gateway.some(isAlive), 30_000);
  expect(left()).not.toEqual([]);
  expect(await build()).toEqual([0, ""]);
  expect(left()).toEqual([]);
  await works();
});
