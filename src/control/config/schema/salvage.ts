// Owns reading what is right of a value that is wrong in parts, so that what else is wrong with it is told in the same run. What comes out is never used
// to serve: a configuration with any mistake is refused whole.
import type { z } from "zod";
import { type Located, type LocatedMap, nodeAt, toPlain, without, writtenPath } from "../source/located.ts";
import { addAll, type PathPart } from "../source/problem.ts";
import { issueMessage, meantKeys, nearestBranch } from "./issues.ts";

type Issue = z.core.$ZodIssue;

/** Each round takes out what the schema then refuses; what is left after so many is given up. */
const ROUNDS_MAX = 16;

/**
 * @property rest what could be read, and the node that it was read of; null for nothing
 * @property lost what was taken out, from the value on, as written
 * @property hidden what the schema says only of a value whose parts are right, and does not follow from what was taken out
 */
export interface Salvaged<T> {
  readonly rest: { readonly value: T; readonly node: Located } | null;
  readonly lost: readonly (readonly PathPart[])[];
  readonly hidden: readonly Issue[];
}

/**
 * Takes out what is wrong until the rest can be read.
 * @param fill values for keys that may not be absent
 */
export function salvage<S extends z.ZodType>(
  schema: S,
  start: Located,
  fill: Readonly<Record<string, string>> = {},
): Salvaged<z.output<S>> {
  let node = start;
  const lost: (readonly PathPart[])[] = [];
  const meant: (readonly PathPart[])[] = [];
  const hidden: Issue[] = [];
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const parsed = schema.safeParse(toPlain(node), { error: issueMessage });
    if (parsed.success) return { rest: { value: parsed.data, node }, lost, hidden };
    const { issues } = parsed.error;
    if (round > 0) addAll(hidden, independent(issues, node, { lost, meant }));
    for (const issue of issues) for (const key of meantKeys(issue)) meant.push(writtenPath(node, [...issue.path.map(part), key]));
    const cuts = issues.flatMap((issue) => cutsOf(issue, node)).sort(fromTheEnd);
    for (const cut of cuts) {
      const [key] = cut;
      const value = cut.length === 1 && typeof key === "string" ? fill[key] : undefined;
      if (value !== undefined && node.kind === "map") {
        node = withEntry(node, String(key), value);
        continue;
      }
      lost.push(writtenPath(node, cut));
      if (cut.length === 0 || nodeAt(node, cut) === undefined) return { rest: null, lost, hidden };
      node = without(node, cut);
    }
  }
  return { rest: null, lost, hidden };
}

/** What transforms find only when everything before them is right. Where a key beside it was taken out, it may follow from that. */
function independent(
  issues: readonly Issue[],
  node: Located,
  { lost, meant }: { readonly lost: readonly (readonly PathPart[])[]; readonly meant: readonly (readonly PathPart[])[] },
): readonly Issue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== "custom") return [];
    const path = writtenPath(node, issue.path.map(part));
    const beside = (other: readonly PathPart[]): boolean => other.length === path.length && areRelated(other.slice(0, -1), path);
    const follows = [...lost, ...meant].some((other) => areRelated(other, path) && other.length <= path.length + 1);
    return follows || lost.some(beside) ? [] : [{ ...issue, path: [...path] }];
  });
}

const part = (key: PropertyKey): PathPart => (typeof key === "number" ? key : String(key));

function withEntry(map: LocatedMap, key: string, value: string): LocatedMap {
  const at = map.entries.get(key)?.node.at ?? map.at;
  return { ...map, entries: new Map(map.entries).set(key, { keyAt: at, node: { kind: "scalar", at, value, fromEnv: false } }) };
}

/** Paths to take out because of an issue. */
function cutsOf(issue: Issue, node: Located, base: readonly PathPart[] = []): readonly (readonly PathPart[])[] {
  const path = [...base, ...issue.path.map(part)];
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => [...path, key]);
  if (issue.code === "invalid_union") {
    const best = nearestBranch(issue.errors);
    if (best !== undefined) return best.flatMap((inner) => cutsOf(inner, node, path));
  }
  // What is missing can't be taken out: what it is missing from can, unless it is filled in.
  return [nodeAt(node, path) === undefined && path.length > 1 ? path.slice(0, -1) : path];
}

/** Later items first, so that none moves before its turn; what is deeper before what holds it. */
function fromTheEnd(a: readonly PathPart[], b: readonly PathPart[]): number {
  for (const [i, part] of a.entries()) {
    const other = b[i];
    if (other === undefined) return -1;
    if (part === other) continue;
    return typeof part === "number" && typeof other === "number" ? other - part : String(part) < String(other) ? -1 : 1;
  }
  return a.length < b.length ? 1 : 0;
}

/** Whether one path leads to the other, or they are the same. */
export const areRelated = (a: readonly PathPart[], b: readonly PathPart[]): boolean => {
  const length = Math.min(a.length, b.length);
  return a.slice(0, length).every((part, i) => part === b[i]);
};
