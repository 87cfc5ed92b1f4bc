// Owns the `demo` command: built-in upstreams in this process, which also supervises the gateway on config/demo.yaml, and the tour.
// Must never run the gateway differently from `start`: what the demo shows is what one gets.
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { OperatorError } from "../../base/errors.ts";
import { createLog } from "../../observe/log.ts";
import type { Command, CommandIo } from "../commands/command.ts";
import { packageDirectory } from "../commands/package-directory.ts";
import { readyLine } from "../commands/start.ts";
import { processStatus } from "../instance/process-status.ts";
import { supervise } from "../supervisor/supervise.ts";
import { HOST, type Ports } from "./ports.ts";
import type { Leg } from "./tour.ts";

const USAGE = "usage: sluice demo [--port N] [--admin-port N]";
const PORT_DEFAULT = 8080;
const ADMIN_PORT_DEFAULT = 9901;

/** What the demo asks first: it goes through the gateway to one of the built-in services. */
const FIRST_PATH = "/users/7";
/** Longest wait (ms) for the answer. */
const FIRST_ANSWER_MS_MAX = 30_000;

export const demoCommand: Command = async (argv, io) => {
  const wanted = parsePorts(argv);
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
  const ports = { listener: PORT_DEFAULT, admin: ADMIN_PORT_DEFAULT };
  for (let i = 0; i < argv.length; i++) {
    const [option = "", inline] = (argv[i] ?? "").split("=", 2);
    if (option !== "--port" && option !== "--admin-port") throw new OperatorError(`unknown argument "${argv[i]}"; ${USAGE}`, 2);
    const text = inline ?? argv[++i] ?? "";
    const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
    if (!(port <= 65_535)) throw new OperatorError(`${option} needs a port number from 0 to 65535; ${USAGE}`, 2);
    ports[option === "--port" ? "listener" : "admin"] = port;
  }
  return ports;
}

/** Supervises the gateway, as `start` does, and prints the tour once it has answered. @returns its exit status */
async function runGateway(wanted: Ports, accessLog: string, io: CommandIo): Promise<number> {
  const configuration = path.join(packageDirectory(), "config", "demo.yaml");
  const listening = Promise.withResolvers<void>();
  const open = Promise.withResolvers<void>();
  const answered = Promise.all([listening.promise, open.promise]).then(() => firstAnswer(Number(process.env["DEMO_PORT"])));
  answered.catch(() => {}); // said when the gateway is ready
  let failed = false;
  const code = await supervise({
    args: [process.argv[1] ?? "", "start", "-c", configuration],
    takeover: false,
    log: createLog(),
    configuration: async () => {
      const { claimStage } = await import("./stage.ts");
      const stage = await claimStage(wanted);
      const env = { ...stage.env, DEMO_ACCESS_LOG: accessLog };
      // config/demo.yaml reads them, here and in every primary: those started later inherit them.
      Object.assign(process.env, env);
      const { readFirst } = await import("../supervisor/read-first.ts");
      const read = readFirst([configuration], process.env);
      if (typeof read === "string") {
        io.stderr(read);
        return null;
      }
      // As soon as this is on its way to the gateway.
      setImmediate(() => stage.open().then(open.resolve, open.reject));
      return { ...read, env };
    },
    onListening: listening.resolve,
    onReady: (urls, version) => {
      answered.then(
        async ({ status, coldStartMs }) => {
          const [url = ""] = urls;
          const admin = `http://${HOST}:${process.env["DEMO_ADMIN_PORT"]}`;
          const { tour } = await import("./tour.ts");
          io.stdout(readyLine(urls, process.pid, version));
          io.stdout(tourText(tour(url, admin, accessLog)));
          io.stdout(
            `\nGateway ${url}   status page ${admin}/   configuration ${path.relative(process.cwd(), configuration)}\n` +
              `Cold start: ${coldStartMs} ms from the start of this process to the first answered request (status ${status}).\n` +
              "Ctrl-C stops it.\n",
          );
        },
        (error: unknown) => {
          io.stderr(`sluice: the demo cannot go on: ${error instanceof Error ? error.message : String(error)}\n`);
          failed = true;
          process.kill(process.pid, "SIGTERM");
        },
      );
    },
  });
  return failed ? 1 : code;
}

interface Answer {
  readonly status: number;
  /** ms since this process began. */
  readonly coldStartMs: number;
}

/** @returns status of the first answer, and when it came. Spoken by hand: a client that parses would be slower than what it asks. */
function firstAnswer(port: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, HOST, () => socket.write(`GET ${FIRST_PATH} HTTP/1.1\r\nHost: ${HOST}:${port}\r\n\r\n`));
    socket.setTimeout(FIRST_ANSWER_MS_MAX, () => socket.destroy(new Error(`no answer within ${FIRST_ANSWER_MS_MAX} ms`)));
    socket.once("error", reject);
    socket.once("data", (head: Buffer) => {
      resolve({ status: Number(head.toString("latin1", 9, 12)), coldStartMs: processAgeMs() }); // `HTTP/1.1 200`
      socket.destroy();
    });
  });
}

/** @returns how long ago this process was created, also before it ran Node; on Linux to 10 ms, which is what the system counts in (proc(5)) */
function processAgeMs(): number {
  const createdMs = processStatus(process.pid)?.createdMs;
  if (createdMs === undefined) return Math.round(performance.now());
  return Math.round(Number.parseFloat(fs.readFileSync("/proc/uptime", "latin1")) * 1000 - createdMs);
}

/** The tour as it is printed: one numbered stop after the other, command lines ready to be copied. */
export function tourText(legs: readonly Leg[]): string {
  let number = 0;
  const stops = (leg: Leg): string =>
    leg.stops.map(({ title, command, look }) => `  ${String(++number).padStart(2)}. ${title}: ${look}\n      ${command}\n`).join("");
  return legs.map((leg) => `\n${leg.heading}\n${stops(leg)}`).join("");
}
