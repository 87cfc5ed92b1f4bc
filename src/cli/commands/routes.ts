// Owns `sluice routes`: the compiled table, in match order.

import { waysOutOf } from "../../control/config/check/ways-out.ts";
import type { LoadResult } from "../../control/config/load.ts";
import { layersOf, settingsOf } from "../../control/config/schema/route-layers.ts";
import { formatProblem } from "../../control/config/source/problem.ts";
import { legsOf } from "../../data/handlers/aggregate/config-plan.ts";
import { proxyOf } from "../../data/handlers/proxy/config.ts";
import type { ModulePolicyPlan } from "../../plan/module-plan.ts";
import type { FeaturePlan, Plan, RoutePlan } from "../../plan/plan.ts";
import type { ValueMatch } from "../../plan/routing-terms.ts";
import type { ServiceRef } from "../../plan/service-ref.ts";
import { CONFIG_OPTIONS, readArguments } from "../arguments.ts";
import type { CommandIo } from "../command.ts";
import { commandConfig, planOf } from "./command-config.ts";

/** @returns 0, or 1 when the configuration is wrong. @throws OperatorError for wrong arguments. */
export async function routesCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const { files } = readArguments(argv, { command: "routes", options: CONFIG_OPTIONS, positional: "file" });
  const { result } = await commandConfig(files, io);
  if (!result.ok) {
    for (const problem of result.problems) io.stderr(`${formatProblem(problem)}\n`);
    return 1;
  }
  io.stdout(routeTable(planOf(result.config), sourcesOf(result)));
  return 0;
}

const HEADINGS = ["#", "NAME", "HOST", "PATH", "METHODS", "CONDITIONS", "TO", "POLICIES"] as const;

/** The key of policies of the user's own. */
const MODULES = "policies";

/** Layers under the route that a policy came from. */
type Sources = (route: string, policy: string) => readonly string[];

/** By name of route and policy, lowest first: `defaults`, the sets by their names. Nothing for what is the route's own. */
function sourcesOf({ config, tree }: LoadResult & { readonly ok: true }): Sources {
  const found = new Map<string, readonly string[]>();
  for (const [i, { name, policies }] of config.routes.entries()) {
    const layers = layersOf(tree, i).slice(0, -1);
    const settings = layers.length === 0 ? [] : settingsOf(tree, i);
    for (const key of [...policies.map((policy) => policy.name), MODULES]) {
      const used = new Set(settings.flatMap(({ path, from }) => (isBelow(path, key) ? [from] : [])));
      found.set(
        `${name} ${key}`,
        layers.flatMap(({ path }) => (used.has(path.join(".")) ? [String(path.at(-1))] : [])),
      );
    }
  }
  return (route, policy) => found.get(`${route} ${policy}`) ?? [];
}

const marked = (layers: readonly string[]): readonly string[] => (layers.length === 0 ? [] : [layers.join("+")]);

const isBelow = (path: string, key: string): boolean => path.startsWith(key) && /^([.[]|$)/.test(path.slice(key.length));

/**
 * Aligned columns, one line a route, in match order. Policies that came from below the route are marked with that: `auth@partner`. A column for named ways
 * out only when some route takes one.
 */
export function routeTable(plan: Plan, sources: Sources = () => []): string {
  const opened = plan.routes.map((route) => waysOutOf(route, plan).join(","));
  const shown = opened.some((each) => each !== "");
  const headings: readonly string[] = shown ? [...HEADINGS, "INSECURE"] : HEADINGS;
  const rows = [
    headings,
    ...plan.routes.map((route, i) => [
      String(i),
      ...cells(route, plan, sources),
      ...(shown ? [opened[i] === "" ? "-" : (opened[i] ?? "-")] : []),
    ]),
  ];
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

function cells({ name, match, handler, policies, filters, modules }: RoutePlan, plan: Plan, sources: Sources): string[] {
  const proxy = proxyOf(handler);
  const to = proxy?.to;
  const mirror = proxy?.mirror ?? null;
  const upstream = (index: number): string => plan.upstreams[index]?.name ?? "?";
  const conditions = [
    ...(match.listeners.length === 0 ? [] : [`listener ${match.listeners.join(",")}`]),
    ...(match.scheme === null ? [] : [match.scheme]),
    ...match.headers.map(conditionText),
    ...match.query.map((q) => `?${conditionText(q)}`),
    ...(match.client === null ? [] : [`client ${match.client}`]),
    ...(match.versions.length === 0 ? [] : [`version ${match.versions.join(",")}`]),
  ];
  const total = to?.reduce((sum, part) => sum + part.weight, 0) ?? 0;
  const parts = to?.map((part) =>
    to.length === 1 ? upstream(part.upstream) : `${upstream(part.upstream)} ${Math.round((part.weight / total) * 1000) / 10}%`,
  );
  return [
    name,
    match.hosts.join(",") || "*",
    match.paths.join(", "),
    match.methods.join(",") || "*",
    conditions.join(" ") || "-",
    (parts?.join(", ") ?? `(${describeHandler(handler)})`) +
      (mirror === null ? "" : ` (mirror ${upstream(mirror.upstream)} ${mirror.fraction * 100}%)`),
    [
      ...policies.map((policy) => [policyText(policy), ...marked(sources(name, policy.name))].join("@")),
      ...modules.map((module) => [moduleText(module), ...marked(sources(name, MODULES))].join("@")),
      ...(proxy?.cache == null ? [] : [["cache", ...marked(sources(name, "cache"))].join("@")]),
      ...filters.map((filter) => [filter.name, ...marked(sources(name, filter.name))].join("@")),
    ].join(",") || "-",
  ];
}

/** With the upstream that it asks. */
function policyText({ name, config }: FeaturePlan): string {
  return name === "forwardAuth" ? `${name} (${(config as { readonly service: ServiceRef }).service.upstream})` : name; // output of its schema
}

/** Its name; of an aggregated answer its legs with their upstreams, optional ones with a question mark. */
function describeHandler(handler: FeaturePlan): string {
  const legs = legsOf(handler);
  return legs === null ? handler.name : `aggregate ${legs.map((leg) => `${leg.name}${leg.required ? "" : "?"}: ${leg.to}`).join(", ")}`;
}
/** With the phase, behind whose own policies it runs. */
const moduleText = ({ name, phase, file }: ModulePolicyPlan): string => `${name} (${phase}, ${file})`;

function conditionText(condition: ValueMatch): string {
  if (condition.kind === "present") return condition.name;
  return `${condition.name}${{ exact: "=", prefix: "^=", regex: "~" }[condition.kind]}${condition.value}`;
}
