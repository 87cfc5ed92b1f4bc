// Decides what a stored response is good for when a request asks for it (RFC 9111 sections 4, 4.2.4, 5.2.1; RFC 5861). Pure.
import { getList, type HeaderList } from "../../../base/header-list.ts";
import { type Directives, NO_DIRECTIVES, noDirectives, parseCacheControl } from "./directives.ts";
import { ageOf, type Freshness, remainingOf } from "./freshness.ts";

/**
 * `fresh`: served. `stale`: served because the client takes it so. `background`: served, and validated meanwhile.
 * `validate`: the origin is asked first, with the stored validators if there are any.
 */
export type Use = "fresh" | "stale" | "background" | "validate";

/** Of a request; `Pragma: no-cache` counts where there is no Cache-Control (section 5.4). */
export function requestDirectives(headers: HeaderList): Readonly<Directives> {
  const field = getList(headers, "cache-control");
  if (field !== undefined) return parseCacheControl(field);
  const pragma = getList(headers, "pragma");
  if (pragma === undefined || !/(?:^|,)[ \t]*no-cache[ \t]*(?:,|$)/i.test(pragma)) return NO_DIRECTIVES;
  const directives = noDirectives();
  directives.noCache = true;
  return directives;
}

export function howToUse(stored: Freshness, request: Directives, nowMs: number): Use {
  if (stored.noCache || request.noCache) return "validate";
  const age = ageOf(stored, nowMs);
  const remaining = stored.lifetime - age;
  const isFresh = remaining > 0;
  if (request.maxAge >= 0 && age > request.maxAge && !(isFresh && stored.immutable && request.maxAge === 0)) return "validate";
  if (request.minFresh >= 0 && remaining < request.minFresh) return "validate";
  if (isFresh) return "fresh";
  // Sections 5.2.1.2: what the response forbids, no request opens.
  if (!stored.neverStale && request.maxStale >= -remaining) return "stale";
  return -remaining < stored.staleWhileRevalidate ? "background" : "validate";
}

/** Statuses that stand for an error of the origin (RFC 5861 section 4). A connection that fails counts as one too. */
export const isOriginError = (status: number): boolean => status === 500 || status === 502 || status === 503 || status === 504;

/** Whether a response that is stale may be served in place of an error. @param extra seconds that the route grants beyond, such as the breaker's fallback; 0 for none */
export function mayServeOnError(stored: Freshness, request: Directives, nowMs: number, extra = 0): boolean {
  if (stored.noCache) return false;
  const staleFor = -remainingOf(stored, nowMs);
  if (staleFor < 0) return true;
  const asked = stored.neverStale ? -1 : request.staleIfError;
  const granted = stored.neverStale ? 0 : extra;
  return staleFor < Math.max(stored.staleIfError, asked, granted);
}
