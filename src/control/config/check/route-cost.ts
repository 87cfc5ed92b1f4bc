// Owns the bounds on what finding a route may cost where paths have parts and constraints: so many are tried on one segment, so many places of the table
// on one path, so many automata are kept. Plain paths need none: a segment of theirs is looked up once.
import { partShape } from "../../../data/routing/part.ts";
import type { Segment } from "../../../data/routing/pattern.ts";
import { buildTries, visitsMax } from "../../../data/routing/trie.ts";
import type { Draft } from "../schema/sections.ts";
import { type PlacedPath, placedPaths } from "./path-places.ts";
import type { Findings } from "./references.ts";

/** Different regular expressions in the paths of one configuration: each is an automaton in every worker. */
export const CONSTRAINTS_MAX = 1000;
/** Of these, at one place of a path around the same literal text. */
export const CONSTRAINTS_BESIDE_MAX = 32;
/** Different lengths of literal text (before and after) around the parameters at one place. */
export const LENGTHS_BESIDE_MAX = 64;
/** Places of the table where one path may be looked for. */
export const VISITS_MAX = 1000;

/** Only when every path can be read: the table is built of them. */
export function checkRouteCost({ routes, sections }: Draft, findings: Findings): void {
  const paths = routes.flatMap((route, i) => (findings.isLost(["routes", i, "match"]) ? [] : placedPaths(route, i, findings)));
  const parts = paths.flatMap((path) =>
    path.pattern.segments.map((segment) => ({ path, segment })).filter(({ segment }) => segment.kind === "part"),
  );
  if (parts.length === 0) return;
  const constraints = new Set<string>();
  for (const { path, segment } of parts) {
    if (segment.kind === "part" && segment.constraint !== "") constraints.add(segment.constraint);
    if (constraints.size <= CONSTRAINTS_MAX) continue;
    const message = `the paths have more than ${CONSTRAINTS_MAX} different regular expressions`;
    return findings.report(path.place, message, "share expressions between routes, or leave out what services check anyway");
  }
  const matches = routes.filter((_, i) => !findings.isLost(["routes", i, "match"])).map(({ match }) => match);
  const tries = buildTries(matches, { clients: [], versioning: sections.versioning ?? null });
  for (const { parts: table } of tries.nodes) {
    const example = table?.example ?? null;
    if (table === null || example === null) continue;
    const at = placeOf(paths, (segment) => segment.kind === "part" && partShape(segment) === partShape(example));
    if (table.groupCount > LENGTHS_BESIDE_MAX)
      findings.report(
        at,
        `at this place paths have literal texts of more than ${LENGTHS_BESIDE_MAX} different lengths beside a parameter`,
        "make them equally long, or put them into segments of their own",
      );
    if (table.constraintsMax > CONSTRAINTS_BESIDE_MAX)
      findings.report(
        at,
        `at this place paths have more than ${CONSTRAINTS_BESIDE_MAX} constraints`,
        "join them with `|`, or put literal text beside the parameters",
      );
  }
  const visits = visitsMax(tries);
  if (visits > VISITS_MAX)
    findings.report(
      placeOf(paths, (segment) => segment.kind === "part"),
      `the paths overlap so much that one request could be looked for at ${visits} places (at most ${VISITS_MAX})`,
      "use fewer parameters that stand beside others at the same place",
    );
}

const placeOf = (paths: readonly PlacedPath[], is: (segment: Segment) => boolean): PlacedPath["place"] =>
  paths.find(({ pattern }) => pattern.segments.some(is))?.place ?? [];
