// Owns where a starting primary gets its configuration: from the supervisor, from the files, or what was in force before a restart.
import type { Log } from "../../observe/log.ts";
import type { CommandIo } from "../commands/command.ts";
import { formatProblem, formatRefusal } from "../config/problem.ts";
import type { Config } from "../config/schema.ts";
import { unpackConfig } from "../plan/packed-config.ts";
import type { LoadedConfig, PlanSource } from "../plan/plan-source.ts";
import type { SupervisorLink } from "../supervisor/supervisor-link.ts";

export interface FirstConfigDeps {
  readonly io: CommandIo;
  readonly link: SupervisorLink;
  readonly log: Log;
}

/** @returns null when there is none, after saying why. A restarted primary falls back on what was in force before. */
export async function firstConfig(source: PlanSource, deps: FirstConfigDeps): Promise<Config | null> {
  const { link, log, io } = deps;
  if (link.orders.configurationFollows) {
    const handed = await link.configuration();
    return handed === null ? null : withWarnings(source.accept(handed), log);
  }
  const loading = await source.load();
  if (loading.ok) return withWarnings(loading, log);
  const lastGood = link.orders.restart ? await link.lastGood() : null;
  if (lastGood !== null) {
    log.error("the configuration is broken: going on with the one that was in force", { problems: loading.problems.map(formatProblem) });
    return unpackConfig(lastGood);
  }
  io.stderr(formatRefusal(loading.problems));
  return null;
}

function withWarnings({ config, warnings }: LoadedConfig, log: Log): Config {
  for (const warning of warnings) log.warn(warning);
  return config;
}
