// Owns the configuration that a primary starts with: the files', or what was in force before a restart. Must never put anything in
// force.

import type { Log } from "../../observe/log.ts";
import { formatProblem, formatRefusal } from "../config/source/problem.ts";
import type { RedisConsumerSet } from "../config/source/redis-consumers.ts";
import { unpackConfig } from "../plan/packed-config.ts";
import type { LoadedConfig, PlanSource } from "../plan/plan-source.ts";
import type { PrimaryIo, SupervisorLink } from "./surroundings.ts";

export interface FirstConfigDeps {
  readonly io: PrimaryIo;
  readonly link: SupervisorLink;
  readonly log: Log;
}

export interface FirstConfig extends LoadedConfig {
  /** Consumers of Redis that were in force before a restart. */
  readonly known: RedisConsumerSet | null;
}

/**
 * @returns null when there is none, after saying why. A restarted primary falls back on what was in force before, its certificates included; one that has
 * nothing of the kind does without the listeners whose certificates cannot be used.
 */
export async function firstConfig(source: PlanSource, deps: FirstConfigDeps): Promise<FirstConfig | null> {
  const { link, log, io } = deps;
  const loading = await source.load();
  const asks = link.orders.restart && (!loading.ok || loading.config.consumersFrom.redis !== null);
  const packed = asks ? await link.lastGood() : null;
  const lastGood = packed === null ? null : unpackConfig(packed);
  const known = lastGood?.redisConsumers ?? null;
  if (loading.ok) return withWarnings({ ...loading, known }, log);
  if (lastGood !== null) {
    log.error("the configuration is broken: going on with the one that was in force", { problems: loading.problems.map(formatProblem) });
    return { config: lastGood, warnings: [], content: null, refused: null, known };
  }
  const partly = await source.load([null], null, "any");
  if (partly.ok) {
    for (const { address, problem } of partly.config.leftOut)
      log.error("a listener is left out until its certificate can be used", { address, problem });
    return withWarnings({ ...partly, known }, log);
  }
  io.stderr(formatRefusal(loading.problems));
  return null;
}

function withWarnings(first: FirstConfig, log: Log): FirstConfig {
  for (const warning of first.warnings) log.warn(warning);
  return first;
}
