// What the plan says of overload: how an upstream's in-flight limit moves, who waits in front of it, and whose requests come first.

import { PRIORITIES } from "../base/priorities.ts";

export { PRIORITIES };
export const NORMAL = PRIORITIES.indexOf("normal");
export const RETRY = PRIORITIES.indexOf("retry");
export const BACKGROUND = PRIORITIES.indexOf("background");

/** A class in which somebody waits, or is refused, is served once in this time, ms, however much there is of higher ones. */
export const STARVATION_MS = 200;

/** When a worker itself has more to do than it can. null: whatever it is. */
export interface WorkerOverloadPlan {
  readonly mode: "on" | "shadow" | "off";
  /** How late its event loop may be. */
  readonly loopDelayMs: number | null;
  /** Requests under way. */
  readonly inFlight: number | null;
  /** A part of what V8 gives its heap, or bytes of heap and buffers together. */
  readonly memory: { readonly part: number } | { readonly bytes: number } | null;
  readonly tiers: Readonly<Record<string, TierShare>>;
}

/** What requests of one flow have in common. `consumer`: else the address. */
export type FairBy = "consumer" | "address" | "route" | "none" | { readonly header: string };

/** What a tier has of an upstream under load. */
export interface TierShare {
  readonly weight: number;
  /** Index of PRIORITIES; null: the route's, or normal. */
  readonly priority: number | null;
  /** Of the metric cells. */
  readonly metricSlot: number;
}

export interface OverloadPlan {
  /** Of shared/overload: the same as long as the upstream lives. */
  readonly slot: number;
  /** Nothing waits or is refused; what would be is counted. */
  readonly shadow: boolean;
  /** The limit never goes below or above, requests in flight of all workers. */
  readonly minimum: number;
  readonly maximum: number;
  /** Of each worker. */
  readonly queue: { readonly length: number; readonly bytes: number; readonly flows: number; readonly waitMs: number };
  readonly fairBy: FairBy;
  readonly tiers: Readonly<Record<string, TierShare>>;
}
