// Owns how `upstreamDefaults` lies under the upstreams. Pure: works on the located tree, before any schema sees it.
import { type Located, type LocatedMap, nodeAt, overlay } from "../source/located.ts";
import type { PathPart } from "../source/problem.ts";

const KEY = "upstreamDefaults";

/** Lays every upstream over the defaults. */
export function withUpstreamDefaults(root: LocatedMap): LocatedMap {
  const under = root.entries.get(KEY)?.node;
  const upstreams = root.entries.get("upstreams");
  if (under?.kind !== "map" || upstreams?.node.kind !== "map") return root;
  const entries = new Map(upstreams.node.entries);
  for (const [name, entry] of entries) entries.set(name, { ...entry, node: overlay(defaultsFor(under, entry.node), entry.node) });
  return { ...root, entries: new Map(root.entries).set("upstreams", { ...upstreams, node: { ...upstreams.node, entries } }) };
}

/** Alternatives, of which half of one in another would mean something that nobody wrote: an upstream's own replaces the default whole. */
const ALTERNATIVES: readonly (readonly string[])[] = [["hashOn"], ["breaker", "fallback"], ["health", "active", "expect", "body"]];
/** A check that only connects, and what only one that asks has. */
const CHECK = ["health", "active"] as const;
const OF_ASKING: readonly string[] = ["path", "method", "headers", "expect"];
/** Of one way to balance. */
const OF_HASH: readonly string[] = ["hashOn", "hashBalanceFactor"];

/** Those of the defaults that mean anything for an upstream. */
function defaultsFor(under: LocatedMap, upstream: Located): LocatedMap {
  if (upstream.kind !== "map") return under;
  let left = under;
  const balance = upstream.entries.get("balance")?.node;
  if (balance?.kind === "scalar" && balance.value !== "hash") for (const key of OF_HASH) left = leftOut(left, upstream, [key]);
  // The ways out of an upstream are all about TLS.
  if (!hasSecureTarget(upstream)) for (const key of ["tls", "insecure"]) left = leftOut(left, upstream, [key]);
  const tcp = nodeAt(upstream, [...CHECK, "tcp"]);
  if (tcp?.kind === "scalar" && tcp.value === true) for (const key of OF_ASKING) left = leftOut(left, upstream, [...CHECK, key]);
  else if (OF_ASKING.some((key) => nodeAt(upstream, [...CHECK, key]) !== undefined)) left = leftOut(left, upstream, [...CHECK, "tcp"]);
  for (const path of ALTERNATIVES) if (nodeAt(upstream, path)?.kind === "map") left = without(left, path);
  return left;
}

/** Without a key that the upstream has not written itself. */
const leftOut = (under: LocatedMap, upstream: LocatedMap, path: readonly string[]): LocatedMap =>
  nodeAt(upstream, path) === undefined ? without(under, path) : under;

function without(map: LocatedMap, [key = "", ...rest]: readonly string[]): LocatedMap {
  const entry = map.entries.get(key);
  if (entry === undefined || (rest.length > 0 && entry.node.kind !== "map")) return map;
  const entries = new Map(map.entries);
  if (rest.length === 0 || entry.node.kind !== "map") entries.delete(key);
  else entries.set(key, { ...entry, node: without(entry.node, rest) });
  return { ...map, entries };
}

function hasSecureTarget(upstream: LocatedMap): boolean {
  const targets = upstream.entries.get("targets")?.node;
  const urls = targets?.kind === "list" ? targets.items.map((item) => nodeAt(item, ["url"])) : [];
  return urls.some((url) => url?.kind === "scalar" && /^https/i.test(String(url.value)));
}

/** @returns the path in the defaults of what an upstream has from there; null for what it has itself */
export function inUpstreamDefaults(root: LocatedMap, [section, name, ...rest]: readonly PathPart[]): readonly PathPart[] | null {
  if (section !== "upstreams" || rest.length === 0) return null;
  const path = [KEY, ...rest];
  const shared = nodeAt(root, path);
  const own = nodeAt(root, ["upstreams", String(name), ...rest]);
  return shared !== undefined && own !== undefined && shared.at === own.at ? path : null;
}
