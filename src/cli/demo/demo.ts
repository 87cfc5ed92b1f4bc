// Owns the `demo` command: built-in upstreams in this process, the gateway on config/demo.yaml as another, and the tour.
// Must never run the gateway differently from `start`: what the demo shows is what one gets.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { END_WITH_STDIN, endWithStdin } from "../../start/end-with-stdin.ts";
import { readArguments, wrongUsage } from "../arguments.ts";
import type { Command, CommandIo } from "../command.ts";
import { packageDirectory } from "../commands/package-directory.ts";
import { outliveReaders } from "../commands/start.ts";
import { HOST, type Ports } from "./ports.ts";
import { setStage } from "./stage.ts";
import { type Leg, tour } from "./tour.ts";

export const OPTIONS = { port: { type: "string" }, "admin-port": { type: "string" } } as const;
const PORT_DEFAULT = 8080;
const ADMIN_PORT_DEFAULT = 9901;

/** What the demo asks first: it goes through the gateway to one of the built-in services. */
const FIRST_PATH = "/users/7";
/** Longest wait (ms) for the answer, and between two tries to connect. */
const FIRST_ANSWER_MS_MAX = 30_000;
const RETRY_MS = 4;

export const demoCommand: Command = async (argv, io) => {
  const wanted = parsePorts(argv);
  outliveReaders();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-demo-"));
  let code: number;
  try {
    code = await runGateway(wanted, path.join(directory, "access.log"), io);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
  // Services and signal handlers would keep the process: it is over.
  process.exit(code);
};

/** @throws OperatorError (exit status 2) for anything but the known options; 0 picks a free port. */
export function parsePorts(argv: readonly string[]): Ports {
  const { values } = readArguments(argv, { command: "demo", options: OPTIONS });
  const portOf = (option: keyof typeof OPTIONS, usual: number): number => {
    const text = values[option] ?? String(usual);
    if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
      throw wrongUsage("demo", `--${option} needs a port number from 0 to 65535, not "${text}"`);
    return Number(text);
  };
  return { listener: portOf("port", PORT_DEFAULT), admin: portOf("admin-port", ADMIN_PORT_DEFAULT) };
}

/** Runs the gateway, and prints the tour once it has answered. @returns its exit status */
async function runGateway(wanted: Ports, accessLog: string, io: CommandIo): Promise<number> {
  const configuration = path.join(packageDirectory(), "config", "demo.yaml");
  const env = { ...(await setStage(wanted)), DEMO_ACCESS_LOG: accessLog };
  const { DEMO_PORT: port, DEMO_ADMIN_PORT: adminPort } = env as Record<string, string>; // ports.ts names them
  const [program = "", ...args] = gatewayCommand();
  const startedMs = performance.now();
  const gateway = spawn(program, [...args, "start", "-c", configuration], {
    stdio: ["pipe", "pipe", "inherit"], // its input ends with this process, and it with its input
    env: { ...process.env, ...env, SLUICE_NODE: process.execPath, [END_WITH_STDIN]: "1" },
  });
  const ended = once(gateway, "exit") as Promise<[number | null]>; // the event's arguments
  const stop = (): void => void gateway.kill("SIGTERM");
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, stop);
  process.once("exit", stop);
  endWithStdin(process.env);
  let failed = false;
  showTour().catch((error: unknown) => {
    if (gateway.exitCode !== null) return; // it has said why
    io.stderr(`sluice: the demo cannot go on: ${error instanceof Error ? error.message : String(error)}\n`);
    failed = true;
    stop();
  });
  const [code] = await ended;
  return failed ? 1 : (code ?? 1);

  async function showTour(): Promise<void> {
    const ready = readyLine(gateway, io);
    const status = await firstAnswer(Number(port), () => gateway.exitCode === null);
    const coldStartMs = Math.round(performance.now() - startedMs);
    const line = await ready;
    const url = `http://${HOST}:${port}`;
    const admin = `http://${HOST}:${adminPort}`;
    io.stdout(`${line}\n${tourText(tour(url, admin, accessLog))}`);
    io.stdout(
      `\nGateway ${url}   status page ${admin}/   configuration ${path.relative(process.cwd(), configuration)}\n` +
        `Cold start: ${coldStartMs} ms from \`sluice start\` to the first answered request (status ${status}).\n` +
        "Ctrl-C stops it.\n",
    );
  }
}

/** @returns what runs this program's other commands: the launcher beside a bundle, else this Node with this entry. */
function gatewayCommand(): readonly string[] {
  const launcher = path.join(import.meta.dirname, "sluice");
  return fs.existsSync(launcher) ? [launcher] : [process.execPath, ...process.execArgv, process.argv[1] ?? ""];
}

/** @returns the gateway's ready line; whatever else it prints is passed on. */
function readyLine(gateway: ChildProcess, io: CommandIo): Promise<string> {
  return new Promise((resolve) => {
    let unread = "";
    gateway.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (unread + text).split("\n");
      unread = lines.pop() ?? "";
      for (const line of lines) {
        if (line.startsWith("ready ")) resolve(line);
        else io.stdout(`${line}\n`);
      }
    });
  });
}

/** @returns status of the first answer, as soon as there is one. @throws Error when there will be none */
async function firstAnswer(port: number, lives: () => boolean): Promise<number> {
  const endMs = performance.now() + FIRST_ANSWER_MS_MAX;
  while (lives() && performance.now() < endMs) {
    const status = await ask(port);
    if (status !== null) return status;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  throw new Error(lives() ? `no answer within ${FIRST_ANSWER_MS_MAX} ms` : "the gateway has ended");
}

/** Spoken by hand: a client that parses would be slower than what it asks. @returns null when nobody answers */
function ask(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const socket = net.connect(port, HOST, () => socket.write(`GET ${FIRST_PATH} HTTP/1.1\r\nHost: ${HOST}:${port}\r\n\r\n`));
    socket.setTimeout(FIRST_ANSWER_MS_MAX, () => socket.destroy());
    socket.once("error", () => resolve(null));
    socket.once("close", () => resolve(null));
    socket.once("data", (head: Buffer) => {
      resolve(Number(head.toString("latin1", 9, 12))); // `HTTP/1.1 200`
      socket.destroy();
    });
  });
}

/** The tour as it is printed: one numbered stop after the other, command lines ready to be copied. */
export function tourText(legs: readonly Leg[]): string {
  let number = 0;
  const stops = (leg: Leg): string =>
    leg.stops.map(({ title, command, look }) => `  ${String(++number).padStart(2)}. ${title}: ${look}\n      ${command}\n`).join("");
  return legs.map((leg) => `\n${leg.heading}\n${stops(leg)}`).join("");
}
