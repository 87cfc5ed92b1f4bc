// Owns what stored responses are called by those who purge them: the URL as clients write it, without what does not count of its query, and tags; and the numbers
// by which stamps.ts counts them. Workers and the primary must make the same name of the same URL.
import { hash32 } from "../../base/hash32.ts";

/** Which query parameters of a route's URLs count. `all`: as they come. */
export type QueryRule = { readonly kind: "all" } | { readonly kind: "only" | "except"; readonly names: readonly string[] };

/** Scheme, host in lowercase without the scheme's own port, path, query. @param query '' for none */
export function cacheUrl(scheme: "http" | "https", authority: string, path: string, query: string): string {
  if (authority !== last.authority || scheme !== last.scheme) {
    const lower = authority.toLowerCase();
    const own = scheme === "https" ? ":443" : ":80";
    last = { scheme, authority, origin: `${scheme}://${lower.endsWith(own) ? lower.slice(0, -own.length) : lower}` };
  }
  return query === "" ? last.origin + path : `${last.origin}${path}?${query}`;
}

/** What was asked for last is mostly asked for next. */
let last = { scheme: "", authority: "", origin: "" };

/** @returns the query without what does not count, in an order of its own; as it came when all of it counts */
export function keyedQuery(query: string, rule: QueryRule): string {
  if (rule.kind === "all" || query === "") return query;
  const listed = (name: string): boolean => rule.names.includes(name);
  return query
    .split("&")
    .filter((part) => part !== "" && listed(nameOf(part)) === (rule.kind === "only"))
    .sort()
    .join("&");
}

/** A name that is written with percent-encoding is the same name. */
function nameOf(part: string): string {
  const [name = ""] = part.split("=", 1);
  if (!name.includes("%") && !name.includes("+")) return name;
  try {
    return decodeURIComponent(name.replaceAll("+", " "));
  } catch {
    return name;
  }
}

/** What purges of a URL are counted by. */
export const urlNumber = (url: string): number => hash32(url);

/** What purges of a tag are counted by: never one of a URL's, as those begin with their scheme. */
export const tagNumber = (tag: string): number => hash32(`#${tag}`);

/** The opaque word by which objects in the store name their route. */
export const ownerNumber = (route: string): number => hash32(route) | 0;

/** Tags of one field value, or of an operator's word. */
export const tagsIn = (text: string): readonly string[] => text.split(/[, \t]+/).filter((tag) => tag !== "");
