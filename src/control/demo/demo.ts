// Owns the `demo` command: built-in upstreams in this process, which also supervises the gateway on config/demo.yaml, and the tour.
// Must never run the gateway differently from `start`: what the demo shows is what one gets.
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { OperatorError } from "../../base/errors.ts";
import { createLog } from "../../observe/log.ts";
import type { Command, CommandIo } from "../commands/command.ts";
import { packageDirectory } from "../commands/package-directory.ts";
import { readyLine } from "../commands/start.ts";
import { supervise } from "../supervisor/supervise.ts";
import { type Leg, tour } from "./tour.ts";
import { DemoUpstreams } from "./upstreams.ts";

const USAGE = "usage: sluice demo [--port N] [--admin-port N]";
const HOST = "127.0.0.1";
const PORT_DEFAULT = 8080;
const ADMIN_PORT_DEFAULT = 9901;

/** How often the demo asks whether the gateway answers yet, and how long, ms. */
const FIRST_ANSWER_RETRY_MS = 4;
const FIRST_ANSWER_MS_MAX = 30_000;

interface Ports {
  readonly listener: number;
  readonly admin: number;
}

export const demoCommand: Command = async (argv, io) => {
  const wanted = parsePorts(argv);
  const ports = { listener: await claim(wanted.listener, "--port"), admin: await claim(wanted.admin, "--admin-port") };
  const upstreams = await DemoUpstreams.start();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-demo-"));
  const code = await runGateway(ports, { upstreams, accessLog: path.join(directory, "access.log"), io });
  fs.rmSync(directory, { recursive: true, force: true });
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

/** @returns the port, or a free one for 0. @throws OperatorError when it is taken, saying what to do. */
function claim(port: number, option: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", (error) => {
      const busy = "code" in error && error.code === "EADDRINUSE";
      const problem = busy ? `port ${port} is in use` : error.message;
      reject(new OperatorError(`cannot listen on ${HOST}:${port}: ${problem}; choose another with ${option} N (0 picks a free one)`));
    });
    server.listen({ host: HOST, port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : port));
    });
  });
}

interface Stage {
  readonly upstreams: DemoUpstreams;
  readonly accessLog: string;
  readonly io: CommandIo;
}

/** Supervises the gateway, as `start` does, and prints the tour once it has answered. @returns its exit status */
function runGateway(ports: Ports, { upstreams, accessLog, io }: Stage): Promise<number> {
  const configuration = path.join(packageDirectory(), "config", "demo.yaml");
  // The gateway inherits them; config/demo.yaml reads them.
  Object.assign(process.env, upstreams.env, {
    DEMO_PORT: String(ports.listener),
    DEMO_ADMIN_PORT: String(ports.admin),
    DEMO_ACCESS_LOG: accessLog,
  });
  const answered = firstAnswer(`http://${HOST}:${ports.listener}/users/7`);
  return supervise({
    args: [process.argv[1] ?? "", "start", "-c", configuration],
    takeover: false,
    log: createLog(),
    onReady: (urls, version) => {
      const [url = ""] = urls;
      answered.then(
        ({ status, coldStartMs }) => {
          const admin = `http://${HOST}:${ports.admin}`;
          io.stdout(readyLine(urls, process.pid, version));
          io.stdout(tourText(tour(url, admin, accessLog)));
          io.stdout(
            `\nGateway ${url}   status page ${admin}/   configuration ${path.relative(process.cwd(), configuration)}\n` +
              `Cold start: ${coldStartMs} ms from the start of this process to the first answered request (status ${status}).\n` +
              "Ctrl-C stops it.\n",
          );
        },
        (error: unknown) => io.stderr(`the gateway does not answer: ${String(error)}\n`),
      );
    },
  });
}

/** @returns status of the first answer, and when it came: ms since this process began. The first worker to listen gives it. */
async function firstAnswer(url: string): Promise<{ readonly status: number; readonly coldStartMs: number }> {
  for (;;) {
    const status = await tryOnce(url);
    if (status !== null) return { status, coldStartMs: Math.round(performance.now()) };
    if (performance.now() > FIRST_ANSWER_MS_MAX) throw new Error(`no answer within ${FIRST_ANSWER_MS_MAX} ms`);
    await new Promise((resolve) => setTimeout(resolve, FIRST_ANSWER_RETRY_MS));
  }
}

function tryOnce(url: string): Promise<number | null> {
  return new Promise((resolve) => {
    const request = http.get(url, { agent: false }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    });
    request.once("error", () => resolve(null));
  });
}

/** The tour as it is printed: one numbered stop after the other, command lines ready to be copied. */
export function tourText(legs: readonly Leg[]): string {
  let number = 0;
  const stops = (leg: Leg): string =>
    leg.stops.map(({ title, command, look }) => `  ${String(++number).padStart(2)}. ${title}: ${look}\n      ${command}\n`).join("");
  return legs.map((leg) => `\n${leg.heading}\n${stops(leg)}`).join("");
}
