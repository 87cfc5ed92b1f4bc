// Owns the checks of limits against what else the configuration says: who calls a route, which tiers there are, limits that routes share.

import { commonParamNames } from "../../../data/routing/pattern.ts";
import { compileTemplate } from "../../../data/routing/template.ts";
import { isShared, type LimitConfig, limitIdentities, needsIdentity } from "../../../plan/rate-limit.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Draft } from "../schema/sections.ts";
import { nodeAt } from "../source/located.ts";
import type { PathPart } from "../source/problem.ts";
import { authOf } from "./auth-of.ts";
import { arePathsLost } from "./path-places.ts";
import type { Findings, Report } from "./references.ts";

/** What must be equal in limits that share their buckets. Cost and shadow may differ: one route may be dearer than another. */
const sizesOf = ({ per, tier, rate, burst, quota, window, concurrency, mode, ipv4Prefix, ipv6Prefix }: LimitConfig): string =>
  JSON.stringify([per, tier, rate, burst, quota, window, concurrency, mode, ipv4Prefix, ipv6Prefix]);

export function checkLimits(draft: Draft, findings: Findings): void {
  const shared = new Map<string, { readonly sizes: string; readonly path: readonly PathPart[] }>();
  for (const [index, route] of draft.routes.entries()) {
    const limits = route.policies.find((policy) => policy.name === "rateLimit")?.config as readonly LimitConfig[] | undefined; // parsed by rateLimitSchema
    if (limits === undefined) continue;
    const identities = limitIdentities(limits, route.name);
    for (const [i, limit] of limits.entries()) {
      const path = ["routes", index, "rateLimit", i];
      if (!findings.isLost(["routes", index, "auth"])) checkCallers(route, limit, path, findings.report);
      checkTiers(draft, limit, path, findings);
      if (!arePathsLost(index, findings)) checkKeys(route, limit, path, findings.report);
      if (limit.mode !== "local" && nodeAt(findings.root, ["redis"]) === undefined)
        findings.report([...path, "mode"], `\`mode: ${limit.mode}\` needs Redis`, "add `redis`, or use `mode: local`");
      if (!isShared(limit) || findings.isLost(path)) continue;
      const identity = identities[i] ?? "";
      const before = shared.get(identity);
      if (before === undefined) shared.set(identity, { sizes: sizesOf(limit), path });
      else if (before.sizes !== sizesOf(limit))
        findings.report(
          path,
          `this limit shares its buckets with ${findings.format(before.path)}, but its size is another`,
          "make them equal, or give one of them another name",
        );
    }
  }
}

/** Who calls is known on routes with authentication only. */
function checkCallers(route: RouteConfig, limit: LimitConfig, path: readonly PathPart[], report: Report): void {
  if (!needsIdentity(limit)) return;
  const auth = authOf(route);
  if (auth !== undefined && auth.tree !== null) return;
  report([...path, "per"], `nobody is known by name on the public route ${route.name}`, "give the route `auth`, or limit `per: ip`");
}

function checkTiers(draft: Draft, limit: LimitConfig, path: readonly PathPart[], findings: Findings): void {
  const { report, warn } = findings;
  const { tiers } = draft.sections;
  if (!limit.tier || tiers === undefined) return;
  const hasOwn = limit.rate !== null || limit.quota !== null || limit.concurrency !== null;
  if (findings.namesIn("tiers").length === 0)
    report([...path, "tier"], "there are no tiers", `add \`tiers\`, or ${hasOwn ? "remove" : "write a `rate` instead of"} \`tier: true\``);
  else if (!hasOwn)
    warn(
      [...path, "tier"],
      "callers without a tier are not limited by this",
      "add `rate`, `quota` or `concurrency` beside it: what callers without a tier may use",
    );
}

function checkKeys(route: RouteConfig, limit: LimitConfig, path: readonly PathPart[], report: Report): void {
  const paramNames = commonParamNames(route.match.paths); // the schema has refused broken patterns
  for (const part of limit.per) {
    if (part.kind !== "key") continue;
    const template = compileTemplate(part.template, paramNames);
    if ("error" in template) report([...path, "per"], template.error, "");
  }
}
