// Owns how files are laid over one another: as JSON Merge Patch does (RFC 7396), but that lists of named entries are changed entry by entry.
import { parseTargetUrl } from "./address.ts";
import type { Located, LocatedEntry, LocatedList, LocatedMap } from "./located.ts";
import { type ConfigProblem, formatPath, type PathPart } from "./problem.ts";

/** In an overlay: takes an entry of a list of named ones away. */
export const REMOVE_KEY = "remove";

/** How the entries of a list are told apart. */
interface Identity {
  readonly key: string;
  /** The form in which two are compared. */
  readonly of: (text: string) => string;
  /** Whether a list with an entry that is not below replaces the list below, instead of adding to it: as new targets are meant instead of the old ones. */
  readonly replaces: boolean;
}

const BY_NAME: Identity = { key: "name", of: (text) => text, replaces: false };
const BY_URL: Identity = { key: "url", of: targetIdentity, replaces: true };

function targetIdentity(text: string): string {
  const parsed = parseTargetUrl(text);
  return "url" in parsed ? parsed.url : text;
}

/** @returns the files as one, later ones over earlier ones, and what is wrong with how they lie. */
export function layFiles(
  first: LocatedMap,
  others: readonly LocatedMap[],
): { readonly root: LocatedMap; readonly problems: readonly ConfigProblem[] } {
  const problems: ConfigProblem[] = [];
  return { root: others.reduce((below, over) => layMap(below, over, [], problems), first), problems };
}

function lay(below: Located, over: Located, path: readonly PathPart[], problems: ConfigProblem[]): Located {
  if (below.kind === "map" && over.kind === "map") return layMap(below, over, path, problems);
  return below.kind === "list" && over.kind === "list" ? layList(below, over, path, problems) : over;
}

/** A null that removes nothing stays, so that the schema can refuse an empty value. */
function layMap(below: LocatedMap, over: LocatedMap, path: readonly PathPart[], problems: ConfigProblem[]): LocatedMap {
  const entries = new Map<string, LocatedEntry>(below.entries);
  for (const [key, entry] of over.entries) {
    const other = below.entries.get(key);
    if (other === undefined) entries.set(key, entry);
    else if (entry.node.kind === "scalar" && entry.node.value === null) entries.delete(key);
    else entries.set(key, { keyAt: entry.keyAt, node: lay(other.node, entry.node, [...path, key], problems) });
  }
  return { kind: "map", at: over.at, entries };
}

function layList(below: LocatedList, over: LocatedList, path: readonly PathPart[], problems: ConfigProblem[]): LocatedList {
  const identity = path.length === 3 && path[0] === "upstreams" && path[2] === "targets" ? BY_URL : BY_NAME;
  const names = namesOf(below, identity);
  const changes = namesOf(over, identity);
  if (names === null || changes === null || (identity.replaces && changes.some((name) => !names.includes(name)))) return over;
  const items: (Located | null)[] = [...below.items];
  const changed = new Set<string>();
  for (const [i, change] of over.items.entries()) {
    const name = changes[i] ?? "";
    const index = changed.has(name) ? -1 : names.indexOf(name);
    changed.add(name);
    const under = items[index];
    const removal = removalIn(change);
    if (removal !== null && under == null)
      problems.push({
        at: removal.keyAt,
        path: formatPath([...path, i, REMOVE_KEY]),
        message: `there is no ${name} below to remove`,
        remedy: "",
      });
    else if (removal !== null) items[index] = null;
    else if (under == null) items.push(change);
    else items[index] = lay(under, change, [...path, index], problems);
  }
  return { kind: "list", at: over.at, items: items.filter((item) => item !== null) };
}

/** @returns null when the entries are not all told apart by the key */
function namesOf({ items }: LocatedList, { key, of }: Identity): readonly string[] | null {
  const names: string[] = [];
  for (const item of items) {
    const name = item.kind === "map" ? item.entries.get(key)?.node : undefined;
    if (name?.kind !== "scalar" || typeof name.value !== "string") return null;
    names.push(of(name.value));
  }
  return names.length === 0 ? null : names;
}

function removalIn(item: Located): LocatedEntry | null {
  const entry = item.kind === "map" ? item.entries.get(REMOVE_KEY) : undefined;
  return entry?.node.kind === "scalar" && entry.node.value === true ? entry : null;
}
