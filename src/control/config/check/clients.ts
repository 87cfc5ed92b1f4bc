// Owns the checks of `match.client` and `match.version` against what defines them.

import { compareBelowHost } from "../../../data/routing/order.ts";
import type { VersioningPlan } from "../../../plan/routing-terms.ts";
import { BUILT_IN_CLIENTS } from "../../../plan/routing-terms.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Draft } from "../schema/sections.ts";
import { nodeAt } from "../source/located.ts";
import { type PathPart, suggest } from "../source/problem.ts";
import type { Findings } from "./references.ts";

/** Versions in a message. */
const SHOWN_MAX = 30;

type IndexedRoute = readonly [index: number, route: RouteConfig];

export function checkClients(draft: Draft, findings: Findings): void {
  checkTypes(draft, findings);
  checkVersions(draft, findings);
}

function checkTypes(draft: Draft, findings: Findings): void {
  const defined = findings.namesIn("clients");
  const known = [...new Set([...defined, ...BUILT_IN_CLIENTS])];
  const used = new Set<string>();
  for (const [index, { match }] of draft.routes.entries()) {
    const { client } = match;
    if (client === null) continue;
    used.add(client);
    if (!known.includes(client))
      findings.report(
        ["routes", index, "match", "client"],
        `there is no client type named ${client}`,
        suggest(client, known, "client types"),
      );
  }
  if (draft.complete === null) return;
  for (const name of defined)
    if (!used.has(name)) findings.warn(["clients", name], "no route matches this client type", "remove it, or use it in `match.client`");
}

function checkVersions(draft: Draft, findings: Findings): void {
  const { versioning } = draft.sections;
  if (versioning === undefined) return; // it has a mistake of its own
  const having = [...draft.routes.entries()].filter(([, { match }]) => match.versions.length > 0);
  if (versioning === null) {
    for (const [index] of having)
      findings.report(
        ["routes", index, "match", "version"],
        "nothing says where requests name their version",
        "add `versioning: { from: [path, header] }` at the top level",
      );
    return;
  }
  const known = [...new Set(having.flatMap(([, { match }]) => match.versions))].sort();
  if (findings.isLost(["routes"])) return; // what cannot be read may have the version
  if (known.length === 0) findings.warn(["versioning"], "no route demands a version", "remove it, or add `match.version` to routes");
  else if (versioning.default !== null && !known.includes(versioning.default))
    findings.report(
      ["versioning", "default"],
      `no route has version ${versioning.default}`,
      `routes have ${known.slice(0, SHOWN_MAX).join(", ")}`,
    );
  checkPreflights(having, versioning, findings);
  for (const place of ["header", "query"] as const) warnOfUnused(versioning[place] === null, ["versioning", place], place, findings);
}

/** A preflight has neither the header nor the media types of the request that it precedes: it belongs to one route, whatever version is meant. */
function checkPreflights(having: readonly IndexedRoute[], { header, accept, default: preset }: VersioningPlan, { warn }: Findings): void {
  if (header === null && accept === null) return;
  const byPath = having.flatMap((each) => each[1].match.paths.map((path) => ({ each, path })));
  const groups = Map.groupBy(byPath, ({ each: [, { match }], path }) => JSON.stringify([match.hosts.toSorted(), path]));
  const told = new Set<number>();
  for (const group of groups.values()) {
    const routes = group.map(({ each }) => each);
    const answering = routes.find(([, { match }]) => preset !== null && match.versions.includes(preset)) ?? first(routes);
    for (const [index, route] of routes)
      if (answering !== undefined && corsOf(route) !== corsOf(answering[1]) && !told.has(index)) {
        told.add(index);
        warn(
          ["routes", index, "cors"],
          `preflights of this version are answered by ${answering[1].name}, whose cors differs: they name no version`,
          "give both the same cors, or name versions in the path or query alone",
        );
      }
  }
}

const first = (routes: readonly IndexedRoute[]): IndexedRoute | undefined =>
  routes.toSorted(([, a], [, b]) => compareBelowHost(a.match, b.match))[0];

const corsOf = ({ policies }: RouteConfig): string => JSON.stringify(policies.find(({ name }) => name === "cors")?.config ?? null);

/** A name for a place that does not count. */
function warnOfUnused(unused: boolean, path: readonly PathPart[], place: string, { root, warn }: Findings): void {
  if (unused && nodeAt(root, path) !== undefined) warn(path, `requests do not name versions there`, `add \`${place}\` to versioning.from`);
}
