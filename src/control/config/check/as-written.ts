// Owns finding a key as its author wrote it, where the schema has changed its case.
import { type LocatedMap, nodeAt } from "../source/located.ts";
import type { PathPart } from "../source/problem.ts";

/** The path in the case the user wrote it: header names are lowercased by the schema. */
export function asWritten(root: LocatedMap, path: readonly PathPart[]): readonly PathPart[] {
  return path.map((part, i) => {
    const parent = nodeAt(root, path.slice(0, i));
    if (typeof part !== "string" || parent?.kind !== "map" || parent.entries.has(part)) return part;
    return [...parent.entries.keys()].find((key) => key.toLowerCase() === part) ?? part;
  });
}
