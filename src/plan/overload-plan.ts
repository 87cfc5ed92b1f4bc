// What the plan says of overload: how an upstream's in-flight limit moves, who waits in front of it, and whose requests come first.

/** From the one that is refused last. `background`: mirrors and refreshes of what is cached, whatever their route has. */
export const PRIORITIES = ["critical", "high", "normal", "low", "background"] as const;
export type Priority = (typeof PRIORITIES)[number];
export const NORMAL = PRIORITIES.indexOf("normal");
export const BACKGROUND = PRIORITIES.indexOf("background");

/** What requests of one flow have in common. `consumer`: else the address. */
export type FairBy = "consumer" | "address" | "route" | "none" | { readonly header: string };

/** What a tier has of an upstream under load. */
export interface TierShare {
  readonly weight: number;
  /** Index of PRIORITIES; null: the route's, or normal. */
  readonly priority: number | null;
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
