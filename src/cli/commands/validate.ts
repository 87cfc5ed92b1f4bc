// Owns `sluice validate`: every mistake at once, or what the configuration amounts to.

import { formatDurationMs, formatSizeBytes } from "../../base/units.ts";
import type { LoadResult } from "../../control/config/load.ts";
import { settingsOf } from "../../control/config/schema/route-layers.ts";
import type { Config } from "../../control/config/schema/schema.ts";
import { type ConfigProblem, formatPosition, formatProblem } from "../../control/config/source/problem.ts";
import { describeFleetLimits } from "../../control/fleet/describe-limits.ts";
import { proxyOf } from "../../data/handlers/proxy/config.ts";
import type { ModulePolicyPlan } from "../../plan/module-plan.ts";
import type { Plan } from "../../plan/plan.ts";
import { BUILT_IN_CLIENTS } from "../../plan/routing-terms.ts";
import { consumersKey, markerKey } from "../../store/consumer-script.ts";
import { CONFIG_OPTIONS, readArguments } from "../arguments.ts";
import type { CommandIo } from "../command.ts";
import { commandConfig, planOf } from "./command-config.ts";

export const OPTIONS = { ...CONFIG_OPTIONS, json: { type: "boolean" }, sources: { type: "boolean" } } as const;

/** @returns 0 when the configuration may be started, 1 when not. @throws OperatorError for wrong arguments. */
export async function validateCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values, files } = readArguments(argv, { command: "validate", options: OPTIONS, positional: "file" });
  const { result, names } = await commandConfig(files, io);
  if (values.json === true) {
    const sources = result.ok && values.sources === true ? { settings: settingsByRoute(result) } : {};
    io.stdout(`${JSON.stringify({ ...asJson(result, names), ...sources }, null, 2)}\n`);
    return result.ok ? 0 : 1;
  }
  if (!result.ok) {
    for (const problem of result.problems) io.stderr(`${formatProblem(problem)}\n`);
    io.stderr(`${plural(result.problems.length, "error")} in ${names.join(", ")}\n`);
    return 1;
  }
  for (const warning of result.warnings) io.stderr(`warning: ${formatProblem(warning)}\n`);
  io.stdout(summary(planOf(result.config), names));
  io.stdout(describeFleetLimits(result.config));
  io.stdout(describeRedisConsumers(result.config));
  if (values.sources === true) io.stdout(describeSources(result));
  return 0;
}

/** For programs: keys are stable. */
function asJson(result: LoadResult, files: readonly string[]): object {
  const flat = ({ at, ...rest }: ConfigProblem): object => ({ ...at, ...rest });
  if (!result.ok) return { valid: false, files, errors: result.problems.map(flat), warnings: [] };
  const plan = planOf(result.config);
  const { listeners, routes, upstreams } = plan;
  return {
    valid: true,
    files,
    errors: [],
    warnings: result.warnings.map(flat),
    listeners: listeners.map(({ name, address, engine, tls }) => ({
      ...(name === "" ? {} : { name }),
      address,
      engine,
      tls: tls !== null,
    })),
    routes: routes.length,
    upstreams: upstreams.map(({ name, targets }) => ({ name, targets: targets.length })),
    policies: policyUses(plan),
  };
}

function summary(plan: Plan, files: readonly string[]): string {
  const targets = plan.upstreams.reduce((sum, upstream) => sum + upstream.targets.length, 0);
  const listeners = plan.listeners.map(
    (l) =>
      `  ${l.name === "" ? "" : `${l.name} `}${l.address}${l.tls === null ? "" : ` (TLS, ${plural(l.tls.certificates.length, "certificate")})`}: engine ${l.engine}, ${l.engineReason}${l.redirectToHttps === null ? "" : `; plain HTTP is redirected to https, port ${l.redirectToHttps}`}\n`,
  );
  return `${files.join(", ")}: valid\nlisteners:\n${listeners.join("")}${plural(plan.routes.length, "route")}, ${plural(plan.upstreams.length, "upstream")} with ${plural(targets, "target")}\n${describeClients(plan)}${describeVersions(plan)}${describeCache(plan)}${describePolicies(plan)}`;
}

/** @returns a line with its end; none when no type is defined */
function describeClients({ clients }: Plan): string {
  if (clients.length === 0) return "";
  const guessed = BUILT_IN_CLIENTS.filter((name) => !clients.some((client) => client.name === name));
  return `client types: ${clients.map(({ name }) => name).join(", ")}${guessed.length === 0 ? "" : `, else a guess: ${guessed.join(", ")}`}\n`;
}

/** @returns a line with its end; none without versions */
function describeVersions({ versioning, routes }: Plan): string {
  if (versioning === null) return "";
  const { path, header, query, accept } = versioning;
  const places = [
    ...(path === null ? [] : [`the path ${path}{version}`]),
    ...(header === null ? [] : [`the header ${header}`]),
    ...(accept === null ? [] : [`accept (parameter ${accept.parameter}, ${accept.vendor === null ? "vnd.*" : `vnd.${accept.vendor}`})`]),
    ...(query === null ? [] : [`the query parameter ${query}`]),
  ];
  const versions = [...new Set(routes.flatMap(({ match }) => match.versions))].sort();
  return `versions: ${versions.join(", ") || "none"}, from ${places.join(", ")}; ${versioning.default === null ? "no default" : `default ${versioning.default}`}\n`;
}

/** @returns a line with its end; none when no route stores responses */
function describeCache({ routes, cache }: Plan): string {
  const caching = routes.filter(({ handler }) => (proxyOf(handler)?.cache ?? null) !== null);
  if (caching.length === 0) return "";
  return `cache: ${formatSizeBytes(cache.memoryBytes)} for responses of ${plural(caching.length, "route")}: ${caching.map(({ name }) => name).join(", ")}\n`;
}

interface PolicyUses extends Pick<ModulePolicyPlan, "name" | "file" | "phase" | "hooks"> {
  readonly routes: number;
}

/** Policies of the user's own, one for each module and name. */
function policyUses(plan: Plan): readonly PolicyUses[] {
  const uses = new Map<string, PolicyUses>();
  for (const { name, file, phase, hooks, url } of plan.routes.flatMap((route) => route.modules)) {
    const key = `${url} ${name}`;
    const known = uses.get(key);
    uses.set(key, { name, file, phase, hooks: [...new Set([...(known?.hooks ?? []), ...hooks])], routes: (known?.routes ?? 0) + 1 });
  }
  return [...uses.values()];
}

/** @returns lines with their ends; none when there are none */
function describePolicies(plan: Plan): string {
  const lines = policyUses(plan).map(
    ({ name, file, phase, hooks, routes }) =>
      `  ${name}: ${file}, phase ${phase}, ${hooks.join(", ") || "no hooks"}; on ${plural(routes, "route")}\n`,
  );
  return lines.length === 0 ? "" : `policies of your own:\n${lines.join("")}`;
}

/** @returns a line with its end; none when no consumers come from Redis */
function describeRedisConsumers({ redis, consumersFrom }: Config): string {
  if (redis === null || consumersFrom.redis === null) return "";
  const [key, marker, every] = [consumersKey(redis.prefix), markerKey(redis.prefix), formatDurationMs(consumersFrom.redis.everyMs)];
  return `consumers from Redis: ${key}, looked at every ${every}; they count once ${marker} is there, and are checked by the running gateway, not here\n`;
}

type Loaded = LoadResult & { readonly ok: true };

/** For programs: keys are stable. */
function settingsByRoute({ config, tree }: Loaded): readonly object[] {
  return config.routes.map(({ name, use }, i) => ({
    route: name,
    use,
    settings: settingsOf(tree, i).map(({ path, from, at }) => ({ path, from, ...at })),
  }));
}

/** @returns for each route its settings, which layer each came from, and where that stands. Values may be secret and are not told. */
function describeSources({ config, tree }: Loaded): string {
  return config.routes
    .map(({ name, use }, i) => {
      const settings = settingsOf(tree, i);
      const [path, from] = [Math.max(...settings.map((each) => each.path.length)), Math.max(...settings.map((each) => each.from.length))];
      const lines = settings.map((each) => `  ${each.path.padEnd(path)}  ${each.from.padEnd(from)}  ${formatPosition(each.at)}\n`);
      return `route ${name}${use.length === 0 ? "" : ` uses ${use.join(", ")}`}${lines.length === 0 ? ": no settings" : ""}\n${lines.join("")}`;
    })
    .join("");
}

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? "" : "s"}`;
