// Asks the origin about a stored response, and brings that up to date from its 304 (RFC 9111 sections 3.2, 4.3.1, 4.3.3, 4.3.4). Pure.
import { getHeader, type HeaderList, removeHeaders } from "../../../base/header-list.ts";
import { isHopByHop } from "../../../base/http.ts";

/** What a validation of this stored response sends beside the request's own fields; empty when it has no validator. */
export function validators(stored: HeaderList): HeaderList {
  const fields: HeaderList = [];
  const etag = getHeader(stored, "etag");
  const modified = getHeader(stored, "last-modified");
  if (etag !== undefined) fields.push("if-none-match", etag);
  if (modified !== undefined) fields.push("if-modified-since", modified);
  return fields;
}

/** Tied to the bytes that are stored, or not of the representation: a 304 does not change them (section 3.2). */
const isTied = (name: string): boolean =>
  isHopByHop(name) ||
  name === "content-length" ||
  name === "content-encoding" ||
  name === "content-type" ||
  name === "content-range" ||
  name === "age" ||
  name === "proxy-authentication-info";

/**
 * Whether a 304 is about this stored response (section 4.3.4): a strong tag must be its tag, a weak one its tag by weak comparison; without a tag, a date must
 * be its date. One without either is, since one response was asked about.
 */
export function isAbout(stored: HeaderList, notModified: HeaderList): boolean {
  const tag = getHeader(notModified, "etag");
  if (tag === undefined) {
    const [modified, own] = [getHeader(notModified, "last-modified"), getHeader(stored, "last-modified")];
    return modified === undefined || own === undefined || modified === own;
  }
  const known = getHeader(stored, "etag");
  if (known === undefined) return false;
  return tag.startsWith("W/") || known.startsWith("W/") ? withoutWeakness(tag) === withoutWeakness(known) : tag === known;
}

const withoutWeakness = (tag: string): string => (tag.startsWith("W/") ? tag.slice(2) : tag);

/**
 * What a 200 to a HEAD says of a stored response to GET (section 4.3.5): `same` when all validators and the length that it names are those of what is stored,
 * `other` when one of them is not, `nothing` when it names none. @param head length of the body in bytes; -1 not said
 */
export function confirms(
  stored: { readonly headers: HeaderList; readonly length: number },
  head: { readonly headers: HeaderList; readonly length: number },
): "same" | "other" | "nothing" {
  let named = false;
  for (const name of ["etag", "last-modified"]) {
    const said = getHeader(head.headers, name);
    if (said === undefined) continue;
    if (said !== getHeader(stored.headers, name)) return "other";
    named = true;
  }
  if (head.length >= 0 && head.length !== stored.length) return "other";
  return named || head.length >= 0 ? "same" : "nothing";
}

/** @returns the stored fields with those of the 304 in place of their namesakes; a new list */
export function updated(stored: HeaderList, notModified: HeaderList): HeaderList {
  const replaced = new Set<string>();
  for (let i = 0; i < notModified.length; i += 2) {
    const name = notModified[i] as string; // pairs
    if (!isTied(name)) replaced.add(name);
  }
  const merged = [...stored];
  removeHeaders(merged, (name) => replaced.has(name));
  for (let i = 0; i < notModified.length; i += 2) {
    const name = notModified[i] as string; // pairs
    if (replaced.has(name)) merged.push(name, notModified[i + 1] as string);
  }
  return merged;
}
