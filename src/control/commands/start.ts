// Owns the `start` command: reads its arguments and becomes the supervisor or, when told so, the primary.
// Must stay light, and load no more than what is said here: both sides of every start begin with this file.
import { OperatorError } from "../../base/errors.ts";
import { createLog } from "../../observe/log.ts";
import { endWithStdin } from "../../start/end-with-stdin.ts";
import { launchOrders } from "../supervisor/channel.ts";
import type { CommandIo } from "./command.ts";

export interface StartArguments {
  readonly files: readonly string[];
  readonly takeover: boolean;
  readonly supervisor: boolean;
}

const DEFAULT_FILE = "config/sluice.yaml";

/** @throws OperatorError (exit status 2) for anything but the known options. */
export function parseStartArguments(argv: readonly string[]): StartArguments {
  const files: string[] = [];
  let takeover = false;
  let supervisor = true;
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] ?? "";
    if (arg === "-c" || arg === "--config") {
      const file = argv[++i];
      if (file === undefined) throw new OperatorError(`${arg} needs a file`, 2);
      files.push(file);
    } else if (arg.startsWith("--config=")) files.push(arg.slice("--config=".length));
    else if (arg === "--takeover") takeover = true;
    else if (arg === "--no-supervisor") supervisor = false;
    else throw new OperatorError(`unknown argument "${arg}"; usage: sluice start [-c FILE]... [--takeover] [--no-supervisor]`, 2);
  }
  return { files: files.length === 0 ? [DEFAULT_FILE] : files, takeover, supervisor };
}

/** The line that says the gateway serves. @param pid the process to signal */
export function readyLine(urls: readonly string[], pid: number, version: number): string {
  return `ready ${urls.join(" ")} pid ${pid} version ${version}\n`;
}

export async function startCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const options = parseStartArguments(argv);
  const code = launchOrders() !== null || !options.supervisor ? await becomePrimary(options, io) : await becomeSupervisor(options, io);
  // Timers, signal handlers and channels would keep the process: it is over.
  process.exit(code);
}

/** A reader of our output that goes away must not end the gateway. Node takes ms to make the two streams: not before what others wait for. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
}

async function becomeSupervisor(options: StartArguments, io: CommandIo): Promise<number> {
  const { supervise } = await import("../supervisor/supervise.ts");
  const ended = supervise({
    args: process.argv.slice(1),
    takeover: options.takeover,
    log: createLog(),
    onReady: (urls, version) => io.stdout(readyLine(urls, process.pid, version)),
  });
  outliveReaders();
  endWithStdin(io.env);
  return await ended;
}

async function becomePrimary({ files, takeover }: StartArguments, io: CommandIo): Promise<number> {
  const { ThreadNursery, threadsAtOnce, workerEntry } = await import("../../start/nursery.ts");
  const threads = new ThreadNursery(workerEntry(), { supervisor: launchOrders() === null ? null : process.ppid });
  threads.more(threadsAtOnce() - 1);
  if (launchOrders() !== null) (await import("../../start/standard-streams.ts")).useHandedStreams();
  outliveReaders();
  const { primaryProcess } = await import("../primary/process.ts");
  return await primaryProcess({
    files,
    takeover,
    io,
    threads,
    onReady: (urls, version) => io.stdout(readyLine(urls, process.pid, version)),
  });
}
