// Owns the primary's side of the table of limits: what the reconciliation with Redis takes and brings (FleetLedger), and the sweep.
// Must never decide about a request, and never be used by two threads.
import { monotonicMs } from "../base/clock.ts";
import type { FleetLedger, LedgerEntry } from "./fleet-ledger.ts";
import {
  BACKLOG_TICKS_MAX,
  GENERATION_SHIFT,
  HEAD,
  HEADER_WORDS64,
  KIND_CONCURRENCY,
  KIND_FREE,
  KIND_QUOTA,
  KIND_RATE,
  KIND_SHIFT,
  SLOT_WORDS64,
  TAG_MASK,
  TICKS_MODULO,
  TICKS_PER_MS,
  VALUE_MASK,
  WAYS,
} from "./limit-layout.ts";
import { backlogOf } from "./limit-slots.ts";
import { LimitTable } from "./limit-table.ts";

/** Slots looked at in one step of the sweep: well under a millisecond. */
const SWEEP_SLOTS = 16_384;

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** How full the table is. `inUse` and `active` are from the last whole sweep. */
export interface LimitFill {
  readonly slots: number;
  readonly bytes: number;
  /** Slots that belong to a key. */
  readonly inUse: number;
  /** Those of them that are not idle: nobody else can have these. */
  readonly active: number;
  /** Decisions that found no slot and shared a bucket of the overflow area, since start. */
  readonly fullEvents: number;
  /** Requests refused because not even that had a slot, since start. */
  readonly refusedEvents: number;
}

export class LimitTablePrimary extends LimitTable implements FleetLedger {
  readonly #entry: Writable<LedgerEntry> = {
    slot: 0,
    tagHigh: 0,
    tagLow: 0,
    kind: "rate",
    mode: "fleet",
    spent: 0,
    capacity: 0,
    unit: 1,
    level: 0,
    wanted: 0,
    period: 0,
    periodEndMs: 0,
  };
  /** Where the next take() and the next sweep() go on. */
  #dirtyAt = 0;
  #sweepAt = 0;
  #inUse = 0;
  #active = 0;

  take(entriesMax: number, visit: (entry: LedgerEntry) => void): boolean {
    this.#readClock();
    const words = Math.ceil(this.#all / 32);
    let left = entriesMax;
    for (let looked = 0; looked < words; looked++) {
      const index = (this.#dirtyAt + looked) % words;
      for (let bits = this.fleet.dirtyWord(index); bits !== 0; bits &= bits - 1) {
        if (left-- <= 0) {
          this.#dirtyAt = index;
          return true;
        }
        const slot = index * 32 + (31 - Math.clz32(bits & -bits));
        this.fleet.clearDirty(slot);
        if (this.#fill(slot)) visit(this.#entry);
      }
    }
    this.#dirtyAt = 0;
    return false;
  }

  raiseBacklog(slot: number, tagHigh: number, tagLow: number, backlogMs: number): void {
    this.#readClock();
    const backlog = Math.min(BACKLOG_TICKS_MAX, Math.round(backlogMs * TICKS_PER_MS));
    while (this.#isTag(slot, tagHigh, tagLow) && this.#kind === KIND_RATE) {
      if (backlogOf(this.cell, this.nowTicks) >= backlog) return;
      const at = this.nowTicks + backlog;
      const ticks = at >= TICKS_MODULO ? at - TICKS_MODULO : at;
      this.cell[2] = ticks | 0;
      this.cell[3] = (this.cell[1]! & ~VALUE_MASK) | Math.floor(ticks / 4294967296);
      if (this.swap(this.#stateWord(slot))) return;
    }
  }

  raiseUsed(slot: number, tagHigh: number, tagLow: number, period: number, used: number): void {
    const level = Math.min(2 ** 32 - 1, Math.round(used));
    while (this.#isTag(slot, tagHigh, tagLow) && this.#kind === KIND_QUOTA && this.fleet.periodStartS(slot) === period) {
      if (!this.fleet.isStrict(slot) && !this.fleet.isKnown(slot)) this.fleet.setKnown(slot);
      if (this.cell[0]! >>> 0 >= level) return;
      this.cell[2] = level | 0;
      this.cell[3] = this.cell[1]!;
      if (this.swap(this.#stateWord(slot))) return;
    }
  }

  grant(slot: number, tagHigh: number, tagLow: number, amount: number, expiresInMs: number): void {
    if (!this.#isTag(slot, tagHigh, tagLow)) return;
    const nowMs = monotonicMs();
    this.fleet.grant(slot, this.#kind === KIND_RATE ? amount * TICKS_PER_MS : amount, nowMs + expiresInMs, nowMs);
  }

  setFleet(state: { readonly connected: boolean; readonly size: number; readonly syncIntervalMs: number }): void {
    this.words[HEAD.fleetSize] = state.size;
    this.words[HEAD.syncMs] = state.syncIntervalMs;
    Atomics.store(this.words, HEAD.connected, state.connected ? 1 : 0);
    Atomics.add(this.words, HEAD.fleetChanges, 1);
  }

  /** Moves whenever a strict limit asks for a grant: `Atomics.waitAsync` on it wakes the reconciliation at once. */
  get wantedCell(): { readonly words: Int32Array; readonly index: number } {
    return { words: this.words, index: HEAD.wanted };
  }

  /**
   * One step of the sweep: frees idle slots, so that arrival times long past never come round again, and counts.
   * Call it often enough for a whole round within some minutes.
   * @returns true when it finished a round
   */
  sweep(): boolean {
    this.#readClock();
    const end = Math.min(this.#all, this.#sweepAt + SWEEP_SLOTS);
    for (let slot = this.#sweepAt; slot < end; slot++) {
      const high = this.words[this.#stateWord(slot) * 2 + 1]!;
      if (((high >>> KIND_SHIFT) & 3) === KIND_FREE || this.freeIfIdle(slot)) continue;
      this.#inUse++;
      this.read(this.#stateWord(slot));
      if (!this.isIdle()) this.#active++;
    }
    this.#sweepAt = end;
    if (end < this.#all) return false;
    this.words[HEAD.inUse] = this.#inUse;
    this.words[HEAD.active] = this.#active;
    this.#sweepAt = this.#inUse = this.#active = 0;
    return true;
  }

  /** Steps that make a whole round. */
  get sweepSteps(): number {
    return Math.ceil(this.#all / SWEEP_SLOTS);
  }

  get fill(): LimitFill {
    return {
      slots: this.layout.slots,
      bytes: this.layout.bytes,
      inUse: this.words[HEAD.inUse]!,
      active: this.words[HEAD.active]!,
      fullEvents: this.fullEvents,
      refusedEvents: this.refusedEvents,
    };
  }

  /** Fills the entry. @returns whether there is something to tell or to want */
  #fill(slot: number): boolean {
    const entry = this.#entry;
    this.read(this.#stateWord(slot) - 1);
    const identityHigh = this.cell[1]!;
    entry.tagHigh = this.cell[0]! >>> 0;
    entry.tagLow = (((identityHigh & TAG_MASK) << 8) | (Math.floor((slot % this.layout.slots) / WAYS) & 0xff)) >>> 0;
    this.read(this.#stateWord(slot));
    const high = this.cell[1]!;
    const kind = (high >>> KIND_SHIFT) & 3;
    if (high >>> GENERATION_SHIFT !== identityHigh >>> 24 || kind === KIND_FREE || kind === KIND_CONCURRENCY) return false;
    const timed = kind === KIND_RATE;
    const perUnit = timed ? TICKS_PER_MS : 1;
    const level = timed ? monotonicMs() + backlogOf(this.cell, this.nowTicks) / TICKS_PER_MS : this.cell[0]! >>> 0;
    entry.slot = slot;
    entry.kind = timed ? "rate" : "quota";
    entry.mode = this.fleet.isStrict(slot) ? "strict" : "fleet";
    entry.spent = this.fleet.takeUnsent(slot) / perUnit;
    entry.capacity = this.fleet.capacity(slot) / perUnit;
    entry.unit = this.fleet.unit(slot) / perUnit;
    entry.level = level;
    entry.wanted = this.fleet.takeWanted(slot) / perUnit;
    entry.period = timed ? 0 : this.fleet.periodStartS(slot);
    entry.periodEndMs = timed ? 0 : this.fleet.periodEndMs(slot);
    return entry.spent > 0 || entry.wanted > 0;
  }

  /** Reads the state of the slot into cell word 0. @returns whether it is live and of this tag */
  #isTag(slot: number, tagHigh: number, tagLow: number): boolean {
    const at = (this.#stateWord(slot) - 1) * 2;
    this.read(this.#stateWord(slot));
    const identityHigh = this.words[at + 1]!;
    return (
      this.words[at] === (tagHigh | 0) &&
      (identityHigh & TAG_MASK) === tagLow >>> 8 &&
      this.cell[1]! >>> GENERATION_SHIFT === identityHigh >>> 24 &&
      this.#kind !== KIND_FREE
    );
  }

  /** Kind of the state that was read last. */
  get #kind(): number {
    return (this.cell[1]! >>> KIND_SHIFT) & 3;
  }

  get #all(): number {
    return this.layout.slots + this.layout.overflow;
  }

  #stateWord(slot: number): number {
    return HEADER_WORDS64 + slot * SLOT_WORDS64 + 1;
  }

  #readClock(): void {
    this.setNow(monotonicMs(), Date.now());
  }
}
