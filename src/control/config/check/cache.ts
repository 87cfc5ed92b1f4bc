// Owns the checks of what routes store: that there is something to store, and that nobody's request can change what others are served.
import { formatSizeBytes } from "../../../base/units.ts";
import type { CachePlan, CacheSettings } from "../../../plan/cache-plan.ts";
import { BOUNDED_MAX } from "../../../shared/cache/accounts.ts";
import { answers, isCache } from "../schema/features.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Draft } from "../schema/sections.ts";
import { authOf } from "./auth-of.ts";
import type { Findings } from "./references.ts";

/** Of the memory, what the main ring of the store has for one object of a route that may have all of it, about. */
const OBJECTS_SHARE = 0.85;

export function checkCache(draft: Draft, findings: Findings): void {
  const { routes, sections } = draft;
  let bounded = 0;
  for (const [i, route] of routes.entries()) {
    const cache = route.policies.find(isCache);
    if (cache === undefined) continue;
    const settings = cache.config as CacheSettings; // parsed by cacheSchema
    checkRoute(route, settings, i, findings);
    if (settings.redis && (sections.redis ?? null) === null)
      findings.report(
        ["routes", i, "cache", "redis"],
        "there is no `redis` section",
        "say under `redis` where it is, or remove `redis: true`",
      );
    if (settings.maxShare >= 1 || route.policies.some(answers)) continue;
    const path = ["routes", i, "cache", "maxShare"];
    if (++bounded === BOUNDED_MAX + 1)
      findings.report(path, `more than ${BOUNDED_MAX} routes have a share of their own`, "give it to the routes that may push out others");
    checkShare(settings.maxShare, sections.cache, (message, remedy) => {
      if (findings.isOwn(path)) findings.warn(path, message, remedy);
    });
  }
  if (draft.complete !== null) checkFallbacks(draft, findings);
}

/** A breaker whose place a stored response is to take needs a route that stores some. */
function checkFallbacks({ upstreams, routes }: Draft, findings: Findings): void {
  const storing = new Set(routes.filter(({ policies }) => policies.some(isCache)).flatMap(upstreamsOf));
  for (const { name, breaker } of upstreams) {
    const path = ["upstreams", name, "breaker", "fallback"];
    // One that comes from the defaults serves other upstreams.
    if (breaker?.fallback?.kind !== "stale" || storing.has(name) || !findings.isOwn(path)) continue;
    findings.report(
      path,
      `no route to ${name} stores responses: there is nothing that could stand in`,
      "give a route to it `cache: {}`, or answer by `respond` or `upstream`",
    );
  }
}

const upstreamsOf = ({ to, weighted, uses }: RouteConfig): readonly string[] => [
  ...(to === undefined ? [] : [to]),
  ...(weighted ?? []).map(({ upstream }) => upstream),
  ...uses.flatMap(({ upstreams }) => upstreams),
];

function checkShare(share: number, cache: CachePlan | undefined, warn: (message: string, remedy: string) => void): void {
  if (cache === undefined || cache.maxObjectBytes <= cache.memoryBytes * share * OBJECTS_SHARE) return;
  const bytes = formatSizeBytes(Math.floor((cache.memoryBytes * share * OBJECTS_SHARE) / 1024) * 1024);
  warn(
    `responses larger than about ${bytes} have no room in it and are not stored`,
    "raise it, or lower `cache.maxObject` to what is stored",
  );
}

function checkRoute(route: RouteConfig, cache: CacheSettings, i: number, findings: Findings): void {
  const path = ["routes", i, "cache"];
  const own = route.policies.find(answers);
  if (own !== undefined) {
    // One that comes from defaults or a set serves other routes.
    if (findings.isOwn(path))
      findings.report(
        path,
        `the route answers by itself (\`${own.name}\`): no response comes that could be stored`,
        "remove `cache`, or send its requests to an upstream by `to`",
      );
    return;
  }
  if (route.insecure.includes("method-override"))
    findings.report(
      path,
      "a request's header may order another method (`insecure: [method-override]`), so what it is answered would be stored for everybody's GET",
      "remove `method-override` from `insecure`, or give these requests a route without `cache`",
    );
  if (!findings.isOwn(path)) return;
  const { methods } = route.match;
  if (methods.length > 0 && !methods.includes("GET"))
    findings.warn(path, "the route takes no GET: nothing is ever stored", "add GET to its methods, or remove `cache`");
  if (!cache.perConsumer && (authOf(route)?.tree ?? null) !== null)
    findings.warn(
      [...path, "perConsumer"],
      "false: each caller whom the route lets in may be served what the service answered to another",
      "leave it out, unless the service answers all callers alike",
    );
}
