// Owns the summary of what a reload changes, for the log and the answer to /reload. Pure.
import { hash } from "node:crypto";
import { type LegConfig, legsOf } from "../../data/handlers/aggregate/config-plan.ts";
import { proxyOf } from "../../data/handlers/proxy/config.ts";
import type { Plan } from "../../plan/plan.ts";

/** Names listed in one sentence; the rest is counted. */
const NAMES_MAX = 10;

/** @returns one sentence a kind of change; empty when nothing but the version differs. */
export function describeChanges(before: Plan, after: Plan): readonly string[] {
  return [
    ...compare("route", byName(before.routes, routeIdentity(before)), byName(after.routes, routeIdentity(after))),
    ...compare("upstream", byName(before.upstreams, withoutSlot), byName(after.upstreams, withoutSlot)),
    ...compare("authenticator", byName(before.authenticators), byName(after.authenticators)),
    ...compare("consumer", byId(before), byId(after)),
    ...compare("listener", byAddress(before), byAddress(after)),
    ...(JSON.stringify(before.limits) === JSON.stringify(after.limits) ? [] : ["limits changed"]),
    ...(JSON.stringify(before.identity) === JSON.stringify(after.identity) ? [] : ["identity changed"]),
    ...(JSON.stringify(before.clients) === JSON.stringify(after.clients) ? [] : ["clients changed"]),
    ...(JSON.stringify(before.versioning) === JSON.stringify(after.versioning) ? [] : ["versioning changed"]),
    ...(unroutedPages(before) === unroutedPages(after) ? [] : ["errorPages changed"]),
    ...(JSON.stringify(before.trustedProxies) === JSON.stringify(after.trustedProxies) ? [] : ["trustedProxies changed"]),
    ...(before.drainTimeoutMs === after.drainTimeoutMs ? [] : ["drainTimeout changed"]),
  ];
}

/** @returns the names of settings that differ from what the process started with: they take effect only when it starts anew. */
export function waitingSettings(settings: Readonly<Record<string, readonly [atStart: unknown, now: unknown]>>): readonly string[] {
  return Object.entries(settings)
    .filter(([, [atStart, now]]) => JSON.stringify(atStart) !== JSON.stringify(now))
    .map(([name]) => name);
}

/** One sentence each. @param waiting from {@link waitingSettings} */
export const describeRestarts = (waiting: readonly string[]): readonly string[] =>
  waiting.map((name) => `${name} changed: it takes effect at the next start (or takeover), not by reload`);

function byName<T extends { readonly name: string }>(
  items: readonly T[],
  identity: (item: T) => unknown = (item) => item,
): Map<string, string> {
  return new Map(items.map((item) => [item.name, JSON.stringify(identity(item))]));
}

/** A route without what reloads renumber: its metric slot, and upstreams and error pages by what they are instead of by index. */
function routeIdentity(plan: Plan): (route: Plan["routes"][number]) => unknown {
  const upstreamName = (index: number) => plan.upstreams[index]?.name;
  const pages = plan.errorPages.map((set) => hash("sha256", JSON.stringify(set)));
  return (numbered) => {
    const route = { ...numbered, settings: { ...numbered.settings, errorPages: pages[numbered.settings.errorPages] } };
    const proxy = proxyOf(route.handler);
    const upstreams = route.upstreams.map(upstreamName);
    const legs = legsOf(route.handler);
    if (legs !== null)
      return { ...route, upstreams, metricSlot: 0, handler: { ...route.handler, config: withNames(route.handler.config, legs) } };
    if (proxy === null) return { ...route, upstreams, metricSlot: 0 };
    const to = proxy.to.map((each) => [upstreamName(each.upstream), each.weight]);
    const mirror = proxy.mirror === null ? null : [upstreamName(proxy.mirror.upstream), proxy.mirror.fraction];
    return { ...route, upstreams, metricSlot: 0, handler: { ...proxy, to, mirror } };
  };
}

/** Legs have the names of their upstreams beside the indexes. */
const withNames = (config: unknown, legs: readonly LegConfig[]): unknown => ({
  ...(config as object), // that of an aggregate
  legs: legs.map((leg) => ({ ...leg, upstream: -1 })),
});

const unroutedPages = (plan: Plan): string => JSON.stringify(plan.errorPages[plan.unroutedErrorPages] ?? null);

const withoutSlot = (upstream: Plan["upstreams"][number]): unknown => ({
  ...upstream,
  breaker: upstream.breaker === null ? null : { ...upstream.breaker, slot: 0 },
});
const byId = (plan: Plan): Map<string, string> => new Map(plan.consumers.map((consumer) => [consumer.id, JSON.stringify(consumer)]));

function byAddress(plan: Plan): Map<string, string> {
  return new Map(plan.listeners.map((listener) => [listener.address, JSON.stringify(listener)]));
}

function compare(what: string, before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const added = [...after.keys()].filter((name) => !before.has(name));
  const removed = [...before.keys()].filter((name) => !after.has(name));
  const changed = [...after.keys()].filter((name) => before.has(name) && before.get(name) !== after.get(name));
  return [sentence(what, "added", added), sentence(what, "removed", removed), sentence(what, "changed", changed)].filter(
    (text) => text !== "",
  );
}

function sentence(what: string, verb: string, names: readonly string[]): string {
  if (names.length === 0) return "";
  const more = names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : "";
  return `${what}${names.length === 1 ? "" : "s"} ${verb}: ${names.slice(0, NAMES_MAX).join(", ")}${more}`;
}
