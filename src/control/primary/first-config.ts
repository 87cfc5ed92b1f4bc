// Owns the configuration that a primary starts with: the files', or what was in force before a restart. Must never put anything in force.
import type { Log } from "../../observe/log.ts";
import type { CommandIo } from "../commands/command.ts";
import { formatProblem } from "../config/problem.ts";
import type { RedisConsumerSet } from "../config/redis-consumers.ts";
import { unpackConfig } from "../plan/plan-control.ts";
import type { LoadedConfig, PlanSource } from "../plan/plan-source.ts";
import type { SupervisorLink } from "../supervisor/supervisor-link.ts";

interface Surroundings {
  readonly io: CommandIo;
  readonly link: SupervisorLink;
  readonly log: Log;
}

export interface FirstConfig extends LoadedConfig {
  /** Consumers of Redis that were in force before a restart. */
  readonly known: RedisConsumerSet | null;
}

/** @returns null when there is none, after saying why. A restarted primary falls back on what was in force before. */
export async function firstConfig(source: PlanSource, { link, log, io }: Surroundings): Promise<FirstConfig | null> {
  const loading = source.load();
  const asks = link.orders.restart && (!loading.ok || loading.config.consumersFrom.redis !== null);
  const packed = asks ? await link.lastGood() : null;
  const lastGood = packed === null ? null : unpackConfig(packed);
  const known = lastGood?.redisConsumers ?? null;
  if (loading.ok) {
    for (const warning of loading.warnings) log.warn(warning);
    return { ...loading, known };
  }
  const problems = loading.problems.map(formatProblem);
  if (lastGood !== null) {
    log.error("the configuration is broken: going on with the one that was in force", { problems });
    return { config: lastGood, warnings: [], content: null, refused: null, known };
  }
  for (const problem of problems) io.stderr(`${problem}\n`);
  io.stderr(`the configuration was refused: ${problems.length} ${problems.length === 1 ? "error" : "errors"}\n`);
  return null;
}
