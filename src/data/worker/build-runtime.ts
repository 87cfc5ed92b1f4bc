// Brings a plan to life in this worker: routes with their policy chains, upstreams with their pools. Pure construction:
// nothing here serves a request, and building a runtime changes nothing about the one in force.

import type { Policy as PublicPolicy } from "../../../policy/index.d.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { PolicyModule } from "../../modules/policy-module.ts";
import type { EndpointMap } from "../../plan/messages.ts";
import type { ModulePolicyPlan } from "../../plan/module-plan.ts";
import { NORMAL } from "../../plan/overload-plan.ts";
import type { EndpointPlan, Plan, RoutePlan } from "../../plan/plan.ts";
import { idSpaceOf } from "../credentials/id-space.ts";
import { ConnectionRules } from "../exchange/client/connection-rules.ts";
import { createClientResolver } from "../exchange/client/forwarded.ts";
import { ErrorPages } from "../exchange/error-pages.ts";
import type { HandlerEntry } from "../exchange/handler.ts";
import type { Authenticator } from "../exchange/identity/authenticator.ts";
import { IdentityHeaders } from "../exchange/identity/identity-headers.ts";
import { SHED_BY_CALLER } from "../exchange/overload.ts";
import type { Phase, Policy } from "../exchange/policy.ts";
import type { FilterEntry } from "../exchange/response-filter.ts";
import { ExchangeSlot, type KeyedPolicy, type PolicyResources, type PolicyRoute } from "../exchange/route-context.ts";
import type { Route, Runtime, ShedRule } from "../exchange/runtime.ts";
import { FILTERS } from "../filters/registry.ts";
import { breakerFallback } from "../handlers/breaker-fallback.ts";
import { HANDLERS } from "../handlers/registry.ts";
import { AUTHENTICATORS } from "../policies/auth/registry.ts";
import { createModulePolicy } from "../policies/module/policy.ts";
import { POLICIES, type PolicyEntry } from "../policies/registry.ts";
import { compileRouter } from "../routing/compile.ts";
import { commonParamNames } from "../routing/pattern.ts";
import { createUpstream, type LiveUpstream } from "../upstream/select.ts";
import type { Endpoint } from "../upstream/upstream.ts";
import { phasesOf, requestSteps } from "./request-steps.ts";
import type { WorkerServices } from "./services.ts";

/** What routes may be built of. */
export interface Registries {
  readonly policies: readonly PolicyEntry[];
  /** Of the policies, by name. */
  readonly phases: ReadonlyMap<string, Phase>;
  readonly filters: readonly FilterEntry[];
  readonly handlers: readonly HandlerEntry[];
}

/** What is built in. */
export const REGISTRIES: Registries = { policies: POLICIES, phases: phasesOf(POLICIES), filters: FILTERS, handlers: HANDLERS };

export interface RuntimeOptions {
  readonly plan: Plan;
  readonly endpoints: EndpointMap;
  readonly services: WorkerServices;
  /** The built-in ones by default. */
  readonly registries?: Registries;
}

/** A runtime as its owner (worker.ts) sees it: with what must be updated and given back. */
export interface OwnedRuntime extends Runtime {
  readonly services: WorkerServices;
  readonly upstreams: readonly LiveUpstream[];
}

/** @throws Error when the plan needs something this build does not have (an unknown policy): the plan is then refused whole. */
export function buildRuntime(options: RuntimeOptions): OwnedRuntime {
  const { plan, services, registries = REGISTRIES } = options;
  const client = createClientResolver(plan.trustedProxies);
  const identityHeaders = new IdentityHeaders(plan.identity);
  const resources = { plan, services, identityHeaders, authenticators: buildAuthenticators(plan, services) };
  const parts = { resources, registries, shared: new SharedParts(), lastResort: breakerFallback(plan), imported: services.modules };
  const routes = plan.routes.map((route, id) => buildRoute(route, id, parts)); // before anything that must be given back
  const router = compileRouter(plan.routes, plan);
  const upstreams = plan.upstreams.map((upstream) =>
    createUpstream(upstream, options.endpoints.get(upstream.name) ?? [], {
      health: services.health,
      breakers: services.breakers,
      gate: services.gates.gateFor(upstream.overload),
      poolFor: (endpoint, of) => services.poolFor(endpoint, of),
      retire: (endpoint: Endpoint) => services.releasePool(endpoint.plan, upstream),
      now: monotonicMs,
      random: Math.random,
    }),
  );
  for (const { breaker } of upstreams) {
    const fallback = breaker?.plan.fallback ?? null;
    if (breaker === null || fallback?.kind !== "upstream") continue;
    breaker.standIn = upstreams.find((each) => each.name === fallback.name) ?? missing(fallback.name);
  }
  const hideCredentials = withoutCredentials([...resources.authenticators.values()]);
  return {
    plan,
    limits: plan.limits,
    router,
    routes,
    upstreams,
    services,
    errorPages: plan.errorPages.map((pages) => new ErrorPages(pages)),
    identityHeaders,
    connectionRules: new ConnectionRules(plan),
    inFlight: 0,
    trustsPeer: (peer) => client.trusts(peer),
    hideCredentials,
    logQuery: plan.logQuery ? hideCredentials : null,
    resolveClient: (x) => client.resolve(x),
    appendForwarding: (x, out) => client.appendForwarding(x, out),
    toldOfTarget: (x) => client.toldOfTarget(x),
  };
}

/** Of all authenticators, whatever the route: a client may show a credential where nobody looks for it. */
function withoutCredentials(authenticators: readonly Authenticator[]): (query: string) => string {
  const strips = authenticators.flatMap(({ places }) => places.flatMap(({ stripPath }) => (stripPath === null ? [] : [stripPath])));
  return (query) => (query === "" ? "" : strips.reduce((path, strip) => strip(path), `/?${query}`).slice(2));
}

function missing(upstream: string): never {
  throw new Error(`there is no upstream ${upstream} to stand in`);
}

/** Discovery found other addresses for an upstream. Unknown names are ignored: the plan moved on. */
export function applyEndpoints(runtime: OwnedRuntime, upstreamName: string, endpoints: readonly EndpointPlan[]): void {
  for (const upstream of runtime.upstreams) if (upstream.name === upstreamName) upstream.setEndpoints(endpoints);
}

/** Gives back what the runtime held. Only when it has nothing in flight and serves no more. */
export function retireRuntime(runtime: OwnedRuntime): void {
  for (const upstream of runtime.upstreams) upstream.setEndpoints([]);
}

function buildAuthenticators(plan: Plan, services: WorkerServices): ReadonlyMap<string, Authenticator> {
  const consumers = new Map(plan.consumers.map((consumer) => [consumer.id, consumer]));
  const tiers = new Set(plan.tiers.map((tier) => tier.name));
  const ids = idSpaceOf(plan.authenticators);
  return new Map(
    plan.authenticators.map((each) => {
      const create = AUTHENTICATORS[each.kind];
      if (create === undefined) throw new Error(`authenticator ${each.name}: unknown kind ${each.kind}`);
      return [each.name, create({ plan: each, consumers, tiers, ids, services, whole: plan })];
    }),
  );
}

/** Of the parts of routes that are alike, the first stands for all. */
class SharedParts {
  readonly #parts = new Map<string, object>();

  /** @param part JSON */
  one<T extends object | null>(part: T): T {
    if (part === null) return part;
    const key = JSON.stringify(part);
    const known = this.#parts.get(key);
    if (known === undefined) this.#parts.set(key, part);
    return (known as T | undefined) ?? part; // equal JSON
  }
}

/** What routes are built with. */
interface RouteParts {
  readonly registries: Registries;
  readonly resources: PolicyResources;
  readonly shared: SharedParts;
  /** Runs on every route, behind its own policies; null for none. */
  readonly lastResort: Policy | null;
  /** Policy modules by address. */
  readonly imported: ReadonlyMap<string, PolicyModule>;
}

function buildRoute(plan: RoutePlan, id: number, { resources, registries, shared, lastResort, imported }: RouteParts): Route {
  const paramNames = commonParamNames(plan.match.paths);
  let slots = 0;
  const context: PolicyRoute = {
    name: plan.name,
    paramNames,
    methods: plan.match.methods,
    resources,
    slot: () => new ExchangeSlot(slots++),
    keyed: () => [
      ...plan.policies.map(({ name, config }, i): KeyedPolicy => {
        const policy = policies[i];
        const changes = policy?.onUpstreamRequest?.bind(policy);
        return {
          name,
          ...(changes === undefined ? {} : { onUpstreamRequest: changes }),
          ...(policy?.onUpstreamResponse === undefined ? {} : { changesResponses: JSON.stringify(config) }),
        };
      }),
      ...modules.map(({ policy, cacheKey }) => ({ name: policy.name, cacheKey })),
    ],
  };
  const named = <Entry extends { readonly name: string }>(kind: string, entries: readonly Entry[], name: string): Entry => {
    const entry = entries.find((each) => each.name === name);
    if (entry === undefined) throw new Error(`route ${plan.name}: unknown ${kind} ${name}`);
    return entry;
  };
  const modules = plan.modules.map((each) => createModulePolicy(each, moduleOf(each, imported), context));
  const policies = [
    ...plan.policies.map(({ name, config }) => named("policy", registries.policies, name).create(config, context)),
    ...modules.map(({ policy }) => policy),
  ];
  const filters = [
    ...modules.flatMap(({ filter }) => filter ?? []).reverse(), // as response policies; what encodes comes behind
    ...plan.filters.map(({ name, config }) => named("filter", registries.filters, name).create(config, context)),
  ];
  const withLastResort = lastResort === null ? policies : [...policies, lastResort];
  const { settings } = plan;
  const shed = shedRule(plan, resources.plan.overload);
  return {
    id,
    name: plan.name,
    metricSlot: plan.metricSlot,
    accessLog: settings.accessLog,
    priority: settings.priority,
    shed: shared.one(shed),
    settings: shared.one(settings),
    handler: named("handler", registries.handlers, plan.handler.name).create(plan.handler.config, context),
    paramNames: shared.one(paramNames),
    onRequest: requestSteps(shed.at === "identity" ? [SHED_BY_CALLER, ...policies] : policies, registries.phases),
    onUpstreamRequest: having(policies, "onUpstreamRequest"),
    onUpstreamResponse: having(policies, "onUpstreamResponse"),
    onResponse: having(policies, "onResponse")?.toReversed() ?? null,
    onUpstreamFailure: having(withLastResort, "onUpstreamFailure"),
    onFinish: having(policies, "onFinish"),
    filters: filters.length === 0 ? null : filters,
    policyTimeoutMs: Math.min(resources.plan.limits.policyTimeoutMs, settings.timeouts?.totalMs || Number.POSITIVE_INFINITY), // 0: no deadline
    copies: policies.find((policy) => policy.copies !== undefined)?.copies ?? null,
    hideQuery: policies.find((policy) => policy.hideQuery !== undefined)?.hideQuery ?? null,
    answersPreflight: policies.some((policy) => policy.name === "cors"),
  };
}

/** @returns when requests of the route are refused by a worker that has more to do than it can */
function shedRule({ handler, policies, settings }: RoutePlan, { mode, tiers }: Plan["overload"]): ShedRule {
  const own = settings.priority;
  const ofTiers = own === null && mode !== "off" && policies.some(({ name }) => name === "auth") ? Object.values(tiers) : [];
  const priority = Math.min(own ?? NORMAL, ...ofTiers.map((tier) => tier.priority ?? NORMAL));
  if (handler.name === "respond" || handler.name === "redirect") return { at: "never", priority };
  if (handler.name === "proxy" && (handler.config as { readonly cache?: unknown }).cache != null) return { at: "miss", priority }; // ProxyConfig
  return { at: ofTiers.some((tier) => tier.priority !== null) ? "identity" : "route", priority };
}

/** WorkerServices.prepare() has imported it. */
function moduleOf({ url, name }: ModulePolicyPlan, imported: RouteParts["imported"]): PublicPolicy {
  const module = imported.get(url);
  if (module === undefined) throw new Error(`the module of policy ${name} was not imported`);
  return module as unknown as PublicPolicy; // looked at by policyOf
}

function having(
  policies: readonly Policy[],
  hook: "onUpstreamRequest" | "onUpstreamResponse" | "onResponse" | "onUpstreamFailure" | "onFinish",
): readonly Policy[] | null {
  const list = policies.filter((policy) => policy[hook] !== undefined);
  return list.length === 0 ? null : list;
}
