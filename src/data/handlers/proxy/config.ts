// Owns what the handler `proxy` is configured with: the route keys `to`, `weighted`, `mirror` and `webSocket`, compiled.
import type { FeaturePlan, WeightedUpstream } from "../../../plan/plan.ts";

export interface ProxyConfig {
  /** Not empty; weights above 0. */
  readonly to: readonly WeightedUpstream[];
  readonly mirror: MirrorConfig | null;
  /** Allow protocol upgrades to WebSocket. */
  readonly webSocket: boolean;
  /** A WebSocket ends (1008) when the credential ends that opened it. */
  readonly webSocketClosesAtExpiry: boolean;
}

export interface MirrorConfig {
  /** Index into the plan's upstreams. */
  readonly upstream: number;
  /** Share of the requests, 0 to 1. */
  readonly fraction: number;
}

/** @param handler of a route's plan. @returns null when the route is answered otherwise */
export const proxyOf = (handler: FeaturePlan): ProxyConfig | null => (handler.name === "proxy" ? (handler.config as ProxyConfig) : null); // compiled by compile.ts
