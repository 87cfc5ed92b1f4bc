// Owns the `-c FILE` arguments that several commands share.
import { parseArgs } from "node:util";
import { OperatorError } from "../../base/errors.ts";

/** Used when no -c is given. */
export const DEFAULT_CONFIG = "config/sluice.yaml";

/** @returns the configuration files in order. @throws OperatorError (exit 2) for anything but `-c FILE` / `--config FILE`. */
export function configFiles(argv: readonly string[], command: string): readonly string[] {
  try {
    const { values } = parseArgs({ args: [...argv], options: { config: { type: "string", short: "c", multiple: true } }, strict: true });
    return values.config ?? [DEFAULT_CONFIG];
  } catch (error) {
    throw new OperatorError(
      `${error instanceof Error ? error.message.split(". ")[0] : String(error)}\nusage: sluice ${command} [-c FILE]...`,
      2,
    );
  }
}
