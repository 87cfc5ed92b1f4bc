// Owns the fleet records of the table of limits: what a bucket spent and was not reported to Redis, what Redis granted, what is requested of it.
// Must never decide whether a request passes: limit-table.ts does, with what stands here.
import { FLEET_WORDS64, HEAD, KIND_QUOTA, type LimitLayout } from "./limit-layout.ts";
import { type LimitAsk, MODE_STRICT } from "./limit-size.ts";

/*
 * A fleet record, 8 words of 64 bits (one cache line). Amounts are in the bucket's own measure: ticks (`rate`) or units (`quota`).
 *   0 UNSENT     spent and not reported, int64. Below 0 after something reported was released: later spending is reported that much less.   writers: all (compare-and-swap, atomic add); taken by the primary (exchange)
 *   1 GRANT      strict: what may still be spent, int64                        writers: all (compare-and-swap), primary (adds)
 *                fleet: 1 once Redis has answered for this bucket, else 0     writer: primary
 *   2 EXPIRES    strict: float64, monotonicMs() at which GRANT is void; fleet: always 0      writer: primary, before it adds
 *   3 WANTED     float64, strict: what is wanted in advance; fleet: not 0 when a request waits for a share    writers: all; primary (back to 0)
 *   4 CAPACITY, 5 UNIT   float64, of the limit                                 writers: all, equal values for one bucket
 *   6 PERIOD     lower half: the period's start in epoch seconds; MODE upper half    writers as 4
 *   7 PERIOD_END float64, epoch ms                                             writers as 4
 * A slot with something UNSENT, WANTED or granted is reserved: it is not taken from its tag even when it is idle. Words 4 to 7 are written before
 * the dirty bit is set (atomic or), and read after it was cleared (atomic and). A thread that ends between the bucket's compare-and-swap and
 * the one of UNSENT leaves one spending unreported (or reported and not spent): that much the fleet's count is off, once.
 */
const UNSENT = 0;
const GRANT = 1;
const EXPIRES = 2;
const WANTED = 3;
const CAPACITY = 4;
const UNIT = 5;
const PERIOD = 6;
const PERIOD_END = 7;

/** One thread's view of the records. */
export class FleetRecords {
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #bigs: BigInt64Array;
  readonly #first: number;
  readonly #dirty: number;

  constructor(buffer: SharedArrayBuffer, layout: LimitLayout) {
    this.#words = new Int32Array(buffer);
    this.#floats = new Float64Array(buffer);
    this.#bigs = new BigInt64Array(buffer);
    this.#first = layout.fleet;
    this.#dirty = layout.dirty;
  }

  /** Whether the record holds what must not be lost. Cheap for buckets that no fleet shares: all zero. */
  isReserved(slot: number, nowMs: number): boolean {
    const at = this.#at(slot);
    if (this.#bigs[at + UNSENT]! > 0n || this.#floats[at + WANTED] !== 0) return true;
    return this.#bigs[at + GRANT]! > 0n && this.#floats[at + EXPIRES]! > nowMs;
  }

  /** Whether {@link reserve} would let `amount` pass. */
  covers(slot: number, amount: number, allowance: number): boolean {
    const unreported = this.unsent(slot);
    return unreported === 0 || unreported + amount <= allowance;
  }

  /**
   * Notes that `amount` will be spent, if what is unreported then stays within `allowance`; the first unreported amount always may.
   * @returns false when it must wait for the next reconciliation
   */
  reserve(slot: number, ask: LimitAsk, amount: number, allowance: number): boolean {
    const word = this.#at(slot) + UNSENT;
    for (;;) {
      const before = Atomics.load(this.#bigs, word);
      const unreported = Number(before);
      if (unreported > 0 && unreported + amount > allowance) return false;
      if (Atomics.compareExchange(this.#bigs, word, before, before + BigInt(amount)) !== before) continue;
      if (unreported <= 0) this.#describe(slot, ask);
      return true;
    }
  }

  /** Adds to what is unreported, whatever it is; negative takes back. */
  add(slot: number, ask: LimitAsk, amount: number): void {
    const before = Atomics.add(this.#bigs, this.#at(slot) + UNSENT, BigInt(amount));
    if (before <= 0n && amount > 0) this.#describe(slot, ask);
  }

  /** What is unreported, at least 0. */
  unsent(slot: number): number {
    return Math.max(0, Number(Atomics.load(this.#bigs, this.#at(slot) + UNSENT)));
  }

  /** The primary takes what is unreported. */
  takeUnsent(slot: number): number {
    const word = this.#at(slot) + UNSENT;
    for (;;) {
      const before = Atomics.load(this.#bigs, word);
      if (before <= 0n) return 0;
      if (Atomics.compareExchange(this.#bigs, word, before, 0n) === before) return Number(before);
    }
  }

  /** Takes `amount` from the grant. @returns false when there is not so much */
  spendGrant(slot: number, amount: number, nowMs: number): boolean {
    const at = this.#at(slot);
    for (;;) {
      const before = Atomics.load(this.#bigs, at + GRANT);
      if (Number(before) < amount || this.#floats[at + EXPIRES]! <= nowMs) return false;
      if (Atomics.compareExchange(this.#bigs, at + GRANT, before, before - BigInt(amount)) === before) return true;
    }
  }

  /** What of the grant may still be spent. */
  granted(slot: number, nowMs: number): number {
    const at = this.#at(slot);
    return this.#floats[at + EXPIRES]! <= nowMs ? 0 : Math.max(0, Number(Atomics.load(this.#bigs, at + GRANT)));
  }

  /**
   * Strict: the request did not pass after all. What was reported stays spent: Redis counts it from then on, and to spend it once more, later, would
   * not be reported.
   */
  releaseGrant(slot: number, amount: number): void {
    const at = this.#at(slot);
    for (;;) {
      const before = Atomics.load(this.#bigs, at + UNSENT);
      if (Number(before) < amount) return;
      if (Atomics.compareExchange(this.#bigs, at + UNSENT, before, before - BigInt(amount)) === before) break;
    }
    Atomics.add(this.#bigs, at + GRANT, BigInt(amount));
  }

  /** Notes what was spent without asking. Of a strict bucket it goes from the grant, as far as there is one: what is reported counts against it. */
  charge(slot: number, ask: LimitAsk, amount: number): void {
    const word = this.#at(slot) + GRANT;
    for (let open = ask.size.mode === MODE_STRICT; open; ) {
      const before = Atomics.load(this.#bigs, word);
      const left = BigInt(Math.max(0, Number(before) - amount));
      open = before > 0n && Atomics.compareExchange(this.#bigs, word, before, left) !== before;
    }
    this.add(slot, ask, amount);
  }

  /** Asks for a grant, or to be told what the fleet has left. Wakes whoever waits for it (see HEAD.wanted); once until the primary takes it. */
  want(slot: number, ask: LimitAsk, amount: number): void {
    const at = this.#at(slot);
    if (this.#floats[at + WANTED]! >= amount) return;
    this.#floats[at + WANTED] = amount;
    this.#describe(slot, ask);
    Atomics.add(this.#words, HEAD.wanted, 1);
    Atomics.notify(this.#words, HEAD.wanted);
  }

  // --- Primary ---

  takeWanted(slot: number): number {
    const word = this.#at(slot) + WANTED;
    const wanted = this.#floats[word]!;
    this.#floats[word] = 0;
    return wanted;
  }

  grant(slot: number, amount: number, untilMs: number, nowMs: number): void {
    const at = this.#at(slot);
    if (this.#floats[at + EXPIRES]! <= nowMs) Atomics.exchange(this.#bigs, at + GRANT, 0n);
    this.#floats[at + EXPIRES] = untilMs;
    Atomics.add(this.#bigs, at + GRANT, BigInt(Math.floor(amount)));
  }

  /** Fleet: Redis has answered for this bucket, so its level is what the fleet knew a moment ago. */
  setKnown(slot: number): void {
    Atomics.store(this.#words, (this.#at(slot) + GRANT) * 2, 1);
  }

  isKnown(slot: number): boolean {
    return this.#words[(this.#at(slot) + GRANT) * 2] !== 0;
  }

  capacity(slot: number): number {
    return this.#floats[this.#at(slot) + CAPACITY]!;
  }
  unit(slot: number): number {
    return this.#floats[this.#at(slot) + UNIT]!;
  }
  isStrict(slot: number): boolean {
    return this.#words[(this.#at(slot) + PERIOD) * 2 + 1] === MODE_STRICT;
  }
  periodStartS(slot: number): number {
    return this.#words[(this.#at(slot) + PERIOD) * 2]! >>> 0;
  }
  periodEndMs(slot: number): number {
    return this.#floats[this.#at(slot) + PERIOD_END]!;
  }

  /** Forgets what a bucket that is gone left behind. */
  clear(slot: number): void {
    const at = this.#at(slot);
    Atomics.store(this.#bigs, at + UNSENT, 0n);
    Atomics.store(this.#bigs, at + GRANT, 0n);
    this.#floats[at + WANTED] = 0;
  }

  #markDirty(slot: number): void {
    Atomics.or(this.#words, this.#dirty + (slot >> 5), 1 << (slot & 31));
  }

  /** 32 slots' bits. */
  dirtyWord(index: number): number {
    return this.#words[this.#dirty + index]!;
  }

  clearDirty(slot: number): void {
    Atomics.and(this.#words, this.#dirty + (slot >> 5), ~(1 << (slot & 31)));
  }

  #describe(slot: number, { size, periodStartS, periodEndMs }: LimitAsk): void {
    const at = this.#at(slot);
    const quota = size.kind === KIND_QUOTA;
    this.#floats[at + CAPACITY] = size.capacity * size.unit;
    this.#floats[at + UNIT] = size.unit;
    this.#words[(at + PERIOD) * 2] = quota ? periodStartS : 0;
    this.#words[(at + PERIOD) * 2 + 1] = size.mode;
    this.#floats[at + PERIOD_END] = quota ? periodEndMs : 0;
    this.#markDirty(slot);
  }

  #at(slot: number): number {
    return this.#first + slot * FLEET_WORDS64;
  }
}
