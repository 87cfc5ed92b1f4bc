// Owns what lies under a route: `defaults`, then the policy sets that it uses in the order of `use`, then its own keys; how they are laid over each other,
// and which of them a setting came from. Must never judge a value: the schema does.
import { type Located, type LocatedMap, nodeAt, overlay } from "../source/located.ts";
import { type ConfigProblem, formatPath, type PathPart, type Position } from "../source/problem.ts";

/** One of the maps that a route is made of. */
export interface RouteLayer {
  /** Where it stands in the tree. */
  readonly path: readonly PathPart[];
  readonly node: LocatedMap;
}

/** Keys of which an upper layer's map replaces what lies below whole: half of one tree in another would mean something that nobody wrote. */
const NON_MERGED_KEYS: readonly string[] = ["auth"];

/** Keys at the top level that are for routes too, as the lowest layer. */
const TOP_KEYS: readonly string[] = ["errorPages"];
/** Maps of which an upper layer's entry replaces the one below whole: half of one in another would mean something that nobody wrote. */
const WHOLE_ENTRIES: readonly string[] = ["errorPages"];

function topLayer(root: LocatedMap): readonly RouteLayer[] {
  const entries = new Map([...root.entries].filter(([key, { node }]) => TOP_KEYS.includes(key) && node.kind === "map"));
  return entries.size === 0 ? [] : [{ path: [], node: { ...root, entries } }];
}

/** The layers of a route, lowest first, its own last. Sets that are not there, or are no maps, are left out. */
export function layersOf(root: LocatedMap, index: number): readonly RouteLayer[] {
  const own = nodeAt(root, ["routes", index]);
  const sets = usedSets(own).map((name): readonly PathPart[] => ["policySets", name]);
  const written = [["defaults"], ...sets, ["routes", index]].flatMap((path) => {
    const node = nodeAt(root, path);
    return node?.kind === "map" ? [{ path, node }] : [];
  });
  return [...topLayer(root), ...written];
}

/** The names under a route's `use`, as far as they are texts. */
export function usedSets(route: Located | undefined): readonly string[] {
  const use = route === undefined ? undefined : nodeAt(route, ["use"]);
  if (use?.kind !== "list") return [];
  return use.items.flatMap((item) => (item.kind === "scalar" && typeof item.value === "string" ? [item.value] : []));
}

/** @returns the tree with what lies under each route merged into it, and the nulls of sets that take nothing away from any route. */
export function withRouteLayers(root: LocatedMap): { readonly root: LocatedMap; readonly problems: readonly ConfigProblem[] } {
  const routes = root.entries.get("routes");
  if (routes?.node.kind !== "list") return { root, problems: [] };
  const effective = new Set<Located>();
  const used = new Set<string>();
  const items = routes.node.items.map((item, i) => {
    let below: Located | null = null;
    for (const { path, node } of layersOf(root, i)) {
      const [section, name] = path;
      const over: Located = section === "policySets" ? withoutIdleNulls(node, below ?? undefined, effective) : node;
      if (section === "policySets") used.add(String(name));
      below = below === null ? over : overlay(withoutReplaced(below, over), over);
    }
    return below !== null && item.kind === "map" ? below : item;
  });
  return {
    root: { ...root, entries: new Map(root.entries).set("routes", { keyAt: routes.keyAt, node: { ...routes.node, items } }) },
    problems: [...used].flatMap((name) => idleNulls(root, ["policySets", name], effective)),
  };
}

function withoutReplaced(below: Located, over: Located): Located {
  if (below.kind !== "map" || over.kind !== "map") return below;
  const own = NON_MERGED_KEYS.filter((key) => over.entries.get(key)?.node.kind === "map" && below.entries.has(key));
  const left = own.length === 0 ? below : { ...below, entries: new Map([...below.entries].filter(([key]) => !own.includes(key))) };
  return WHOLE_ENTRIES.reduce((map, key) => withoutEntries(map, over, key), left);
}

/** Without the entries of a map below that the one above has as maps, too. */
function withoutEntries(below: LocatedMap, over: LocatedMap, key: string): LocatedMap {
  const entry = below.entries.get(key);
  const above = over.entries.get(key)?.node;
  if (entry?.node.kind !== "map" || above?.kind !== "map") return below;
  const kept = [...entry.node.entries].filter(([name]) => above.entries.get(name)?.node.kind !== "map");
  if (kept.length === entry.node.entries.size) return below;
  return { ...below, entries: new Map(below.entries).set(key, { ...entry, node: { ...entry.node, entries: new Map(kept) } }) };
}

const isNull = (node: Located): boolean => node.kind === "scalar" && node.value === null;

/** A set serves several routes: on one of them there may be nothing to take away. @param effective gets the nulls that take something away */
function withoutIdleNulls(set: Located, below: Located | undefined, effective: Set<Located>): Located {
  if (set.kind !== "map") return set;
  const entries = new Map(set.entries);
  for (const [key, entry] of set.entries) {
    const under = below?.kind === "map" ? below.entries.get(key)?.node : undefined;
    if (!isNull(entry.node)) entries.set(key, { ...entry, node: withoutIdleNulls(entry.node, under, effective) });
    else if (under === undefined) entries.delete(key);
    else effective.add(entry.node);
  }
  return { ...set, entries };
}

function idleNulls(root: LocatedMap, path: readonly PathPart[], effective: ReadonlySet<Located>): ConfigProblem[] {
  const node = nodeAt(root, path);
  if (node?.kind !== "map") return [];
  return [...node.entries].flatMap(([key, { node: value }]): ConfigProblem[] => {
    if (!isNull(value)) return idleNulls(root, [...path, key], effective);
    if (effective.has(value)) return [];
    const message = "takes nothing away: on no route that uses the set have `defaults` or a set before it this key";
    return [{ at: value.at, path: formatPath([...path, key]), message, remedy: "give it a value, or remove the key" }];
  });
}

/** A set as it is judged by itself: what it takes away is known on a route only. */
export function withoutNulls(node: Located): Located {
  if (node.kind !== "map") return node;
  return {
    ...node,
    entries: new Map(
      [...node.entries].flatMap(([key, entry]) => (isNull(entry.node) ? [] : [[key, { ...entry, node: withoutNulls(entry.node) }]])),
    ),
  };
}

/** @param root before layers were merged. @returns where the value stands that counts at a path of the merged tree: the path itself for what is the route's own */
export function standsAt(root: LocatedMap, path: readonly PathPart[]): readonly PathPart[] {
  const [section, index, ...rest] = path;
  if (section !== "routes" || typeof index !== "number" || rest.length === 0) return path;
  const layers = layersOf(root, index).toReversed();
  for (let length = rest.length; length > 0; length--) {
    const layer = layers.find(({ node }) => nodeAt(node, rest.slice(0, length)) !== undefined);
    if (layer !== undefined) return [...layer.path, ...rest];
  }
  return path;
}

/** A value of a route, and where it was written. */
export interface RouteSetting {
  /** Within the route: `headers.request.set.x-tenant`. */
  readonly path: string;
  /** `defaults`, `policySets.NAME`, or `route` for its own. */
  readonly from: string;
  readonly at: Position;
}

const OWN_KEYS: ReadonlySet<string> = new Set(["name", "match", "use", "to", "weighted", "stickyBy", "mirror"]);

/** What a route has besides what makes it itself: texts, numbers and lists, each with its place. @param root before layers were merged */
export function settingsOf(root: LocatedMap, index: number): readonly RouteSetting[] {
  const merged = nodeAt(withRouteLayers(onlyRoute(root, index)).root, ["routes", 0]);
  const settings: RouteSetting[] = [];
  const walk = (node: Located, path: readonly PathPart[]): void => {
    if (node.kind === "map" && node.entries.size > 0) {
      for (const [key, entry] of node.entries) if (path.length > 0 || !OWN_KEYS.has(key)) walk(entry.node, [...path, key]);
      return;
    }
    const [section, name] = standsAt(root, ["routes", index, ...path]);
    const from = section === "routes" ? "route" : section === "policySets" ? `policySets.${name}` : String(section);
    settings.push({ path: formatPath(path), from, at: node.at });
  };
  if (merged !== undefined) walk(merged, []);
  return settings;
}

function onlyRoute(root: LocatedMap, index: number): LocatedMap {
  const routes = root.entries.get("routes");
  if (routes?.node.kind !== "list") return root;
  const node = { ...routes.node, items: routes.node.items.slice(index, index + 1) };
  return { ...root, entries: new Map(root.entries).set("routes", { ...routes, node }) };
}
