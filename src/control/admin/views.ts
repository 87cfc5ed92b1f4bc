// Owns the shape of the admin listener's JSON: state and totals joined for reading. Must show no secrets.
import { ERRORS } from "../../base/errors.ts";
import { formatStatuses } from "../../base/status-list.ts";
import { legsOf } from "../../data/handlers/aggregate/config-plan.ts";
import { proxyOf } from "../../data/handlers/proxy/config.ts";
import type { InstanceState, OthersBreaker, OthersBreakers } from "../../observe/instance-state.ts";
import type { Totals } from "../../observe/totals.ts";
import type { ErrorPagesPlan } from "../../plan/error-pages.ts";
import type { FeaturePlan, Plan, RoutePlan } from "../../plan/plan.ts";
import { CELL, LATENCY_BOUNDS_S, LIMIT_OUTCOMES } from "../../shared/metric-layout.ts";
import type { BreakerState } from "../breakers/breaker-control.ts";
import { redactMatch } from "../config/output/redact.ts";
import { publicJwk } from "../config/schema/public-jwk.ts";
import { placeKey } from "../fleet/breaker-report.ts";

export function workersView(state: InstanceState, totals: Totals): object[] {
  return state.workers.map((worker) => {
    const cells = totals.cells[worker.index];
    return {
      ...worker,
      inFlight: cells?.get(CELL.inFlight) ?? 0,
      connections: cells?.get(CELL.connections) ?? 0,
      webSockets: cells?.get(CELL.webSockets) ?? 0,
      poolConnections: cells?.get(CELL.poolConnections) ?? 0,
      poolQueued: cells?.get(CELL.poolQueued) ?? 0,
      loopUtilisation: cells?.get(CELL.loopUtilisation) ?? 0,
      loopDelayMs: cells?.get(CELL.loopDelayMs) ?? 0,
      memoryBytes: cells?.get(CELL.memoryBytes) ?? 0,
      refusedPart: cells?.get(CELL.refusedPart) ?? 0,
      shadowed: cells?.get(CELL.shadowedTotal) ?? 0,
      logDropped: cells?.get(CELL.logDroppedTotal) ?? 0,
    };
  });
}

export function upstreamsView(state: InstanceState, totals: Totals): object[] {
  return state.upstreams.map((upstream) => ({
    ...upstream,
    targets: upstream.targets.map(({ slot, ...target }) => {
      const counts = totals.endpoint(slot, `${upstream.name} ${target.key}`);
      return { ...target, ...counts, failures: Object.fromEntries(counts.failures) };
    }),
  }));
}

export function routesView(plan: Plan | null): object[] {
  return (plan?.routes ?? []).map((route) => routeView(plan, route));
}

function routeView(plan: Plan | null, route: RoutePlan): object {
  const { settings, handler } = route;
  const proxy = proxyOf(handler);
  const mirror = proxy?.mirror ?? null;
  return {
    name: route.name,
    match: redactMatch(route.match),
    to: destinations(plan, route),
    mirror: mirror === null ? null : { upstream: upstreamName(plan, mirror.upstream), fraction: mirror.fraction },
    handler: handler.name,
    legs: legsOf(handler)?.map(({ name, to, required }) => ({ name, upstream: to, required })) ?? null,
    policies: route.policies.map((policy) => policy.name),
    filters: route.filters.map((filter) => filter.name),
    accessLog: settings.accessLog,
    errorPages: errorPagesView(plan?.errorPages[settings.errorPages]),
    cache: proxy?.cache ?? null,
    webSocket: proxy?.webSocket ?? false,
    bodyBytes: settings.bodyBytes,
    bodyRate: settings.bodyRate,
    timeouts: settings.timeouts,
  };
}

/** What has pages, the more specific first, and what is intercepted; null for none. */
function errorPagesView(set: ErrorPagesPlan | undefined): object | null {
  if (set === undefined) return null;
  const on = set.pages.map((page) => (typeof page.on === "string" ? page.on : formatStatuses([page.on])));
  return { on, intercept: formatStatuses(set.intercept) };
}

/** Every breaker, and what the other instances of a fleet say of theirs; null without Redis. */
export function breakersView(breakers: readonly BreakerState[], { fleet }: InstanceState): object[] {
  const others = new Map(fleet?.breakers.breakers.map((each) => [placeKey(each), each]));
  return breakers.map((breaker) => ({
    ...breaker,
    others: fleet === null ? null : othersOf(fleet.breakers, others.get(placeKey(breaker))),
  }));
}

/** @param open undefined: closed everywhere else, as far as anything is known */
function othersOf({ knowledge, ageMs, instances: reporting }: OthersBreakers, open: OthersBreaker | undefined): object {
  const known = { knowledge, ageMs, reporting };
  if (knowledge === "unknown") return { ...known, states: null, instances: null };
  return { ...known, states: open?.states ?? {}, instances: open?.instances ?? [] };
}

/** The table of limits, and what each limit has decided since start. */
export function limitsView(state: InstanceState, totals: Totals): object {
  const limits = totals.limits().filter(({ outcomes }) => outcomes.some((count) => count > 0));
  return {
    table: state.limits,
    limits: limits.map(({ route, limit, outcomes }) => ({
      route,
      limit,
      ...Object.fromEntries(LIMIT_OUTCOMES.map((outcome, i) => [outcome, outcomes[i] ?? 0])),
    })),
  };
}

/** A JWK set (RFC 7517) by which services verify the internal token; empty while there is none, or it is signed with a shared secret. */
export function identityKeysView(plan: Plan | null): object {
  const token = plan?.identity.token ?? null;
  return { keys: token?.algorithm === "EdDSA" ? [publicJwk(token.key)] : [] };
}

/** Everything that the status page draws. Counters are totals: the page makes rates of them. */
export function statusView(state: InstanceState, totals: Totals, plan: Plan | null): object {
  const counts = new Map(totals.routes().map((route) => [route.route, route]));
  const known = new Map((plan?.routes ?? []).map((route) => [route.name, route]));
  const names = [...known.keys(), ...[...counts.values()].filter((c) => c.requests > 0 && !known.has(c.route)).map((c) => c.route)];
  const { workers: _workers, upstreams: _upstreams, ...instance } = state;
  return {
    atMs: performance.now(),
    instance: { ...instance, concerns: instance.concerns.map(({ detail }) => detail) },
    residentBytes: process.memoryUsage.rss(),
    latencyBoundsMs: LATENCY_BOUNDS_S.map((s) => s * 1000),
    routes: names.map((name) => ({
      name,
      match: describeMatch(known.get(name)),
      to: destinations(plan, known.get(name)),
      byClass: counts.get(name)?.byClass ?? [],
      buckets: counts.get(name)?.buckets ?? [],
      cache: counts.get(name)?.cache.outcomes ?? [],
    })),
    errors: [...totals.errors()].filter(([, count]) => count > 0).map(([code, count]) => ({ code, title: ERRORS[code].title, count })),
    upstreams: upstreamsView(state, totals),
    workers: workersView(state, totals),
  };
}

const NO_HANDLER: FeaturePlan = { name: "", config: null };

function destinations(plan: Plan | null, route: RoutePlan | undefined): object[] | null {
  return (
    proxyOf(route?.handler ?? NO_HANDLER)?.to.map(({ upstream, weight }) => ({ upstream: upstreamName(plan, upstream), weight })) ?? null
  );
}

function upstreamName(plan: Plan | null, index: number): string {
  return plan?.upstreams[index]?.name ?? "?";
}

function describeMatch(route: RoutePlan | undefined): string {
  if (route === undefined) return "";
  const { methods, hosts, paths } = route.match;
  return `${methods.length === 0 ? "" : `${methods.join("|")} `}${hosts.join("|")}${paths.join("|")}`;
}
