// Owns finding a credential in a request and taking it out again: header, `Authorization` scheme, cookie, query parameter.
// Must never look at what a credential says. In doubt (two of them, a spelling that services may read as the same name) it says so.

import type { HeaderList } from "../../../base/header-list.ts";
import { removeHeader, removeHeaders } from "../../../base/header-list.ts";
import { cgiEquivalent, isAmbiguousFieldName, isTokenCode } from "../../../base/http.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import { CookieWalk } from "../../routing/request/cookie-walk.ts";
import { decodeQuery, QueryWalk } from "../../routing/request/query-walk.ts";
import { isLookAlike } from "../../routing/request/single-value.ts";

/** The request has none. */
export const NONE = 0;
/** More than one, or one beside a look-alike: nobody can say which of them a service would read. */
export const SEVERAL = 1;
/** A credential as sent, or why there is none. */
export type Reading = string | typeof NONE | typeof SEVERAL;

/** The one field line of a header. @param name lowercase */
export function readHeader(x: Exchange, name: string): Reading {
  const { headers } = x;
  let found: Reading = NONE;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    if (found !== NONE) return SEVERAL;
    found = headers[i + 1] as string; // i is inside a list of pairs
  }
  return x.hasAmbiguousFieldNames && hasLookAlike(headers, name) ? SEVERAL : found;
}

/** Some other spelling that services may read as this header (`x_api_key` for `x-api-key`). */
export function hasLookAlike(headers: HeaderList, name: string): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const other = headers[i] as string; // i is inside a list of pairs
    if (other !== name && isLookAlike(other, name)) return true;
  }
  return false;
}

/** @param scheme lowercase */
export const readAuthorization = (x: Exchange, scheme: string): Reading => readScheme(x, "authorization", scheme);

/**
 * What follows a scheme in a header (RFC 9110 section 11.4). Another scheme's credential is {@link NONE}: it is somebody else's. Between
 * the two only blanks may stand; services that take something else for one (a tab, `str.split()` of Python) are told nothing.
 * @param name of the header, lowercase. @param scheme lowercase
 */
export function readScheme(x: Exchange, name: string, scheme: string): Reading {
  const value = readHeader(x, name);
  if (typeof value !== "string") return value;
  const { length } = scheme;
  if (value !== "" && !isTokenCode(value.charCodeAt(0))) return SEVERAL;
  if (value.length < length || value.slice(0, length).toLowerCase() !== scheme) return NONE;
  if (value.length === length) return "";
  const next = value.charCodeAt(length);
  if (next !== 32) return isTokenCode(next) ? NONE : SEVERAL; // a longer scheme's name
  let start = length + 1;
  while (value.charCodeAt(start) === 32) start++;
  return value.slice(start);
}

const cookies = new CookieWalk();
const parameters = new QueryWalk();

/** The value of a cookie (RFC 6265 section 4.2.1), over all `Cookie` lines. @param name case-sensitive */
export function readCookie(x: Exchange, name: string): Reading {
  const { headers } = x;
  let found: Reading = NONE;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== "cookie") continue;
    cookies.begin(headers[i + 1] as string, name); // i is inside a list of pairs
    while (cookies.next()) {
      if (found !== NONE) return SEVERAL;
      found = unquoted(cookies.value());
    }
  }
  return found;
}

/** Quotes around a cookie's value are no part of it. */
const unquoted = (value: string): string =>
  value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;

/** The value of a query parameter, decoded. Names are compared decoded, as services do. */
export function readQuery(x: Exchange, name: string): Reading {
  const { query } = x;
  if (query === "") return NONE;
  let found: Reading = NONE;
  parameters.begin(query, name);
  while (parameters.next()) {
    // Services to whom `;` separates would read another one.
    if (parameters.divided || found !== NONE) return SEVERAL;
    found = decodeQuery(parameters.value());
  }
  return found;
}

/** Takes a header out, its look-alikes included. @param name lowercase */
export function stripHeader(headers: HeaderList, name: string): void {
  removeHeaders(
    headers,
    (other) => other === name || (other.length === name.length && isAmbiguousFieldName(other) && isLookAlike(other, name)),
  );
  // A name with odd marks of its own has look-alikes without any.
  if (isAmbiguousFieldName(name)) removeHeader(headers, cgiEquivalent(name));
}

/** @param scheme lowercase */
export const stripAuthorization = (headers: HeaderList, scheme: string): void => stripScheme(headers, "authorization", scheme);

/** Takes a header out when it carries this scheme. @param name lowercase. @param scheme lowercase */
export function stripScheme(headers: HeaderList, name: string, scheme: string): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    if (carriesScheme(headers[i + 1] as string, scheme)) return stripHeader(headers, name); // i is inside a list of pairs
  }
}

/** Also for readers to whom other characters than blanks stand before and behind a scheme's name. */
function carriesScheme(value: string, scheme: string): boolean {
  let start = 0;
  while (start < value.length && !isTokenCode(value.charCodeAt(start))) start++;
  const end = start + scheme.length;
  return value.slice(start, end).toLowerCase() === scheme && !isTokenCode(value.charCodeAt(end));
}

/** Takes every cookie of this name out; a `Cookie` line that held nothing else goes whole. */
export function stripCookie(headers: HeaderList, name: string): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== "cookie") continue;
    const line = headers[i + 1] as string; // i is inside a list of pairs
    cookies.begin(line, name);
    if (!cookies.next()) continue;
    let kept = "";
    let copied = 0;
    do {
      kept += line.slice(copied, cookies.start);
      copied = cookies.end + 1;
    } while (cookies.next());
    // Behind the last pair there is no separator; before it stood one.
    kept = (copied > line.length ? kept.slice(0, -1) : kept + line.slice(copied)).trim();
    if (!/^[;\s]*$/.test(kept)) headers[i + 1] = kept;
    else {
      headers.splice(i, 2);
      i -= 2;
    }
  }
}

/** Takes every parameter of this name out of a path-and-query. What remains keeps its order and its spelling. */
export function stripQuery(pathAndQuery: string, name: string): string {
  const mark = pathAndQuery.indexOf("?");
  if (mark < 0) return pathAndQuery;
  const query = pathAndQuery.slice(mark + 1);
  parameters.begin(query, name);
  if (!parameters.next()) return pathAndQuery;
  let kept = "";
  let copied = 0;
  do {
    if (parameters.start >= copied) kept += query.slice(copied, parameters.start);
    copied = parameters.end + 1;
  } while (parameters.next());
  kept = copied > query.length ? kept.slice(0, -1) : kept + query.slice(copied);
  return kept === "" ? pathAndQuery.slice(0, mark) : `${pathAndQuery.slice(0, mark)}?${kept}`;
}
