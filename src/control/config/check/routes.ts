// Owns the checks of routes against each other and against what they name: unique names, existing upstreams, patterns, templates, ties.

import type { AggregateConfig } from "../../../data/handlers/aggregate/config-plan.ts";
import { findTies } from "../../../data/routing/order.ts";
import { commonParamNames, meantPattern } from "../../../data/routing/pattern.ts";
import { compileTemplate } from "../../../data/routing/template.ts";
import { pathVariants } from "../../../data/routing/versioned-paths.ts";
import type { FeaturePlan } from "../../../plan/plan.ts";
import { answers, featureOf } from "../schema/features.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Draft } from "../schema/sections.ts";
import { type LocatedMap, nodeAt } from "../source/located.ts";
import { type PathPart, suggest } from "../source/problem.ts";
import { checkAggregate } from "./aggregate.ts";
import { asWritten } from "./as-written.ts";
import { authOf } from "./auth-of.ts";
import { knownPaths, warnOfForeignVariables, warnOfLoneSlash } from "./foreign-text.ts";
import { placedPaths } from "./path-places.ts";
import type { Findings, Report } from "./references.ts";
import { checkRouteCost } from "./route-cost.ts";

export function checkRoutes(draft: Draft, findings: Findings): void {
  const { root, report } = findings;
  checkNames(root, report);
  const good: IndexedRoute[] = [];
  const upstreams = nodeAt(findings.written, ["upstreams"]);
  const areNamed = upstreams === undefined || upstreams.kind === "map";
  const known = knownPaths(draft.routes.flatMap(({ match }) => match.paths));
  for (const [index, route] of draft.routes.entries()) {
    if (areNamed) checkUpstreamNames(root, ["routes", index], draft.upstreamNames, report);
    checkDestination(route, ["routes", index], findings);
    if (findings.isLost(["routes", index, "match"])) continue;
    good.push({ index, route });
    for (const { text, place } of placedPaths(route, index, findings)) {
      const meant = meantPattern(text);
      if (meant !== null) findings.warn(place, literalMessage(text, meant), `did you mean \`${meant}\`?`);
      warnOfLoneSlash({ text, place }, known, findings);
    }
    if (areNamed) checkFeatureUpstreams(route, ["routes", index], draft.upstreamNames, report);
    const paramNames = commonParamNames(route.match.paths); // the schema has refused broken patterns
    for (const policy of route.policies) {
      checkTemplates(policy, { paramNames, areCommon: route.match.paths.length > 1 }, ["routes", index], findings);
      if (policy.name === "aggregate")
        checkAggregate(policy.config as AggregateConfig, { path: ["routes", index, "aggregate"], paramNames }, findings); // parsed by aggregateSchema
    }
  }
  checkTies(draft, findings, good);
  checkRouteCost(draft, findings);
}

interface IndexedRoute {
  readonly index: number;
  readonly route: RouteConfig;
}

function checkNames(root: LocatedMap, report: Report): void {
  const routes = nodeAt(root, ["routes"]);
  const seen = new Map<string, number>();
  for (const [i] of routes?.kind === "list" ? routes.items.entries() : []) {
    const node = nodeAt(root, ["routes", i, "name"]);
    if (node?.kind !== "scalar" || typeof node.value !== "string") continue;
    const before = seen.get(node.value);
    if (before === undefined) seen.set(node.value, i);
    else report(["routes", i, "name"], `the name ${node.value} is taken by ${placeOf(root, before)}`, "give each route its own");
  }
}

function checkUpstreamNames(root: LocatedMap, path: readonly PathPart[], upstreams: readonly string[], report: Report): void {
  const weighted = nodeAt(root, [...path, "weighted"]);
  const parts = weighted?.kind === "list" ? weighted.items.map((_, i) => ["weighted", i, "upstream"]) : [];
  for (const rest of [["to"], ["mirror", "upstream"], ...parts]) {
    const node = nodeAt(root, [...path, ...rest]);
    if (node?.kind !== "scalar" || typeof node.value !== "string" || upstreams.includes(node.value)) continue;
    report([...path, ...rest], `there is no upstream named ${node.value}`, suggest(node.value, upstreams, "upstreams"));
  }
}

function checkFeatureUpstreams(route: RouteConfig, path: readonly PathPart[], upstreams: readonly string[], report: Report): void {
  for (const { name, config } of route.policies)
    for (const use of featureOf(name).upstreams(config))
      if (!upstreams.includes(use.name))
        report([...path, name, ...use.path], `there is no upstream named ${use.name}`, suggest(use.name, upstreams, "upstreams"));
}

function checkDestination(route: RouteConfig, path: readonly PathPart[], findings: Findings): void {
  const { report, warn } = findings;
  const { to, weighted, mirror } = route;
  if (to !== undefined && weighted !== undefined)
    report([...path, "weighted"], "`to` and `weighted` exclude each other", "keep one of them");
  const names = (weighted ?? []).map((part) => part.upstream);
  for (const [i, name] of names.entries()) {
    if (names.indexOf(name) < i) report([...path, "weighted", i, "upstream"], `${name} is listed twice`, "list it once and use its weight");
  }
  checkSticky(route, path, findings);
  if (weighted?.every((part) => part.weight === 0)) report([...path, "weighted"], "every weight is 0", "give one of them a weight");
  const [answering, second] = route.policies.filter(answers);
  if (answering !== undefined && second !== undefined)
    report([...path, second.name], `\`${second.name}\` and \`${answering.name}\` both answer every request`, "keep one of them");
  if (to !== undefined || weighted !== undefined) {
    if (answering !== undefined)
      warn(
        [...path, answering.name],
        "this answers every request: the upstream is never reached",
        "remove one of them, unless this is maintenance",
      );
    return;
  }
  if (mirror !== undefined) report([...path, "mirror"], "a mirror needs `to` or `weighted` beside it", "say where the answer comes from");
  else if (answering === undefined) report(path, "the route leads nowhere", whereTo(route));
}

/** A redirect to https alone is half an answer: requests that came by https have none. */
const whereTo = ({ policies }: RouteConfig): string =>
  policies.some(({ name }) => name === "redirect")
    ? "`redirect: { https: true }` is for plain HTTP alone: add `to` for https, or have a listener redirect all by `redirectToHttps`"
    : "add `to`, `weighted`, `respond`, `redirect` or `aggregate`";

function checkSticky(route: RouteConfig, path: readonly PathPart[], findings: Findings): void {
  const { report } = findings;
  if (route.stickyBy === undefined) return;
  if (route.weighted === undefined)
    report(
      [...path, "stickyBy"],
      "only a split has upstreams to stay with",
      "write `weighted`, or for the targets of one upstream its `sticky`",
    );
  else if (route.stickyBy.kind === "consumer" && !findings.isLost([...path, "auth"]) && (authOf(route)?.tree ?? null) === null)
    report(
      [...path, "stickyBy"],
      `nobody is known by name on the public route ${route.name}`,
      "give the route `auth`, or write `stickyBy: ip`, `{ header: ... }` or `{ cookie: ... }`",
    );
}

/** Of a route. */
interface KnownParams {
  readonly paramNames: readonly string[];
  /** It has several paths: these are the parameters of all. */
  readonly areCommon: boolean;
}

function checkTemplates(policy: FeaturePlan, { paramNames, areCommon }: KnownParams, path: readonly PathPart[], findings: Findings): void {
  const remedy = areCommon ? "a parameter must stand in each of the route's paths" : "";
  for (const use of featureOf(policy.name).templates(policy.config)) {
    const template = compileTemplate(use.text, paramNames);
    const place = asWritten(findings.root, [...path, policy.name, ...use.path]);
    if ("error" in template) findings.report(place, template.error, remedy);
    else {
      if (policy.name === "rewrite" || policy.name === "redirect") warnOfLiteral(use.text, paramNames, place, findings);
      warnOfForeignVariables(use.text, place, findings);
    }
  }
}

function literalMessage(written: string, meant: string): string {
  const parts = meant.split("/");
  const segment = written.split("/").find((part, i) => part !== parts[i]) ?? written;
  return `\`${segment}\` is no parameter here: it matches only itself`;
}

/** `:id` in a path is text, also where the route has a parameter of that name. */
function warnOfLiteral(text: string, paramNames: readonly string[], place: readonly PathPart[], { warn }: Findings): void {
  const meant = meantPattern(text);
  const name = paramNames.find((name) => meant?.includes(`{${name}}`) === true && !text.includes(`{${name}}`));
  if (name !== undefined) warn(place, `the parameter ${name} is not used: this stands as it is written`, `did you mean \`${meant}\`?`);
}

function checkTies({ sections }: Draft, findings: Findings, routes: readonly IndexedRoute[]): void {
  const variants = pathVariants(
    routes.map(({ route }) => route.match),
    sections.versioning ?? null,
  ).filter(({ refuses }) => !refuses);
  const told = new Set<string>();
  for (const { a, b } of findTies(variants.map(({ match }) => match))) {
    const [left, right] = [variants[a], variants[b]];
    const [first, second] = [routes[left?.route ?? -1], routes[right?.route ?? -1]];
    if (left === undefined || right === undefined || first === undefined || second === undefined) continue;
    if (told.has(`${first.index}:${second.index}`)) continue;
    told.add(`${first.index}:${second.index}`); // two routes of several versions may meet in each
    if (first.index === second.index) {
      const paths = placedPaths(first.route, first.index, findings);
      const message = `matches the same paths as ${paths[left.path]?.text}, and neither is more specific`;
      findings.report(paths[right.path]?.place ?? [], message, "keep one of them");
      continue;
    }
    const message = `matches the same requests as ${first.route.name} (${placeOf(findings.root, first.index)}), and neither is more specific`;
    findings.report(["routes", second.index, "match"], message, "give one of them a longer path or a further condition");
  }
}

function placeOf(root: LocatedMap, index: number): string {
  const at = nodeAt(root, ["routes", index])?.at;
  return at === undefined ? `routes[${index}]` : `${at.file}:${at.line}`;
}
