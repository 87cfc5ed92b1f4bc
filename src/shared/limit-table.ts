// Owns the decisions of the table of limits: whether a request passes a bucket, a quota or a concurrency limit, and what it leaves there.
// Any thread, any number at once, no locks, nothing waits. Must never know whose limits they are.

import { LimitBuckets, stateWord } from "./limit-buckets.ts";
import { allocateLimits, BACKLOG_TICKS_MAX, HEAD, KIND_CONCURRENCY, KIND_QUOTA, KIND_RATE, KIND_SHIFT } from "./limit-layout.ts";
import {
  LimitAsk,
  type LimitSize,
  MODE_FLEET,
  MODE_LOCAL,
  MODE_STRICT,
  NO_GRANT,
  NO_ROOM,
  NO_SHARE,
  PASSED,
  REFUSED,
  type Verdict,
} from "./limit-size.ts";

const USED_MAX = 2 ** 32 - 1;
/** What a strict limit is granted in advance, as a part of what the fleet shares out at once: half of one instance's share. */
const LEASE_SHARE = 2;

/*
 * Decisions on one bucket are linearizable: one that passes takes effect at its compare-and-swap of STATE, one that is refused at its load of
 * STATE, and both give what the sequential algorithm gives at that moment. Over several limits see spendAll().
 * What happens when the table is full: see limit-buckets.ts.
 */
export class LimitTable extends LimitBuckets {
  readonly #journal: number;
  /** About the period before the one that is asked about. */
  #before: LimitAsk | null = null;

  static readonly allocate = allocateLimits;

  constructor(buffer: SharedArrayBuffer, workerIndex = -1) {
    super(buffer, workerIndex);
    const all = this.layout.slots + this.layout.overflow;
    this.#journal = this.layout.journal + Math.max(0, workerIndex) * all;
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

  /** Whether it would pass now. Changes nothing, but a strict limit asks for a grant, and a fleet limit for its next share. */
  peek(ask: LimitAsk): Verdict {
    ask.taken = 0;
    if (!this.locate(ask)) {
      ask.level = 0;
      if (this.#amount(ask) > this.#room(ask)) return REFUSED;
      return ask.size.mode === MODE_STRICT ? this.spend(ask, false) : PASSED;
    }
    if (!this.readLive(ask)) return PASSED; // it just went: as good as fresh
    ask.level = this.levelRead(ask.size);
    const amount = this.#amount(ask);
    if (ask.level + amount > this.#room(ask)) return REFUSED;
    if (ask.size.mode === MODE_LOCAL) return PASSED;
    if (ask.size.mode === MODE_STRICT) return this.#hasGrant(ask, amount) ? PASSED : NO_GRANT;
    if (this.words[HEAD.fleetSize] === 0 || this.fleet.covers(ask.slot, ask.cost * ask.size.unit, this.#share(ask))) return PASSED;
    return this.#noShare(ask);
  }

  /** Decides, and takes what was asked for if it passes. @param take false only prepares the bucket */
  spend(ask: LimitAsk, take = true): Verdict {
    const { size } = ask;
    const amount = this.#amount(ask);
    const spentAtOnce = size.kind !== KIND_CONCURRENCY && size.mode !== MODE_STRICT;
    ask.taken = 0;
    this.locate(ask);
    for (;;) {
      if (ask.slot < 0) {
        ask.level = 0;
        if (amount > this.#room(ask)) return REFUSED;
        if (!this.make(ask, spentAtOnce ? amount : 0)) return NO_ROOM;
        const made = this.claimed;
        if (made && ask.beforeStartS !== 0) this.#learnBefore(ask);
        if (made && spentAtOnce) return this.#began(ask, amount);
      }
      if (!this.readLive(ask)) {
        this.locate(ask);
        continue;
      }
      const level = this.levelRead(size);
      ask.level = level;
      if (level + amount > this.#room(ask)) return REFUSED;
      if (size.mode !== MODE_LOCAL) {
        const verdict = this.#askFleet(ask, take ? amount : 0);
        if (verdict !== PASSED || !take) return verdict;
      }
      if (size.kind === KIND_CONCURRENCY) this.#note(ask.slot, 1);
      this.write(ask, level + amount);
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
    while (this.readLive(ask)) {
      const level = Math.max(0, this.levelRead(size) - taken);
      this.write(ask, level);
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
    this.locate(ask);
    for (;;) {
      if (ask.slot < 0) {
        if (!this.make(ask, Math.min(amount, levelMax))) return;
        if (this.claimed) break;
      }
      if (!this.readLive(ask)) {
        this.locate(ask);
        continue;
      }
      this.write(ask, Math.min(this.levelRead(size) + amount, levelMax));
      if (this.swap(stateWord(ask.slot))) break;
    }
    if (size.mode !== MODE_LOCAL && this.words[HEAD.fleetSize] !== 0) this.fleet.charge(ask.slot, ask, amount);
  }

  /** Whether the fleet answers, so that waiting for it may bring a share or a grant. */
  get isTogether(): boolean {
    return this.words[HEAD.connected] === 1;
  }

  /** Ends one unit of concurrency that this thread took in a slot. The slot cannot have been given to another tag meanwhile. */
  release(slot: number): void {
    this.#lower(slot, 1);
    this.#note(slot, -1);
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
    return size.mode === MODE_FLEET && size.kind === KIND_RATE && this.words[HEAD.connected] === 0 ? amount * this.fleetSize() : amount;
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

  // --- The fleet ---

  /**
   * The key is new here in this period: what the fleet let pass in the one before may have been told since somebody here asked, or nobody ever did.
   * Has the primary ask for it. Changes no level by itself.
   */
  #learnBefore({ identity, size, beforeHigh, beforeLow, beforeStartS, periodStartS, periodEndMs }: LimitAsk): void {
    if (size.mode === MODE_LOCAL || !this.isTogether) return;
    const before = (this.#before ??= new LimitAsk(identity, size));
    before.identity = identity;
    before.size = size;
    before.high = beforeHigh;
    before.low = beforeLow;
    before.periodStartS = beforeStartS;
    before.periodEndMs = periodEndMs - (periodStartS - beforeStartS) * 1000;
    if (this.locate(before) || this.make(before, 0)) this.fleet.want(before.slot, before, size.unit);
  }

  /** What may be spent between two reconciliations. @param used of a quota */
  #allowance(size: LimitSize, used: number): number {
    const instances = this.fleetSize();
    if (size.kind === KIND_QUOTA) return Math.max(1, Math.ceil((size.capacity - used) / instances));
    const units = Math.max(1, Math.ceil(size.capacity / instances), Math.ceil(size.perMs * this.words[HEAD.syncMs]!));
    return units * size.unit;
  }

  #askFleet(ask: LimitAsk, amount: number): Verdict {
    const { slot, size } = ask;
    if (size.mode === MODE_STRICT) {
      if (!this.#hasGrant(ask, amount)) return NO_GRANT;
      if (amount > 0) {
        if (!this.fleet.spendGrant(slot, amount, this.nowMs)) return NO_GRANT;
        this.fleet.add(slot, ask, amount);
      }
      return PASSED;
    }
    if (this.words[HEAD.fleetSize] === 0) return PASSED;
    return this.fleet.reserve(slot, ask, ask.cost * size.unit, this.#share(ask)) ? PASSED : this.#noShare(ask);
  }

  /**
   * What this instance may spend of a fleet bucket before it has told the fleet, in the bucket's measure; one request always may (see reserve()).
   * Of a quota that is a part of what is left, so it must be known how much that is: until Redis has answered for the first time, one request.
   * Alone, a bucket has its share by the higher price of a unit (see #amount), and a counter a part of what was left when the fleet was lost.
   */
  #share(ask: LimitAsk): number {
    const { size, slot } = ask;
    const connected = this.words[HEAD.connected] === 1;
    if (ask.beyondShare || (size.kind === KIND_RATE && !connected)) return Number.POSITIVE_INFINITY;
    if (size.kind === KIND_QUOTA && connected && !this.fleet.isKnown(slot)) return 0;
    return this.#allowance(size, size.kind === KIND_QUOTA ? Math.max(0, ask.level - this.fleet.unsent(slot)) : 0);
  }

  /** The primary tells the fleet at once, if there is a fleet to tell: then what is left of the bucket is shared out anew. */
  #noShare(ask: LimitAsk): Verdict {
    if (this.words[HEAD.connected] === 1) this.fleet.want(ask.slot, ask, ask.cost * ask.size.unit);
    return NO_SHARE;
  }

  #hasGrant(ask: LimitAsk, amount: number): boolean {
    const { slot, size } = ask;
    const lease = Math.max(ask.cost * size.unit, Math.ceil(this.#allowance(size, ask.level) / size.unit / LEASE_SHARE) * size.unit);
    const granted = this.fleet.granted(slot, this.nowMs);
    if (granted - amount < lease / 2) this.fleet.want(slot, ask, lease);
    return granted >= Math.max(amount, ask.cost * size.unit);
  }

  #leaveFleet(ask: LimitAsk, amount: number): void {
    const { slot, size } = ask;
    if (size.mode === MODE_STRICT) this.fleet.releaseGrant(slot, amount);
    else if (this.words[HEAD.fleetSize] !== 0) this.fleet.add(slot, ask, -ask.cost * size.unit);
  }
}
