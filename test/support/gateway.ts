// Owns starting a real gateway process for a test and stopping it. Free ports, a directory and run directory of its own;
// when the test fails, its configuration and everything it printed are shown.
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { onTestFailed } from "vitest";
import { isAlive } from "../../src/control/instance/process-status.ts";
import { until } from "./until.ts";

const ROOT = path.join(import.meta.dirname, "../..");
const READY_WITHIN_MS = 30_000;
const STOPPED_WITHIN_MS = 40_000;

export interface GatewayOptions {
  /** YAML. Use `address: 127.0.0.1:0` for listeners and admin. */
  readonly config: string;
  /** Further files beside it, by relative name. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
  /** Arguments of `start` besides -c. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A command that runs it, such as one that enters a namespace and then becomes the program. */
  readonly within?: readonly string[];
  /** To share the run directory with another instance (takeover). */
  readonly runDirectory?: string;
}

/** One line of the gateway's own log, or of the access log. */
export interface LogLine {
  readonly level?: string;
  readonly message?: string;
  readonly [field: string]: unknown;
}

export class Gateway implements AsyncDisposable {
  /** Holds the configuration and its files. */
  readonly directory: string;
  readonly configFile: string;
  readonly runDirectory: string;
  /** Everything it printed so far, in order of arrival. */
  output = "";
  /** Everything on standard output. */
  stdout = "";
  /** Resolves when the process is gone. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Like exited, but to look at. */
  gone = false;
  readonly #process: ChildProcess;
  #toldToStop = false;
  /** Read as they arrive, each once: tests look every few milliseconds, and the log may be long. */
  readonly #lines: LogLine[] = [];

  private constructor(options: GatewayOptions) {
    // By default it listens on a fixed port, which any other gateway on this machine may hold.
    if (!/^"?admin"?:/m.test(options.config))
      throw new Error('the configuration has no `admin`: write `admin: false`, or `admin: { address: "127.0.0.1:0" }`');
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-gw-"));
    this.configFile = path.join(this.directory, "sluice.yaml");
    this.runDirectory = options.runDirectory ?? path.join(this.directory, "run");
    for (const [name, content] of Object.entries({ "sluice.yaml": options.config, ...options.files })) {
      fs.writeFileSync(path.join(this.directory, name), content);
    }
    const [program, ...args] = [...(options.within ?? []), ...commandLine(), "start", "-c", this.configFile, ...(options.args ?? [])];
    this.#process = spawn(program ?? "", args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...LAUNCHER_ENV, SLUICE_RUN_DIR: this.runDirectory, SLUICE_TEST_HOOKS: "1", ...options.env },
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      let unread = ""; // of each its own, as either may be cut within a line
      stream?.setEncoding("utf8").on("data", (text: string) => {
        if (stream === this.#process.stdout) this.stdout += text;
        this.output += text;
        unread = this.#read(unread + text);
      });
    }
    // A test process that ends early must not leave gateways behind.
    const lastResort = () => this.kill();
    process.once("exit", lastResort);
    this.exited = new Promise((resolve) => {
      this.#process.once("close", (code, signal) => {
        this.gone = true;
        process.off("exit", lastResort);
        resolve({ code, signal });
      });
    });
    try {
      onTestFailed(() => console.error(this.report()));
    } catch {
      // Started outside a test (beforeAll): whoever did that reports.
    }
  }

  /** Starts a gateway without waiting for anything: for those that are meant to fail. */
  static spawn(options: GatewayOptions): Gateway {
    return new Gateway(options);
  }

  /** @returns one that is ready. @throws Error with configuration and log when it does not get ready */
  static async start(options: GatewayOptions): Promise<Gateway> {
    const gateway = new Gateway(options);
    try {
      await until("the gateway is ready", () => gateway.gone || gateway.#readyLine() !== null, READY_WITHIN_MS);
      if (gateway.gone) {
        const { code, signal } = await gateway.exited;
        throw new Error(`the gateway exited (${signal ?? `status ${code}`})`);
      }
    } catch (error) {
      gateway.kill();
      throw new Error(`${error instanceof Error ? error.message : error}\n${gateway.report()}`);
    }
    return gateway;
  }

  /** The process to signal. */
  get pid(): number {
    return this.#process.pid ?? -1;
  }

  /** Base URLs of the listeners, as the ready line names them. */
  get urls(): readonly string[] {
    return this.#readyLine()?.[1]?.split(" ") ?? [];
  }

  /** Base URL of the first listener. */
  get url(): string {
    return this.urls[0] ?? "";
  }

  /** Port of the first listener. */
  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Base URL of the admin listener; '' while there is none. The last one: a replacement binds it anew. */
  get adminUrl(): string {
    const url = this.lines("admin listens").at(-1)?.["url"];
    return typeof url === "string" ? url : "";
  }

  /** The primary's pid (it changes when the supervisor restarts it); -1 while there is none. */
  get primaryPid(): number {
    const records = fs.existsSync(this.runDirectory) ? fs.readdirSync(this.runDirectory).filter((name) => name.endsWith(".json")) : [];
    for (const name of records) {
      const record: unknown = JSON.parse(fs.readFileSync(path.join(this.runDirectory, name), "utf8"));
      if (typeof record !== "object" || record === null || !("signalPid" in record) || record.signalPid !== this.pid) continue;
      const pid = Number.parseInt(name, 10);
      if (isAlive(pid)) return pid;
    }
    return -1;
  }

  /** Log lines, all or those with this message. */
  lines(message?: string): LogLine[] {
    return this.#lines.filter((line) => message === undefined || line.message === message);
  }

  /** @returns what is left: the line that is still being written */
  #read(text: string): string {
    const lines = text.split("\n");
    const rest = lines.pop() ?? "";
    for (const line of lines) {
      if (!line.startsWith("{")) continue;
      try {
        this.#lines.push(JSON.parse(line));
      } catch {
        // Not of the log.
      }
    }
    return rest;
  }

  /** Waits until the log has said something. */
  async said(message: string, times = 1, withinMs?: number): Promise<LogLine> {
    await until(`the log says "${message}"`, () => this.lines(message).length >= times, withinMs ?? 10_000);
    return this.lines(message)[times - 1] ?? {};
  }

  writeConfig(text: string): void {
    fs.writeFileSync(this.configFile, text);
  }

  /** Asks the admin listener. @returns the JSON of its answer, or the text when it is none */
  async admin(method: "GET" | "POST", target: string): Promise<{ readonly status: number; readonly body: unknown }> {
    const response = await fetch(this.adminUrl + target, { method, headers: { connection: "close" } });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") === true;
    return { status: response.status, body: isJson ? JSON.parse(text) : text };
  }

  signal(signal: NodeJS.Signals): void {
    if (signal === "SIGTERM") this.#toldToStop = true;
    this.#process.kill(signal);
  }

  /** SIGTERM (unless it was sent already: a second one would cut the drain short), and the exit status. @throws Error when it does not end */
  async stop(): Promise<number | null> {
    if (!this.gone && !this.#toldToStop) this.signal("SIGTERM");
    try {
      await until("the gateway has stopped", () => this.gone, STOPPED_WITHIN_MS);
    } catch (error) {
      this.kill();
      throw new Error(`${error instanceof Error ? error.message : error}\n${this.report()}`);
    }
    return (await this.exited).code;
  }

  /** The hard way: for tests that failed. */
  kill(): void {
    const primary = this.primaryPid;
    this.signal("SIGKILL");
    if (primary > 0 && isAlive(primary)) process.kill(primary, "SIGKILL");
  }

  report(): string {
    const config = fs.existsSync(this.configFile) ? fs.readFileSync(this.configFile, "utf8") : "(no configuration)";
    return `--- configuration ${this.configFile}\n${config}\n--- gateway's output\n${this.output}\n---`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  #readyLine(): RegExpExecArray | null {
    return /^ready (.+) pid (\d+) version (\d+)$/m.exec(this.stdout);
  }
}

/** The bundle when it is as new as every source (as `npm test` leaves it: that is what ships), else the source. */
export function entry(): string {
  const bundle = path.join(ROOT, "dist/main.js");
  const source = path.join(ROOT, "src/main.ts");
  if (!fs.existsSync(bundle)) return source;
  const builtMs = fs.statSync(bundle).mtimeMs;
  const sources = fs.readdirSync(path.join(ROOT, "src"), { recursive: true, encoding: "utf8" });
  return sources.some((name) => fs.statSync(path.join(ROOT, "src", name)).mtimeMs > builtMs) ? source : bundle;
}

/** What starts the gateway: the bundle's launcher, which is what ships, else Node with the source. */
export function commandLine(main = entry()): readonly string[] {
  return main.endsWith(".js") ? [path.join(path.dirname(main), "sluice")] : [process.execPath, main];
}

/** So that the launcher takes the Node that runs the test. */
export const LAUNCHER_ENV = { SLUICE_NODE: process.execPath } as const;
