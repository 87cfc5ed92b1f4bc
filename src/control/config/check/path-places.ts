// Owns where the paths of a route stand in the configuration, for the checks that read them: `match.path`, or an item of `match.paths`.
import { type Pattern, parsePattern } from "../../../data/routing/pattern.ts";
import type { RouteConfig } from "../schema/route.ts";
import { nodeAt } from "../source/located.ts";
import type { PathPart } from "../source/problem.ts";
import type { Findings } from "./references.ts";

export interface PlacedPath {
  readonly text: string;
  readonly pattern: Pattern;
  readonly place: readonly PathPart[];
}

/** @param index of the route. @returns without the paths that the schema has refused */
export function placedPaths(route: RouteConfig, index: number, { root }: Findings): readonly PlacedPath[] {
  const match = ["routes", index, "match"];
  const areSeveral = nodeAt(root, [...match, "paths"]) !== undefined;
  return route.match.paths.flatMap((text, i) => {
    const pattern = parsePattern(text);
    return "error" in pattern ? [] : [{ text, pattern, place: [...match, ...(areSeveral ? ["paths", i] : ["path"])] }];
  });
}

/** Whether some path of a route could not be read: then its parameters are not known. */
export const arePathsLost = (index: number, findings: Findings): boolean =>
  findings.isLost(["routes", index, "match", "path"]) || findings.isLost(["routes", index, "match", "paths"]);
