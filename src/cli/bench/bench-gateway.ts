// Owns the gateway that a bench starts: the operator's configuration on one free loopback port, in a process tree of its own, with a run
// directory of its own, so that it disturbs no other instance. Gone when the bench is.
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { OperatorError } from "../../base/errors.ts";
import { type PipedTexts, STDIN } from "../../control/config/source/piped.ts";
import { InstanceDir } from "../../control/instance/instance-dir.ts";
import type { ListenerPlan } from "../../plan/listener-plan.ts";
import type { Plan } from "../../plan/plan.ts";
import { processTree } from "./process-cost.ts";

const READY_WITHIN_MS = 30_000;
const STOPPED_WITHIN_MS = 10_000;
const METRICS_WITHIN_MS = 10_000;
const LAST_WORDS_BYTES = 4000;

export interface BenchFiles {
  readonly files: readonly string[];
  /** Those that came through a pipe: the gateway gets what came by its standard input. */
  readonly piped: PipedTexts;
}

export class BenchGateway implements AsyncDisposable {
  readonly url: URL;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #log: string;

  private constructor(url: URL, child: ChildProcess, directory: string) {
    this.url = url;
    this.pid = child.pid ?? -1;
    this.#child = child;
    this.#directory = directory;
    this.#log = logIn(directory);
  }

  /** @param entry the program to run: main.js or main.ts. @throws OperatorError with the gateway's last words when it does not start */
  static async start(plan: Plan, { files, piped }: BenchFiles, entry: string): Promise<BenchGateway> {
    if (piped.size > 1) throw new OperatorError("bench takes one configuration through a pipe: write the others to files");
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bench-"));
    const overlay = path.join(directory, "bench.yaml");
    fs.writeFileSync(overlay, JSON.stringify(overlayFor(plan)));
    const log = logIn(directory);
    const errors = fs.openSync(log, "w");
    const child = spawn(
      process.execPath,
      [entry, "start", ...files.flatMap((file) => ["-c", piped.has(file) ? STDIN : file]), "-c", overlay],
      {
        stdio: ["pipe", "pipe", errors],
        env: { ...process.env, SLUICE_RUN_DIR: runIn(directory) },
      },
    );
    fs.closeSync(errors);
    child.stdin?.on("error", () => {}); // it has ended, and says why
    child.stdin?.end([...piped.values()][0]);
    process.once("exit", () => {
      killTree(child);
      fs.rmSync(directory, { recursive: true, force: true });
    });
    const url = await ready(child);
    if (url !== null) return new BenchGateway(url, child, directory);
    killTree(child);
    throw new OperatorError(`the gateway did not start:\n${fs.readFileSync(log, "utf8").slice(-LAST_WORDS_BYTES).trim()}`);
  }

  /** Bytes that the gateway has written to its own log. */
  get logBytes(): number {
    return fs.statSync(this.#log).size;
  }

  /** What it has written since there were so many bytes; the last of it, when that is much. */
  logSince(bytes: number): string {
    return fs.readFileSync(this.#log).subarray(bytes).toString("utf8").slice(-LAST_WORDS_BYTES);
  }

  /** Its page of metrics, by the control socket. @throws OperatorError when it does not answer */
  async metrics(): Promise<string> {
    const [instance] = new InstanceDir(runIn(this.#directory)).instances();
    if (instance === undefined) throw new OperatorError("the gateway has no control socket");
    const { request } = await import("node:http");
    return await new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(METRICS_WITHIN_MS);
      const call = request({ socketPath: instance.socket, path: "/metrics", agent: false, signal }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (more: string) => {
          text += more;
        });
        response.once("end", () => resolve(text)).once("error", reject);
      });
      call.once("error", (error) => reject(new OperatorError(`the gateway does not tell its metrics: ${error.message}`)));
      call.end();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGTERM");
      const timer = setTimeout(() => killTree(this.#child), STOPPED_WITHIN_MS);
      await exited;
      clearTimeout(timer);
    }
    fs.rmSync(this.#directory, { recursive: true, force: true });
  }
}

const runIn = (directory: string): string => path.join(directory, "run");
const logIn = (directory: string): string => path.join(directory, "gateway.log");

/**
 * Laid over the operator's files: one listener, like the first but on a free loopback port, and further ones where routes may know them by name; no admin
 * listener; access-log lines are made and written, but to nowhere.
 */
export function overlayFor(plan: Plan): Readonly<Record<string, unknown>> {
  const others = plan.listeners.slice(1).filter(({ name }) => name !== "");
  return { listeners: [listenerLike(plan.listeners[0]), ...others.map(listenerLike)], admin: false, log: { file: "/dev/null" } };
}

function listenerLike(listener: ListenerPlan | undefined): Readonly<Record<string, unknown>> {
  const tls = listener?.tls ?? null;
  return {
    ...(listener === undefined || listener.name === "" ? {} : { name: listener.name }),
    address: "127.0.0.1:0",
    // A PROXY protocol header is not kept, as the generator sends none: the engine that it needs is.
    ...(listener === undefined ? {} : { engine: listener.engine }),
    ...(tls === null
      ? {}
      : { tls: { certificates: tls.certificates.map((each) => ({ cert: each.certPath, key: each.keyPath, hosts: each.hosts })) } }),
  };
}

/** @returns the first URL of its ready line, or null when it ends or takes too long. */
function ready(child: ChildProcess): Promise<URL | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(null), READY_WITHIN_MS);
    const done = (url: URL | null): void => {
      clearTimeout(timer);
      resolve(url);
    };
    let said = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      if (said.length < LAST_WORDS_BYTES) said += text;
      const url = /^ready (\S+) /m.exec(said)?.[1];
      if (url !== undefined) done(new URL(url));
    });
    child.once("error", () => done(null));
    child.once("exit", () => done(null));
  });
}

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
