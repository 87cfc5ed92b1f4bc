// Owns what this instance holds of strict buckets: granted, not reported as spent, not ended. Primary only. Must never report less than may still
// be spent here: Redis counts on it.
import type { LedgerEntry } from "../../shared/fleet-ledger.ts";

/** How long a lease lasts, ms: long enough for a slow sync, short enough to be given to others soon. */
export const LEASE_MS = 1000;
/** How long after its end Redis waits for a lease to be settled before it counts as spent, ms. */
export const LEASE_GRACE_MS = 1000;
/** After its end, spending that a worker had begun may still be reported, ms. */
const SETTLE_MS = 200;
/** The table takes a lease for ended up to this much later (ms) than this book: until then a new one may have prolonged it. */
const EDGE_MS = 5;
/** Buckets with a lease; beyond it nothing more is asked for. */
export const LEASES_MAX = 65_536;
/** Part of what was used in a lease's time that is asked for in advance. */
const PREFETCH_PART = 0.5;

/** What names a bucket for good. */
export type BucketName = Pick<LedgerEntry, "slot" | "tagHigh" | "tagLow" | "kind" | "period" | "periodEndMs" | "capacity" | "unit">;

interface Lease {
  readonly name: BucketName;
  /** May still be spent, in the bucket's measure. */
  held: number;
  /** monotonicMs() at which the table lets none of it be spent any more. */
  endsMs: number;
  /** Of an earlier lease: ended, and perhaps not reported in full. */
  stale: number;
  staleUntilMs: number;
  /** Spent in the running lease's time and the one before: what tells how much to ask for. */
  used: number;
  usedBefore: number;
  usedSinceMs: number;
  /** Redis may hold a lease in our name. */
  recorded: boolean;
}

export class LeaseBook {
  readonly #leases = new Map<number, Lease>();

  get size(): number {
    return this.#leases.size;
  }

  /** Spending was reported. @returns what the instance holds now, in the bucket's measure, and units to ask for */
  reported(entry: LedgerEntry, nowMs: number): { readonly held: number; readonly wanted: number } {
    const lease = this.#leaseOf(entry, nowMs);
    if (lease === null) return { held: 0, wanted: 0 };
    if (nowMs - lease.usedSinceMs >= LEASE_MS) {
      lease.usedBefore = nowMs - lease.usedSinceMs < 2 * LEASE_MS ? lease.used : 0;
      lease.used = 0;
      lease.usedSinceMs = nowMs;
    }
    lease.used += entry.spent;
    // What ended goes first: then what is said to be held is never less than what is.
    const late = lease.staleUntilMs > nowMs ? Math.min(lease.stale, entry.spent) : 0;
    lease.stale -= late;
    lease.held = Math.max(0, lease.held - (entry.spent - late));
    const wanted = this.#amountToRequest(entry, lease);
    if (wanted > 0) lease.recorded = true;
    return { held: heldBy(lease, nowMs), wanted };
  }

  /** Somebody waits: all that is wanted. In advance: no more than recent use speaks for, so that rarely used leases do not keep others out. */
  #amountToRequest({ wanted, spent, unit }: LedgerEntry, lease: Lease): number {
    if (wanted <= 0) return 0;
    const units = Math.ceil(wanted / unit - 1e-6);
    if (spent === 0) return units;
    return Math.min(units, Math.floor((Math.max(lease.used, lease.usedBefore) * PREFETCH_PART) / unit));
  }

  /** Redis granted. @param endsMs monotonicMs() @returns false when nobody asked any more: it must not be used */
  granted(name: BucketName, amount: number, times: { readonly nowMs: number; readonly endsMs: number }): boolean {
    const lease = this.#leases.get(name.slot);
    if (lease === undefined || !isSame(lease.name, name)) return false;
    if (lease.endsMs + EDGE_MS <= times.nowMs) retire(lease);
    lease.held += amount;
    lease.endsMs = times.endsMs;
    lease.recorded = true;
    return true;
  }

  /** Visits leases that ended long enough ago: they are to be given back. Forgets those that nobody uses. */
  takeEnded(nowMs: number, visit: (name: BucketName) => void): void {
    for (const [slot, lease] of this.#leases) {
      if (lease.endsMs + SETTLE_MS > nowMs) continue;
      lease.held = 0;
      if (lease.recorded) visit(lease.name);
      lease.recorded = false;
      if (nowMs - lease.usedSinceMs > 2 * LEASE_MS) this.#leases.delete(slot);
    }
  }

  /** No worker spends any more: everything is to be given back. */
  endAll(nowMs: number): void {
    for (const lease of this.#leases.values()) lease.endsMs = Math.min(lease.endsMs, nowMs - SETTLE_MS);
  }

  /** null: the book is full. */
  #leaseOf(entry: LedgerEntry, nowMs: number): Lease | null {
    const known = this.#leases.get(entry.slot);
    if (known !== undefined && isSame(known.name, entry)) return known;
    if (known === undefined && this.#leases.size >= LEASES_MAX) return null;
    const { slot, tagHigh, tagLow, kind, period, periodEndMs, capacity, unit } = entry;
    const lease: Lease = {
      name: { slot, tagHigh, tagLow, kind, period, periodEndMs, capacity, unit },
      held: 0,
      endsMs: nowMs,
      stale: 0,
      staleUntilMs: 0,
      used: 0,
      usedBefore: 0,
      usedSinceMs: nowMs,
      recorded: false,
    };
    this.#leases.set(slot, lease);
    return lease;
  }
}

function retire(lease: Lease): void {
  lease.stale = (lease.staleUntilMs > lease.endsMs ? lease.stale : 0) + lease.held;
  lease.staleUntilMs = lease.endsMs + SETTLE_MS;
  lease.held = 0;
}

const heldBy = (lease: Lease, nowMs: number): number => lease.held + (lease.staleUntilMs > nowMs ? lease.stale : 0);

const isSame = (a: BucketName, b: BucketName): boolean => a.tagHigh === b.tagHigh && a.tagLow === b.tagLow && a.period === b.period;
