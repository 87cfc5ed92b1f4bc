// Owns how long a stored response is fresh, and what may be done with it afterwards (RFC 9111 section 4.2, RFC 5861). Pure: the time is given.
import { parseHttpDateMs } from "../../../base/backoff.ts";
import { getHeader, getList, type HeaderList } from "../../../base/header-list.ts";
import { DELTA_SECONDS_MAX, type Directives, deltaSeconds } from "./directives.ts";

/** Of one stored response. Times in seconds where nothing else is said. */
export interface Freshness {
  /** When it had arrived, or was last validated: Date.now() ms. */
  readonly receivedMs: number;
  /** Its age at that time: corrected_initial_age (section 4.2.3). */
  readonly initialAge: number;
  readonly lifetime: number;
  /** How long after its lifetime it may be served while it is validated in the background; 0 for not at all. */
  readonly staleWhileRevalidate: number;
  /** How long after its lifetime it may stand in for an error; 0 for not at all. */
  readonly staleIfError: number;
  /** Validated before each use, fresh or not. */
  readonly noCache: boolean;
  /** Never served stale, whoever asks for it: must-revalidate, proxy-revalidate, s-maxage, no-cache (sections 5.2.2.2, 5.2.2.8, 5.2.2.10). */
  readonly neverStale: boolean;
  /** Does not change while it is fresh, so that a reload need not ask for it (RFC 8246). */
  readonly immutable: boolean;
}

/** What a route says of the lifetimes of responses that say nothing themselves. */
export interface LifetimeRules {
  /** Seconds, by status; -1 for none: see {@link statusLifetime}. */
  readonly ttl: number;
  readonly byStatus: ReadonlyMap<number, number>;
  /** Also guesses from Last-Modified (section 4.2.2). */
  readonly heuristic: boolean;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
}

/** When a request was sent and its response came, Date.now() ms. */
export interface ResponseTimes {
  readonly sentMs: number;
  readonly receivedMs: number;
}

/** Share of the time since Last-Modified (section 4.2.2: "a typical setting of this fraction might be 10%"), and its bound. */
const HEURISTIC_FRACTION = 0.1;
const HEURISTIC_MAX = 86_400;

/** RFC 9110 section 15.1, without 206: those that may be stored by a guess. */
const HEURISTICALLY_CACHEABLE: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);

/** @returns seconds from the origin's own words; -1 when it says nothing. Section 4.2.1: the first that is there counts. @param isTargeted Expires does not count beside such a field (RFC 9213 section 2.2) */
export function explicitLifetime(headers: HeaderList, directives: Directives, { receivedMs }: ResponseTimes, isTargeted: boolean): number {
  if (directives.sMaxAge >= 0) return directives.sMaxAge;
  if (directives.maxAge >= 0) return directives.maxAge;
  const expires = isTargeted ? undefined : getList(headers, "expires");
  if (expires === undefined) return -1;
  // A list of two is not a date either: what cannot be read has expired (section 5.3).
  const expiresMs = parseHttpDateMs(expires, receivedMs);
  if (expiresMs === null) return 0;
  return clampSeconds((expiresMs - dateMs(headers, receivedMs)) / 1000);
}

/** What the route grants where the origin is silent; -1 for nothing. */
export function grantedLifetime(status: number, headers: HeaderList, rules: LifetimeRules, receivedMs: number, isPublic: boolean): number {
  const own = rules.byStatus.get(status);
  if (own !== undefined) return own;
  if (!HEURISTICALLY_CACHEABLE.has(status) && !isPublic) return -1;
  const isError = status >= 400;
  if (rules.ttl >= 0 && !isError) return rules.ttl;
  if (!rules.heuristic) return -1;
  const modifiedMs = parseHttpDateMs(getHeader(headers, "last-modified") ?? "", receivedMs);
  if (modifiedMs === null) return -1;
  return Math.min(clampSeconds(((dateMs(headers, receivedMs) - modifiedMs) / 1000) * HEURISTIC_FRACTION), HEURISTIC_MAX);
}

/** Section 4.2.3: corrected_initial_age, seconds. */
export function initialAge(headers: HeaderList, { sentMs, receivedMs }: ResponseTimes): number {
  const apparent = Math.max(0, (receivedMs - dateMs(headers, receivedMs)) / 1000);
  const corrected = ageValue(headers) + Math.max(0, (receivedMs - sentMs) / 1000);
  return Math.min(Math.max(apparent, corrected), DELTA_SECONDS_MAX);
}

/** Section 5.1: the first member of a list counts, and what is no number counts for nothing. */
function ageValue(headers: HeaderList): number {
  const [first = ""] = (getHeader(headers, "age") ?? "").split(",", 1);
  return deltaSeconds(first.trim()) ?? 0;
}

/** Of a response without a Date that can be read: when it arrived (RFC 9110 section 6.6.1). */
function dateMs(headers: HeaderList, receivedMs: number): number {
  const date = getHeader(headers, "date");
  return date === undefined ? receivedMs : (parseHttpDateMs(date, receivedMs) ?? receivedMs);
}

const clampSeconds = (seconds: number): number => Math.min(Math.max(0, seconds), DELTA_SECONDS_MAX);

/** current_age (section 4.2.3), seconds; what the field Age says, rounded down. */
export const ageOf = (stored: Freshness, nowMs: number): number => stored.initialAge + Math.max(0, (nowMs - stored.receivedMs) / 1000);

/** Seconds that it is still fresh; negative once it is stale. */
export const remainingOf = (stored: Freshness, nowMs: number): number => stored.lifetime - ageOf(stored, nowMs);
