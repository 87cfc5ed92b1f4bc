// Answers a client's conditions and ranges from a complete stored response (RFC 9111 section 4.3.2, RFC 9110 sections 13 and 14). Pure.
import { parseHttpDateMs } from "../../../base/backoff.ts";
import { getHeader, getList, type HeaderList } from "../../../base/header-list.ts";
import { trimWhitespace } from "../../../base/http.ts";
import { MARK } from "./request-marks.ts";

/** What of the stored response a request gets. */
export type Selection =
  | { readonly kind: "whole" }
  | { readonly kind: "not-modified" }
  /** Offsets of the first and the last byte. */
  | { readonly kind: "range"; readonly first: number; readonly last: number }
  | { readonly kind: "unsatisfiable" };

const WHOLE: Selection = { kind: "whole" };
const NOT_MODIFIED: Selection = { kind: "not-modified" };
const UNSATISFIABLE: Selection = { kind: "unsatisfiable" };

/** Entity tags of one If-None-Match that are compared; behind them nothing matches. */
const TAGS_MAX = 64;

/** Request fields that are answered here, and never sent with a request whose response is to be stored whole. */
export const OWN_CONDITIONS: ReadonlySet<string> = new Set(["if-none-match", "if-modified-since", "if-range", "range"]);

/** If-Match and If-Unmodified-Since are the origin's to judge (section 4.3.2): such a request passes the store by. @param marks of request-marks.ts */
export const needsOrigin = (marks: number): boolean => (marks & MARK.origin) !== 0;

/**
 * @param stored header section of a response with this status
 * @param length of its body, bytes; -1 while it is not known: then no range is answered from it
 */
export function select(
  method: string,
  request: HeaderList,
  stored: { readonly status: number; readonly headers: HeaderList; readonly receivedMs: number },
  length: number,
): Selection {
  if (isNotModified(request, stored)) return NOT_MODIFIED;
  if (method !== "GET" || stored.status !== 200 || length < 0) return WHOLE;
  const range = getList(request, "range");
  if (range === undefined || !rangeStillHolds(request, stored)) return WHOLE;
  return selectRange(range, length);
}

function isNotModified(
  request: HeaderList,
  { status, headers, receivedMs }: { readonly status: number; readonly headers: HeaderList; readonly receivedMs: number },
): boolean {
  // RFC 9110 section 13.2.1: conditions count only where the answer without them would be 2xx.
  if (status !== 200) return false;
  const noneMatch = getList(request, "if-none-match");
  if (noneMatch !== undefined) return listMatches(noneMatch, getHeader(headers, "etag"));
  const since = getHeader(request, "if-modified-since");
  if (since === undefined) return false;
  const sinceMs = parseHttpDateMs(since, receivedMs);
  if (sinceMs === null) return false;
  // Section 4.3.2: without Last-Modified the Date counts, and without that the time when it arrived.
  const modified = getHeader(headers, "last-modified") ?? getHeader(headers, "date");
  const modifiedMs = modified === undefined ? receivedMs : parseHttpDateMs(modified, receivedMs);
  return modifiedMs !== null && modifiedMs <= sinceMs;
}

/** RFC 9110 section 13.1.2: weak comparison. */
function listMatches(list: string, etag: string | undefined): boolean {
  if (trimWhitespace(list) === "*") return true;
  if (etag === undefined) return false;
  const wanted = opaque(etag);
  const tags = /[ \t]*((?:W\/)?"[^"]*"|[^",][^,]*)[ \t]*(?:,|$)|,/gy;
  for (let count = 0; count < TAGS_MAX; count++) {
    const found = tags.exec(list);
    if (found === null) return false;
    const tag = found[1];
    if (tag !== undefined && opaque(trimWhitespace(tag)) === wanted) return true;
  }
  return false;
}

const opaque = (tag: string): string => (tag.startsWith("W/") ? tag.slice(2) : tag);

/** RFC 9110 section 13.1.5: a strong comparison, and a date only when it is strong (section 8.8.2.2). */
function rangeStillHolds(request: HeaderList, { headers }: { readonly headers: HeaderList }): boolean {
  const condition = getHeader(request, "if-range");
  if (condition === undefined) return true;
  if (condition.startsWith("W/")) return false;
  if (condition.startsWith('"')) return condition === getHeader(headers, "etag");
  return condition === getHeader(headers, "last-modified") && isStrongDate(headers);
}

/** Changes within the second of Date cannot be told apart by it. */
function isStrongDate(headers: HeaderList): boolean {
  const modifiedMs = parseHttpDateMs(getHeader(headers, "last-modified") ?? "", 0);
  const dateMs = parseHttpDateMs(getHeader(headers, "date") ?? "", 0);
  return modifiedMs !== null && dateMs !== null && dateMs - modifiedMs >= 1000;
}

/** Several ranges, other units and what cannot be read get the whole (RFC 9110 section 14.2). */
function selectRange(range: string, length: number): Selection {
  const found = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(range);
  if (found === null) return WHOLE;
  const [, from = "", to = ""] = found;
  if (from === "" && to === "") return WHOLE;
  if (from === "") {
    const suffix = Number(to);
    if (suffix === 0 || length === 0) return UNSATISFIABLE;
    return { kind: "range", first: Math.max(0, length - suffix), last: length - 1 };
  }
  const first = Number(from);
  if (to !== "" && Number(to) < first) return WHOLE;
  if (first >= length) return UNSATISFIABLE;
  return { kind: "range", first, last: to === "" ? length - 1 : Math.min(Number(to), length - 1) };
}

/** @returns bytes of the whole of which a 206 is a part (RFC 9110 section 14.4); -1 when it does not say, or has several parts */
export function wholeLength(partial: HeaderList): number {
  const found = /^bytes[ \t]+\d{1,15}-\d{1,15}\/(\d{1,15})$/i.exec(getHeader(partial, "content-range") ?? "");
  return found === null ? -1 : Number(found[1]);
}

/** What a 304 does not carry: it would be told of a body that is not there (RFC 9110 section 15.4.5). */
export function notModifiedHeaders(stored: HeaderList): HeaderList {
  const kept: HeaderList = [];
  const hasTag = getHeader(stored, "etag") !== undefined;
  for (let i = 0; i < stored.length; i += 2) {
    const name = stored[i] as string; // pairs
    if (name.startsWith("content-") && name !== "content-location" && name !== "content-security-policy") continue;
    if (name === "last-modified" && hasTag) continue;
    kept.push(name, stored[i + 1] as string);
  }
  return kept;
}
