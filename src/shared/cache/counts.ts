// What the response store counts of itself, as metrics and the admin listener show it. Types only.
import type { AccountCounts } from "./accounts.ts";

export interface StoreCounts {
  readonly objects: number;
  /** Of all objects that can be found, heads and keys included. */
  readonly bytes: number;
  readonly capacityBytes: number;
  readonly stored: number;
  readonly evicted: number;
  readonly promoted: number;
  readonly ghostHits: number;
  readonly removed: number;
  readonly emptied: number;
  /** Objects that are being sent or stored now, each as often as that. */
  readonly pinned: number;
}

/** With what routes of the plan in force have of it. */
export interface StoreState extends StoreCounts {
  readonly routes: readonly RouteStoreCounts[];
}

export interface RouteStoreCounts extends AccountCounts {
  readonly route: string;
}
