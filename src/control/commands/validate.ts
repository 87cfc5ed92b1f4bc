// Owns `sluice validate`: every mistake at once, or what the configuration amounts to.

import { formatDurationMs } from "../../base/units.ts";
import type { Plan } from "../../plan/plan.ts";
import { consumersKey, markerKey } from "../../store/consumer-script.ts";
import { compilePlan } from "../config/compile.ts";
import { loadConfig } from "../config/load.ts";
import { formatProblem } from "../config/problem.ts";
import type { Config } from "../config/schema.ts";
import { describeFleetLimits } from "../fleet/describe-limits.ts";
import type { CommandIo } from "./command.ts";
import { configFiles } from "./config-arguments.ts";

/** @returns 0 when the configuration may be started, 1 when not. @throws OperatorError for wrong arguments. */
export async function validateCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const files = configFiles(argv, "validate");
  const result = loadConfig({ files, env: io.env });
  if (!result.ok) {
    for (const problem of result.problems) io.stderr(`${formatProblem(problem)}\n`);
    io.stderr(`${result.problems.length} ${result.problems.length === 1 ? "error" : "errors"} in ${files.join(", ")}\n`);
    return 1;
  }
  for (const warning of result.warnings) io.stderr(`warning: ${formatProblem(warning)}\n`);
  io.stdout(summary(compilePlan(result.config, { version: 1, metricSlot: () => 0, breakerSlot: () => 0 }), files));
  io.stdout(describeFleetLimits(result.config));
  io.stdout(describeRedisConsumers(result.config));
  return 0;
}

function summary(plan: Plan, files: readonly string[]): string {
  const targets = plan.upstreams.reduce((sum, upstream) => sum + upstream.targets.length, 0);
  const listeners = plan.listeners.map(
    (l) =>
      `  ${l.address}${l.tls === null ? "" : ` (TLS, ${plural(l.tls.certificates.length, "certificate")})`}: engine ${l.engine}, ${l.engineReason}\n`,
  );
  return `${files.join(", ")}: valid\nlisteners:\n${listeners.join("")}${plural(plan.routes.length, "route")}, ${plural(plan.upstreams.length, "upstream")} with ${plural(targets, "target")}\n`;
}

/** @returns a line with its end; none when no consumers come from Redis */
function describeRedisConsumers({ redis, consumersFrom }: Config): string {
  if (redis === null || consumersFrom.redis === null) return "";
  const [key, marker, every] = [consumersKey(redis.prefix), markerKey(redis.prefix), formatDurationMs(consumersFrom.redis.everyMs)];
  return `consumers from Redis: ${key}, looked at every ${every}; they count once ${marker} is there, and are checked by the running gateway, not here\n`;
}

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? "" : "s"}`;
