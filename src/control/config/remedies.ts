// Owns what an author is told to do about a value of the wrong kind. What would only lead to the next error is not told: remedies are tried first.
import type { z } from "zod";
import { type Located, toPlain } from "./located.ts";
import { nearest, type PathPart } from "./problem.ts";

type Issue = z.core.$ZodIssue;

interface Mistake {
  readonly issue: Issue | undefined;
  readonly node: Located | undefined;
  readonly path: readonly PathPart[];
  /** Whether another value would do in its place. */
  readonly accepts: (value: unknown) => boolean;
}

/** Place (with `*` for any name or index) of a map that people write as a text -> the key that the text is meant for. */
const MEANT_KEY: Readonly<Record<string, string>> = {
  "upstreams.*.targets.*": "url",
  "listeners.*": "address",
  admin: "address",
  log: "file",
  redis: "url",
  "consumers.*": "id",
  "routes.*.match": "path",
  "routes.*.weighted.*": "upstream",
  "routes.*.mirror": "upstream",
  "routes.*.rewrite": "path",
  "routes.*.redirect": "to",
  "routes.*.respond": "body",
};

/** Sections whose second key is a name. */
const NAMED: readonly (PathPart | undefined)[] = ["upstreams", "auth", "tiers"];

const placeOf = (path: readonly PathPart[]): string =>
  path.map((part, i) => (typeof part === "number" || (i === 1 && NAMED.includes(path[0])) ? "*" : part)).join(".");

/** @returns '' when the message says it all. */
export function remedyFor(mistake: Mistake): string {
  const { issue, node } = mistake;
  if (node?.kind === "scalar" && node.value === null) return "give it a value, or remove the key";
  if (issue?.code === "custom") return typeof issue.params?.["remedy"] === "string" ? issue.params["remedy"] : "";
  if (node === undefined) return issue?.code === "invalid_type" ? "add it" : "";
  if (issue?.code === "invalid_value") return nearestValue(issue, node);
  if (issue?.code !== "invalid_type" && issue?.code !== "invalid_union") return "";
  return (node.kind === "scalar" ? scalarRemedy(mistake, node.value) : collectionRemedy(mistake, node)) ?? "";
}

function nearestValue(issue: Issue & { readonly code: "invalid_value" }, node: Located): string {
  if (node.kind !== "scalar" || typeof node.value !== "string" || node.fromEnv) return "";
  const near = nearest(node.value, issue.values.map(String));
  return near === null ? "" : `did you mean \`${near}\`?`;
}

function scalarRemedy({ issue, node, path, accepts }: Mistake, value: unknown): string | null {
  const expected = issue?.code === "invalid_type" ? issue.expected : "";
  if (expected === "string" && typeof value !== "string") return "write it in quotes";
  if (value === true && accepts({})) return "write `{}` for its defaults";
  const list = [value].flatMap((each) => (typeof each === "string" ? each.split(/[\s,]+/) : each));
  if (expected === "array" && accepts(list)) return "write it as [a, b] or as lines that start with `-`";
  if (typeof value !== "string") return null;
  const plain = unquoted(expected, value);
  if (plain !== null) return accepts(plain.value) ? plain.remedy : null;
  const key = MEANT_KEY[placeOf(path)];
  if (key === undefined || !accepts({ [key]: value })) return null;
  return `write \`{ ${key}: ${node?.kind === "scalar" && node.fromEnv ? "..." : inFlow(value)} }\``;
}

/** A text as it may stand between braces. */
const inFlow = (text: string): string => (/^[\w./][\w./:*-]*$/.test(text) ? text : JSON.stringify(text));

/** A text where a number, true or false is wanted. */
function unquoted(expected: string, text: string): { readonly value: unknown; readonly remedy: string } | null {
  if (expected === "boolean" && /^(true|false)$/.test(text)) return { value: text === "true", remedy: `write \`${text}\`, without quotes` };
  if (expected === "boolean" && /^(yes|on|true)$/i.test(text)) return { value: true, remedy: "write `true`" };
  if (expected === "boolean" && /^(no|off|false)$/i.test(text)) return { value: false, remedy: "write `false`" };
  return /^(number|int)$/.test(expected) && /^\d+$/.test(text) ? { value: Number(text), remedy: "write it without quotes" } : null;
}

/** A list for a map, or a map for a list. */
function collectionRemedy({ accepts }: Mistake, node: Located): string | null {
  const plain = toPlain(node);
  if (node.kind === "map") return accepts([plain]) ? "make it a list: begin it with `- `" : null;
  return accepts(byName(node)) ? "write each as `NAME: ...` without `- `, its name in front" : null;
}

/** A list of maps with a name each, as a map by name; null when it is no such list. */
function byName(list: Located): Readonly<Record<string, unknown>> | null {
  const entries: [string, unknown][] = [];
  for (const item of list.kind === "list" ? list.items : []) {
    const name = item.kind === "map" ? item.entries.get("name")?.node : undefined;
    if (item.kind !== "map" || name?.kind !== "scalar") return null;
    const rest = new Map([...item.entries].filter(([key]) => key !== "name"));
    entries.push([String(name.value), toPlain({ ...item, entries: rest })]);
  }
  return entries.length === 0 ? null : Object.fromEntries(entries);
}
