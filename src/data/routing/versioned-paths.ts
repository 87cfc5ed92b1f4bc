// Owns the patterns by which a route is reached: one for each of its paths and, where versions stand in paths, one for each version (`/v2/users` for
// `/users`). Pure.
import type { MatchPlan } from "../../plan/plan.ts";
import type { VersioningPlan } from "../../plan/routing-terms.ts";

/** A way to a route: its match with one path, as written or with a version in it. */
export interface PathVariant {
  /** Index of the route. */
  readonly route: number;
  /** Index of the path that this one is made of. */
  readonly path: number;
  /** Of one path. */
  readonly match: MatchPlan;
  /** Stands for a path with a version that the route does not have: nothing is taken by it, and what is less specific is not either. */
  readonly refuses: boolean;
}

/** Every way to every route, in index order. */
export function pathVariants(matches: readonly MatchPlan[], versioning: VersioningPlan | null): readonly PathVariant[] {
  const before = versioning?.path ?? null;
  return matches.flatMap((match, route) =>
    match.paths.flatMap((path, index): PathVariant[] => {
      const variant = (text: string, versions: readonly string[], refuses: boolean): PathVariant => ({
        route,
        path: index,
        match: text === path && match.paths.length === 1 ? match : { ...match, paths: [text], versions },
        refuses,
      });
      const written = variant(path, match.versions, false);
      if (before === null || match.versions.length === 0) return [written];
      const further = match.versions.flatMap((version) => {
        const named = versionedPath(path, before, version);
        return named === null ? [] : [variant(named, [version], false)];
      });
      const any = insertSegment(path, before, "*");
      return [written, ...further, ...(any === null ? [] : [variant(any, match.versions, true)])];
    }),
  );
}

/** @param before such as `/api/v`. @returns the path with the segment of the version in it; null where the path does not begin as versioned ones do */
export function versionedPath(path: string, before: string, version: string): string | null {
  return insertSegment(path, before, before.slice(before.lastIndexOf("/") + 1) + version);
}

function insertSegment(path: string, before: string, segment: string): string | null {
  const folder = before.slice(0, before.lastIndexOf("/")); // without its slash: '' at the root
  if (path !== folder && !path.startsWith(`${folder}/`)) return null;
  const rest = path.slice(folder.length);
  return `${folder}/${segment}${rest === "/" ? "" : rest}`;
}

/** What reads as a version though no route names it: numbers joined by dots or hyphens. `/videos` is none with `/v`. */
const NUMERIC = /^\d+(?:[.-]\d+)*$/;

/** @param before such as `/v`. @returns the version in a request's path; null for none */
export function versionInPath(path: string, before: string, known: ReadonlySet<string>): string | null {
  if (!path.startsWith(before)) return null;
  const slash = path.indexOf("/", before.length);
  const text = slash < 0 ? path.slice(before.length) : path.slice(before.length, slash);
  return known.has(text) || NUMERIC.test(text) ? text : null;
}
