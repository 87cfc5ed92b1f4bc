// Owns the checks of `paths` between listeners and routes: what one lets through and no other takes, what no request can match.
import { hasMatrixParameter } from "../../../data/routing/normalise.ts";
import type { Pattern } from "../../../data/routing/pattern.ts";
import type { PathSpelling } from "../../../plan/paths.ts";
import { STRICT_PATHS } from "../schema/paths.ts";
import type { Draft } from "../schema/sections.ts";
import { placedPaths } from "./path-places.ts";
import type { Findings } from "./references.ts";

/** Those that routes refuse unless they are told. */
const PERMITTED: readonly PathSpelling[] = ["encodedSlashes", "doubleEncodings", "emptySegments", "backslashes", "matrixParameters"];

export function checkPaths(draft: Draft, findings: Findings): void {
  if (draft.sections.listeners === undefined) return;
  checkCase(draft, findings);
  if (findings.isLost(["routes"]) || findings.isLost(["listeners"])) return; // what could not be read might allow it
  for (const name of PERMITTED) checkPermission(name, draft, findings);
  checkLiterals(draft, findings);
}

/** A permission without anybody who lets such paths in, or the other way round. */
function checkPermission(name: PathSpelling, { listeners, routes }: Draft, { warn }: Findings): void {
  const loose = listeners.findIndex(({ paths }) => isTold((paths ?? STRICT_PATHS)[name]));
  const allowing = routes.findIndex((route) => route.paths?.[name] === "allow");
  if (loose >= 0 && allowing < 0)
    warn(
      ["listeners", loose, "paths", name],
      "no route allows it: such paths are still refused",
      `write \`paths: { ${name}: allow }\` in the routes that are to take them`,
    );
  if (loose < 0 && allowing >= 0)
    warn(["routes", allowing, "paths", name], "no listener lets such paths through", `write \`paths: { ${name}: keep }\` in a listener`);
}

/** A literal with a matrix parameter is met by no path unless listener and route let it through. */
function checkLiterals({ listeners, routes }: Draft, findings: Findings): void {
  const kept = listeners.some(({ paths }) => paths?.matrixParameters === "keep");
  for (const [i, route] of routes.entries()) {
    if (kept && route.paths?.matrixParameters === "allow") continue;
    for (const { pattern, place } of placedPaths(route, i, findings))
      if (hasLiteral(pattern, hasMatrixParameter))
        findings.warn(
          place,
          "paths with `;` are refused: this never matches",
          "write `paths: { matrixParameters: keep }` in a listener and `paths: { matrixParameters: allow }` in the route",
        );
  }
}

const isTold = (action: string): boolean => action === "keep" || action === "decode";

/** A literal in upper case never matches a path in lower case. */
function checkCase({ listeners, routes }: Draft, findings: Findings): void {
  const folding = listeners.findIndex(({ paths }) => paths?.case === "fold");
  if (folding < 0) return;
  const everywhere = listeners.every(({ paths }) => paths?.case === "fold") && !findings.isLost(["listeners"]);
  const say = everywhere ? findings.report : findings.warn;
  const where = everywhere ? "every listener folds" : `${findings.format(["listeners", folding])} folds`;
  for (const [i, route] of routes.entries()) {
    for (const { pattern, place } of placedPaths(route, i, findings))
      if (hasLiteral(pattern, hasUpperCase))
        say(place, `${where} paths to lower case: this never matches there`, "write the path in lower case");
  }
}

const hasLiteral = ({ segments }: Pattern, has: (text: string) => boolean): boolean =>
  segments.some((segment) => {
    if (segment.kind === "part") return has(segment.prefix) || has(segment.suffix);
    return segment.kind === "literal" && has(segment.text);
  });

const hasUpperCase = (text: string): boolean => /[A-Z]/.test(text.replace(/%[0-9A-F]{2}/g, ""));
