// Owns the consumers that Redis holds (`consumersFrom.redis`), as they were read: lays them behind all others, in the located tree, so that they are checked
// as if they stood in a file. What they say is a stranger's: it names no file and no variable, and no message repeats it.
import { createHash } from "node:crypto";
import { callerName } from "../../../base/schema.ts";
import { parseStrictObject } from "../../../base/strict-json.ts";
import type { Located, LocatedEntry, LocatedMap } from "./located.ts";
import type { ConfigProblem, Position } from "./problem.ts";

/** Characters of a field's name that a message shows. */
const NAME_SHOWN_MAX = 64;

/** All consumers of Redis at one moment. */
export interface RedisConsumerSet {
  /** Where they stand, as messages name it: the key of the hash. */
  readonly key: string;
  /** The marker that they were first read under. */
  readonly marker: string;
  /** Field and value, in the order of the fields. */
  readonly entries: readonly (readonly [name: string, json: string])[];
  /** Equal for the same entries, and for no others. */
  readonly digest: string;
}

/** @param flat names and JSON in turn, in any order */
export function redisConsumerSet(key: string, marker: string, flat: readonly string[]): RedisConsumerSet {
  const entries: [string, string][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) entries.push([flat[i] ?? "", flat[i + 1] ?? ""]);
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const digest = createHash("sha256");
  for (const [name, json] of entries) digest.update(`${name.length}:${name}${json.length}:${json}`);
  return { key, marker, entries, digest: digest.digest("base64url") };
}

export interface GatheredSet {
  readonly root: LocatedMap;
  readonly problems: readonly ConfigProblem[];
  /** The places in order, as messages name them. */
  readonly names: readonly string[];
}

/** @param set null while there is none. A root that does not ask for it stays as it is. */
export function withRedisConsumers(root: LocatedMap, set: RedisConsumerSet | null): GatheredSet {
  const from = root.entries.get("consumersFrom")?.node;
  const asked = from?.kind === "map" ? from.entries.get("redis")?.node : undefined;
  const entry = root.entries.get("consumers");
  // A `consumers` that is no list is the schema's to refuse.
  if (set === null || asked === undefined || isOff(asked) || (entry !== undefined && entry.node.kind !== "list"))
    return { root, problems: [], names: [] };
  const problems: ConfigProblem[] = [];
  const names: string[] = [];
  const found: Located[] = [];
  for (const [name, json] of set.entries) {
    const at: Position = { file: `Redis ${set.key} ${shown(name)}`, line: 0, column: 0 };
    names.push(at.file);
    const read = readConsumer(name, json, at);
    if ("problem" in read) problems.push({ at, path: "", message: read.problem, remedy: read.remedy });
    else found.push(read.node);
  }
  const before = entry?.node.kind === "list" ? entry.node.items : [];
  const node: Located = { kind: "list", at: entry?.node.at ?? asked.at, items: [...before, ...found] };
  return {
    root: { ...root, entries: new Map(root.entries).set("consumers", { keyAt: entry?.keyAt ?? asked.at, node }) },
    problems,
    names,
  };
}

/** Text comes from the environment. */
const isOff = (node: Located): boolean => node.kind === "scalar" && (node.value === false || node.value === "false" || node.value === null);

const shown = (name: string): string => {
  const text = name.length > NAME_SHOWN_MAX ? `${name.slice(0, NAME_SHOWN_MAX)}...` : name;
  return /^[\x21-\x7e]+$/.test(text) ? text : JSON.stringify(text);
};

type ReadConsumer = { readonly node: LocatedMap } | { readonly problem: string; readonly remedy: string };

const ID = callerName();

function readConsumer(name: string, json: string, at: Position): ReadConsumer {
  const named = ID.safeParse(name);
  if (!named.success)
    return { problem: `the field is no id: ${named.error.issues[0]?.message}`, remedy: "name the field after the consumer" };
  const read = parseStrictObject(json);
  if ("problem" in read) return { problem: `the value ${read.problem}`, remedy: 'write the consumer as JSON: {"keys":["sha256:..."]}' };
  // No schema would see it: it would become the plain object's prototype.
  if (Object.hasOwn(read.value, "__proto__")) return { problem: "unknown key `__proto__`", remedy: "remove it" };
  const { id, signingSecrets, ...rest } = read.value;
  if (id !== undefined && id !== name) return { problem: "the id in the value is another than the field", remedy: "leave `id` out" };
  if (signingSecrets !== undefined)
    return { problem: "`signingSecrets` are secrets: Redis holds hashes only", remedy: "put this consumer into the file or the directory" };
  return { node: locatedMap({ id: name, ...rest }, at) };
}

function locatedMap(value: object, at: Position): LocatedMap {
  const entries = Object.entries(value).map(([key, inner]): [string, LocatedEntry] => [key, { keyAt: at, node: located(inner, at) }]);
  return { kind: "map", at, entries: new Map(entries) };
}

/** @param value out of JSON, its depth bounded by parseStrictObject */
function located(value: unknown, at: Position): Located {
  if (Array.isArray(value)) return { kind: "list", at, items: value.map((item: unknown) => located(item, at)) };
  if (typeof value === "object" && value !== null) return locatedMap(value, at);
  return { kind: "scalar", at, value: value as string | number | boolean | null, fromEnv: false }; // JSON has nothing else
}
