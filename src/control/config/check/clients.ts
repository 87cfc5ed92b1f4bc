// Owns the checks of `match.client` and `match.version` against what defines them.
import { BUILT_IN_CLIENTS } from "../../../plan/routing-terms.ts";
import type { Draft } from "../schema/sections.ts";
import { nodeAt } from "../source/located.ts";
import { nearest, type PathPart, suggest } from "../source/problem.ts";
import type { Findings } from "./references.ts";

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
  if (draft.complete === null) return; // a route that cannot be read may have the version
  if (known.length === 0) findings.warn(["versioning"], "no route demands a version", "remove it, or add `match.version` to routes");
  else if (versioning.default !== null && !known.includes(versioning.default))
    findings.report(["versioning", "default"], `no route has version ${versioning.default}`, suggestVersion(versioning.default, known));
  for (const place of ["header", "query"] as const) warnOfUnused(versioning[place] === null, ["versioning", place], place, findings);
}

/** Versions differ in few characters, which are not often mistyped: the list says more. */
const suggestVersion = (written: string, known: readonly string[]): string =>
  nearest(written, known) === null || known.length > 1 ? `routes have ${known.join(", ")}` : suggest(written, known, "versions");

/** A name for a place that does not count. */
function warnOfUnused(unused: boolean, path: readonly PathPart[], place: string, { root, warn }: Findings): void {
  if (unused && nodeAt(root, path) !== undefined) warn(path, `requests do not name versions there`, `add \`${place}\` to versioning.from`);
}
