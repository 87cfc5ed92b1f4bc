// Owns what an author is told to do about a value of the wrong kind. What would only lead to the next error is not told: remedies are tried first.
import type { z } from "zod";
import { type Located, type LocatedList, type LocatedMap, toPlain } from "../source/located.ts";
import { nearest, type PathPart } from "../source/problem.ts";
import { foreignValue, foreignWord } from "./foreign-words.ts";

type Issue = z.core.$ZodIssue;

interface Mistake {
  readonly issue: Issue | undefined;
  readonly node: Located | undefined;
  readonly path: readonly PathPart[];
  /** Whether another value would do in its place. */
  readonly accepts: (value: unknown) => boolean;
}

/** Place (with `*` for any name or index) -> what people probably mean who write a text, number or list there. Told only if it would do. */
const MEANT: Readonly<Record<string, (value: unknown) => unknown>> = {
  listeners: (value) => [{ address: typeof value === "number" ? `127.0.0.1:${value}` : value }],
  "listeners.*": (value) => ({ address: typeof value === "number" ? `127.0.0.1:${value}` : value }),
  admin: (value) => ({ address: typeof value === "number" ? `127.0.0.1:${value}` : value }),
  log: (value) => ({ file: value }),
  redis: (value) => ({ url: value }),
  "consumers.*": (value) => ({ id: value }),
  "tiers.*": (value) => ({ rate: value }),
  "upstreams.*": (value) => ({ targets: [value].flat().map((url) => ({ url })) }),
  "upstreams.*.targets": (value) => [{ url: value }],
  "upstreams.*.targets.*": (value) => ({ url: value }),
  "upstreams.*.timeouts": (value) => ({ attempt: value }),
  "upstreams.*.retry": (value) => ({ attempts: value }),
  "upstreamDefaults.timeouts": (value) => ({ attempt: value }),
  "upstreamDefaults.retry": (value) => ({ attempts: value }),
  "routes.*.match": (value) => ({ path: value }),
  "routes.*.timeouts": (value) => ({ attempt: value }),
  "routes.*.weighted.*": (value) => ({ upstream: value }),
  "routes.*.mirror": (value) => ({ upstream: value }),
  "routes.*.rewrite": (value) => ({ path: value }),
  "routes.*.redirect": (value) => ({ to: value }),
  "routes.*.respond": (value) => (typeof value === "number" ? { status: value } : { body: value }),
  "routes.*.cors": (value) => ({ origins: [value].flat() }),
  "routes.*.rateLimit": (value) => [{ per: "ip", rate: value }],
  "routes.*.rateLimit.*": (value) => ({ per: "ip", rate: value }),
};

const STORED = { cache: "write `fallback: stale`, on its own: what routes with `cache` have stored stands in" };

/** Place -> key that stands elsewhere (or under another name) -> where. */
const ELSEWHERE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "upstreams.*.breaker.fallback": STORED,
  "upstreamDefaults.breaker.fallback": STORED,
  "auth.*": { insecure: "it stands under the kind, as in `auth.NAME.jwt.insecure`" },
  "routes.*": {
    ...Object.fromEntries(
      ["path", "paths", "hosts", "methods", "query", "client", "listener", "scheme", "version"].map((key) => [
        key,
        `it stands under \`match\`: \`match: { ${key}: ... }\``,
      ]),
    ),
    ...Object.fromEntries(["retry", "breaker", "health", "balance", "targets"].map((key) => [key, "it stands under `upstreams.NAME`"])),
    ...Object.fromEntries(["upstream", "backend", "service", "url"].map((key) => [key, "`to` names the upstream"])),
  },
  "routes.*.headers": Object.fromEntries(
    ["set", "setIfAbsent", "add", "remove", "allow"].map((key) => [
      key,
      `it stands under \`request\` or \`response\`: \`request: { ${key}: ... }\``,
    ]),
  ),
  defaults: { use: "routes name the sets that they use: write the keys themselves here" },
  "policySets.*": {
    use: "a set uses no other: routes list all that they use",
    ...Object.fromEntries(
      ["name", "match", "to", "weighted", "mirror"].map((key) => [key, "it makes a route itself: it stands in the route"]),
    ),
  },
  "upstreams.*": {
    ...Object.fromEntries(["url", "urls", "servers", "hosts"].map((key) => [key, "write `targets: [{ url: ... }]`"])),
  },
  upstreamDefaults: Object.fromEntries(
    ["targets", "url", "urls", "servers", "hosts"].map((key) => [key, "targets stand under `upstreams.NAME`"]),
  ),
  "listeners.*": Object.fromEntries(["port", "host"].map((key) => [key, "write `address: HOST:PORT`"])),
  "listeners.*.tls": Object.fromEntries(["cert", "key", "hosts"].map((key) => [key, "write `certificates: [{ cert: ..., key: ... }]`"])),
};

/** @returns where a key stands that is unknown at a place; null when that is not known */
export const keyElsewhere = (place: readonly PathPart[], key: string): string | null =>
  ELSEWHERE[placeOf(place)]?.[key] ?? foreignWord(placeOf(place), key);

/** Sections whose second key is a name. */
const NAMED: readonly (PathPart | undefined)[] = ["upstreams", "auth", "tiers", "policySets"];

const placeOf = (path: readonly PathPart[]): string =>
  path.map((part, i) => (typeof part === "number" || (i === 1 && NAMED.includes(path[0])) ? "*" : part)).join(".");

/** @returns '' when the message says it all. */
export function remedyFor(mistake: Mistake): string {
  const { issue, node } = mistake;
  if (node?.kind === "scalar" && node.value === null) return "give it a value, or remove the key";
  if (issue?.code === "custom") {
    const remedy = typeof issue.params?.["remedy"] === "string" ? issue.params["remedy"] : "";
    // A guess holds a part of the value, which may be a secret when the environment gave it.
    return node?.kind === "scalar" && node.fromEnv && remedy.startsWith("did you mean") ? "" : remedy;
  }
  if (node === undefined) return issue?.code === "invalid_type" ? "add it" : "";
  if (issue?.code === "invalid_value") return nearestValue(issue, node, mistake.path);
  if (node.kind === "list" && placeOf(mistake.path) === "routes.*.paths")
    return "the paths of a route stand under `match`: `match: { paths: [...] }`";
  if (issue?.code !== "invalid_type" && issue?.code !== "invalid_union") return "";
  return (node.kind === "scalar" ? scalarRemedy(mistake, node.value) : collectionRemedy(mistake, node)) ?? "";
}

function nearestValue(issue: Issue & { readonly code: "invalid_value" }, node: Located, path: readonly PathPart[]): string {
  if (node.kind !== "scalar" || typeof node.value !== "string" || node.fromEnv) return "";
  const foreign = foreignValue(placeOf(path), node.value);
  if (foreign !== null) return foreign;
  const near = nearest(node.value, issue.values.map(String));
  return near === null ? "" : `did you mean \`${near}\`?`;
}

function scalarRemedy(mistake: Mistake, value: unknown): string | null {
  const { issue, path, accepts } = mistake;
  if (["routes.*.auth", "defaults.auth", "policySets.*.auth"].includes(placeOf(path))) return "name an authenticator, or write `none`";
  const expected = issue?.code === "invalid_type" ? issue.expected : "";
  if (expected === "string" && typeof value !== "string") return "write it in quotes";
  if (value === true && accepts({})) return "write `{}` for its defaults";
  const list = [value].flatMap((each) => (typeof each === "string" ? each.split(/[\s,]+/) : each));
  if (expected === "array" && accepts(list)) return "write it as [a, b] or as lines that start with `-`";
  const plain = typeof value === "string" ? unquoted(expected, value) : null;
  if (plain !== null) return accepts(plain.value) ? plain.remedy : null;
  return meantRemedy(mistake, value);
}

/** What the place says is meant, written out. */
function meantRemedy({ node, path, accepts }: Mistake, value: unknown): string | null {
  if (typeof value === "boolean") return null;
  const meant = MEANT[placeOf(path)]?.(value);
  if (meant === undefined || !accepts(meant)) return null;
  return `write \`${inFlow(node?.kind === "scalar" && node.fromEnv ? (MEANT[placeOf(path)]?.("...") ?? "...") : meant)}\``;
}

/** A value as it may stand between braces. */
function inFlow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inFlow).join(", ")}]`;
  if (typeof value === "object" && value !== null)
    return `{ ${Object.entries(value)
      .map(([key, each]) => `${key}: ${inFlow(each)}`)
      .join(", ")} }`;
  return typeof value === "string" && !/^([A-Za-z./][\w./:*-]*|\d+(\.\d+){3}[\d./:]*|\d+\/?[a-z]+)$/.test(value)
    ? JSON.stringify(value)
    : String(value);
}

/** A text where a number, true or false is wanted. */
function unquoted(expected: string, text: string): { readonly value: unknown; readonly remedy: string } | null {
  if (expected === "boolean" && /^(true|false)$/.test(text)) return { value: text === "true", remedy: `write \`${text}\`, without quotes` };
  if (expected === "boolean" && /^(yes|on|true)$/i.test(text)) return { value: true, remedy: "write `true`" };
  if (expected === "boolean" && /^(no|off|false)$/i.test(text)) return { value: false, remedy: "write `false`" };
  return /^(number|int)$/.test(expected) && /^\d+$/.test(text) ? { value: Number(text), remedy: "write it without quotes" } : null;
}

/** A list for a map, or a map for a list. */
function collectionRemedy(mistake: Mistake, node: LocatedMap | LocatedList): string | null {
  const { accepts } = mistake;
  const plain = toPlain(node);
  if (node.kind === "list")
    return accepts(byName(node)) ? "write each as `NAME: ...` without `- `, its name in front" : meantRemedy(mistake, plain);
  if (accepts([plain])) return "make it a list: begin it with `- `";
  const named = [...node.entries].map(([name, { node: entry }]) => [name, toPlain(entry)] as const);
  if (accepts(named.map(([name, entry]) => ({ name, ...(typeof entry === "object" ? entry : {}) }))))
    return "make it a list: write each as `- name: NAME` and its keys below";
  return accepts(named.map(([upstream, weight]) => ({ upstream, weight })))
    ? `write \`${inFlow(named.map(([upstream, weight]) => ({ upstream, weight })))}\``
    : null;
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
