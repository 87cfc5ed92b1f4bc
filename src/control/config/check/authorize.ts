// Owns the checks of `authorize` against the rest of the configuration: somebody must prove who is calling before anything can be asked of them.
import type { AuthorizeConfig } from "../../../data/policies/authorize/config.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Draft } from "../schema/sections.ts";
import { type PathPart, suggest } from "../source/problem.ts";
import { authOf } from "./auth-of.ts";
import type { Findings, Report } from "./references.ts";

/** What can only be asked of a caller who is known. */
const OF_THE_CALLER = ["scopes", "roles", "groups", "consumers", "tiers", "claims"] as const;

export function checkAuthorize(draft: Draft, findings: Findings): void {
  const { report } = findings;
  const tiers = draft.sections.tiers === undefined ? undefined : findings.namesIn("tiers");
  for (const [index, route] of draft.routes.entries()) {
    const config = route.policies.find((policy) => policy.name === "authorize")?.config as AuthorizeConfig | undefined; // parsed by authorizeSchema
    if (config === undefined) continue;
    const path: PathPart[] = ["routes", index, "authorize"];
    const authIsLost = findings.isLost(["routes", index, "auth"]);
    for (const key of OF_THE_CALLER) if (config[key] !== undefined && !authIsLost) checkCaller(route, [...path, key], report);
    for (const [i, tier] of (config.tiers ?? []).entries())
      if (tiers?.includes(tier) === false) report([...path, "tiers", i], `there is no tier named ${tier}`, suggest(tier, tiers, "tiers"));
  }
}

function checkCaller(route: RouteConfig, path: readonly PathPart[], report: Report): void {
  if ((authOf(route)?.tree ?? null) === null)
    report(path, `nobody proves who is calling the route ${route.name}, so nobody could ever use it`, "name an authenticator under `auth`");
}
