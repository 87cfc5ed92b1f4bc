// Owns parsing a located tree by a schema: numbers and booleans out of the environment, problems out of issues, and trying a remedy before it is told.
import * as z from "zod";
import { type Located, nodeAt, plainWith, renameKey, replaceAt, toPlain } from "../source/located.ts";
import type { ConfigProblem, PathPart } from "../source/problem.ts";
import { issueMessage, leavesOf, problemsOf } from "./issues.ts";

// For all schemas of the process, as those that are made when their key is written (base/lazy-schema.ts) parse by themselves.
z.config({ customError: issueMessage });

type Issue = z.core.$ZodIssue;

/** @property node what was parsed at last; undefined for nothing */
export type Parsed<T> = { readonly value: T } | { readonly problems: readonly ConfigProblem[]; readonly node: Located | undefined };

/** Parses the value at `path`; an absent value is parsed as undefined, so that the schema can fill in its default. */
export function parseAt<S extends z.ZodType>(schema: S, root: Located, path: readonly PathPart[]): Parsed<z.output<S>> {
  const node = nodeAt(root, path);
  const first = schema.safeParse(node === undefined ? undefined : toPlain(node));
  if (first.success) return { value: first.data };
  if (node === undefined) return { problems: problemsOf(first.error.issues, root, path), node };
  const typed = withTypedEnv(node, first.error.issues);
  const second = typed === node ? first : schema.safeParse(toPlain(typed));
  if (second.success) return { value: second.data };
  const issues = issuesOf(schema, typed, second.error.issues);
  return { problems: problemsOf(issues, root, path, (place, value) => accepts(schema, typed, place, value)), node: typed };
}

/** Whether a value would do at a place, whatever is wrong elsewhere. */
function accepts(schema: z.ZodType, node: Located, place: readonly PathPart[], value: unknown): boolean {
  const parsed = schema.safeParse(plainWith(node, place, value));
  return parsed.success || !leavesOf(parsed.error.issues).some(({ path }) => samePath(path.slice(0, place.length), place));
}

/**
 * The issues of a value, and those that are hidden behind them: what is wrong with a value whose key is wrong too, and what would be wrong with a number
 * or boolean if it were the text that is wanted (that it is none is not the point then).
 */
function issuesOf(schema: z.ZodType, node: Located, first: readonly Issue[]): readonly Issue[] {
  const renamed = new Map<string, readonly PropertyKey[]>();
  const asText: PathPart[][] = [];
  let repaired = node;
  for (const issue of leavesOf(first)) {
    const path = issue.path.map(part);
    if (issue.code === "invalid_key") {
      const stand = `x-stand-in-${renamed.size}`;
      renamed.set(JSON.stringify([...path.slice(0, -1), stand]), path);
      repaired = renameKey(repaired, path, stand);
    } else if (issue.code === "invalid_type" && issue.expected === "string") {
      const below = nodeAt(node, path);
      if (below?.kind !== "scalar" || below.value === null || typeof below.value === "string") continue;
      asText.push(path);
      repaired = replaceAt(repaired, path.map(String), (scalar) =>
        scalar.kind === "scalar" ? { ...scalar, value: String(scalar.value) } : scalar,
      );
    }
  }
  if (repaired === node) return first;
  const again = schema.safeParse(toPlain(repaired));
  const hidden = again.success ? [] : again.error.issues;
  const stillWrong = asText.filter((path) => leavesOf(hidden).some((leaf) => samePath(leaf.path, path)));
  const told = first.filter((issue) => !leavesOf([issue]).some((leaf) => stillWrong.some((path) => samePath(leaf.path, path))));
  const seen = new Set(told.map(identity));
  return [...told, ...hidden.map((issue) => withWrittenKey(issue, renamed)).filter((issue) => !seen.has(identity(issue)))];
}

const identity = ({ code, path, message }: Issue): string => JSON.stringify([code, path, message]);

const samePath = (a: readonly PropertyKey[], b: readonly PropertyKey[]): boolean =>
  a.length === b.length && a.every((each, i) => String(each) === String(b[i]));

/** Takes a stand-in key out of an issue's path. */
function withWrittenKey(issue: Issue, renamed: ReadonlyMap<string, readonly PropertyKey[]>): Issue {
  for (let length = 1; length <= issue.path.length; length++) {
    const written = renamed.get(JSON.stringify(issue.path.slice(0, length).map(part)));
    if (written !== undefined) return { ...issue, path: [...written, ...issue.path.slice(length)] };
  }
  return issue;
}

const part = (key: PropertyKey): PathPart => (typeof key === "number" ? key : String(key));

/** Where the schema refused a text that came from the environment and reads as a number or boolean: takes it for one. */
function withTypedEnv(node: Located, issues: readonly Issue[]): Located {
  let result = node;
  for (const issue of leavesOf(issues)) {
    if (issue.code === "invalid_type" || issue.code === "invalid_value") result = replaceAt(result, issue.path.map(String), typedScalar);
  }
  return result;
}

function typedScalar(node: Located): Located {
  if (node.kind !== "scalar" || !node.fromEnv || typeof node.value !== "string") return node;
  if (node.value === "true" || node.value === "false") return { ...node, value: node.value === "true" };
  return /^-?\d+(\.\d+)?$/.test(node.value) ? { ...node, value: Number(node.value) } : node;
}
