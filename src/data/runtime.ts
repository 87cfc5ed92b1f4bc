// Types of a plan brought to life in one worker: routes with their policies, upstreams with their pools.
// Built by build-runtime.ts when a plan arrives; immutable afterwards; an exchange keeps the one it started with.
import type { Plan, RoutePlan } from "../plan/plan.ts";
import type { ClientInfo, Exchange } from "./exchange.ts";
import type { Policy } from "./policy.ts";
import type { Router } from "./route/router.ts";
import type { Upstream } from "./upstream/upstream.ts";

export interface Route {
  /** Index in {@link Plan.routes}. */
  readonly id: number;
  readonly plan: RoutePlan;
  readonly name: string;
  readonly metricSlot: number;
  readonly paramNames: readonly string[];
  /** One array per phase, holding only the policies that implement it; null when there are none. */
  readonly onRequest: readonly Policy[] | null;
  readonly onUpstreamRequest: readonly Policy[] | null;
  readonly onResponse: readonly Policy[] | null;
  readonly onFinish: readonly Policy[] | null;
}

export interface Runtime {
  readonly plan: Plan;
  readonly router: Router;
  readonly routes: readonly Route[];
  readonly upstreams: readonly Upstream[];
  /** Exchanges that began under this runtime and are not finished. */
  inFlight: number;
  /** Computes {@link Exchange.clientInfo}. */
  resolveClient(x: Exchange): ClientInfo;
}
