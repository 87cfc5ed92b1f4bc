// Owns reading the configuration in the supervisor, on one core, while the first primary boots on another. Loaded for that alone; a later
// primary reads for itself. What reads the configuration is config/load.ts, here as there.
import type { HandedConfiguration } from "../../plan/messages.ts";
import type { CommandIo } from "../commands/command.ts";
import { loadConfig } from "../config/load.ts";
import { formatProblem, formatRefusal } from "../config/problem.ts";
import { packConfig } from "../plan/packed-config.ts";

/** @returns null when it is refused, after saying why. */
export function readFirst(files: readonly string[], io: CommandIo): HandedConfiguration | null {
  const result = loadConfig({ files, env: io.env });
  if (!result.ok) {
    io.stderr(formatRefusal(result.problems));
    return null;
  }
  const { config, warnings, files: watched, stamps } = result;
  return { config: packConfig(config), warnings: warnings.map(formatProblem), files: watched, stamps, env: {} };
}
