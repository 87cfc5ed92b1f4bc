// Tells the variants of one response apart by the request fields that Vary names (RFC 9111 section 4.1). Pure. Two requests with one key must be
// such that no origin may answer them differently; where that is in doubt they get two.
import { getList, type HeaderList } from "../../../base/header-list.ts";
import { listWeight, trimWhitespace } from "../../../base/http.ts";

/** Codings that anybody answers with, in a fixed order. */
const CODINGS: readonly string[] = ["zstd", "br", "gzip", "deflate"];
/** Longest accept-language that is put in order; a longer one is taken as it is. */
const LANGUAGES_CHARS_MAX = 512;
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
  if (name === "accept-language" && value.length <= LANGUAGES_CHARS_MAX) return languages(value);
  return value.split(",").map(trimWhitespace).join(",");
}

/** The codings that the client takes, and whether it takes plain bytes: what else the field says changes no answer. */
function codings(value: string): string {
  const any = listWeight(value, "*");
  const accepted = CODINGS.filter((coding) => {
    const own = coding === "gzip" ? Math.max(listWeight(value, "gzip"), listWeight(value, "x-gzip")) : listWeight(value, coding);
    return (own < 0 ? any : own) > 0;
  });
  const identity = listWeight(value, "identity");
  if ((identity < 0 && any === 0) || identity === 0) accepted.push("identity;q=0");
  return accepted.join(",");
}

/** Language ranges by weight, then by name: their order says nothing, nor does their case (RFC 9110 section 12.5.4). */
function languages(value: string): string {
  const ranges = value
    .toLowerCase()
    .split(",")
    .map((part) => part.replace(/[ \t]+/g, ""))
    .filter((part) => part !== "");
  return ranges.sort().join(",");
}
