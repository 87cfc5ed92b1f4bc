// `npm run machines [-- bookworm trixie demo test]`: on a fresh minimal root of each Debian release that is promised, the README's two commands from a clone of
// this checkout's last commit. Prints how each ended; exits 1 when one failed. Needs root and debootstrap; not part of `npm test`, as it takes minutes.
//
// A root shares the kernel, the loopback interface and the package sources with this machine, and nothing else: own mounts and own process ids, so that
// what a run leaves behind ends with it.
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

interface Machine {
  readonly suite: string;
  /** Shell lines that bring Node 20 and npm. */
  readonly node: readonly string[];
}

/** Debian 12 has Node 18: Node 20 comes from the npm registry there. */
const MACHINES: readonly Machine[] = [
  { suite: "bookworm", node: ["npm install --global --no-fund --no-audit node@20"] },
  { suite: "trixie", node: [] },
];

const ROOTS = path.join(process.env["SLUICE_MACHINES"] ?? "/var/tmp", "sluice-machines");
const COMMAND_MS_MAX = 40 * 60_000;
/** Of what a command printed; the rest is in its log. */
const LINES_SHOWN = 12;
/** Settings of this machine without which nothing can be downloaded here; whatever is missing is not copied. */
const COPIED = ["/etc/resolv.conf", "/etc/apt/apt.conf.d", "/etc/ssl/certs/ca-certificates.crt", "/etc/npmrc"];

const checkout = path.resolve(import.meta.dirname, "../..");

/** What the README tells everyone to run. The demo serves until it is stopped: here, when it has printed what to try. */
const STEPS: Readonly<Record<string, string>> = {
  demo: `cd /home/sluice && npm ci && (npm run demo -- --port 0 --admin-port 0 > /tmp/demo.log 2>&1 & pid=$!
    for i in $(seq 120); do grep -q "first answered request (status 200)" /tmp/demo.log && break; sleep 1; done
    cat /tmp/demo.log; kill -TERM $pid; wait $pid; grep -q "first answered request (status 200)" /tmp/demo.log)`,
  test: "cd /home/sluice && npm ci && npm test",
};

async function main(argv: readonly string[]): Promise<number> {
  if (process.getuid?.() !== 0) throw new Error("making a root file system needs root");
  const suites = MACHINES.map(({ suite }) => suite);
  const steps = Object.keys(STEPS);
  const unknown = argv.find((word) => ![...suites, ...steps].includes(word));
  if (unknown !== undefined) throw new Error(`unknown argument "${unknown}": expected some of ${[...suites, ...steps].join(", ")}`);
  const named = (all: readonly string[]): readonly string[] =>
    all.some((word) => argv.includes(word)) ? all.filter((word) => argv.includes(word)) : all;
  const lines: string[] = [];
  for (const machine of MACHINES) if (named(suites).includes(machine.suite)) lines.push(...(await tryMachine(machine, named(steps))));
  console.log(`\n${lines.join("\n")}`);
  return lines.some((line) => line.includes("FAILED")) ? 1 : 0;
}

/** @returns a line a step */
async function tryMachine(machine: Machine, steps: readonly string[]): Promise<string[]> {
  const base = await baseRoot(machine);
  const root = path.join(ROOTS, `${machine.suite}-run`);
  fs.rmSync(root, { recursive: true, force: true });
  await run("cp", ["-a", "--reflink=auto", base, root]);
  await run("git", ["clone", "--quiet", "--no-hardlinks", checkout, path.join(root, "home/sluice")]);
  const lines: string[] = [];
  for (const name of steps) {
    const log = path.join(ROOTS, `${machine.suite}-${name}.log`);
    const status = await inRoot(root, STEPS[name] as string, log);
    const closing = fs.readFileSync(log, "utf8").trimEnd().split("\n").slice(-LINES_SHOWN);
    console.log(`\n--- ${machine.suite}: ${name} (${log})\n${closing.join("\n")}`);
    lines.push(`${status === 0 ? "ok    " : "FAILED"} ${machine.suite} ${name}: ${closing.at(-1) ?? ""}`);
  }
  return lines;
}

/** A minimal root with Node 20, npm and git, made once. */
async function baseRoot({ suite, node }: Machine): Promise<string> {
  const base = path.join(ROOTS, suite);
  if (fs.existsSync(base)) return base;
  const making = `${base}-making`;
  fs.rmSync(making, { recursive: true, force: true });
  fs.mkdirSync(ROOTS, { recursive: true });
  await run("debootstrap", ["--variant=minbase", suite, making]);
  // An installer writes it; without it nobody knows localhost.
  fs.writeFileSync(path.join(making, "etc/hosts"), "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n");
  const log = path.join(ROOTS, `${suite}-base.log`);
  for (const commands of [["apt-get update -q", "apt-get install -y -q --no-install-recommends nodejs npm git ca-certificates"], node]) {
    copySettings(making); // again after the packages, which write certificates of their own
    if ((await inRoot(making, ["true", ...commands].join(" && "), log)) !== 0) throw new Error(`making ${base} failed: see ${log}`);
  }
  copySettings(making);
  fs.renameSync(making, base);
  return base;
}

function copySettings(root: string): void {
  for (const file of COPIED)
    if (fs.existsSync(file)) fs.cpSync(file, path.join(root, file), { recursive: true, dereference: true, force: true });
  const npmrc = path.join(process.env["HOME"] ?? "/root", ".npmrc");
  if (fs.existsSync(npmrc)) fs.copyFileSync(npmrc, path.join(root, "root/.npmrc"));
}

/** Runs a shell command inside a root, with process ids and mounts of its own. @returns its exit status */
function inRoot(root: string, command: string, log: string): Promise<number> {
  const inside = `mount -t proc proc ${root}/proc && mount --bind /dev ${root}/dev && mount -t tmpfs tmpfs ${root}/tmp && exec chroot ${root} /bin/bash -lc "$COMMAND"`;
  const env = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/root",
    LANG: "C.UTF-8",
    CI: "true",
    COMMAND: command,
  };
  const output = fs.openSync(log, "w");
  return new Promise((resolve, reject) => {
    const args = ["--mount", "--pid", "--fork", "--kill-child", "/bin/bash", "-c", inside];
    const child = spawn("unshare", args, { env, stdio: ["ignore", output, output], timeout: COMMAND_MS_MAX, killSignal: "SIGKILL" });
    child.once("error", reject);
    child.once("exit", (code) => {
      fs.closeSync(output);
      resolve(code ?? 1);
    });
  });
}

/** @throws when the program fails */
function run(program: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
    child.once("error", (error) => reject(new Error(`${program}: ${error.message}; on Debian: apt-get install ${program}`)));
    child.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`${program} ${args.join(" ")}: exit status ${code}`))));
  });
}

process.exitCode = await main(process.argv.slice(2));
