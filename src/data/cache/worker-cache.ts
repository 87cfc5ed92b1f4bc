// Owns what all routes of a worker share of the response cache: the store's view and the questions under way. As long as the thread lives, whatever plan it serves.
import type { Services } from "../exchange/runtime.ts";
import { FillTable } from "./fill-table.ts";
import { ResponseCache } from "./response-cache.ts";
import { ChangedUrls } from "./tier/changed-urls.ts";
import { Tier } from "./tier/tier.ts";

export interface WorkerCache {
  readonly cache: ResponseCache;
  readonly fills: FillTable;
}

/** The fleet's Redis, as this worker uses it. */
export interface WorkerTier {
  readonly tier: Tier;
  readonly changed: ChangedUrls;
}

const made = new WeakMap<Services, WorkerCache>();

export function workerCache(services: Services): WorkerCache {
  let own = made.get(services);
  if (own === undefined) {
    own = {
      cache: new ResponseCache(services.responses, services.purges),
      fills: new FillTable(services.cacheLeases, services.limitHashKey, services.links),
    };
    made.set(services, own);
  }
  return own;
}

const tiers = new WeakMap<Services, WorkerTier>();

/** Connects when the first route asks for it. @returns null without a fleet: a reload cannot bring one */
export function workerTier(services: Services): WorkerTier | null {
  const { cacheTier, wheel } = services;
  let own = tiers.get(services) ?? null;
  if (own === null && cacheTier !== null) {
    const tier = new Tier({ ...cacheTier, wheel });
    own = { tier, changed: new ChangedUrls(tier.purges, (numbers) => cacheTier.tellChanged(numbers)) };
    tiers.set(services, own);
  }
  return own;
}
