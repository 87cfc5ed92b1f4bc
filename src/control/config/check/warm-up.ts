// Owns the check that what is asked for ahead of clients can be stored: that a route takes it, stores, and serves it to whoever has no credential.
// Warns only: a list may come from elsewhere, and one URL of it must not keep a configuration from being loaded.
import { parseAuthority } from "../../../base/http.ts";
import { normalisePath } from "../../../data/routing/normalise.ts";
import type { CacheSettings } from "../../../plan/cache-plan.ts";
import type { WarmRequest } from "../../../plan/warm-plan.ts";
import { isCache } from "../schema/features.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Draft } from "../schema/sections.ts";
import { authOf } from "./auth-of.ts";
import type { Findings } from "./references.ts";
import { RouteProbe } from "./route-probe.ts";

/** URLs of one kind that are named. */
const NAMED_MAX = 3;

export function checkWarmUp(draft: Draft, findings: Findings): void {
  const warm = draft.sections.cache?.warm ?? null;
  if (warm === null || draft.complete === null) return;
  const probe = new RouteProbe(draft.routes, draft.complete);
  const found = new Map<string, { readonly remedy: string; readonly urls: Set<string> }>();
  for (const request of warm.requests) {
    const trouble = troubleOf(probe.routeOf(probed(request, draft)));
    if (trouble === null) continue;
    const known = found.get(trouble.message);
    if (known === undefined) found.set(trouble.message, { remedy: trouble.remedy, urls: new Set([request.url]) });
    else known.urls.add(request.url);
  }
  for (const [message, { remedy, urls }] of found) {
    const named = [...urls].slice(0, NAMED_MAX).join(", ");
    const more = urls.size > NAMED_MAX ? ` and ${urls.size - NAMED_MAX} more` : "";
    findings.warn(["cache", "warm", "urls"], `${message}: ${named}${more}`, remedy);
  }
}

function probed({ scheme, authority, path, query, headers }: WarmRequest, { listeners }: Draft) {
  const listener = (listeners.find(({ certificates }) => (certificates !== null) === (scheme === "https")) ?? listeners[0])?.name ?? "";
  const host = parseAuthority(authority)?.host ?? "";
  return { method: "GET", host, path: normalisePath(path) ?? path, query, listener, scheme, headers: ["host", authority, ...headers] };
}

function troubleOf(route: RouteConfig | null): { readonly message: string; readonly remedy: string } | null {
  if (route === null) return { message: "no route takes what is to be stored ahead", remedy: "remove it from the list, or add a route" };
  const cache = route.policies.find(isCache)?.config as CacheSettings | undefined; // parsed by cacheSchema
  if (cache === undefined)
    return { message: `route \`${route.name}\` stores nothing`, remedy: "give the route a `cache`, or remove it from the list" };
  const tree = authOf(route)?.tree ?? null;
  if (tree === null || (tree.kind === "optional" && !cache.perConsumer)) return null;
  return cache.perConsumer
    ? {
        message: `route \`${route.name}\` stores for each caller what is his own, and nobody calls here`,
        remedy: "remove it from the list: only responses that a caller without credentials gets can be stored ahead",
      }
    : {
        message: `route \`${route.name}\` asks for a credential, and the warm-up has none`,
        remedy: "remove it from the list: only responses that a caller without credentials gets can be stored ahead",
      };
}
