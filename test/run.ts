// Owns `npm test` and `npm run check`: makes sure the tests have what they need, runs every check, closes with one line of counts.
// A failed check never hides the others; the exit status is 1 when anything failed.
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
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
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly { readonly status: string }[] }[];
}

const root = path.dirname(import.meta.dirname);
// Under npm this is so already; it makes `node test/run.ts` alone work too.
const env = { ...process.env, PATH: `${path.join(root, "node_modules/.bin")}${path.delimiter}${process.env["PATH"] ?? ""}` };

function main(argv: readonly string[]): number {
  const quick = argv.includes("--quick");
  installNeeds(quick ? [] : NEEDS.filter((need) => !isOnPath(need.program)));
  const counts = [
    check("types", "tsc", ["-p", "."]),
    check("lint", "biome", ["lint", "--error-on-warnings"]),
    check("format", "biome", ["format"]),
    ...(quick ? [] : [check("build", "npm", ["run", "-s", "build"])]),
    vitest(quick ? ["--project", "unit"] : []),
  ];
  const passed = counts.reduce((sum, count) => sum + count.passed, 0);
  const failed = counts.reduce((sum, count) => sum + count.failed, 0);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/** One program, one result. */
function check(name: string, program: string, args: readonly string[]): Counts {
  const startMs = performance.now();
  const ok = run(program, args).status === 0;
  console.log(`${ok ? "ok    " : "FAILED"} ${name} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`);
  return ok ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** Every test is one result; a file that does not even load is one failure, and so is a run that leaves no report. */
function vitest(args: readonly string[]): Counts {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-test-"));
  const report = path.join(directory, "report.json");
  try {
    const result = run("vitest", ["run", ...args, "--reporter=dot", "--reporter=json", `--outputFile.json=${report}`]);
    if (!fs.existsSync(report)) return { passed: 0, failed: 1 };
    const read = JSON.parse(fs.readFileSync(report, "utf8")) as VitestReport; // vitest's own format, pinned in the lock file
    const unloadable = read.testResults.filter((file) => file.status === "failed" && !file.assertionResults.some(isFailed)).length;
    const failed = read.numFailedTests + unloadable;
    // An error outside any test (an unhandled rejection) fails the run without failing a test.
    return { passed: read.numPassedTests, failed: failed === 0 && result.status !== 0 ? 1 : failed };
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

const isFailed = (result: { readonly status: string }): boolean => result.status === "failed";

function run(program: string, args: readonly string[]): SpawnSyncReturns<Buffer> {
  return spawnSync(program, args, { cwd: root, env, stdio: "inherit" });
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
  const still = missing.filter((need) => !isOnPath(need.program));
  if (still.length === 0) return;
  console.error(`Install what the tests need, then run them again:\n  apt-get update && apt-get install -y ${packages.join(" ")}`);
  console.log(`0 passed, ${still.length} failed`);
  process.exit(1);
}

process.exitCode = main(process.argv.slice(2));
