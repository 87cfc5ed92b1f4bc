// Owns which slot of the table of limits belongs to which tag: finding, claiming and giving up slots, by any thread, without locks.
// Must never take a slot from a tag whose state says more than a fresh one would.
import {
  GENERATION_SHIFT,
  HEAD,
  HEAD_BASE_F64,
  HEADER_WORDS64,
  KIND_FREE,
  KIND_QUOTA,
  KIND_RATE,
  KIND_SHIFT,
  type LimitLayout,
  limitLayout,
  SLOT_WORDS64,
  TAG_MASK,
  TICKS_MODULO,
  TICKS_PER_MS,
  VALUE_MASK,
  WAYS,
} from "./limit-layout.ts";

/*
 * Protocol. Every change of a slot is one compare-and-swap of one 64-bit word, and the slot is in a good state between any two of them, so a
 * thread may end at any instruction.
 *
 * A slot is LIVE for a tag when both its generations are equal and its kind is not FREE. Its owner's threads change only STATE. A slot is
 * IDLE when it is live and its state equals a fresh one (theoretical arrival time some moments past, period over, nothing held).
 *
 * Claiming, for tag T by thread w:
 *   1. STATE of a free or idle slot -> (generation of IDENTITY + 1, FREE, w). As generations differ now, nobody can spend in it any more;
 *      had somebody spent before, this compare-and-swap would have failed.
 *   2. IDENTITY (old tag, g) -> (T, g + 1). It can only fail when somebody took the slot over: then give it up.
 *   3. Look at all slots T may live in. Another live one: give up, use that. Another one that is at step 3 for T: one of the two must
 *      go; the thread with the lower number goes first, the other waits for it some turns and then takes its claim away, for it may be dead.
 *   4. STATE (g + 1, FREE, w) -> (g + 1, kind, first value). Fails when the claim was taken away: begin again.
 * Taking away, giving up: STATE (g, FREE, v) -> (g + 1, FREE, 0): generations differ, so the slot is free and nobody's.
 *
 * Two threads never make two live slots for one tag: both have passed step 2 before they look (step 3). The one that was later at step 2 sees
 * the other, live (and gives up) or not yet live (and takes its claim away, after which step 4 of the other fails).
 *
 * A state that was read may be current again later (ABA): a spend, a spend and a refund leave the word that the first one left. A compare-and-swap
 * that succeeds all the same is right. The word is the whole state of a bucket, and a decision is made from nothing else but the thread's own time, which
 * may be behind: so it is the decision that would have been made from the word that is there now. Its effect is that of the compare-and-swap, as if
 * the thread had read a moment before it. The other words (fleet records, journal) are added to, never decided from what STATE was.
 * That argument needs the word to be of the same owner. The generation says so, and goes round only after 256 changes of hands. In 256 changes
 *   - RATE: a slot is claimed 250 ms after its arrival time at the earliest, and whoever owns it then writes times after that;
 *   - QUOTA: a slot is claimed when the hour in it has come, and whoever owns it then writes a later one;
 * so no word of the first owner comes back. CONCURRENCY has no time in it: 256 other keys would have to hold and leave the slot between one thread's load
 * and its compare-and-swap. Then one unit would be counted for another key until it is given back.
 * A step of a claim that comes late likewise claims a slot that is free or idle now. A thread that ended between 1 and 4 leaves a slot that is not
 * live: others may take it over from it (last choice, after waiting), and clearWorker() frees it.
 *
 * Ordering. Compare-and-swap and Atomics.load are sequentially consistent; all of claiming uses them. find() reads plainly: what it says
 * is then confirmed by the compare-and-swap of STATE, whose expected value carries the generation; or, for a refusal, by one plain 64-bit
 * load of STATE (a float64 load does not tear on the 64-bit machines we run on). A stale miss costs a claim that finds the slot at step 3.
 */

/** No slot has the tag. */
export const SLOT_NONE = -1;
/** All slots the tag may live in belong to others and are not idle. */
export const SLOT_FULL = -2;
const SLOT_AGAIN = -3;
/** Turns that a claim waits for another claim of the same tag, or for any, before it takes it away. */
const PATIENCE = 64;
/** Turns after which a claim is given up as if the table were full: contention nobody should ever see. */
const TURNS_MAX = 4096;
const HOUR_MS = 3_600_000;
/** With so many slots to claim in the first group, the second is not considered. Both filling up evenly is what lets a table get 80 % full. */
const ROOM_WANTED = WAYS / 2;
/** A bucket is idle only so long after its arrival time: a thread may act a moment after it has read the clock. */
const IDLE_TICKS = 250 * TICKS_PER_MS;

/** One thread's view of the slots. */
export class LimitSlots {
  readonly buffer: SharedArrayBuffer;
  readonly layout: LimitLayout;
  /** Number of this thread in claims: 1 and up, unique among living threads. */
  readonly token: number;
  /** The moment that decisions are made for: see {@link setNow}. */
  nowTicks = 0;
  nowHour = 0;
  nowEpochMs = 0;
  /** Whether the last claim() made the slot with the initial state, as against having found it. */
  claimed = false;
  protected readonly words: Int32Array;
  protected readonly floats: Float64Array;
  protected readonly bigs: BigInt64Array;
  readonly #baseMs: number;
  /** Word 0 is what is expected or was read, word 1 what is to be written: a 64-bit word as two int32, low half first. */
  protected readonly cell = new Int32Array(4);
  protected readonly cellFloat = new Float64Array(this.cell.buffer);
  protected readonly cellBig = new BigInt64Array(this.cell.buffer);
  /** What a claim writes at step 4, halves of STATE without the generation. */
  protected firstHigh = 0;
  protected firstLow = 0;
  #victimRank = 0;
  /** Of the tag's two groups, while a claim looks at them: best slot, its rank, slots that could be claimed. */
  readonly #best = new Int32Array(2);
  readonly #bestRank = new Int32Array(2);
  readonly #room = new Int32Array(2);

  /** @param workerIndex this thread's journal; -1 for the primary. @throws RangeError when it has none */
  constructor(buffer: SharedArrayBuffer, workerIndex = -1) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.floats = new Float64Array(buffer);
    this.bigs = new BigInt64Array(buffer);
    this.layout = limitLayout(this.words[HEAD.slots] ?? 0, this.words[HEAD.overflow] ?? 0, this.words[HEAD.cells] ?? 0);
    if (workerIndex >= this.layout.cells) throw new RangeError(`limit table: worker index ${workerIndex} of ${this.layout.cells}`);
    this.#baseMs = this.floats[HEAD_BASE_F64] ?? 0;
    this.token = workerIndex < 0 ? this.layout.cells + 1 : workerIndex + 1;
  }

  /** Sets the moment of the decisions that follow. @param monotonicMs base/clock.ts. @param epochMs wall clock; only quotas look at it */
  setNow(monotonicMs: number, epochMs: number): void {
    const ticks = Math.floor((monotonicMs - this.#baseMs) * TICKS_PER_MS);
    this.nowTicks = ticks - Math.floor(ticks / TICKS_MODULO) * TICKS_MODULO;
    this.nowEpochMs = epochMs;
    this.nowHour = Math.floor(epochMs / HOUR_MS);
  }

  /** @returns the live slot of a tag, or SLOT_NONE. May miss one that is being made. */
  find(high: number, low: number, overflow = false): number {
    const mask = overflow ? this.layout.overflow / WAYS - 1 : this.layout.slots / WAYS - 1;
    const offset = overflow ? this.layout.slots : 0;
    const first = offset + (low & mask) * WAYS;
    const slot = this.#findIn(first, high, low);
    return slot >= 0 ? slot : this.#findIn(offset + secondGroup(high, low, mask) * WAYS, high, low);
  }

  #findIn(first: number, high: number, low: number): number {
    const words = this.words;
    const tagLow = low >>> 8;
    let at = (HEADER_WORDS64 + first * SLOT_WORDS64) * 2;
    for (let way = 0; way < WAYS; way++, at += SLOT_WORDS64 * 2) {
      if (words[at] !== high) continue;
      const identity = words[at + 1]!;
      if ((identity & TAG_MASK) !== tagLow) continue;
      const state = words[at + 3]!;
      if (state >>> GENERATION_SHIFT === identity >>> 24 && ((state >>> KIND_SHIFT) & 3) !== KIND_FREE) return first + way;
    }
    return SLOT_NONE;
  }

  /**
   * Finds or makes the live slot of a tag. A made one begins with {@link firstHigh} and {@link firstLow}, and {@link claimed} is true.
   * @returns the slot, or SLOT_FULL
   */
  protected claim(high: number, low: number, overflow: boolean): number {
    this.claimed = false;
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      const slot = this.#tryClaim(high, low, overflow, turn >= PATIENCE);
      if (slot !== SLOT_AGAIN) return slot;
    }
    return SLOT_FULL;
  }

  #tryClaim(high: number, low: number, overflow: boolean, impatient: boolean): number {
    const found = this.#look(high, low, overflow, impatient ? RANK_CLAIMED : RANK_IDLE);
    if (found < 0 || this.#victimRank === RANK_OWN) return found;
    // Step 1.
    const identityWord = HEADER_WORDS64 + found * SLOT_WORDS64;
    const { cell } = this;
    this.read(identityWord);
    const oldLow = cell[0]!;
    const oldHigh = cell[1]!;
    const generation = ((oldHigh >>> 24) + 1) & 0xff;
    this.read(identityWord + 1);
    if (this.#rank(oldHigh >>> 24) !== this.#victimRank) return SLOT_AGAIN;
    cell[2] = this.token;
    cell[3] = generation << GENERATION_SHIFT;
    if (!this.swap(identityWord + 1)) return SLOT_AGAIN;
    // Step 2.
    cell[0] = oldLow;
    cell[1] = oldHigh;
    cell[2] = high;
    cell[3] = (generation << 24) | (low >>> 8);
    if (!this.swap(identityWord)) {
      this.#giveUp(found, generation);
      return SLOT_AGAIN;
    }
    // Step 3.
    const other = this.#lookForOthers(high, low, overflow, found, impatient);
    if (other !== SLOT_NONE) {
      this.#giveUp(found, generation);
      return other;
    }
    // Step 4.
    cell[0] = this.token;
    cell[1] = generation << GENERATION_SHIFT;
    cell[2] = this.firstLow;
    cell[3] = this.firstHigh | (generation << GENERATION_SHIFT);
    if (!this.swap(identityWord + 1)) return SLOT_AGAIN;
    this.claimed = true;
    return found;
  }

  /**
   * Looks at all slots of a tag. The first group is the better place (it is searched first), unless it is filling up and the second has more room.
   * @returns the tag's own slot if it is live, else the best one to claim up to a rank; SLOT_FULL, or SLOT_AGAIN when another thread's claim is in the way
   */
  #look(high: number, low: number, overflow: boolean, rankMax: number): number {
    const best = this.#best.fill(SLOT_FULL);
    const bestRank = this.#bestRank.fill(rankMax + 1);
    const room = this.#room.fill(0);
    let underWay = false;
    for (let i = 0; i < 2 * WAYS; i++) {
      const slot = this.#candidate(high, low, overflow, i);
      const word = HEADER_WORDS64 + slot * SLOT_WORDS64;
      this.read(word);
      const own = this.cell[0] === high && (this.cell[1]! & TAG_MASK) === low >>> 8;
      const generation = this.cell[1]! >>> 24;
      this.read(word + 1);
      const rank = this.#rank(generation);
      if (own && this.cell[1]! >>> GENERATION_SHIFT === generation) {
        if (rank === RANK_IDLE || rank === RANK_BUSY) {
          this.#victimRank = RANK_OWN;
          return slot;
        }
        if (rank === RANK_CLAIMED && rankMax < RANK_CLAIMED && this.cell[0]! < this.token) return SLOT_AGAIN;
      }
      if (rank === RANK_CLAIMED) underWay = true;
      if (rank > rankMax || (rank === RANK_IDLE && this.isReserved(slot))) continue;
      const group = i < WAYS ? 0 : 1;
      room[group]!++;
      if (rank >= bestRank[group]!) continue;
      best[group] = slot;
      bestRank[group] = rank;
    }
    const chosen = room[0]! < ROOM_WANTED && room[1]! > room[0]! ? 1 : 0;
    this.#victimRank = bestRank[chosen]!;
    // Others' claims may come to nothing: wait before it is called full.
    return best[chosen] === SLOT_FULL && underWay ? SLOT_AGAIN : best[chosen]!;
  }

  /** Step 3. @returns SLOT_NONE when the claim of `mine` may go on; else the live slot, or SLOT_AGAIN */
  #lookForOthers(high: number, low: number, overflow: boolean, mine: number, impatient: boolean): number {
    const { cell } = this;
    for (let i = 0; i < 2 * WAYS; i++) {
      const slot = this.#candidate(high, low, overflow, i);
      if (slot === mine) continue;
      const word = HEADER_WORDS64 + slot * SLOT_WORDS64;
      this.read(word);
      if (cell[0] !== high || (cell[1]! & TAG_MASK) !== low >>> 8) continue;
      const generation = cell[1]! >>> 24;
      this.read(word + 1);
      if (cell[1]! >>> GENERATION_SHIFT !== generation) continue;
      if (((cell[1]! >>> KIND_SHIFT) & 3) !== KIND_FREE) return slot;
      if (cell[0] === 0) continue;
      if (!impatient && cell[0]! < this.token) return SLOT_AGAIN;
      cell[2] = 0;
      cell[3] = ((generation + 1) & 0xff) << GENERATION_SHIFT;
      if (!this.swap(word + 1)) return SLOT_AGAIN;
    }
    return SLOT_NONE;
  }

  #giveUp(slot: number, generation: number): void {
    const { cell } = this;
    cell[0] = this.token;
    cell[1] = generation << GENERATION_SHIFT;
    cell[2] = 0;
    cell[3] = ((generation + 1) & 0xff) << GENERATION_SHIFT;
    this.swap(HEADER_WORDS64 + slot * SLOT_WORDS64 + 1); // false: somebody took it over, and it is theirs
  }

  #candidate(high: number, low: number, overflow: boolean, i: number): number {
    const mask = overflow ? this.layout.overflow / WAYS - 1 : this.layout.slots / WAYS - 1;
    const group = i < WAYS ? low & mask : secondGroup(high, low, mask);
    return (overflow ? this.layout.slots : 0) + group * WAYS + (i & (WAYS - 1));
  }

  /** What the state in cell word 0 means for one who wants the slot. @param generation of the identity */
  #rank(generation: number): number {
    const high = this.cell[1]!;
    if (((high >>> KIND_SHIFT) & 3) === KIND_FREE) return this.cell[0] === 0 ? RANK_FREE : RANK_CLAIMED;
    // A live kind with another generation cannot be: the two words were read at different times.
    if (high >>> GENERATION_SHIFT !== generation) return RANK_BUSY;
    return this.isIdle() ? RANK_IDLE : RANK_BUSY;
  }

  /** Whether the state in cell word 0, of a live slot, equals a fresh one at the present moment. */
  protected isIdle(): boolean {
    const high = this.cell[1]!;
    const kind = (high >>> KIND_SHIFT) & 3;
    if (kind === KIND_RATE) {
      const then = this.nowTicks - IDLE_TICKS;
      return backlogOf(this.cell, then < 0 ? then + TICKS_MODULO : then) === 0;
    }
    if (kind === KIND_QUOTA) return (high & VALUE_MASK) <= this.nowHour;
    return this.cell[0] === 0;
  }

  /** Whether an idle slot holds something else that must not be lost. */
  protected isReserved(_slot: number): boolean {
    return false;
  }

  /** Reads a 64-bit word into cell word 0, ordered. */
  protected read(word: number): void {
    this.cellBig[0] = Atomics.load(this.bigs, word);
  }

  /** Compare-and-swap from cell word 0 to cell word 1. */
  protected swap(word: number): boolean {
    const expected = this.cellBig[0]!;
    return Atomics.compareExchange(this.bigs, word, expected, this.cellBig[1]!) === expected;
  }

  /**
   * Frees a live slot that is idle, and nothing else. For the primary's sweep.
   * @returns whether it is free now
   */
  protected freeIfIdle(slot: number): boolean {
    const word = HEADER_WORDS64 + slot * SLOT_WORDS64;
    this.read(word);
    const generation = this.cell[1]! >>> 24;
    this.read(word + 1);
    if (this.#rank(generation) !== RANK_IDLE || this.isReserved(slot)) return false;
    this.cell[2] = 0;
    this.cell[3] = ((generation + 1) & 0xff) << GENERATION_SHIFT;
    return this.swap(word + 1);
  }

  /** Frees the claims that a thread left unfinished. Only when it is gone. */
  protected freeClaims(token: number): void {
    const { cell, layout } = this;
    for (let slot = 0; slot < layout.slots + layout.overflow; slot++) {
      const word = HEADER_WORDS64 + slot * SLOT_WORDS64 + 1;
      this.read(word);
      if (cell[0] !== token || ((cell[1]! >>> KIND_SHIFT) & 3) !== KIND_FREE) continue;
      // Before step 2 the generation is ahead already; after it, it must get ahead.
      const identity = (this.words[word * 2 - 1] ?? 0) >>> 24;
      const generation = cell[1]! >>> GENERATION_SHIFT;
      cell[2] = 0;
      cell[3] = (generation === identity ? (generation + 1) & 0xff : generation) << GENERATION_SHIFT;
      this.swap(word);
    }
  }
}

const RANK_OWN = 0;
const RANK_FREE = 1;
const RANK_IDLE = 2;
const RANK_CLAIMED = 3;
const RANK_BUSY = 4;

/** The tag's other group: the same lowest 8 bits, never the first group itself. */
function secondGroup(high: number, low: number, mask: number): number {
  const group = ((high & ~0xff) | (low & 0xff)) & mask;
  return group === (low & mask) ? group ^ 0x100 : group;
}

/** @returns ticks from now to the arrival time in word 0 of the cell; 0 when it is not in the future. */
export function backlogOf(cell: Int32Array, nowTicks: number): number {
  const tat = (cell[1]! & VALUE_MASK) * 4294967296 + (cell[0]! >>> 0);
  const ahead = tat >= nowTicks ? tat - nowTicks : tat - nowTicks + TICKS_MODULO;
  return ahead < TICKS_MODULO / 2 ? ahead : 0;
}
