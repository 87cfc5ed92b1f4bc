// Owns prefixes of paths: where one ends, and what proxies say they have removed (X-Forwarded-Prefix). Pure.
// Must never take what a proxy says for a prefix unless nothing but a path of this host can be made of it.
import { type HeaderList, removeHeader } from "../../../base/header-list.ts";
import { segmentKey } from "../../routing/normalise.ts";

const SLASH = 0x2f;

/** Whether a path lies at or below a prefix, at a segment boundary. @param prefix without trailing slash; '' holds every path */
export const isUnder = (path: string, prefix: string): boolean =>
  path.startsWith(prefix) && (path.length === prefix.length || prefix === "" || path.charCodeAt(prefix.length) === SLASH);

/** @param path normalised @param prefix without trailing slash; '' for none. @returns the path without the prefix: with a leading slash, or '' for nothing left */
export function stripped(path: string, prefix: string): string {
  const end = prefixEnd(path, prefix);
  return end < 0 ? path : path.slice(end);
}

/** @returns where the prefix ends in a path, at a segment boundary; -1 if it is not there. Parameters as of {@link stripped} */
export function prefixEnd(path: string, prefix: string): number {
  if (isUnder(path, prefix)) return prefix.length;
  return path.includes("%") ? encodedPrefixEnd(path, prefix) : -1;
}

/** The same in a path that spells its reserved characters encoded (`/%40me` for `/@me`), as the router reads it. */
function encodedPrefixEnd(path: string, prefix: string): number {
  let end = 0;
  for (const segment of prefix.slice(1).split("/")) {
    const next = path.indexOf("/", end + 1);
    const stop = next < 0 ? path.length : next;
    if (path.charCodeAt(end) !== SLASH || segmentKey(path.slice(end + 1, stop)) !== segment) return -1;
    end = stop;
  }
  return end;
}

export const PREFIX_HEADER = "x-forwarded-prefix";

const PREFIX_CHARS_MAX = 1024;
/** Without `,`, which separates what several proxies say, and `;`, which would end the Path of a cookie. */
const PREFIX = /^(?:\/[A-Za-z0-9._~!$&'()*+=:@%-]+)+\/?$/;
const DOTS = /\/(?:\.|%2e){1,2}(?:\/|$)/i;

/**
 * What the proxies before have removed, outermost first, as one path. Several say it in several lines or in a list.
 * @param said the lines of X-Forwarded-Prefix, joined by commas
 * @returns without trailing slash; '' for none, and when it is no plain path
 */
export function readPrefix(said: string): string {
  if (said === "" || said.length > PREFIX_CHARS_MAX) return "";
  let whole = "";
  for (const each of said.split(",")) {
    const part = each.trim();
    if (part === "" || part === "/") continue;
    if (!PREFIX.test(part) || DOTS.test(part)) return "";
    whole += part.endsWith("/") ? part.slice(0, -1) : part;
  }
  return whole;
}

/** @returns what X-Forwarded-Prefix says in a list, see {@link readPrefix} */
export function prefixIn(headers: HeaderList): string {
  let said = "";
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i] === PREFIX_HEADER) said = said === "" ? (headers[i + 1] ?? "") : `${said},${headers[i + 1]}`;
  return readPrefix(said);
}

/**
 * Tells a service which prefix was removed: that of trusted proxies, which stands in the list already, and the route's own behind it.
 * @param headers of the request to the service, in which only what is believed stands @param own '' for none
 */
export function tellPrefix(headers: HeaderList, own: string): void {
  const outer = prefixIn(headers);
  removeHeader(headers, PREFIX_HEADER);
  if (outer !== "" || own !== "") headers.push(PREFIX_HEADER, outer + own);
}
