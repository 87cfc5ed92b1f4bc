// Owns parsing a located tree by a schema: numbers and booleans out of the environment, problems out of issues.
import type { z } from "zod";
import { issueMessage, problemsOf } from "./issues.ts";
import { type Located, nodeAt, replaceAt, toPlain } from "./located.ts";
import type { ConfigProblem, PathPart } from "./problem.ts";

export type Parsed<T> = { readonly value: T } | { readonly problems: readonly ConfigProblem[] };

/** Parses the value at `path`; an absent value is parsed as undefined, so that the schema can fill in its default. */
export function parseAt<S extends z.ZodType>(schema: S, root: Located, path: readonly PathPart[]): Parsed<z.output<S>> {
  const node = nodeAt(root, path);
  const first = schema.safeParse(node === undefined ? undefined : toPlain(node), { error: issueMessage });
  if (first.success) return { value: first.data };
  const typed = node === undefined ? undefined : withTypedEnv(node, first.error.issues);
  if (typed === undefined || typed === node) return { problems: problemsOf(first.error.issues, root, path) };
  const second = schema.safeParse(toPlain(typed), { error: issueMessage });
  return second.success ? { value: second.data } : { problems: problemsOf(second.error.issues, root, path) };
}

/** Where the schema refused a text that came from the environment and reads as a number or boolean: takes it for one. */
function withTypedEnv(node: Located, issues: readonly z.core.$ZodIssue[], base: readonly PathPart[] = []): Located {
  let result = node;
  for (const issue of issues) {
    const path = [...base, ...issue.path.map((part) => (typeof part === "number" ? part : String(part)))];
    if (issue.code === "invalid_union") for (const branch of issue.errors) result = withTypedEnv(result, branch, path);
    if (issue.code !== "invalid_type" && issue.code !== "invalid_value" && issue.code !== "invalid_union") continue;
    result = replaceAt(result, path.map(String), typedScalar);
  }
  return result;
}

function typedScalar(node: Located): Located {
  if (node.kind !== "scalar" || !node.fromEnv || typeof node.value !== "string") return node;
  if (node.value === "true" || node.value === "false") return { ...node, value: node.value === "true" };
  return /^-?\d+(\.\d+)?$/.test(node.value) ? { ...node, value: Number(node.value) } : node;
}
