// The parts of the plan that are about stored responses: the instance's store, and what routes keep there. Types only.
import type { WarmPlan } from "./warm-plan.ts";

export interface CachePlan {
  /** Of the shared store, index included. */
  readonly memoryBytes: number;
  /** Of the largest body that is stored. */
  readonly maxObjectBytes: number;
  /** The token by which Cache-Status names this cache. */
  readonly name: string;
  /** null: nobody can pass by the store at will. */
  readonly debug: CacheDebug | null;
  /** null: nothing is asked for ahead of clients. */
  readonly warm: WarmPlan | null;
  readonly tier: TierPlan;
}

/** How routes use the fleet's Redis as a second tier. */
export interface TierPlan {
  /** Longest wait of a client for Redis. */
  readonly timeoutMs: number;
  /** Of the largest body that is written there. */
  readonly maxObjectBytes: number;
  /** Of what waits to be written, in one worker. */
  readonly queueBytes: number;
}

/** By what a request proves that it may pass by the store. Never sent to an upstream. */
export interface CacheDebug {
  /** Lowercase. */
  readonly header: string;
  readonly token: string;
}

/** Requests of a route that pass by its store: neither answered from there nor stored. Each by itself is enough. */
export interface BypassRule {
  /** That have one of these fields (lowercase), or cookies. */
  readonly headers: readonly string[];
  readonly cookies: readonly string[];
  /** For which this condition holds, or cannot be evaluated. */
  readonly when: string | null;
}

/** A route's `cache`. Times in seconds; -1 for not given. */
export interface CacheSettings {
  /** Of responses that say nothing of their lifetime themselves. */
  readonly ttl: number;
  /** The same for statuses of their own: `[[404, 10], ...]`. */
  readonly byStatus: readonly (readonly [number, number])[];
  readonly heuristic: boolean;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  /** Callers have entries of their own. */
  readonly perConsumer: boolean;
  readonly setCookie: "refuse" | "keep";
  /** Request fields, lowercase, and cookies that are part of the key, beside what Vary names. */
  readonly keyHeaders: readonly string[];
  readonly keyCookies: readonly string[];
  /** Cookies that are no part of the key do not keep the route from granting a lifetime. */
  readonly ignoresCookies: boolean;
  /** Which query parameters count; what does not count is not sent either. */
  readonly query: QueryKey;
  /** Clients' Cache-Control and Pragma are obeyed. */
  readonly clientControl: boolean;
  /** Response fields that name tags, lowercase. */
  readonly tagFields: readonly string[];
  /** A response that takes the place of a refusal of the gateway's own may be as old as this beyond its lifetime. */
  readonly staleIfOpen: number;
  /** Cache-Status on responses. */
  readonly showStatus: boolean;
  readonly bypass: BypassRule | null;
  /** Of the store's memory that its responses may have, above 0; 1 for all of it. */
  readonly maxShare: number;
  /** What is stored is shared with the fleet through Redis. */
  readonly redis: boolean;
}

/** `all`: as they come. `only` and `except`: sorted. */
export type QueryKey = { readonly kind: "all" } | { readonly kind: "only" | "except"; readonly names: readonly string[] };
