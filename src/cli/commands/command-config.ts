// Owns loading the configuration of a command that looks at one and ends: files, pipes, and the way to say what is wrong with it.

import { compilePlan } from "../../control/config/compile/compile.ts";
import { type LoadResult, loadConfig } from "../../control/config/load.ts";
import type { Config } from "../../control/config/schema/schema.ts";
import { type PipedTexts, pipeName } from "../../control/config/source/piped.ts";
import { readPiped } from "../../control/config/source/read-piped.ts";
import type { Plan } from "../../plan/plan.ts";
import type { CommandIo } from "../command.ts";

export interface CommandConfig {
  readonly result: LoadResult;
  readonly piped: PipedTexts;
  /** The files as messages name them. */
  readonly names: readonly string[];
}

/** @throws OperatorError for a pipe that cannot be read */
export async function commandConfig(files: readonly string[], io: CommandIo): Promise<CommandConfig> {
  const piped = await readPiped(files, io);
  const result = loadConfig({ files, env: io.env, piped });
  return { result, piped, names: files.map((file) => (piped.has(file) ? pipeName(file) : file)) };
}

/** The plan that nobody runs: slots are not given out. */
export const planOf = (config: Config): Plan => compilePlan(config, { version: 1, metricSlot: () => 0, breakerSlot: () => 0 });
