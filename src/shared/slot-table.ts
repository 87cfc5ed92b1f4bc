// Owns, in the primary, which endpoint has which slot of the target-health table. Must never move a slot while anybody holds it.
import type { TargetHealth } from "./target-health.ts";

/** A slot held for an endpoint. */
export interface HeldSlot {
  readonly slot: number;
  /** monotonicMs() when the endpoint was first seen without a break. */
  readonly sinceMs: number;
}

interface Entry {
  readonly slot: number;
  readonly sinceMs: number;
  holders: number;
}

/**
 * Key -> slot, counted by holders, so that a plan being prepared and the plan in force can hold the same slot, and a reload keeps it.
 * Slots never used come first and released ones are reused oldest first and only when nothing is in flight on them: a worker that has not
 * yet heard of a change, or a request that is still ending, then does not disturb another endpoint's state.
 */
export class SlotTable {
  readonly #health: TargetHealth;
  readonly #onReset: (slot: number) => void;
  readonly #entries = new Map<string, Entry>();
  /** Oldest first; at most the table's slots. */
  readonly #released: number[] = [];
  #unused = 0;

  /** @param onReset told when a slot begins anew with another endpoint: what else is kept by slot must be forgotten too */
  constructor(health: TargetHealth, onReset: (slot: number) => void = () => {}) {
    this.#health = health;
    this.#onReset = onReset;
  }

  /** Holds the slot of an endpoint, giving it one if it has none. Every acquire needs one release. @returns null when the table is full. */
  acquire(upstream: string, key: string, nowMs: number): HeldSlot | null {
    const id = slotId(upstream, key);
    const known = this.#entries.get(id);
    if (known !== undefined) {
      known.holders += 1;
      return known;
    }
    const slot = this.#takeFree();
    if (slot === -1) return null;
    this.#health.reset(slot);
    this.#onReset(slot);
    const entry: Entry = { slot, sinceMs: nowMs, holders: 1 };
    this.#entries.set(id, entry);
    return entry;
  }

  /** Gives back what acquire() gave. The slot is free when its last holder did. */
  release(upstream: string, key: string): void {
    const id = slotId(upstream, key);
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.holders -= 1;
    if (entry.holders > 0) return;
    this.#entries.delete(id);
    this.#released.push(entry.slot);
  }

  /** Slots that somebody had, ever. */
  *used(): Iterable<number> {
    for (let slot = 0; slot < this.#unused; slot++) yield slot;
  }

  /** Slots held now. */
  get size(): number {
    return this.#entries.size;
  }

  #takeFree(): number {
    if (this.#unused < this.#health.slots) return this.#unused++;
    const index = this.#released.findIndex((slot) => this.#health.inFlight(slot) === 0);
    return index === -1 ? -1 : (this.#released.splice(index, 1)[0] ?? -1);
  }
}

/** Names cannot hold a line feed, so the pair is unambiguous. */
const slotId = (upstream: string, key: string): string => `${upstream}\n${key}`;
