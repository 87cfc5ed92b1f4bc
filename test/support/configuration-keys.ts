// Owns what tests know of the keys of a configuration: which key may stand directly under which other, anywhere, as the JSON Schema has it.

type Node = Readonly<Record<string, unknown>>;

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null;
const nodes = (value: unknown): readonly Node[] => (isNode(value) ? Object.values(value).filter(isNode) : []);

/** `parent.key` for all keys; maps and lists in between count as their owner. Top-level keys have the parent ''. */
export function keyPairs(schema: Node): ReadonlySet<string> {
  const pairs = new Set<string>();
  const seen = new Map<Node, Set<string>>();
  const walk = (node: Node, owner: string): void => {
    const owners = seen.get(node) ?? new Set();
    if (owners.has(owner)) return;
    seen.set(node, owners.add(owner));
    if (typeof node["$ref"] === "string") walk(definition(schema, node["$ref"]), owner);
    if (isNode(node["properties"]))
      for (const [key, value] of Object.entries(node["properties"])) {
        pairs.add(`${owner}.${key}`);
        if (isNode(value)) walk(value, key);
      }
    for (const each of ["additionalProperties", "items"]) if (isNode(node[each])) walk(node[each], owner);
    for (const each of ["anyOf", "oneOf", "allOf", "prefixItems", "patternProperties"])
      for (const part of nodes(node[each])) walk(part, owner);
  };
  walk(schema, "");
  return pairs;
}

function definition(schema: Node, ref: string): Node {
  const found = ref
    .split("/")
    .slice(1)
    .reduce<unknown>((node, part) => (isNode(node) ? node[part.replaceAll("~1", "/").replaceAll("~0", "~")] : undefined), schema);
  if (!isNode(found)) throw new Error(`the schema has no ${ref}`);
  return found;
}

/** @param dotted `upstreams.NAME.breaker`: names that users choose are written in capitals. @returns whether each key may stand under the one before it */
export function isKeyPath(pairs: ReadonlySet<string>, dotted: string): boolean {
  const keys = dotted.split(".").filter((key) => !/^[A-Z]+$/.test(key));
  return keys.every((key, i) => i === 0 || pairs.has(`${keys[i - 1]}.${key}`));
}

/** The dotted names in inline code that begin with a key of the configuration which has keys of its own. */
export function dottedKeysIn(text: string, pairs: ReadonlySet<string>): string[] {
  const parents = new Set([...pairs].map((pair) => pair.split(".")[0] ?? ""));
  const named = [...text.matchAll(/`([a-z][A-Za-z]*(?:\.[A-Za-z]+)+)(?:: [^`]*)?`/g)].map((match) => match[1] ?? "");
  return named.filter((name) => parents.has(name.split(".")[0] ?? ""));
}
