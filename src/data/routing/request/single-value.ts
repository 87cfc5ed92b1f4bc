// Owns reading what a decision rests on from a request: a header or query parameter that is there twice, or also in a spelling that services may read
// as it, is not there at all. Else the gateway would judge one value and the service act on the other.
//
// Who reads otherwise, and why that is safe: `auth` refuses what is there twice (policies/auth/reading.ts); a route's conditions must hold for each value
// (routing/value-test.ts); lists (Accept-Encoding, Via, Cookie for affinity) are read whole; Exchange.header() serves what decides nothing, as the access log.
import type { RequestView } from "../request-view.ts";
import { QueryWalk } from "./query-walk.ts";

/** What {@link readSingle} finds of a header that is there more than once. */
export const TWICE = Symbol("twice");

/** Whether services may read a field of one name as one of the other (`x_user` as `x-user`): their plain names (base/http.ts) are equal. @param name lowercase @param other lowercase */
export function isLookAlike(name: string, other: string): boolean {
  if (name.length !== other.length) return false;
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    const d = other.charCodeAt(i);
    if (c !== d && (isAlphanumeric(c) || isAlphanumeric(d))) return false;
  }
  return true;
}

const isAlphanumeric = (c: number): boolean => (c >= 97 && c <= 122) || (c >= 48 && c <= 57);

/** @param name lowercase. @returns the byte string; undefined when there is none; {@link TWICE} when nobody can say which of several a service would read */
export function readSingle(x: RequestView, name: string): string | typeof TWICE | undefined {
  const { headers, hasAmbiguousFieldNames } = x;
  let found: string | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    const each = headers[i] as string; // i is inside a list of pairs
    if (each !== name) {
      if (hasAmbiguousFieldNames && isLookAlike(each, name)) return TWICE;
      continue;
    }
    if (found !== undefined) return TWICE;
    found = headers[i + 1];
  }
  return found;
}

/** @param name lowercase. @returns the byte string; undefined unless it is there exactly once */
export function singleHeaderValue(x: RequestView, name: string): string | undefined {
  const found = readSingle(x, name);
  return found === TWICE ? undefined : found;
}

const walk = new QueryWalk();

/** @returns decoded text; undefined unless it is there exactly once and well encoded, also for readers to whom `;` separates as `&` does */
export function singleQueryValue(x: RequestView, name: string): string | undefined {
  const { query } = x;
  if (query === "") return undefined;
  let found: string | undefined;
  walk.begin(query, name);
  while (walk.next()) {
    if (walk.divided || found !== undefined) return undefined;
    found = decoded(walk.value());
    if (found === undefined) return undefined;
  }
  return found;
}

/** @returns undefined when it is not the encoding of a text */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

/** A path parameter as text; undefined when it is not UTF-8. @param text percent-encoded */
export function decodedPath(text: string): string | undefined {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** A header's byte string as text; undefined when it is not UTF-8. */
export function utf8(bytes: string): string | undefined {
  if (!/[^\x00-\x7f]/.test(bytes)) return bytes;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(bytes, "latin1"));
  } catch {
    return undefined;
  }
}
