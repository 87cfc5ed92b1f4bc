// Builds the cache of one route from its plan, in the worker.
import type { CacheSettings } from "../../plan/cache-plan.ts";
import { ownerNumber } from "../../shared/cache/names.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { KeyedPolicy, PolicyRoute } from "../exchange/route-context.ts";
import { createBypass } from "./bypass.ts";
import { Changes } from "./changes.ts";
import type { ForwardOrder } from "./forward.ts";
import { KeyMaker } from "./key.ts";
import { RouteCache } from "./route-cache.ts";
import { RouteTier } from "./route-tier.ts";
import { workerCache, workerTier } from "./worker-cache.ts";

/** Its additions are what the identity's part of the key says. */
const AUTH = "auth";
/** What a service has decided about a caller. */
const FORWARD_AUTH = "forwardAuth";

export interface RouteCacheOptions {
  readonly settings: CacheSettings;
  /** Callers are given upstreams by rule. */
  readonly keyedByUpstream: boolean;
  /** Relays an exchange without the store. */
  forward(x: Exchange, order: ForwardOrder): void;
}

/** @returns what unsafe requests of any route tell; null in a plan where nothing is stored. @param settings of all its routes that store */
export function createChanges({ resources }: PolicyRoute, settings: readonly CacheSettings[]): Changes | null {
  if (settings.length === 0) return null;
  const shared = settings.some(({ redis }) => redis) ? workerTier(resources.services) : null;
  return new Changes(
    workerCache(resources.services).cache,
    settings.map(({ query }) => query),
    shared?.changed ?? null,
  );
}

/** @throws Error naming a policy that does not say what its answer depends on */
export function createRouteCache(context: PolicyRoute, { settings, keyedByUpstream, forward }: RouteCacheOptions): RouteCache {
  const { services, plan, identityHeaders, authenticators } = context.resources;
  const policies = context.keyed();
  const silent = policies.find(({ cacheKey }) => cacheKey === null);
  if (silent !== undefined)
    throw new Error(`route ${context.name}: cache needs policy ${silent.name} to have cacheKey(x), which names what its answer depends on`);
  const authenticates = policies.some(({ name }) => name === AUTH);
  const keys = new KeyMaker({
    space: spaceOf(context.name, settings, policies),
    settings,
    policies: policies.filter((each) => changesRequest(each, settings)),
    authenticates,
    describe: (identity, headers) => identityHeaders.describe(identity, headers),
    placesOf: (names) => names.split("+").flatMap((name) => authenticators.get(name)?.places ?? []),
  });
  const worker = workerCache(services);
  const owner = ownerNumber(context.name);
  const { name } = plan.cache;
  const shared = settings.redis ? workerTier(services) : null;
  return new RouteCache({
    ...worker,
    keys,
    settings,
    name,
    maxObjectBytes: plan.cache.maxObjectBytes,
    owner,
    authenticates,
    keyedByUpstream,
    passesBy: createBypass(context.name, settings.bypass, plan.cache.debug),
    reasons: services.cacheReasons,
    tier:
      shared === null ? null : new RouteTier({ tier: shared.tier, cache: worker.cache, settings, limits: plan.cache.tier, name, owner }),
    forward,
  });
}

/** Not what only some requests or the client see of it, nor how much of it there is. What policies make of responses is stored as they have made it. */
function spaceOf(
  route: string,
  { bypass: _bypass, showStatus: _showStatus, maxShare: _maxShare, redis: _redis, ...settings }: CacheSettings,
  policies: readonly KeyedPolicy[],
): string {
  return `${route}\u0000${JSON.stringify(settings)}${policies.map(({ changesResponses = "" }) => changesResponses).join("")}`;
}

function changesRequest({ name, onUpstreamRequest, cacheKey }: KeyedPolicy, { perConsumer }: CacheSettings): boolean {
  if (name === AUTH || (name === FORWARD_AUTH && !perConsumer)) return false;
  return onUpstreamRequest !== undefined || cacheKey !== undefined;
}
