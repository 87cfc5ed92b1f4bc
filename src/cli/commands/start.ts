// Owns the `start` command: reads its arguments and becomes the supervisor or, when told so, the primary.
// Must stay light, and load no more than what is said here: both sides of every start begin with this file.

import { isPiped, packPiped } from "../../control/config/source/piped.ts";
import { createLog } from "../../observe/log.ts";
import { endWithStdin } from "../../start/end-with-stdin.ts";
import { launchOrders } from "../../start/supervisor/channel.ts";
import { CONFIG_OPTIONS, readArguments } from "../arguments.ts";
import type { CommandIo } from "../command.ts";

export interface StartArguments {
  readonly files: readonly string[];
  readonly takeover: boolean;
  readonly supervisor: boolean;
}

export const OPTIONS = { ...CONFIG_OPTIONS, takeover: { type: "boolean" }, "no-supervisor": { type: "boolean" } } as const;

/** @throws OperatorError (exit status 2) for anything but the known options. */
export function parseStartArguments(argv: readonly string[]): StartArguments {
  const { values, files } = readArguments(argv, { command: "start", options: OPTIONS, positional: "file" });
  return { files, takeover: values.takeover === true, supervisor: values["no-supervisor"] !== true };
}

/** The line that says the gateway serves. @param pid the process to signal */
export function readyLine(urls: readonly string[], pid: number, version: number): string {
  return `ready ${urls.join(" ")} pid ${pid} version ${version}\n`;
}

export async function startCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const orders = launchOrders();
  // A primary is told by its supervisor, which has read the arguments.
  const options = orders === null ? parseStartArguments(argv) : { files: orders.files, takeover: false, supervisor: false };
  const code = options.supervisor ? await becomeSupervisor(options, io) : await becomePrimary(options, io);
  // Timers, signal handlers and channels would keep the process: it is over.
  process.exit(code);
}

/** A reader of our output that goes away must not end the gateway. Node takes ms to make the two streams: not before what others wait for. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
}

async function becomeSupervisor({ files, takeover }: StartArguments, io: CommandIo): Promise<number> {
  const piped = files.some(isPiped) ? await readPipes(files, io) : {};
  const { supervise } = await import("../../start/supervisor/supervise.ts");
  const ended = supervise({
    args: process.argv.slice(1),
    takeover,
    files,
    piped,
    log: createLog(),
    onReady: (urls, version) => io.stdout(readyLine(urls, process.pid, version)),
  });
  outliveReaders();
  endWithStdin(io.env);
  return await ended;
}

/** The next primary cannot read them again. */
async function readPipes(files: readonly string[], io: CommandIo): Promise<Readonly<Record<string, string>>> {
  const { readPiped } = await import("../../control/config/source/read-piped.ts");
  return packPiped(await readPiped(files, io));
}

async function becomePrimary({ files, takeover }: StartArguments, io: CommandIo): Promise<number> {
  const { WarmWorkerPool, initialWorkerCount, workerEntry } = await import("../../control/workers/warm-worker-pool.ts");
  const threads = new WarmWorkerPool(workerEntry(), { supervisor: launchOrders() === null ? null : process.ppid });
  threads.startMore(initialWorkerCount() - 1);
  if (launchOrders() !== null) (await import("../../start/standard-streams.ts")).useHandedStreams();
  outliveReaders();
  const { primaryProcess } = await import("../../start/primary-process.ts");
  return await primaryProcess({
    files,
    takeover,
    io,
    threads,
    onReady: (urls, version) => io.stdout(readyLine(urls, process.pid, version)),
  });
}
