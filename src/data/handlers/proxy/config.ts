// Owns what the handler `proxy` is configured with: the route keys `to`, `weighted`, `mirror` and `webSocket`, compiled.

import type { CacheSettings } from "../../../plan/cache-plan.ts";
import type { FeaturePlan, HashOn, WeightedUpstream } from "../../../plan/plan.ts";

/** What callers are told apart by. */
export type StickyBy = { readonly kind: "consumer" } | Extract<HashOn, { readonly kind: "ip" | "header" | "cookie" }>;

export interface ProxyConfig {
  /** Not empty; weights above 0. */
  readonly to: readonly WeightedUpstream[];
  /** By what a caller stays with the upstream that it was given; null: every request is given one by chance. */
  readonly stickyBy: StickySplitConfig | null;
  readonly mirror: MirrorConfig | null;
  /** null: nothing is stored. */
  readonly cache: CacheSettings | null;
  /** Allow protocol upgrades to WebSocket. */
  readonly webSocket: boolean;
  /** A WebSocket ends (1008) when the credential ends that opened it. */
  readonly webSocketClosesAtExpiry: boolean;
}

export interface StickySplitConfig {
  readonly on: StickyBy;
  /** Of the upstreams of `to`, in its order: what a caller's place is counted by, so that it outlives changes of the others. */
  readonly names: readonly string[];
}

export interface MirrorConfig {
  /** Index into the plan's upstreams. */
  readonly upstream: number;
  /** Share of the requests, 0 to 1. */
  readonly fraction: number;
}

/** @param handler of a route's plan. @returns null when the route is answered otherwise */
export const proxyOf = (handler: FeaturePlan): ProxyConfig | null => (handler.name === "proxy" ? (handler.config as ProxyConfig) : null); // compiled by compile.ts
