// Owns what an operator, or another instance of the fleet, wants to have purged: read from a query or from the fleet's log, in one form. What cannot be read is
// refused: half an order would leave in place what somebody believes to be gone.
import { normalisePath } from "../../data/routing/normalise.ts";
import { tagsIn } from "../../shared/cache/names.ts";

export interface PurgeOrder {
  /** What is purged may still be served where a stale response may. */
  readonly soft: boolean;
  readonly everything: boolean;
  /** In the form of {@link cachedUrls}. */
  readonly urls: readonly string[];
  /** Beginnings of URLs in that form. */
  readonly prefixes: readonly string[];
  readonly tags: readonly string[];
  /** Numbers of URLs (shared/cache/names.ts) that unsafe requests have made untrue at an instance that shares what it stores: clients' URLs are nobody's business in a log. */
  readonly changed?: readonly number[];
}

/** What became of an order that others are to follow too. @property trouble why Redis could not be told; it is told as soon as it can be */
export interface FleetTold {
  readonly told: boolean;
  readonly trouble: string | null;
}

export const EVERYTHING: PurgeOrder = { soft: false, everything: true, urls: [], prefixes: [], tags: [] };

/** @property parameter whose value is wrong */
export interface PurgeMistake {
  readonly parameter: string;
  readonly problem: string;
  readonly remedy: string;
}

const KNOWN: ReadonlySet<string> = new Set(["url", "prefix", "tag", "everything", "soft"]);
const USAGE = "name what is to go by url=, prefix=, tag= (each as often as you like) or everything=true";
const ENCODE = "percent-encode the value, as `curl -G --data-urlencode url=...` does";

/** `POST /cache/purge?url=...&tag=...`. @returns a mistake when it is not wholly understood */
export function purgeOrderFrom(query: URLSearchParams): PurgeOrder | PurgeMistake {
  for (const name of query.keys()) {
    // A URL whose own query was not encoded comes apart here.
    if (!KNOWN.has(name)) return { parameter: name, problem: "there is no such parameter", remedy: `${USAGE}; ${ENCODE}` };
  }
  const soft = flag(query, "soft");
  const everything = flag(query, "everything");
  if (typeof soft !== "boolean") return soft;
  if (typeof everything !== "boolean") return everything;
  const urls = all(query, "url", cachedUrls);
  if ("problem" in urls) return urls;
  const prefixes = all(query, "prefix", cachedPrefixes);
  if ("problem" in prefixes) return prefixes;
  const tags = all(query, "tag", readTags);
  if ("problem" in tags) return tags;
  if (!everything && urls.length + prefixes.length + tags.length === 0)
    return { parameter: "", problem: "nothing is named", remedy: USAGE };
  return { soft, everything, urls, prefixes, tags };
}

function flag(query: URLSearchParams, name: string): boolean | PurgeMistake {
  const value = query.get(name);
  if (value === null || value === "false" || value === "0") return false;
  if (value === "true" || value === "1" || value === "") return true;
  return { parameter: name, problem: `expected true or false, not "${value}"`, remedy: `write ${name}=true, or leave it out` };
}

function all(query: URLSearchParams, name: string, read: (text: string) => readonly string[] | string): readonly string[] | PurgeMistake {
  const found = new Set<string>();
  for (const text of query.getAll(name)) {
    const values = read(text);
    if (typeof values === "string") return { parameter: name, problem: `"${text}": ${values}`, remedy: REMEDIES[name] ?? USAGE };
    for (const value of values) found.add(value);
  }
  return [...found];
}

const REMEDIES: Readonly<Record<string, string>> = {
  url: "write the URL as clients do, as in https://shop.example.com/catalog?page=2",
  prefix: "write how URLs begin, host included, as in https://shop.example.com/catalog/",
  tag: "write tags as the service does in Cache-Tag or Surrogate-Key; several separated by commas",
};

function readTags(text: string): readonly string[] | string {
  const tags = tagsIn(text);
  return tags.length === 0 ? "no tag" : isVisibleAscii(tags.join("")) ? tags : "expected visible ASCII characters";
}

interface UrlParts {
  readonly schemes: readonly ("http" | "https")[];
  readonly host: string;
  readonly path: string;
  /** Without `?`; null for none. */
  readonly query: string | null;
}

/** @returns what is wrong with it as text */
function partsOf(text: string): UrlParts | string {
  const match = /^(?:(https?):\/\/|\/\/)?([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?$/i.exec(text);
  if (!isVisibleAscii(text)) return "expected visible ASCII characters, anything else percent-encoded";
  const [, scheme, host = "", path = "", query, fragment] = match ?? [];
  if (match === null) return "expected http:// or https://, or a host";
  if (host === "" || host.includes("@") || !/^(\[[0-9a-f:.]+\]|[^:[\]]+)(:\d{1,5})?$/i.test(host))
    return "expected a host, with the port where clients name one";
  if (fragment !== undefined) return "a fragment (#) is never sent";
  const schemes: UrlParts["schemes"] = scheme === undefined ? ["https", "http"] : scheme.toLowerCase() === "https" ? ["https"] : ["http"];
  return { schemes, host: host.toLowerCase(), path, query: query === undefined ? null : query.slice(1) };
}

/** @returns the URL as the store's keys have it, for both schemes when it names none; what is wrong with it as text */
export function cachedUrls(text: string): readonly string[] | string {
  const parts = partsOf(text);
  if (typeof parts === "string") return parts;
  const { schemes, host, path, query } = parts;
  // A listener may let more through than the normal form has: such a path stands for itself.
  const normal = path === "" ? "/" : (normalisePath(path) ?? path);
  return schemes.map(
    (scheme) => `${scheme}://${withoutOwnPort(scheme, host)}${normal}${query === null || query === "" ? "" : `?${query}`}`,
  );
}

/** The same for a beginning: a star at its end says what it is anyway. */
function cachedPrefixes(text: string): readonly string[] | string {
  const parts = partsOf(text.endsWith("*") ? text.slice(0, -1) : text);
  if (typeof parts === "string") return parts;
  const { schemes, host, path, query } = parts;
  const normal = path === "" ? "/" : (normalisePath(path) ?? path);
  return schemes.map((scheme) => `${scheme}://${withoutOwnPort(scheme, host)}${normal}${query === null ? "" : `?${query}`}`);
}

const withoutOwnPort = (scheme: "http" | "https", host: string): string => {
  const own = scheme === "https" ? ":443" : ":80";
  return host.endsWith(own) ? host.slice(0, -own.length) : host;
};

const isVisibleAscii = (text: string): boolean => /^[\x21-\x7e]*$/.test(text);

/** For the fleet's log. */
export const writeOrder = (order: PurgeOrder): string => JSON.stringify(order);

/** Anybody may have written it. @returns null for what no instance of this release writes */
export function readOrder(text: string): PurgeOrder | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { soft, everything, urls, prefixes, tags, changed, ...others } = value as Record<string, unknown>; // each is looked at below
  if (Object.keys(others).length > 0 || typeof soft !== "boolean" || typeof everything !== "boolean") return null;
  if (!isTexts(urls) || !isTexts(prefixes) || !isTexts(tags)) return null;
  if (changed === undefined) return { soft, everything, urls, prefixes, tags };
  return isNumbers(changed) ? { soft, everything, urls, prefixes, tags, changed } : null;
}

const isNumbers = (value: unknown): value is readonly number[] => Array.isArray(value) && value.every((each) => Number.isSafeInteger(each));

const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((each) => typeof each === "string");
