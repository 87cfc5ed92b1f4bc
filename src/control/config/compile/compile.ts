// Owns turning a right configuration into the plan that workers run. Pure: everything was read and checked by load.ts.
import { createHash } from "node:crypto";
import { legsOf } from "../../../data/handlers/aggregate/config-plan.ts";
import type { ProxyConfig } from "../../../data/handlers/proxy/config.ts";
import { sortMatches } from "../../../data/routing/order.ts";
import { refusedBits } from "../../../data/routing/path-rules.ts";
import type { CacheSettings } from "../../../plan/cache-plan.ts";
import type { ListenerPlan } from "../../../plan/listener-plan.ts";
import type { OverloadPlan } from "../../../plan/overload-plan.ts";
import type { FeaturePlan, Plan, RoutePlan, UpstreamPlan } from "../../../plan/plan.ts";
import { type LimitConfig, limitLabels } from "../../../plan/rate-limit.ts";
import type { UpstreamTlsPlan } from "../../../plan/tls-rules.ts";
import { ROUTE_SLOT_OVERFLOW } from "../../../shared/metric-layout.ts";
import { authenticatorsOf, authOf } from "../check/auth-of.ts";
import { FORWARD_AUTH } from "../check/service-of.ts";
import { routeTimeoutsFor, upstreamsOf } from "../check/timeouts.ts";
import { answers, featureOf, isCache, isFilter, isPolicy } from "../schema/features.ts";
import { serverNameOf } from "../schema/host.ts";
import { refusedSpellings } from "../schema/paths.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Config, NamedUpstream } from "../schema/schema.ts";
import { ErrorPageTable } from "./error-pages.ts";
import { decisionNames, type ImplicitUpstreamPlan, type ImplicitUpstreams, implicitUpstreams, withUpstream } from "./implicit-upstreams.ts";

/** What the primary adds. */
export interface CompileContext {
  readonly version: number;
  /** Slot of a route's metric cells, stable while the name lives. */
  metricSlot(routeName: string): number;
  /** Slot of an upstream's breaker, stable while the name lives. Without it all share one: for plans that nobody runs. */
  breakerSlot?(upstreamName: string): number;
  /** The same for an upstream's in-flight limit. */
  overloadSlot?(upstreamName: string): number;
  /** The same for a policy of the user's own, by its name. */
  policySlot?(name: string): number;
  /** The same for a tier. */
  tierSlot?(name: string): number;
  /** The same for a part of a limit, named `ROUTE LABEL`. Without it they are counted together. */
  limitSlot?(name: string): number;
  /** The same for whoever calls a service about requests. */
  decisionSlot?(name: string): number;
  /** The same for a leg of an aggregated answer, named `ROUTE LEG`. */
  legSlot?(name: string): number;
}

export function compilePlan(config: Config, context: CompileContext): Plan {
  const services = implicitUpstreams(config);
  const names: Names = {
    indexes: new Map([...config.upstreams, ...services.upstreams].map((upstream, i) => [upstream.name, i])),
    upstreams: new Map(config.upstreams.map((upstream) => [upstream.name, upstream])),
    services,
  };
  const connects = longestConnects(config.routes, names.upstreams);
  const pages = new ErrorPageTable(config.errorPageFiles);
  const unroutedErrorPages = pages.indexOf(config.errorPages);
  const tiers = Object.fromEntries(
    config.tiers.map(({ name, weight, priority }) => [
      name,
      { weight, priority, metricSlot: context.tierSlot?.(name) ?? ROUTE_SLOT_OVERFLOW },
    ]),
  );
  const order = sortMatches(config.routes.map((route) => route.match));
  const once = sharer();
  return {
    version: context.version,
    listeners: config.listeners.map((listener) => compileListener(listener, config.certificateFiles)),
    limits: config.limits,
    cache: config.cache,
    overload: { ...config.overload, tiers },
    trustedProxies: config.trustedProxies,
    upstreams: [
      ...config.upstreams.map((upstream) => compileUpstream(upstream, connects.get(upstream.name) ?? 0, { context, tiers })),
      ...services.upstreams.map((upstream) => compileImplicit(upstream, context)),
    ],
    authenticators: config.auth.map((each) => {
      const named = { ...each, config: withUpstream(each.config, services.authenticators.get(each.name)) };
      return { ...named, fingerprint: digest(JSON.stringify(named)) };
    }),
    consumers: config.consumers,
    tiers: config.tiers,
    legSlots: Object.fromEntries(legMetrics(config).map((name) => [name, context.legSlot?.(name) ?? ROUTE_SLOT_OVERFLOW])),
    limitSlots: Object.fromEntries(limitMetrics(config).map((name) => [name, context.limitSlot?.(name) ?? ROUTE_SLOT_OVERFLOW])),
    decisionSlots: Object.fromEntries(decisionNames(config).map((name) => [name, context.decisionSlot?.(name) ?? ROUTE_SLOT_OVERFLOW])),
    identity: config.identity,
    clients: config.clients,
    versioning: config.versioning,
    routes: order.flatMap((i) => {
      const route = config.routes[i];
      return route === undefined ? [] : compileRoute(route, names, { config, context, pages, once });
    }),
    errorPages: pages.sets,
    unroutedErrorPages,
    modules: config.modules,
    drainTimeoutMs: config.drainTimeout,
    logQuery: config.log.query,
  };
}

function compileListener(listener: Config["listeners"][number], files: Config["certificateFiles"]): ListenerPlan {
  const { address, host, port, unixPath, proxyProtocol, certificates, clientAuth, tlsRules: rules } = listener;
  const tls = {
    certificates: (certificates ?? []).map((c) => ({
      certPath: c.cert,
      keyPath: c.key,
      cert: files[c.cert] ?? "",
      key: files[c.key] ?? "",
      hosts: c.hosts,
    })),
    clientAuth: clientAuth === null ? null : { caPath: clientAuth.ca, ca: files[clientAuth.ca] ?? "", required: clientAuth.required },
    rules,
  };
  return {
    address,
    host,
    port,
    unixPath,
    ...engineOf(listener),
    tls: certificates === null ? null : { ...tls, fingerprint: digest(JSON.stringify(tls)) },
    http2: listener.http2,
    h2c: listener.h2c,
    proxyProtocol,
    name: listener.name,
    redirectToHttps: listener.redirectToHttps,
    paths: listener.paths,
  };
}

/** uws for plain HTTP/1.1, unless the listener names its engine or asks for something that only net has. */
function engineOf({
  engine,
  strict,
  http2,
  h2c,
  proxyProtocol,
  certificates,
  clientAuth,
}: Config["listeners"][number]): Pick<ListenerPlan, "engine" | "engineReason"> {
  if (engine !== null) return { engine, engineReason: `\`engine: ${engine}\`` };
  const because = (reason: string): Pick<ListenerPlan, "engine" | "engineReason"> => ({ engine: "net", engineReason: reason });
  if (strict) return because("`strict: true`, which is written `engine: net` now");
  // uws asks for certificates, but neither insists on one nor says whose it is.
  if (clientAuth !== null) return because("`tls.clientCa`: client certificates, verified");
  // uws takes a further header before each request, so that a client could name itself anew.
  if (proxyProtocol) return because("`proxyProtocol: true`: one header a connection, from the balancer only");
  if (h2c) return because("`h2c: true`: HTTP/2 without TLS");
  if (certificates !== null)
    return because(http2 ? "`tls`: HTTP/2, and sessions that every worker resumes" : "`tls`: sessions that every worker resumes");
  return { engine: "uws", engineReason: "the default for plain HTTP/1.1" };
}

/** The longest `connect` of the routes that lead to an upstream, or to one that it stands in for, ms, by its name. */
function longestConnects(routes: readonly RouteConfig[], upstreams: Names["upstreams"]): ReadonlyMap<string, number> {
  const longest = new Map<string, number>();
  for (const route of routes) {
    const { connectMs } = route.timeouts ?? {};
    if (connectMs === undefined) continue;
    const names = [...answeringNames(route), ...upstreamsOf(route, upstreams).map((upstream) => upstream.name)];
    for (const name of names) longest.set(name, Math.max(connectMs, longest.get(name) ?? 0));
  }
  return longest;
}

/** @param connectMs the longest that a route wants to wait for a connection; 0 for none */
function compileUpstream(
  upstream: NamedUpstream,
  connectMs: number,
  { context, tiers }: { readonly context: CompileContext; readonly tiers: OverloadPlan["tiers"] },
): UpstreamPlan {
  const { targets, hashOn, hashBalanceFactor, slowStart, writtenTimeouts: _read, tls, breaker, sticky, overload, ...rest } = upstream;
  const settings = {
    ...rest,
    hashOn: hashOn ?? { kind: "ip" as const },
    hashLoadFactor: hashBalanceFactor === 0 ? null : hashBalanceFactor / 100,
    slowStartMs: slowStart,
    connectMaxMs: Math.max(connectMs, rest.timeouts.connectMs),
    tls: tlsFor(upstream),
  };
  const text = JSON.stringify(settings);
  return {
    ...settings,
    fingerprint: settings.tls === null && Object.keys(settings.health.active?.headers ?? {}).length === 0 ? text : digest(text),
    targets: targets.filter((target) => target.weight > 0),
    sticky: sticky ?? null,
    breaker: breaker === undefined ? null : { ...breaker, slot: context.breakerSlot?.(upstream.name) ?? 0 },
    overload: overload === null ? null : { ...overload, slot: context.overloadSlot?.(upstream.name) ?? 0, tiers },
  };
}

function compileImplicit(upstream: ImplicitUpstreamPlan, context: CompileContext): UpstreamPlan {
  const { targets: _listed, breaker, ...settings } = upstream;
  const text = JSON.stringify(settings);
  return {
    ...upstream,
    fingerprint: settings.tls === null ? text : digest(text),
    breaker: { ...breaker, slot: context.breakerSlot?.(upstream.name) ?? 0 },
  };
}

/** Where Host is always the same name, that is the name to ask for and to verify, unless another is written. */
function tlsFor({ tls: written, host, targets }: NamedUpstream): UpstreamTlsPlan | null {
  const tls = written ?? null;
  const serverName = tls?.serverName ?? serverNameOf(host);
  return serverName === null || !targets.some(({ url }) => url.startsWith("https")) ? tls : { ...(tls ?? USUAL_TLS), serverName };
}

const USUAL_TLS: UpstreamTlsPlan = { ca: null, cert: null, key: null, serverName: null, verify: true, rules: null };

/** What upstreams' names stand for. */
interface Names {
  readonly indexes: ReadonlyMap<string, number>;
  readonly upstreams: ReadonlyMap<string, NamedUpstream>;
  readonly services: ImplicitUpstreams;
}

interface RouteContext {
  readonly config: Config;
  readonly context: CompileContext;
  readonly pages: ErrorPageTable;
  readonly once: ReturnType<typeof sharer>;
}

/**
 * Equal parts of routes become one object: it is copied to workers and kept once, and is half of what a plain route takes.
 * @returns gives what stands for a value from then on, by a text that no other value has
 */
function sharer(): <T extends object>(value: T, text: string) => T {
  const values = new Map<string, object>();
  return <T extends object>(value: T, text: string): T => {
    const known = values.get(text);
    if (known === undefined) values.set(text, value);
    return (known as T | undefined) ?? value; // the same text, so the same kind
  };
}

/** Most lists that say which requests a route matches are empty. */
const NONE: readonly never[] = [];
const some = <T>(list: readonly T[]): readonly T[] => (list.length === 0 ? NONE : list);

function compileMatch({ headers, hosts, listeners, methods, query, versions, ...rest }: RouteConfig["match"]): RoutePlan["match"] {
  return {
    ...rest,
    headers: some(headers),
    hosts: some(hosts),
    listeners: some(listeners),
    methods: some(methods),
    query: some(query),
    versions: some(versions),
  };
}

function compileRoute(
  route: RouteConfig,
  { indexes, upstreams, services }: Names,
  { config, context, pages, once }: RouteContext,
): RoutePlan {
  const { name, match, timeouts, limits, accessLog, insecure } = route;
  const index = (upstream: string): number => indexes.get(upstream) ?? missing(upstream);
  const features = route.policies.filter((feature) => feature.name !== "auth" || authOf(route)?.tree != null);
  const linked = (feature: FeaturePlan): FeaturePlan => ({
    name: feature.name,
    config:
      feature.name === FORWARD_AUTH
        ? withUpstream(feature.config, services.routes.get(name))
        : featureOf(feature.name).link(feature.config, index),
  });
  const answering = features.find(answers);
  const settings = {
    host: route.host ?? null,
    timeouts: timeouts === undefined ? null : routeTimeoutsFor(timeouts, upstreamsOf(route, upstreams)),
    bodyBytes: (limits?.bodyBytes === undefined ? config.limits.bodyBytes : limits.bodyBytes) ?? Number.POSITIVE_INFINITY,
    bodyRate: limits?.bodyRate === undefined ? config.limits.bodyRate : limits.bodyRate,
    accessLog,
    priority: route.priority ?? null,
    keepMethodOverride: insecure.includes("method-override"),
    errorPages: pages.indexOf(route.errorPages ?? null),
    refusedSpellings: refusedBits(refusedSpellings(route.paths)),
  };
  const cache = cacheOf(features);
  const proxy = { name: "proxy", config: compileProxy(route, index, cache) };
  return {
    name,
    metricSlot: context.metricSlot(name),
    match: compileMatch(match),
    settings: once(settings, `${settings.bodyBytes} ${JSON.stringify(settings)}`), // infinite is null in JSON
    upstreams: [...new Set([...upstreamNames(route), ...services.of(route.name, authenticatorsOf(route))])].map(index),
    handler: answering !== undefined ? linked(answering) : cache !== null ? proxy : once(proxy, JSON.stringify(proxy)),
    policies: features.filter(isPolicy).map(linked),
    modules: route.uses.map((use) => ({ ...use, slot: context.policySlot?.(use.name) ?? ROUTE_SLOT_OVERFLOW })),
    filters: features.filter(isFilter).map(linked),
    insecure,
  };
}

/** Those with a share of the requests. */
function upstreamNames(route: RouteConfig): readonly string[] {
  const { mirror } = route;
  return mirror === undefined || mirror.percent === 0 ? answeringNames(route) : [...answeringNames(route), mirror.upstream];
}

function answeringNames({ to, weighted, policies, uses }: RouteConfig): readonly string[] {
  const own = to === undefined ? (weighted ?? []).filter((part) => part.weight > 0).map((part) => part.upstream) : [to];
  return [
    ...own,
    ...uses.flatMap((use) => use.upstreams),
    ...policies.flatMap(({ name, config }) =>
      featureOf(name)
        .upstreams(config)
        .map((use) => use.name),
    ),
  ];
}

function compileProxy(
  { to, weighted, stickyBy, mirror, webSocket, webSocketClosesAtExpiry }: RouteConfig,
  index: (upstream: string) => number,
  cache: CacheSettings | null,
): ProxyConfig {
  const parts = (to === undefined ? (weighted ?? []) : [{ upstream: to, weight: 1 }]).filter((part) => part.weight > 0);
  const isSticky = stickyBy !== undefined && parts.length > 1;
  return {
    to: parts.map((part) => ({ upstream: index(part.upstream), weight: part.weight })),
    stickyBy: isSticky ? { on: stickyBy, names: parts.map((part) => part.upstream) } : null,
    mirror: mirror === undefined || mirror.percent === 0 ? null : { upstream: index(mirror.upstream), fraction: mirror.percent / 100 },
    cache,
    webSocket,
    webSocketClosesAtExpiry,
  };
}

const cacheOf = (features: readonly FeaturePlan[]): CacheSettings | null =>
  (features.find(isCache)?.config as CacheSettings | undefined) ?? null; // parsed by cacheSchema

function missing(upstream: string): never {
  throw new Error(`upstream ${upstream} was not checked`);
}

/** Stands for a text that may hold keys. Keys of objects come in schema order, so that equal settings have equal texts. */
const digest = (text: string): string => createHash("sha256").update(text).digest("base64url").slice(0, 22);

/** Every part of every limit, as metrics name it: `ROUTE LABEL`. */
function limitMetrics({ routes }: Config): readonly string[] {
  return routes.flatMap((route) => {
    const limits = route.policies.find((policy) => policy.name === "rateLimit");
    if (limits === undefined) return [];
    return limitLabels(limits.config as readonly LimitConfig[]).map((label) => `${route.name} ${label}`); // parsed by rateLimitSchema
  });
}

/** Every leg of every aggregated answer, as metrics name it: `ROUTE LEG`. */
const legMetrics = ({ routes }: Config): readonly string[] =>
  routes.flatMap(({ name, policies }) => policies.flatMap((feature) => (legsOf(feature) ?? []).map((leg) => `${name} ${leg.name}`)));
