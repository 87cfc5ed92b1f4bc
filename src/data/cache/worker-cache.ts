// Owns what all routes of a worker share of the response cache: the store's view and the questions under way. As long as the thread lives, whatever plan it serves.
import type { Services } from "../exchange/runtime.ts";
import { FillTable } from "./fill-table.ts";
import { ResponseCache } from "./response-cache.ts";

export interface WorkerCache {
  readonly cache: ResponseCache;
  readonly fills: FillTable;
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
