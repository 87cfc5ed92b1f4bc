// Owns the metrics of the response cache and their rendering.

import type { RouteStoreCounts } from "../shared/cache/counts.ts";
import { AGE_BOUNDS_S, CACHE_OUTCOMES } from "../shared/cache/outcomes.ts";
import type { CacheTierState, InstanceState } from "./instance-state.ts";
import type { Page } from "./prometheus-page.ts";
import type { RouteTotals } from "./totals.ts";

/** Series of a route appear with the first request that its cache looked at. */
export function renderCache(page: Page, all: readonly RouteTotals[], { cache: store, cacheTier }: InstanceState): void {
  const routes = all.filter(({ cache }) => cache.outcomes.some((count) => count > 0));
  const requests = "sluice_cache_requests_total";
  page.family(
    requests,
    "counter",
    "Finished exchanges of routes with a cache, by what it did: hit, stale, revalidated, miss, collapsed (answered by another's request), bypass, redis (had from the fleet's Redis).",
  );
  for (const { route, cache } of routes)
    for (const [i, outcome] of CACHE_OUTCOMES.entries()) page.sample(requests, { route, outcome }, cache.outcomes[i] ?? 0);
  page.family("sluice_cache_served_bytes_total", "counter", "Body bytes sent without asking the origin for them.");
  for (const { route, cache } of routes) page.sample("sluice_cache_served_bytes_total", { route }, cache.bytes);
  page.family("sluice_cache_age_seconds", "histogram", "Age of what was served from the store, fresh or stale.");
  for (const { route, cache } of routes) {
    let cumulative = 0;
    cache.ages.forEach((count, i) => {
      cumulative += count;
      page.sample("sluice_cache_age_seconds_bucket", { route, le: AGE_BOUNDS_S[i] ?? "+Inf" }, cumulative);
    });
    page.sample("sluice_cache_age_seconds_sum", { route }, cache.ageSumS);
    page.sample("sluice_cache_age_seconds_count", { route }, cumulative);
  }
  page.one(
    "sluice_cache_objects",
    "gauge",
    "Objects in the store of responses: a response each, and one for each URL with variants.",
    store.objects,
  );
  page.one("sluice_cache_bytes", "gauge", "Bytes of all of them, heads and keys included.", store.bytes);
  page.one("sluice_cache_capacity_bytes", "gauge", "Bytes that the store has for them.", store.capacityBytes);
  page.one("sluice_cache_stored_total", "counter", "Objects stored.", store.stored);
  page.one("sluice_cache_evicted_total", "counter", "Objects that had to go for others.", store.evicted);
  page.one("sluice_cache_removed_total", "counter", "Objects that were purged by prefix, or all at once.", store.removed);
  renderRoutes(page, store.routes);
  page.one(
    "sluice_cache_emptied_total",
    "counter",
    "Times that the store was emptied because a worker had died while it changed it.",
    store.emptied,
  );
  if (cacheTier !== null) renderTier(page, cacheTier);
}

function renderTier(page: Page, tier: CacheTierState): void {
  const looks = "sluice_cache_tier_looks_total";
  page.family(
    looks,
    "counter",
    "Looks into the fleet's Redis: hit, miss, purged (found, and no longer true), invalid (no record of this fleet's), error (failed or too late), skipped (Redis was left alone, or too many were under way).",
  );
  for (const [result, count] of Object.entries(tier.looks)) page.sample(looks, { result }, count);
  const writes = "sluice_cache_tier_writes_total";
  page.family(writes, "counter", "Records for the fleet's Redis: written, dropped (too many waited, or Redis was left alone), error.");
  for (const [result, count] of Object.entries(tier.writes)) page.sample(writes, { result }, count);
  page.one("sluice_cache_tier_read_bytes_total", "counter", "Bytes of records read, as they lie in Redis.", tier.readBytes);
  page.one("sluice_cache_tier_written_bytes_total", "counter", "Bytes of records written.", tier.writtenBytes);
  page.one("sluice_cache_tier_waiting_bytes", "gauge", "Bytes that wait to be written.", tier.waitingBytes);
  page.one("sluice_cache_tier_workers", "gauge", "Workers that use the fleet's Redis for stored responses.", tier.workers);
  page.one("sluice_cache_tier_open", "gauge", "Of them, those that leave Redis alone until it answers again.", tier.leavingAlone);
}

/** By route, for those of the plan in force. */
function renderRoutes(page: Page, routes: readonly RouteStoreCounts[]): void {
  page.family("sluice_cache_route_objects", "gauge", "Objects of a route in the store.");
  for (const { route, objects } of routes) page.sample("sluice_cache_route_objects", { route }, objects);
  page.family("sluice_cache_route_bytes", "gauge", "Bytes of all of them, heads and keys included.");
  for (const { route, bytes } of routes) page.sample("sluice_cache_route_bytes", { route }, bytes);
  page.family(
    "sluice_cache_route_occupied_bytes",
    "gauge",
    "Bytes that count against the route's maxShare: what was replaced too, until it is used again.",
  );
  for (const { route, occupiedBytes } of routes) page.sample("sluice_cache_route_occupied_bytes", { route }, occupiedBytes);
  page.family("sluice_cache_route_limit_bytes", "gauge", "Of routes with maxShare: bytes that the route may occupy.");
  for (const { route, limitBytes } of routes) if (limitBytes !== null) page.sample("sluice_cache_route_limit_bytes", { route }, limitBytes);
  page.family("sluice_cache_route_evicted_total", "counter", "Objects of a route that had to go for others.");
  for (const { route, evicted } of routes) page.sample("sluice_cache_route_evicted_total", { route }, evicted);
}
