// Owns `npm test` and `npm run check`: makes sure the tests have what they need, runs every check, closes with one line of counts.
// A failed check never hides the others; the exit status is 1 when anything failed.
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { NEEDS, type Need } from "./needs.ts";

interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/** The part of vitest's JSON report that is read here. */
interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly VitestFile[];
}

interface VitestFile {
  /** Its path. */
  readonly name: string;
  readonly status: string;
  /** Milliseconds since the epoch. */
  readonly startTime: number;
  readonly endTime: number;
  readonly assertionResults: readonly { readonly status: string }[];
}

/** Files named at the end as the slowest: where to look when the run gets long. */
const SLOWEST_SHOWN = 5;

const root = path.dirname(import.meta.dirname);
// Under npm this is so already; it makes `node test/run.ts` alone work too.
const env = { ...process.env, PATH: `${path.join(root, "node_modules/.bin")}${path.delimiter}${process.env["PATH"] ?? ""}` };

async function main(argv: readonly string[]): Promise<number> {
  const quick = argv.includes("--quick");
  installNeeds(NEEDS.filter((need) => (!quick || need.unit === true) && !isInstalled(need)));
  const counts = (await Promise.all([readOnlyChecks(), quick ? vitest(["--project", "unit"]) : buildAndTest()])).flat();
  const passed = counts.reduce((sum, count) => sum + count.passed, 0);
  const failed = counts.reduce((sum, count) => sum + count.failed, 0);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/** Those that only read the sources. They run beside the tests, which mostly wait; one after the other, as the cores are few. */
async function readOnlyChecks(): Promise<Counts[]> {
  return [
    await check("types", "tsc", ["-p", "."]),
    await check("lint", "biome", ["lint", "--error-on-warnings"]),
    await check("format", "biome", ["format"]),
  ];
}

/** The integration tests run what was built. */
async function buildAndTest(): Promise<Counts[]> {
  return [await check("build", "npm", ["run", "-s", "build"]), await vitest([])];
}

/** One program, one result. What it prints stays together: other checks run at the same time. */
async function check(name: string, program: string, args: readonly string[]): Promise<Counts> {
  const startMs = performance.now();
  const { status, output } = await run(program, args);
  const ok = status === 0;
  console.log(`\n${output}${ok ? "ok    " : "FAILED"} ${name} (${secondsSince(startMs)} s)`);
  return ok ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** Every test is one result; a file that does not even load is one failure, and so is a run that leaves no report. */
async function vitest(args: readonly string[]): Promise<Counts> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-test-"));
  const report = path.join(directory, "report.json");
  const startMs = performance.now();
  try {
    const { status } = await run("vitest", ["run", ...args, "--reporter=dot", "--reporter=json", `--outputFile.json=${report}`], "inherit");
    if (!fs.existsSync(report)) return { passed: 0, failed: 1 };
    const read = JSON.parse(fs.readFileSync(report, "utf8")) as VitestReport; // vitest's own format, pinned in the lock file
    const unloadable = read.testResults.filter((file) => file.status === "failed" && !file.assertionResults.some(isFailed)).length;
    const failed = read.numFailedTests + unloadable;
    console.log(`tests (${secondsSince(startMs)} s); the slowest files: ${slowest(read.testResults)}`);
    // An error outside any test (an unhandled rejection) fails the run without failing a test.
    return { passed: read.numPassedTests, failed: failed === 0 && status !== 0 ? 1 : failed };
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

function slowest(files: readonly VitestFile[]): string {
  const seconds = ({ startTime, endTime }: VitestFile): number => (endTime - startTime) / 1000;
  return files
    .toSorted((a, b) => seconds(b) - seconds(a))
    .slice(0, SLOWEST_SHOWN)
    .map((file) => `${path.relative(root, file.name)} ${seconds(file).toFixed(1)} s`)
    .join(", ");
}

const secondsSince = (startMs: number): string => ((performance.now() - startMs) / 1000).toFixed(1);

const isFailed = (result: { readonly status: string }): boolean => result.status === "failed";

/** @param stdio `inherit` shows what it prints at once, `pipe` gives it back at the end */
function run(
  program: string,
  args: readonly string[],
  stdio: "inherit" | "pipe" = "pipe",
): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve) => {
    let output = "";
    const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", stdio, stdio] });
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (text: string) => void (output += text));
    child.once("error", (error) => resolve({ status: null, output: `${error.message}\n` }));
    child.once("close", (status) => resolve({ status, output }));
  });
}

function isInstalled({ program, file }: Need): boolean {
  return file === undefined ? isOnPath(program) : fs.existsSync(file);
}

function isOnPath(program: string): boolean {
  // Debian keeps servers in sbin, which is not on every user's PATH.
  const directories = [...env.PATH.split(path.delimiter), "/usr/sbin", "/sbin"];
  return directories.some((directory) => fs.existsSync(path.join(directory, program)));
}

/** Installs with apt as root, else says exactly what to run; exits when something stays missing. */
function installNeeds(missing: readonly Need[]): void {
  if (missing.length === 0) return;
  for (const need of missing) console.log(`missing: ${need.program} (${need.why})`);
  const packages = [...new Set(missing.map((need) => need.debian))];
  if (process.getuid?.() === 0 && isOnPath("apt-get")) {
    const quiet = { ...env, DEBIAN_FRONTEND: "noninteractive" };
    for (const args of [["update"], ["install", "-y", "--no-install-recommends", ...packages]]) {
      spawnSync("apt-get", ["-q", ...args], { env: quiet, stdio: "inherit" });
    }
  }
  const still = missing.filter((need) => !isInstalled(need));
  if (still.length === 0) return;
  console.error(`Install what the tests need, then run them again:\n  apt-get update && apt-get install -y ${packages.join(" ")}`);
  console.log(`0 passed, ${still.length} failed`);
  process.exit(1);
}

process.exitCode = await main(process.argv.slice(2));
