// Writes what the cache did into Cache-Status (RFC 9211). Pure.

/** RFC 9211 section 2.2. */
export type ForwardReason = "bypass" | "method" | "uri-miss" | "vary-miss" | "miss" | "request" | "stale" | "partial";

export interface CacheOutcome {
  /** Why the origin was asked; null for a hit. */
  readonly forward: ForwardReason | null;
  /** The origin's answer to a validation, or the status it sent; 0 for none. */
  readonly forwardStatus: number;
  /** Seconds of freshness left; negative for a stale one. Null when nothing is stored. */
  readonly ttl: number | null;
  readonly stored: boolean;
  /** Another request was waited for. */
  readonly collapsed: boolean;
  /** A token: why nothing was stored; '' for nothing to say. */
  readonly detail: string;
}

/** @param name of this cache: a token */
export function cacheStatus(name: string, { forward, forwardStatus, ttl, stored, collapsed, detail }: CacheOutcome): string {
  let value = name;
  value += forward === null ? "; hit" : `; fwd=${forward}`;
  if (forward !== null && forwardStatus > 0) value += `; fwd-status=${forwardStatus}`;
  if (ttl !== null) value += `; ttl=${Math.floor(ttl)}`;
  if (forward !== null && stored) value += "; stored";
  if (collapsed) value += "; collapsed";
  if (detail !== "") value += `; detail=${detail}`;
  return value;
}

/** Of what is served from the store. @param ttl see {@link CacheOutcome} @param detail where it had to be fetched from; '' for nothing to say */
export const hitOutcome = (ttl: number, detail: string): CacheOutcome => ({
  forward: null,
  forwardStatus: 0,
  ttl,
  stored: false,
  collapsed: false,
  detail,
});
