// Owns the list of keys that later versions will know and this one does not: they are refused by name, never ignored and never "unknown".
import type { PathPart } from "../source/problem.ts";

const UPSTREAM_KEYS = ["descriptors", "protos", "includes", "reflection"];
const ROUTE_KEYS = ["transcode", "graphql"];

/** Place (with `*` for any name or index) -> keys that come in a later version. */
const RESERVED: Readonly<Record<string, readonly string[]>> = {
  "upstreams.*": UPSTREAM_KEYS,
  upstreamDefaults: UPSTREAM_KEYS,
  "routes.*": ROUTE_KEYS,
  defaults: ROUTE_KEYS,
  "policySets.*": ROUTE_KEYS,
};

const NAMED: readonly PathPart[] = ["upstreams", "policySets"];

/** Whether a key at this place belongs to a later version. */
export function isReservedKey(place: readonly PathPart[], key: string): boolean {
  const pattern = place.map((part, i) => (typeof part === "number" || (i === 1 && NAMED.includes(place[0] ?? "")) ? "*" : part)).join(".");
  return RESERVED[pattern]?.includes(key) ?? false;
}
