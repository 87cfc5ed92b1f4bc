// Owns the decisions of the table of limits: whether a request passes a bucket, a quota or a concurrency limit, and what it leaves there.
// Any thread, any number at once, no locks, nothing waits. Must never know whose limits they are.

import { FleetRecords } from "./limit-fleet.ts";
import {
  allocateLimits,
  BACKLOG_TICKS_MAX,
  GENERATION_SHIFT,
  HEAD,
  HEADER_WORDS64,
  KIND_CONCURRENCY,
  KIND_QUOTA,
  KIND_RATE,
  KIND_SHIFT,
  SLOT_WORDS64,
  TAG_MASK,
  TICKS_MODULO,
  VALUE_MASK,
} from "./limit-layout.ts";
import {
  type LimitAsk,
  type LimitSize,
  MODE_FLEET,
  MODE_LOCAL,
  MODE_STRICT,
  NO_GRANT,
  NO_ROOM,
  PASSED,
  REFUSED,
  type Verdict,
} from "./limit-size.ts";
import { backlogOf, LimitSlots, SLOT_FULL } from "./limit-slots.ts";

/** A counter is kept this much longer (hours) than its period: a thread may be a moment late. */
const QUOTA_SLACK_HOURS = 1;
const HOUR_MS = 3_600_000;
const USED_MAX = 2 ** 32 - 1;
/** What a strict limit is granted in advance, as a part of what the fleet shares out at once: half of one instance's share. */
const LEASE_SHARE = 2;

/*
 * Decisions on one bucket are linearizable: one that passes takes effect at its compare-and-swap of STATE, one that is refused at its load of
 * STATE, and both give what the sequential algorithm gives at that moment. Over several limits see spendAll().
 *
 * When all slots that a tag may live in are taken by others that are not idle, nobody's state is given up. The key then shares one bucket of
 * the overflow area, of the same size as its own would be, with a sixteenth of all keys of its limit that find no slot either: whoever sprays
 * keys gets sixteen buckets in all, however many keys he has. This is counted (HEAD.full). When even that area is full: NO_ROOM, counted
 * (HEAD.refused). A key that found no slot and later does begins with a fresh bucket.
 */
export class LimitTable extends LimitSlots {
  readonly fleet: FleetRecords;
  readonly #journal: number;
  #nowMs = 0;

  static readonly allocate = allocateLimits;

  constructor(buffer: SharedArrayBuffer, workerIndex = -1) {
    super(buffer, workerIndex);
    this.fleet = new FleetRecords(buffer, this.layout);
    const all = this.layout.slots + this.layout.overflow;
    this.#journal = this.layout.journal + Math.max(0, workerIndex) * all;
  }

  override setNow(monotonicMs: number, epochMs: number): void {
    super.setNow(monotonicMs, epochMs);
    this.#nowMs = monotonicMs;
  }

  /**
   * Asks whether all would pass, then spends all, or none. What was spent is given back when another thread took the last of a later limit in between:
   * only then, for some hundred nanoseconds, others may see it. That can refuse a request that a strict order would have let pass, never
   * the other way round.
   * @param end those from `start` on and before `end` are asked
   * @returns the index of the first that did not pass, its verdict in `asks[index].verdict`; -1 when all passed
   */
  spendAll(asks: readonly LimitAsk[], start: number, end: number): number {
    if (end - start > 1)
      for (let i = start; i < end; i++) {
        const ask = asks[i]!;
        if ((ask.verdict = this.peek(ask)) !== PASSED) return i;
      }
    for (let i = start; i < end; i++) {
      const ask = asks[i]!;
      ask.verdict = this.spend(ask);
      if (ask.verdict === PASSED) continue;
      for (let back = i - 1; back >= start; back--) this.refund(asks[back]!);
      return i;
    }
    return -1;
  }

  /** Whether it would pass now. Changes nothing, but a strict limit asks for a grant. */
  peek(ask: LimitAsk): Verdict {
    ask.taken = 0;
    if (!this.#locate(ask)) {
      ask.level = 0;
      if (this.#amount(ask) > this.#room(ask)) return REFUSED;
      return ask.size.mode === MODE_STRICT ? this.spend(ask, false) : PASSED;
    }
    if (!this.#readLive(ask)) return PASSED; // it just went: as good as fresh
    ask.level = this.#levelRead(ask.size);
    const amount = this.#amount(ask);
    if (ask.level + amount > this.#room(ask)) return REFUSED;
    if (ask.size.mode === MODE_STRICT) return this.#hasGrant(ask, amount) ? PASSED : NO_GRANT;
    return PASSED;
  }

  /** Decides, and takes what was asked for if it passes. @param take false only prepares the bucket */
  spend(ask: LimitAsk, take = true): Verdict {
    const { size } = ask;
    const amount = this.#amount(ask);
    const spentAtOnce = size.kind !== KIND_CONCURRENCY && size.mode !== MODE_STRICT;
    ask.taken = 0;
    this.#locate(ask);
    for (;;) {
      if (ask.slot < 0) {
        ask.level = 0;
        if (amount > this.#room(ask)) return REFUSED;
        if (!this.#make(ask, spentAtOnce ? amount : 0)) return NO_ROOM;
        if (this.claimed && spentAtOnce) return this.#began(ask, amount);
      }
      if (!this.#readLive(ask)) {
        this.#locate(ask);
        continue;
      }
      const level = this.#levelRead(size);
      ask.level = level;
      if (level + amount > this.#room(ask)) return REFUSED;
      if (size.mode !== MODE_LOCAL) {
        const verdict = this.#askFleet(ask, take ? amount : 0);
        if (verdict !== PASSED || !take) return verdict;
      }
      if (size.kind === KIND_CONCURRENCY) this.#note(ask.slot, 1);
      this.#write(ask, level + amount);
      if (this.swap(stateWord(ask.slot))) {
        ask.taken = amount;
        ask.level = level + amount;
        return PASSED;
      }
      if (size.kind === KIND_CONCURRENCY) this.#note(ask.slot, -1);
      if (size.mode !== MODE_LOCAL) this.#leaveFleet(ask, amount);
    }
  }

  /** Gives back what {@link spend} took: exactly once for each time it is to be given back. Concurrency is given back with it too. */
  refund(ask: LimitAsk): void {
    const { taken, size } = ask;
    if (taken === 0) return;
    ask.taken = 0;
    if (size.kind === KIND_CONCURRENCY) return this.release(ask.slot);
    while (this.#readLive(ask)) {
      const level = Math.max(0, this.#levelRead(size) - taken);
      this.#write(ask, level);
      if (!this.swap(stateWord(ask.slot))) continue;
      ask.level = level;
      if (size.mode !== MODE_LOCAL) this.#leaveFleet(ask, taken);
      return;
    }
  }

  /** Takes more, whether there is room or not: what a response turned out to cost. The bucket may go into debt. */
  charge(ask: LimitAsk, units: number): void {
    const { size } = ask;
    const amount = units * size.unit;
    const levelMax = size.kind === KIND_RATE ? BACKLOG_TICKS_MAX : USED_MAX;
    this.#locate(ask);
    for (;;) {
      if (ask.slot < 0) {
        if (!this.#make(ask, Math.min(amount, levelMax))) return;
        if (this.claimed) break;
      }
      if (!this.#readLive(ask)) {
        this.#locate(ask);
        continue;
      }
      this.#write(ask, Math.min(this.#levelRead(size) + amount, levelMax));
      if (this.swap(stateWord(ask.slot))) break;
    }
    if (size.mode !== MODE_LOCAL && this.words[HEAD.fleetSize] !== 0) this.fleet.charge(ask.slot, ask, amount);
  }

  /** Units used in a period, by its tag: what a rolling quota carries over from the one before. */
  usedOf(high: number, low: number): number {
    const slot = this.find(high, low);
    if (slot < 0) return 0;
    this.cellFloat[0] = this.floats[stateWord(slot)]!;
    const isQuota = ((this.cell[1]! >>> KIND_SHIFT) & 3) === KIND_QUOTA;
    return isQuota && this.find(high, low) === slot ? this.cell[0]! >>> 0 : 0; // still its own: so was what was read
  }

  /** Ends one unit of concurrency that this thread took in a slot. The slot cannot have been given to another tag meanwhile. */
  release(slot: number): void {
    this.#lower(slot, 1);
    this.#note(slot, -1);
  }

  // --- Counters, for everybody ---

  get fullEvents(): number {
    return Atomics.load(this.words, HEAD.full) >>> 0;
  }
  get refusedEvents(): number {
    return Atomics.load(this.words, HEAD.refused) >>> 0;
  }

  /**
   * What an idle bucket has not told Redis is told in a moment, if Redis is there. If it is not, that is no reason to keep the bucket: alone, it
   * got idle by paying the price of the whole fleet.
   */
  protected override isReserved(slot: number): boolean {
    return this.words[HEAD.connected] === 1 && this.fleet.isReserved(slot, this.#nowMs);
  }

  // --- Concurrency, when a worker is gone ---

  /**
   * Ends what a dead worker held, and its unfinished claims. After its thread is gone and before its index is given to another.
   * The journal is written before a unit is taken and after it is given back, so it says at most one unit too much, never too little; lowering stops at 0.
   */
  clearWorker(workerIndex: number): void {
    if (workerIndex < 0 || workerIndex >= this.layout.cells) return;
    const all = this.layout.slots + this.layout.overflow;
    const first = this.layout.journal + workerIndex * all;
    for (let slot = 0; slot < all; slot++) {
      const held = this.words[first + slot]!;
      if (held === 0) continue;
      this.words[first + slot] = 0;
      this.#lower(slot, held);
    }
    this.freeClaims(workerIndex + 1);
  }

  #lower(slot: number, by: number): void {
    const word = stateWord(slot);
    for (;;) {
      this.read(word);
      if (((this.cell[1]! >>> KIND_SHIFT) & 3) !== KIND_CONCURRENCY) return;
      this.cell[2] = Math.max(0, this.cell[0]! - by);
      this.cell[3] = this.cell[1]!;
      if (this.swap(word)) return;
    }
  }

  #note(slot: number, by: number): void {
    this.words[this.#journal + slot]! += by;
  }

  // --- Parts of a decision ---

  /** What the request costs, in the bucket's measure. Without its fleet, an instance goes on with its share: each unit costs as many as there are instances. */
  #amount({ size, cost }: LimitAsk): number {
    const amount = cost * size.unit;
    return size.mode === MODE_FLEET && size.kind === KIND_RATE && this.words[HEAD.connected] === 0 ? amount * this.#fleetSize() : amount;
  }

  /** How high the level may get. A whole share of the fleet may be smaller than one request: one passes all the same, if the bucket is empty. */
  #room(ask: LimitAsk): number {
    const { size, cost, carried } = ask;
    const room = size.capacity * size.unit;
    if (size.kind === KIND_QUOTA) return room - carried;
    return size.mode === MODE_FLEET && cost <= size.capacity ? Math.max(room, this.#amount(ask)) : room;
  }

  /** The bucket was made with its first spending in it; its fleet record has not been told. */
  #began(ask: LimitAsk, amount: number): Verdict {
    if (ask.size.mode === MODE_FLEET && this.words[HEAD.fleetSize] !== 0) this.fleet.add(ask.slot, ask, ask.cost * ask.size.unit);
    ask.taken = amount;
    ask.level = amount;
    return PASSED;
  }

  /** Sets ask.slot to the live slot of its tag, or of its share of the overflow area. */
  #locate(ask: LimitAsk): boolean {
    ask.slotHigh = ask.high;
    ask.slotLow = ask.low;
    ask.slot = this.find(ask.high, ask.low);
    return ask.slot >= 0;
  }

  /** Finds or makes a slot, whose state then begins at a level. @returns false when there is none, not even in the overflow area */
  #make(ask: LimitAsk, level: number): boolean {
    this.cell[3] = 0;
    this.cell[1] = ask.size.kind << KIND_SHIFT;
    this.#write(ask, level);
    this.firstHigh = this.cell[3]!;
    this.firstLow = this.cell[2]!;
    ask.slot = this.claim(ask.high, ask.low, false);
    if (this.claimed && this.words[HEAD.fleetSize] !== 0) this.fleet.clear(ask.slot);
    if (ask.slot !== SLOT_FULL) return true;
    Atomics.add(this.words, HEAD.full, 1);
    ask.slotHigh = ask.overflowHigh;
    ask.slotLow = ask.overflowLow;
    ask.slot = this.find(ask.slotHigh, ask.slotLow, true);
    if (ask.slot < 0) ask.slot = this.claim(ask.slotHigh, ask.slotLow, true);
    if (this.claimed && this.words[HEAD.fleetSize] !== 0) this.fleet.clear(ask.slot);
    if (ask.slot !== SLOT_FULL) return true;
    Atomics.add(this.words, HEAD.refused, 1);
    ask.slot = -1;
    return false;
  }

  /**
   * Reads STATE of ask.slot into cell word 0. The tag and the generation come from one look at IDENTITY: a state of that generation is this
   * tag's, and so is what a compare-and-swap from it puts in its place.
   * @returns whether the slot is the tag's and live
   */
  #readLive({ slot, slotHigh, slotLow, size }: LimitAsk): boolean {
    const word = stateWord(slot);
    const identity = this.words[word * 2 - 1]!;
    if (this.words[word * 2 - 2] !== slotHigh || (identity & TAG_MASK) !== slotLow >>> 8) return false;
    this.cellFloat[0] = this.floats[word]!;
    const high = this.cell[1]!;
    return high >>> GENERATION_SHIFT === identity >>> 24 && ((high >>> KIND_SHIFT) & 3) === size.kind;
  }

  /** The level of the state in cell word 0. */
  #levelRead(size: LimitSize): number {
    return size.kind === KIND_RATE ? backlogOf(this.cell, this.nowTicks) : this.cell[0]! >>> 0;
  }

  /** Puts the state in cell word 0, at another level, into word 1. */
  #write(ask: LimitAsk, level: number): void {
    const { cell } = this;
    const keep = cell[1]! & ~VALUE_MASK;
    switch (ask.size.kind) {
      case KIND_RATE: {
        const at = this.nowTicks + level;
        const ticks = at >= TICKS_MODULO ? at - TICKS_MODULO : at;
        cell[2] = ticks | 0;
        cell[3] = keep | Math.floor(ticks / 4294967296);
        break;
      }
      case KIND_QUOTA:
        cell[2] = level | 0;
        cell[3] = keep | ((Math.ceil(ask.periodEndMs / HOUR_MS) + QUOTA_SLACK_HOURS) & VALUE_MASK);
        break;
      default:
        cell[2] = level;
        cell[3] = keep;
    }
  }

  // --- The fleet ---

  #fleetSize(): number {
    return Math.max(1, this.words[HEAD.fleetSize]!);
  }

  /** What may be spent between two reconciliations. */
  #allowance({ size, level }: LimitAsk): number {
    const instances = this.#fleetSize();
    if (size.kind === KIND_QUOTA) return Math.max(1, Math.ceil((size.capacity - level) / instances));
    const units = Math.max(1, Math.ceil(size.capacity / instances), Math.ceil(size.perMs * this.words[HEAD.syncMs]!));
    return units * size.unit;
  }

  #askFleet(ask: LimitAsk, amount: number): Verdict {
    const { slot, size } = ask;
    if (size.mode === MODE_STRICT) {
      if (!this.#hasGrant(ask, amount)) return NO_GRANT;
      if (amount > 0) {
        if (!this.fleet.spendGrant(slot, amount, this.#nowMs)) return NO_GRANT;
        this.fleet.add(slot, ask, amount);
      }
      return PASSED;
    }
    if (this.words[HEAD.fleetSize] === 0) return PASSED;
    const told = ask.cost * size.unit;
    const connected = this.words[HEAD.connected] === 1;
    // Alone, a bucket has its share by the higher price of a unit (see #amount); a counter has the rest of what was left when the fleet was lost.
    if (!connected && size.kind === KIND_RATE) {
      this.fleet.add(slot, ask, told);
      return PASSED;
    }
    const before = ask.level;
    if (size.kind === KIND_QUOTA) ask.level = Math.max(0, before - this.fleet.unsent(slot));
    const allowance = this.#allowance(ask);
    ask.level = before;
    return this.fleet.reserve(slot, ask, told, allowance) ? PASSED : REFUSED;
  }

  #hasGrant(ask: LimitAsk, amount: number): boolean {
    const { slot, size } = ask;
    const lease = Math.max(ask.cost * size.unit, Math.ceil(this.#allowance(ask) / size.unit / LEASE_SHARE) * size.unit);
    const granted = this.fleet.granted(slot, this.#nowMs);
    if (granted - amount < lease / 2) this.fleet.want(slot, ask, lease);
    return granted >= Math.max(amount, ask.cost * size.unit);
  }

  #leaveFleet(ask: LimitAsk, amount: number): void {
    const { slot, size } = ask;
    if (size.mode === MODE_STRICT) this.fleet.giveBack(slot, amount);
    else if (this.words[HEAD.fleetSize] !== 0) this.fleet.add(slot, ask, -ask.cost * size.unit);
  }
}

const stateWord = (slot: number): number => HEADER_WORDS64 + slot * SLOT_WORDS64 + 1;
