// Owns the former names of keys: they are read as the present ones before files are laid over each other, so that both mean the same in every layer.
import { type Located, type LocatedMap, renameKey, replaceAt } from "./located.ts";
import { type ConfigProblem, formatPath, type PathPart } from "./problem.ts";

interface Alias {
  /** Place of the map, with `*` for any name or index. */
  readonly place: readonly string[];
  readonly former: string;
  readonly name: string;
  /** What its values are now; those that it does not have are left for the schema to refuse. */
  readonly values?: ReadonlyMap<unknown, string>;
}

const TIMEOUTS = { former: "response", name: "attempt" } as const;
const HOST = {
  former: "preserveHost",
  name: "host",
  values: new Map<unknown, string>([true, false, "true", "false"].map((value) => [value, String(value) === "true" ? "client" : "target"])),
};

const ALIASES: readonly Alias[] = [
  { place: ["upstreams", "*", "timeouts"], ...TIMEOUTS },
  { place: ["upstreamDefaults", "timeouts"], ...TIMEOUTS },
  { place: ["routes", "*", "timeouts"], ...TIMEOUTS },
  { place: ["defaults", "timeouts"], ...TIMEOUTS },
  { place: ["policySets", "*", "timeouts"], ...TIMEOUTS },
  { place: ["upstreams", "*"], ...HOST },
  { place: ["upstreamDefaults"], ...HOST },
];

/** @returns the tree with present names only, and what is wrong where a key stands under both. */
export function withPresentNames(root: LocatedMap): { readonly root: LocatedMap; readonly problems: readonly ConfigProblem[] } {
  let result = root;
  const problems: ConfigProblem[] = [];
  for (const { place, former, name, values } of ALIASES)
    for (const [path, map] of mapsAt(root, place, [])) {
      const entry = map.entries.get(former);
      if (entry === undefined) continue;
      if (map.entries.has(name)) {
        const message = `\`${former}\` is the former name of \`${name}\`, which stands beside it`;
        problems.push({ at: entry.keyAt, path: formatPath([...path, former]), message, remedy: "remove it" });
        continue;
      }
      const present = values === undefined ? entry.node : presentValue(entry.node, values);
      if (present === null) continue;
      const renamed = renameKey(result, [...path, former], name);
      const valued = present === entry.node ? renamed : replaceAt(renamed, [...path, name].map(String), () => present);
      if (valued.kind === "map") result = valued;
    }
  return { root: result, problems };
}

/** @returns null for a value that it never had; null itself, which removes, stays */
function presentValue(node: Located, values: ReadonlyMap<unknown, string>): Located | null {
  if (node.kind !== "scalar") return null;
  if (node.value === null) return node;
  const value = typeof node.value === "string" && !node.fromEnv ? undefined : values.get(node.value);
  return value === undefined ? null : { ...node, value };
}

function* mapsAt(
  node: Located,
  [part, ...rest]: readonly string[],
  path: readonly PathPart[],
): Generator<readonly [readonly PathPart[], LocatedMap]> {
  if (part === undefined) {
    if (node.kind === "map") yield [path, node];
  } else if (node.kind === "list") {
    if (part === "*") for (const [i, item] of node.items.entries()) yield* mapsAt(item, rest, [...path, i]);
  } else if (node.kind === "map") {
    for (const [key, entry] of node.entries) if (part === "*" || part === key) yield* mapsAt(entry.node, rest, [...path, key]);
  }
}
