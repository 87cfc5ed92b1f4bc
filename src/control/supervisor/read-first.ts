// Owns reading the configuration in the supervisor, on one core, while the first primary boots on another. Loaded for that alone; a later
// primary reads for itself. What reads the configuration is config/load.ts, here as there.
import type { HandedConfiguration } from "../../plan/messages.ts";
import type { CommandIo } from "../commands/command.ts";
import { loadConfig } from "../config/load.ts";
import { formatProblem, formatRefusal } from "../config/problem.ts";
import { packConfig } from "../plan/packed-config.ts";

/** @returns what to say when it is refused. */
export function readFirst(files: readonly string[], env: CommandIo["env"]): HandedConfiguration | string {
  const result = loadConfig({ files, env });
  if (!result.ok) return formatRefusal(result.problems);
  const { config, warnings, files: watched, stamps } = result;
  return { config: packConfig(config), warnings: warnings.map(formatProblem), files: watched, stamps, env: {} };
}
