// What a route's cache looks at in one request before anything else: whether it is any of the store's business, and what it may be given.
import { getHeader } from "../../base/header-list.ts";
import { BODY_NONE, type Exchange } from "../exchange/exchange.ts";
import type { CachedResponse, CacheKey } from "./response-cache.ts";
import type { ForwardReason } from "./rules/cache-status.ts";
import { needsOrigin, select } from "./rules/conditions.ts";
import type { Directives } from "./rules/directives.ts";
import { ageOf, type Freshness } from "./rules/freshness.ts";
import { MARK, requestMarks } from "./rules/request-marks.ts";

/** @returns bits of MARK: once for all requests with the same header section */
export function marksOf({ headers, sharedHeaders }: Exchange): number {
  if (sharedHeaders === null) return requestMarks(headers);
  if (sharedHeaders.cacheMarks < 0) sharedHeaders.cacheMarks = requestMarks(headers);
  return sharedHeaders.cacheMarks;
}

/** All of what is stored is what the request gets. */
export const isWhole = (x: Exchange, marks: number, { head, freshness, length }: CachedResponse): boolean =>
  x.method === "GET" &&
  ((marks & MARK.own) === 0 || select(x.method, x.headers, { ...head, receivedMs: freshness.receivedMs }, length).kind === "whole");

/** @returns why a GET or HEAD is none of the store's business; null when it is */
export function passesBy(x: Exchange, marks: number, directives: Directives): ForwardReason | null {
  if (x.bodyKind !== BODY_NONE || x.wantsWebSocket || needsOrigin(marks)) return "bypass";
  return directives.noStore ? "request" : null;
}

/** Requests that are alike in what can keep an answer from being stored: those of one kind do not speak for another. */
export const kindOf = (x: Exchange, { text }: CacheKey): string =>
  `${text}\u0002${getHeader(x.headers, "authorization") === undefined ? "" : "a"}${getHeader(x.headers, "cookie") === undefined ? "" : "c"}`;

/** Purged softly: stale from now on, for as long as what is stale may be used. @param nowMs as for whatever is made of it: a clock that goes on in between makes it fresh */
export function inForce({ freshness, isVoid }: CachedResponse, nowMs: number): Freshness {
  return isVoid ? { ...freshness, lifetime: Math.min(freshness.lifetime, ageOf(freshness, nowMs)) } : freshness;
}

/** Who asks is known from here on: nothing that is held meanwhile can be left behind by a client that has gone. @throws PeerGone */
export function settleClient(x: Exchange, stored: CachedResponse | null): void {
  try {
    x.clientInfo();
  } catch (error) {
    stored?.release();
    throw error;
  }
}
