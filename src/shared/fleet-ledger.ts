// Owns the contract between the table of limits (shared/limit-table.ts, all threads) and the reconciliation with Redis (control/fleet,
// primary only): what was spent here and not reported yet, what the fleet has spent. Types only.

/** One bucket of a limit that the fleet shares, as the reconciliation sees it. */
export interface LedgerEntry {
  /** Place in the table. Valid only together with the tag: the slot may be given to another bucket meanwhile. */
  readonly slot: number;
  /** Keyed hash of (limit, key), 64 bits as two unsigned halves: equal in all instances of the fleet. */
  readonly tagHigh: number;
  readonly tagLow: number;
  /** `rate`: a GCRA bucket. `quota`: a counter for one period. */
  readonly kind: "rate" | "quota";
  /** How the fleet shares it. */
  readonly mode: "fleet" | "strict";
  /** Spent here since the last take: `rate` in milliseconds of the bucket's time (cost times emission interval), `quota` in units. */
  readonly spent: number;
  /** `rate`: burst tolerance in ms (burst times emission interval). `quota`: units in the period. */
  readonly capacity: number;
  /** One unit of the limit, in the same measure as `spent`: `rate` the emission interval in ms, `quota` 1. What is granted is a multiple of it. */
  readonly unit: number;
  /**
   * What this instance believes, `spent` included: `rate` the theoretical arrival time on monotonicMs(), `quota` the units used in the period.
   * A Redis that lost its memory learns from it what was spent before.
   */
  readonly level: number;
  /** `strict`: more that is wanted in advance, in the same unit as `spent`; 0 for none. */
  readonly wanted: number;
  /** `quota`: number of the period (its start in epoch seconds) and its end in epoch ms; 0 for `rate`. */
  readonly period: number;
  readonly periodEndMs: number;
}

/** What the table offers to the reconciliation. All calls are from the primary's thread; other threads go on deciding meanwhile. */
export interface FleetLedger {
  /**
   * Hands out what is unsent or wanted and marks it as sent, at most `entriesMax` entries; fair over calls. The entry object is reused between calls of visit.
   * @returns whether more is waiting
   */
  take(entriesMax: number, visit: (entry: LedgerEntry) => void): boolean;
  /** The fleet's backlog of a `rate` bucket, our own spending included: raises the bucket's theoretical arrival time to now + backlogMs, never lowers it. */
  raiseBacklog(slot: number, tagHigh: number, tagLow: number, backlogMs: number): void;
  /** The fleet's use of a `quota` bucket in a period, our own included: raises the counter, never lowers it. */
  raiseUsed(slot: number, tagHigh: number, tagLow: number, period: number, used: number): void;
  /** `strict`: the fleet lets us spend this much, until expiresInMs from now. */
  grant(slot: number, tagHigh: number, tagLow: number, amount: number, expiresInMs: number): void;
  /**
   * How the instance stands in the fleet. While connected, a `fleet` bucket spends at most its unconfirmed allowance between two takes;
   * while not, it goes on with its share (rate and burst over size) and `strict` buckets have only their grants.
   * @param syncIntervalMs what the unconfirmed allowance is computed from: max(1, ceil(burst / size), ceil(rate x interval))
   */
  setFleet(state: { readonly connected: boolean; readonly size: number; readonly syncIntervalMs: number }): void;
}
