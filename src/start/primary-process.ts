// Owns the process of a primary around its life: the link to its supervisor, and what it says when it cannot start. Must never run anything else.
import { OperatorError } from "../base/errors.ts";
import { NOT_PIPED, type PipedTexts, unpackPiped } from "../control/config/source/piped.ts";
import type { StandardInput } from "../control/config/source/read-piped.ts";
import type { PrimaryOptions } from "../control/primary/primary.ts";
import { runPrimary } from "../control/primary/run-primary.ts";
import type { SupervisorLink } from "../control/primary/surroundings.ts";
import { createLog } from "../observe/log.ts";
import { connectSupervisor } from "./supervisor/supervisor-link.ts";

export interface PrimaryProcessOptions extends Omit<PrimaryOptions, "link" | "log" | "piped"> {
  /** What the command line says, used when no supervisor gave orders. */
  readonly takeover: boolean;
  readonly io: PrimaryOptions["io"] & StandardInput;
}

/** The supervisor has read them, if there is one: this process does not have its pipes. */
async function pipedTexts(link: SupervisorLink, { files, io }: Pick<PrimaryProcessOptions, "files" | "io">): Promise<PipedTexts> {
  if (link.supervised) return link.orders.piped ? unpackPiped(await link.piped()) : NOT_PIPED;
  const { readPiped } = await import("../control/config/source/read-piped.ts");
  return await readPiped(files, io);
}

/** @returns the exit status */
export async function primaryProcess({ takeover, ...options }: PrimaryProcessOptions): Promise<number> {
  const link = connectSupervisor(takeover);
  try {
    return await runPrimary({ ...options, link, piped: await pipedTexts(link, options), log: createLog() });
  } catch (error) {
    const { stderr } = options.io;
    if (error instanceof OperatorError) stderr(`sluice: ${error.message}\n`);
    else stderr(`sluice: start failed inside the gateway: ${error instanceof Error ? error.stack : String(error)}\n`);
    return error instanceof OperatorError ? error.exitCode : 1;
  } finally {
    link.send({ kind: "leaving" }); // the log says why too when nothing was thrown
  }
}
