// Owns starting a server as a process and ending it with all it started. None may outlive this process.
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { processTree } from "../../src/cli/bench/process-cost.ts";
import type { Peer } from "./peer.ts";

export interface Launch {
  readonly name: string;
  readonly directory: string;
  readonly port: number;
  readonly tls?: boolean;
  readonly command: string;
  readonly arguments: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
  readonly configuration: string;
  /** What it prints on standard output when it serves; a server that says nothing serves when it accepts connections. */
  readonly ready?: RegExp;
}

const START_MS_MAX = 20_000;
const LOOK_EVERY_MS = 20;
/** A server that takes longer is killed. */
const STOP_MS_MAX = 10_000;
const LAST_WORDS_BYTES = 2000;

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) killTree(child);
});

/** @returns when it accepts connections. @throws Error with its last words when it does not get there. */
export async function launch(options: Launch): Promise<Peer> {
  const { name, directory, port } = options;
  const errorFile = path.join(directory, `${name}-${port}.err`);
  // Standard output is the access log of those that are asked for one, and standard error may say much: both go to files.
  const outputFile = path.join(directory, `${name}-${port}.out`);
  const [output, errors] = [fs.openSync(outputFile, "w"), fs.openSync(errorFile, "w")];
  const child = spawn(options.command, options.arguments, {
    stdio: ["ignore", output, errors],
    env: options.environment ?? process.env,
    cwd: directory,
  });
  fs.closeSync(output);
  fs.closeSync(errors);
  running.add(child);
  let failed = "";
  child.once("error", (error) => {
    failed = error.message;
  });
  child.once("exit", () => running.delete(child));
  const endMs = performance.now() + START_MS_MAX;
  const serves = async (): Promise<boolean> =>
    options.ready === undefined ? accepts(port) : options.ready.test(fs.readFileSync(outputFile, "utf8"));
  while (!(await serves())) {
    if (child.exitCode !== null || child.signalCode !== null || failed !== "" || performance.now() > endMs) {
      killTree(child);
      running.delete(child);
      const words = fs.readFileSync(errorFile, "utf8").slice(-LAST_WORDS_BYTES).trim();
      throw new Error(`${name} did not listen on port ${port} (${failed || `exit code ${child.exitCode}`}): ${words || "it said nothing"}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return {
    name,
    port,
    url: `${options.tls === true ? "https" : "http"}://127.0.0.1:${port}/`,
    pid: child.pid ?? 0,
    configuration: options.configuration,
    stop: (signal) => stop(child, signal ?? "SIGTERM"),
  };
}

/** @returns a source of ports that nobody listens on, below those the kernel gives to clients. */
export function portsFrom(first: number): () => Promise<number> {
  let next = first;
  return async () => {
    while (!(await isFree(next))) next++;
    return next++;
  };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.once("connect", () => {
      resolve(true);
      socket.destroy();
    });
    socket.once("error", () => resolve(false));
  });
}

function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    const timer = setTimeout(() => killTree(child), STOP_MS_MAX);
    child.once("exit", () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill(signal);
  });
}

/** Children first known, then killed: those of a killed parent would belong to nobody. */
function killTree(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  for (const pid of processTree(child.pid)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // ended meanwhile
    }
  }
}
