// Tells the variants of one response apart by the request fields that Vary names (RFC 9111 section 4.1). Pure. Two requests with one key must be
// such that no origin may answer them differently; where that is in doubt they get two.
import { getList, type HeaderList } from "../../../base/header-list.ts";
import { isToken, listWeight, trimWhitespace } from "../../../base/http.ts";

/** Codings that anybody answers with, in a fixed order. */
const CODINGS: readonly string[] = ["zstd", "br", "gzip", "deflate"];
/** Elements of Accept-Encoding and Accept-Language that are looked at; a field with more is taken as it is. */
const ELEMENTS_MAX = 32;
/** Fields that are no lists, or hold text of anybody's: spaces beside a comma are part of the value. */
const TEXTS: ReadonlySet<string> = new Set([
  "cookie",
  "user-agent",
  "referer",
  "authorization",
  "from",
  "origin",
  "host",
  "if-modified-since",
]);
const FIELD_SEPARATOR = "\u0000";
/** In the place of a field that the request does not have: no field value contains it. */
const ABSENT = "\u0001";

/** @param names of {@link import("./assess.ts").Storable.vary}. @returns '' without names */
export function variantKey(names: readonly string[], request: HeaderList): string {
  let key = "";
  for (const name of names) key += `${name}${FIELD_SEPARATOR}${normalised(name, getList(request, name))}${FIELD_SEPARATOR}`;
  return key;
}

function normalised(name: string, value: string | undefined): string {
  if (value === undefined) return ABSENT;
  if (name === "accept-encoding") return codings(value);
  if (name === "accept-language") return languages(value);
  // Inside a quoted string, and in text, spaces say something.
  if (TEXTS.has(name) || value.includes('"')) return value;
  return value.split(",").map(trimWhitespace).join(",");
}

/** The codings that the client takes, those that only some origins know included, and whether it takes plain bytes: what else the field says makes no answer unfit. */
function codings(value: string): string {
  const elements = value.split(",", ELEMENTS_MAX + 1);
  if (elements.length > ELEMENTS_MAX) return value;
  const any = listWeight(value, "*");
  const accepted = CODINGS.filter((coding) => {
    const own = coding === "gzip" ? Math.max(listWeight(value, "gzip"), listWeight(value, "x-gzip")) : listWeight(value, coding);
    return (own < 0 ? any : own) > 0;
  });
  const identity = listWeight(value, "identity");
  if ((identity < 0 && any === 0) || identity === 0) accepted.push("identity;q=0");
  if (any > 0) accepted.push("*");
  return accepted.concat(otherCodings(value, elements)).join(",");
}

const KNOWN: ReadonlySet<string> = new Set([...CODINGS, "x-gzip", "identity", "*"]);

/** Lowercase and sorted; one that nobody can read as it stands. */
function otherCodings(value: string, elements: readonly string[]): readonly string[] {
  const others = new Set<string>();
  for (const element of elements) {
    const [part = ""] = element.split(";", 1);
    const name = trimWhitespace(part).toLowerCase();
    if (name === "" || KNOWN.has(name)) continue;
    if (!isToken(name)) others.add(element);
    else if (listWeight(value, name) !== 0) others.add(name);
  }
  return [...others].sort();
}

/** Neither case nor spaces say anything (RFC 9110 section 12.5.4). The order of ranges of one weight does, to many origins. */
function languages(value: string): string {
  const ranges = value.split(",", ELEMENTS_MAX + 1);
  if (ranges.length > ELEMENTS_MAX) return value;
  return ranges
    .map((part) => part.replace(/[ \t]+/g, "").toLowerCase())
    .filter((part) => part !== "")
    .join(",");
}
