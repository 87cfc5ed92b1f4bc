// Owns the checks of conditions, whichever feature of a route has them: they compile, the route's paths have the parameters that they read, and where
// they ask something of the caller, somebody proves who that is.
import type { ConditionUse } from "../../../base/feature-schema.ts";
import { compileExpression } from "../../../data/routing/expression/load-expression.ts";
import { commonParamNames } from "../../../data/routing/pattern.ts";
import { featureOf } from "../schema/features.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Draft } from "../schema/sections.ts";
import { type PathPart, suggest } from "../source/problem.ts";
import { authOf } from "./auth-of.ts";
import { arePathsLost } from "./path-places.ts";
import type { Findings } from "./references.ts";

export function checkConditions(draft: Draft, findings: Findings): void {
  for (const [index, route] of draft.routes.entries())
    for (const { name, config } of route.policies)
      for (const use of featureOf(name).conditions(config))
        checkCondition({ route, index }, use, ["routes", index, name, ...use.path], findings);
}

interface IndexedRoute {
  readonly route: RouteConfig;
  readonly index: number;
}

function checkCondition({ route, index }: IndexedRoute, use: ConditionUse, path: readonly PathPart[], findings: Findings): void {
  const { report, warn } = findings;
  const expression = compileExpression(use.text, use.sees);
  if ("error" in expression) {
    report(path, expression.at === 0 ? expression.error : `at character ${expression.at}: ${expression.error}`, expression.remedy);
    return;
  }
  if (expression.needsIdentity && !findings.isLost(["routes", index, "auth"]) && (authOf(route)?.tree ?? null) === null) {
    const message = `nobody proves who is calling the route ${route.name}, so `;
    if (use.isRequired) report(path, `${message}nobody could ever use it`, "name an authenticator under `auth`");
    else if (findings.isOwn(path)) warn(path, `${message}this never holds`, "name an authenticator under `auth`, or remove it");
  }
  if (arePathsLost(index, findings)) return;
  const { paths } = route.match;
  const known = commonParamNames(paths); // the schema has refused broken patterns
  for (const name of expression.pathNames)
    if (!known.includes(name))
      report(
        path,
        `${paths.length === 1 ? "the route's path has no" : "not every path of the route has the"} parameter ${name}`,
        suggest(name, known, "parameters"),
      );
}
