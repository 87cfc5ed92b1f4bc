// Owns the upstreams that nobody has written: each service that is called at a URL gets one, `forwardAuth:ROUTE` or `auth:NAME`. Pure.
// Must never make a name that an upstream of the configuration could have: those have no colon.

import type { FeaturePlan, TimeoutsPlan, UpstreamPlan } from "../../../plan/plan.ts";
import type { ImplicitUpstream, ServiceRef } from "../../../plan/service-ref.ts";
import { FORWARD_AUTH, serviceOf } from "../check/service-of.ts";

/** Of a service without a bound of its own, as an upstream that is written has them. */
const CONNECTIONS = 128;
const QUEUE = 1024;
const STREAMS = 100;
const KEEP_ALIVE_MS = 60_000;
const CONNECT_MS_MAX = 1000;
const WINDOW_MS = 10_000;
const TRIAL_MS = 10_000;

/** An implicit upstream, before it has the slot of its breaker. */
export type ImplicitUpstreamPlan = Omit<UpstreamPlan, "fingerprint" | "breaker"> & {
  readonly breaker: Omit<NonNullable<UpstreamPlan["breaker"]>, "slot">;
};

export interface ImplicitUpstreams {
  /** Upstreams that decide about requests of a route, beside those that it names itself. @param authenticators its own */
  of(route: string, authenticators: readonly string[]): readonly string[];
  readonly upstreams: readonly ImplicitUpstreamPlan[];
  /** By the name of an authenticator, for those with a URL. */
  readonly authenticators: ReadonlyMap<string, string>;
  /** By the name of a route. Routes with the same URL and settings share the upstream of the first. */
  readonly routes: ReadonlyMap<string, string>;
}

/** The parts of a configuration that may call services. */
interface ServiceUser {
  readonly auth: readonly { readonly name: string; readonly kind: string; readonly config: unknown }[];
  readonly routes: readonly { readonly name: string; readonly policies: readonly FeaturePlan[] }[];
}

export function implicitUpstreams({ auth, routes }: ServiceUser): ImplicitUpstreams {
  const upstreams: ImplicitUpstreamPlan[] = [];
  const authenticators = new Map<string, string>();
  const ofRoutes = new Map<string, string>();
  for (const { name, config } of auth) {
    const own = serviceOf(config)?.own ?? null;
    if (own === null) continue;
    authenticators.set(name, `auth:${name}`);
    upstreams.push(implicitPlan(`auth:${name}`, own));
  }
  const alike = new Map<string, string>();
  for (const { name, policies } of routes) {
    const service = serviceOf(policies.find((policy) => policy.name === FORWARD_AUTH)?.config);
    const own = service?.own ?? null;
    if (own === null) continue;
    const key = JSON.stringify(service);
    const known = alike.get(key);
    ofRoutes.set(name, known ?? `forwardAuth:${name}`);
    if (known !== undefined) continue;
    alike.set(key, `forwardAuth:${name}`);
    upstreams.push(implicitPlan(`forwardAuth:${name}`, own));
  }
  const ofAuthenticators = new Map(auth.map(({ name, config }) => [name, authenticators.get(name) ?? serviceOf(config)?.upstream]));
  const of = (route: string, names: readonly string[]): readonly string[] =>
    [ofRoutes.get(route), ...names.map((name) => ofAuthenticators.get(name))].filter((each) => each !== undefined);
  return { upstreams, authenticators, routes: ofRoutes, of };
}

/** Everybody that calls a service whether a request may pass, as metrics name it. */
export function decisionNames({ auth, routes }: ServiceUser): readonly string[] {
  return [
    ...auth.filter(({ kind }) => kind === "forwardAuth").map(({ name }) => `auth:${name}`),
    ...routes.filter(({ policies }) => policies.some(({ name }) => name === FORWARD_AUTH)).map(({ name }) => `forwardAuth:${name}`),
  ];
}

/** The configuration with the name of the upstream in it; as it is where it has one. */
export function withUpstream(config: unknown, upstream: string | undefined): unknown {
  const service = serviceOf(config);
  if (service === null || upstream === undefined) return config;
  const named: ServiceRef = { ...service, upstream };
  return { ...(config as object), service: named }; // it has a service, so it is one
}

function implicitPlan(name: string, own: ImplicitUpstream): ImplicitUpstreamPlan {
  const { target, ca, timeoutMs, connections, failures, openForMs, failureStatuses } = own;
  const timeouts: TimeoutsPlan = {
    connectMs: Math.min(CONNECT_MS_MAX, timeoutMs),
    attemptMs: timeoutMs,
    idleMs: timeoutMs,
    totalMs: timeoutMs,
  };
  return {
    name,
    targets: [{ url: target, weight: 1 }],
    balance: "least-request",
    hashOn: { kind: "ip" },
    hashLoadFactor: null,
    sticky: null,
    overload: null, // who is called about requests is called for those that have a place
    slowStartMs: 0,
    protocol: "http1",
    pool: {
      client: "http1",
      connections: connections ?? CONNECTIONS,
      pipelining: 1,
      streams: STREAMS,
      pingMs: 0,
      keepAliveMs: KEEP_ALIVE_MS,
      queue: connections ?? QUEUE,
    },
    timeouts,
    // A subrequest changes nothing, so a connection that the service closed meanwhile is no reason to fail.
    retry: { attempts: 1, on: ["reset"], statuses: [], backoffBaseMs: 0, backoffMaxMs: 0, budget: 1, nonIdempotent: true, bufferBytes: 0 },
    health: { active: null, passive: { consecutiveFailures: failures, ejectForMs: openForMs, maxEjected: 0.5 } },
    tls: ca === null ? null : { ca, cert: null, key: null, serverName: null, verify: true, rules: null },
    deadlineHeader: null,
    insecure: [],
    host: "target",
    connectMaxMs: timeouts.connectMs,
    breaker: {
      scope: "upstream",
      // By a share of failures strangers could open it: they choose what the service receives.
      errorRate: 1,
      minimumRequests: failures,
      consecutiveFailures: failures,
      windowMs: WINDOW_MS,
      slowCallMs: 0,
      slowCallRate: 0,
      openForMs,
      maxOpenForMs: openForMs,
      halfOpenRequests: 1,
      trialTimeoutMs: TRIAL_MS,
      recoveryMs: 0,
      failures: { statuses: failureStatuses, conditions: ["connect-failure", "reset", "timeout", "invalid"] },
      fallback: null,
    },
  };
}
