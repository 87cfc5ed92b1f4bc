// Owns the checks of what routes store: that there is something to store, and that nobody's request can change what others are served.
import type { CacheSettings } from "../../../plan/cache-plan.ts";
import { answers, isCache } from "../schema/features.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Draft } from "../schema/sections.ts";
import { authOf } from "./auth-of.ts";
import type { Findings } from "./references.ts";

export function checkCache(draft: Draft, findings: Findings): void {
  for (const [i, route] of draft.routes.entries()) {
    const cache = route.policies.find(isCache);
    if (cache !== undefined) checkRoute(route, cache.config as CacheSettings, i, findings); // parsed by cacheSchema
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
