// Owns what a route's cache can make of an exchange, as log and metrics name it.

/** What the store of responses did for a request; '' on routes without one. miss: the origin answered; collapsed: its answer to another's request did; redis: as hit, but it had to be fetched from the fleet's Redis. */
export const CACHE_RESULTS = ["", "hit", "stale", "revalidated", "miss", "collapsed", "bypass", "redis"] as const;
export type CacheResult = (typeof CACHE_RESULTS)[number];
/** Their indexes. */
export const CACHE = { none: 0, hit: 1, stale: 2, revalidated: 3, miss: 4, collapsed: 5, bypass: 6, redis: 7 } as const;
/** Those that are counted: without the first. */
export const CACHE_OUTCOMES: readonly CacheResult[] = CACHE_RESULTS.slice(1);
/** Upper bounds of the ages of what is served from the store, in seconds; one more bucket (+Inf) follows. */
export const AGE_BOUNDS_S = [1, 10, 60, 600, 3600, 86_400] as const;
export const AGE_BUCKETS = AGE_BOUNDS_S.length + 1;
