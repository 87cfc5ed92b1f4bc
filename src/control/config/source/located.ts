// Owns the located tree: plain configuration values that remember where they were written, and how trees are laid over one another.
// Knows nothing of YAML or of what the values mean.
import type { PathPart, Position } from "./problem.ts";

/** A value with the place it was written at. Immutable. */
export type Located = LocatedScalar | LocatedMap | LocatedList;

export interface LocatedScalar {
  readonly kind: "scalar";
  readonly at: Position;
  readonly value: string | number | boolean | null;
  /** The text came, in whole or part, from the environment: never repeat it in a message; a number or boolean may stand in it. */
  readonly fromEnv: boolean;
}

export interface LocatedMap {
  readonly kind: "map";
  readonly at: Position;
  readonly entries: ReadonlyMap<string, LocatedEntry>;
}

export interface LocatedEntry {
  readonly keyAt: Position;
  readonly node: Located;
}

export interface LocatedList {
  readonly kind: "list";
  readonly at: Position;
  readonly items: readonly Located[];
  /** Where the items stood before some were taken out; without it where they stand now. */
  readonly written?: readonly number[];
}

/** The plain value, for a schema to read. Maps become objects without a prototype's surprises: `__proto__` is refused by the parser. */
export function toPlain(node: Located): unknown {
  if (node.kind === "scalar") return node.value;
  if (node.kind === "list") return node.items.map(toPlain);
  const object: Record<string, unknown> = {};
  for (const [key, entry] of node.entries) object[key] = toPlain(entry.node);
  return object;
}

/** As {@link toPlain}, with another value at one place. */
export function plainWith(node: Located, [part, ...rest]: readonly PathPart[], value: unknown): unknown {
  if (part === undefined) return value;
  if (node.kind === "list") return node.items.map((item, i) => (i === Number(part) ? plainWith(item, rest, value) : toPlain(item)));
  if (node.kind === "scalar") return node.value;
  return Object.fromEntries(
    [...node.entries].map(([key, entry]) => [key, key === String(part) ? plainWith(entry.node, rest, value) : toPlain(entry.node)]),
  );
}

/** Gives the key that a path ends in another name, at the same place. */
export function renameKey(root: Located, path: readonly PathPart[], name: string): Located {
  const key = String(path.at(-1));
  return replaceAt(root, path.slice(0, -1).map(String), (map) =>
    map.kind === "map" ? { ...map, entries: new Map([...map.entries].map(([each, entry]) => [each === key ? name : each, entry])) } : map,
  );
}

/** The node at a path; undefined where there is none. */
export function nodeAt(root: Located, path: readonly PathPart[]): Located | undefined {
  let node: Located | undefined = root;
  for (const part of path) node = node === undefined ? undefined : child(node, part);
  return node;
}

/** The position of the value at a path, or of the nearest enclosing value that exists. */
export function positionAt(root: Located, path: readonly PathPart[]): Position {
  let node = root;
  for (const part of path) {
    const next = child(node, part);
    if (next === undefined) break;
    node = next;
  }
  return node.at;
}

/** The position of a key, or of the nearest enclosing value that exists. */
export function keyPositionAt(root: Located, path: readonly PathPart[]): Position {
  const parent = nodeAt(root, path.slice(0, -1));
  const key = path.at(-1);
  const entry = parent?.kind === "map" && typeof key === "string" ? parent.entries.get(key) : undefined;
  return entry?.keyAt ?? positionAt(root, path);
}

function child(node: Located, part: PathPart): Located | undefined {
  if (node.kind === "map") return node.entries.get(String(part))?.node;
  if (node.kind === "list") return node.items[Number(part)];
  return undefined;
}

/**
 * Lays `over` on `base` as JSON Merge Patch does (RFC 7396): maps merge key by key, everything else (lists too) replaces,
 * null removes. A null that removes nothing stays, so that the schema can refuse an empty value.
 */
export function overlay(base: Located, over: Located): Located {
  if (base.kind !== "map" || over.kind !== "map") return over;
  const entries = new Map(base.entries);
  for (const [key, entry] of over.entries) {
    const below = base.entries.get(key);
    if (below === undefined) entries.set(key, entry);
    else if (entry.node.kind === "scalar" && entry.node.value === null) entries.delete(key);
    else entries.set(key, { keyAt: entry.keyAt, node: overlay(below.node, entry.node) });
  }
  return { kind: "map", at: over.at, entries };
}

/** Takes a key or an item away. What is not there is no mistake. */
export function without(root: Located, [part, ...rest]: readonly PathPart[]): Located {
  if (part === undefined || root.kind === "scalar") return root;
  if (root.kind === "map") {
    const entry = root.entries.get(String(part));
    if (entry === undefined) return root;
    const entries = new Map(root.entries);
    if (rest.length === 0) entries.delete(String(part));
    else entries.set(String(part), { ...entry, node: without(entry.node, rest) });
    return { ...root, entries };
  }
  const index = Number(part);
  const written = root.written ?? root.items.map((_, i) => i);
  if (rest.length > 0) return { ...root, items: root.items.map((item, i) => (i === index ? without(item, rest) : item)) };
  return { ...root, items: root.items.filter((_, i) => i !== index), written: written.filter((_, i) => i !== index) };
}

/** The path that a value had before items were taken out of lists. */
export function writtenPath(root: Located, path: readonly PathPart[]): readonly PathPart[] {
  let node: Located | undefined = root;
  return path.map((part) => {
    const list: Located | undefined = node;
    node = node === undefined ? undefined : child(node, part);
    return list?.kind === "list" && typeof part === "number" ? (list.written?.[part] ?? part) : part;
  });
}

/**
 * Replaces the nodes below a path that may hold `*` for any key or index. `change` returns the same node to leave it alone; what holds nothing that was
 * changed is the same too.
 */
export function replaceAt(
  root: Located,
  pattern: readonly string[],
  change: (node: Located, path: readonly PathPart[]) => Located,
  path: readonly PathPart[] = [],
): Located {
  const [part, ...rest] = pattern;
  if (part === undefined) return change(root, path);
  if (root.kind === "list") {
    const items = root.items.map((item, i) => (part === "*" || part === String(i) ? replaceAt(item, rest, change, [...path, i]) : item));
    return items.every((item, i) => item === root.items[i]) ? root : { ...root, items };
  }
  if (root.kind !== "map") return root;
  let entries: Map<string, LocatedEntry> | null = null;
  for (const key of part === "*" ? root.entries.keys() : [part]) {
    const entry = root.entries.get(key);
    if (entry === undefined) continue;
    const node = replaceAt(entry.node, rest, change, [...path, key]);
    if (node === entry.node) continue;
    entries ??= new Map(root.entries);
    entries.set(key, { keyAt: entry.keyAt, node });
  }
  return entries === null ? root : { ...root, entries };
}
