// Takes a request target apart in all the forms the node engine accepts (RFC 9112 section 3.2). Judges nothing else:
// path, query and authority go through admission like those of any request.

import type { SentTarget } from "../../shared/log-ring.ts";

export interface NodeTarget extends SentTarget {
  /** Of an absolute-form target; null for origin-form. */
  readonly authority: string | null;
}

/** RFC 3986 section 3: scheme and authority of an absolute http(s) URI. */
const ABSOLUTE = /^(https?):\/\/([^/?#]*)/i;

/**
 * @param secure the listener speaks TLS: an absolute-form target must name the scheme it came over (RFC 9110 section 7.4)
 * @returns null for any other form
 */
export function parseNodeTarget(target: string, secure: boolean): NodeTarget | null {
  if (target.startsWith("/")) return { ...splitQuery(target), authority: null };
  const absolute = ABSOLUTE.exec(target);
  if (absolute === null || absolute[1]?.toLowerCase() !== (secure ? "https" : "http")) return null;
  const rest = target.slice(absolute[0].length);
  return { ...splitQuery(rest.startsWith("/") ? rest : `/${rest}`), authority: absolute[2] ?? "" };
}

/** A name and a password before the host of a target that is no path. */
const USERINFO = /^([a-z][a-z0-9+.-]*:\/\/)?[^/]*@/i;

/** @returns any target, for the log: without the password that may stand in front of a host (RFC 3986 section 3.2.1) */
export function sentTarget(target: string): SentTarget {
  const { path, query } = splitQuery(target);
  return { path: path.startsWith("/") ? path : path.replace(USERINFO, "$1***@"), query };
}

function splitQuery(target: string): SentTarget {
  const mark = target.indexOf("?");
  return mark < 0 ? { path: target, query: "" } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}
