// Names what an unsafe request makes untrue (RFC 9111 section 4.4). Pure.
import { getHeader, type HeaderList } from "../../../base/header-list.ts";

/** RFC 9110 section 9.2.1. An unknown method may change anything. */
const SAFE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

export const isUnsafe = (method: string): boolean => !SAFE.has(method);

export interface InvalidatingAnswer {
  readonly method: string;
  readonly status: number;
  readonly headers: HeaderList;
  /** `https` or `http`, and the authority as the client sent it. */
  readonly origin: string;
  /** Path and query. */
  readonly target: string;
}

/** @returns paths with query, of this origin: the request's own, Location and Content-Location; empty when nothing was changed */
export function invalidated({ method, status, headers, origin, target }: InvalidatingAnswer): readonly string[] {
  // "Non-error" is 2xx and 3xx.
  if (!isUnsafe(method) || status < 200 || status > 399) return [];
  const targets = new Set([target]);
  for (const name of ["location", "content-location"]) {
    const value = getHeader(headers, name);
    const other = value === undefined ? null : sameOriginTarget(value, origin, target);
    if (other !== null) targets.add(other);
  }
  return [...targets];
}

/** Of another host nothing is believed. */
function sameOriginTarget(reference: string, origin: string, base: string): string | null {
  const url = URL.parse(reference, `${origin}${base}`);
  const own = URL.parse(origin);
  if (url === null || own === null || url.origin !== own.origin) return null;
  return `${url.pathname}${url.search}`;
}
