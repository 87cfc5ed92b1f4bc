// Owns the checks between routes and the `auth` section: authenticators that are named must exist, and no route may be public by oversight.

import { idSpaceOf, prefixesOf, territoryOf } from "../../../data/credentials/id-space.ts";
import type { BasicConfig } from "../../../data/policies/auth/basic/config.ts";
import { type AuthTree, namesOf, PUBLIC } from "../../../data/policies/auth/config.ts";
import type { JwtConfig } from "../../../data/policies/auth/jwt/config.ts";
import type { Draft } from "../schema/sections.ts";
import { type PathPart, suggest } from "../source/problem.ts";
import { authOf } from "./auth-of.ts";
import type { Findings, Report } from "./references.ts";

export function checkAuth(draft: Draft, findings: Findings): void {
  const { report, warn } = findings;
  const known = findings.namesIn("auth");
  if (known.includes(PUBLIC))
    report(["auth", PUBLIC], `\`${PUBLIC}\` is the word for public routes`, "give the authenticator another name");
  checkPrefixes(draft.sections.auth ?? [], report);
  checkHtpasswd(draft, report);
  checkProviders(draft.sections.auth ?? [], warn);
  const used = new Set<string>();
  for (const [index, route] of draft.routes.entries()) {
    const path: PathPart[] = ["routes", index];
    if (findings.isLost([...path, "auth"])) continue;
    const auth = authOf(route);
    if (auth === undefined && known.length > 0)
      report(
        path,
        `the route ${route.name} does not say who may call it`,
        `add \`auth: ${known[0]}\`, or \`auth: ${PUBLIC}\` to make it public; \`defaults.auth\` says it for all routes`,
      );
    if (auth === undefined || auth.tree === null) continue;
    for (const name of namesOf(auth.tree)) used.add(name);
    checkNames(auth.tree, [...path, "auth"], known, report);
  }
  if (draft.complete === null) return; // what could not be read might use it
  for (const name of known)
    if (!used.has(name)) warn(["auth", name], "no route uses this authenticator", "remove it, or name it under a route's `auth`");
}

type Authenticators = NonNullable<Draft["sections"]["auth"]>;

/** Two prefixes that begin alike up to a tenant's place would share ids that they were written to keep apart. */
function checkPrefixes(authenticators: Authenticators, report: Report): void {
  const seen = new Map<string, { readonly prefix: string; readonly name: string }>();
  for (const { name, kind, config } of authenticators)
    for (const prefix of prefixesOf(config)) {
      const before = seen.get(territoryOf(prefix));
      if (before === undefined) seen.set(territoryOf(prefix), { prefix, name });
      else if (before.prefix !== prefix)
        report(
          ["auth", name, kind],
          `the consumerPrefix ${prefix} begins as ${before.prefix} of ${before.name} does, so both could name the same consumer`,
          "begin one of them with another text",
        );
    }
}

/** A user of a file is named by that file: it must not name the callers of those who have a prefix of their own. */
function checkHtpasswd({ sections }: Draft, report: Report): void {
  const authenticators = sections.auth ?? [];
  const ids = idSpaceOf(authenticators);
  const named = new Set((sections.consumers ?? []).flatMap(({ id, username }) => (username === null ? [id] : [id, username])));
  for (const { name, kind, config } of authenticators) {
    const users = kind === "basic" ? ((config as BasicConfig).users ?? []) : []; // output of its schema
    const taken = users.find(({ username }) => !named.has(username) && !ids.owns("", username));
    if (taken !== undefined)
      report(
        ["auth", name, kind, "htpasswd"],
        `the user ${taken.username} has an id of those that a consumerPrefix keeps for another authenticator`,
        "give it another name, or a consumer with this `username` and an id of its own",
      );
  }
}

function checkProviders(authenticators: Authenticators, warn: Report): void {
  for (const { name, kind, config } of authenticators) {
    if (kind !== "jwt") continue;
    for (const { pattern, tenantClaim, issuer, skippedKeys } of (config as JwtConfig).providers) {
      if (pattern !== null && tenantClaim === null && pattern.tenants?.length !== 1)
        warn(
          ["auth", name, kind],
          `the tenants of ${issuer} share one name space: each could name a consumer of another`,
          `put the tenant into the id: \`consumerPrefix: "NAME:{${pattern.claim}}:"\``,
        );
      for (const problem of skippedKeys) warn(["auth", name, kind, "keys"], `a key is left out: ${problem}`, "remove it if that is right");
    }
  }
}

function checkNames(tree: AuthTree, path: readonly PathPart[], known: readonly string[], report: Report): void {
  if (tree.kind === "optional") return checkNames(tree.of, [...path, "optional"], known, report);
  if (tree.kind !== "one") {
    const { kind, of } = tree;
    for (const [i, each] of of.entries()) checkNames(each, [...path, kind, i], known, report);
    return;
  }
  if (known.includes(tree.name)) return;
  if (tree.name === PUBLIC)
    report(path, `\`${PUBLIC}\` stands alone: \`auth: ${PUBLIC}\``, "write `optional` for callers who may be nobody");
  else report(path, `there is no authenticator named ${tree.name}`, suggest(tree.name, known, "authenticators"));
}
