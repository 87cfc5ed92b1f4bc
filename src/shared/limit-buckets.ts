// Owns one bucket of the table of limits: finding or making it, reading its level, writing another. Every change is made by the caller's
// compare-and-swap of STATE. Must never decide whether a request passes (limit-table.ts does).
import { FleetRecords } from "./limit-fleet.ts";
import {
  GENERATION_SHIFT,
  HEAD,
  HEADER_WORDS64,
  KIND_QUOTA,
  KIND_RATE,
  KIND_SHIFT,
  SLOT_WORDS64,
  TAG_MASK,
  TICKS_MODULO,
  VALUE_MASK,
} from "./limit-layout.ts";
import type { LimitAsk, LimitSize } from "./limit-size.ts";
import { backlogOf, LimitSlots, SLOT_FULL } from "./limit-slots.ts";

/** A counter is kept this much longer (hours) than its period: a thread may be a moment late. */
const QUOTA_SLACK_HOURS = 1;
const HOUR_MS = 3_600_000;

/*
 * When all slots that a tag may live in are taken by others that are not idle, nobody's state is given up. The key then shares one bucket of
 * the overflow area, of the same size as its own would be, with a sixteenth of all keys of its limit that find no slot either: whoever sprays
 * keys gets sixteen buckets in all, however many keys he has. This is counted (HEAD.full). When even that area is full there is no bucket,
 * counted too (HEAD.refused). A key that found no slot and later does begins with a fresh bucket.
 */
export class LimitBuckets extends LimitSlots {
  readonly fleet: FleetRecords;
  protected nowMs = 0;

  constructor(buffer: SharedArrayBuffer, workerIndex = -1) {
    super(buffer, workerIndex);
    this.fleet = new FleetRecords(buffer, this.layout);
  }

  override setNow(monotonicMs: number, epochMs: number): void {
    super.setNow(monotonicMs, epochMs);
    this.nowMs = monotonicMs;
  }

  /** Units used in a period, by its tag: what a rolling quota carries over from the one before. */
  usedOf(high: number, low: number): number {
    const slot = this.find(high, low);
    if (slot < 0) return 0;
    this.cellFloat[0] = this.floats[stateWord(slot)]!;
    const isQuota = ((this.cell[1]! >>> KIND_SHIFT) & 3) === KIND_QUOTA;
    return isQuota && this.find(high, low) === slot ? this.cell[0]! >>> 0 : 0; // still its own: so was what was read
  }

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
    return this.words[HEAD.connected] === 1 && this.fleet.isReserved(slot, this.nowMs);
  }

  // --- Parts of a decision ---

  protected fleetSize(): number {
    return Math.max(1, this.words[HEAD.fleetSize]!);
  }

  /** Sets ask.slot to the live slot of its tag, or of its share of the overflow area. */
  protected locate(ask: LimitAsk): boolean {
    ask.slotHigh = ask.high;
    ask.slotLow = ask.low;
    ask.slot = this.find(ask.high, ask.low);
    return ask.slot >= 0;
  }

  /** Finds or makes a slot, whose state then begins at a level. @returns false when there is none, not even in the overflow area */
  protected make(ask: LimitAsk, level: number): boolean {
    this.cell[3] = 0;
    this.cell[1] = ask.size.kind << KIND_SHIFT;
    this.write(ask, level);
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
  protected readLive({ slot, slotHigh, slotLow, size }: LimitAsk): boolean {
    const word = stateWord(slot);
    const identity = this.words[word * 2 - 1]!;
    if (this.words[word * 2 - 2] !== slotHigh || (identity & TAG_MASK) !== slotLow >>> 8) return false;
    this.cellFloat[0] = this.floats[word]!;
    const high = this.cell[1]!;
    return high >>> GENERATION_SHIFT === identity >>> 24 && ((high >>> KIND_SHIFT) & 3) === size.kind;
  }

  /** The level of the state in cell word 0. */
  protected levelRead(size: LimitSize): number {
    return size.kind === KIND_RATE ? backlogOf(this.cell, this.nowTicks) : this.cell[0]! >>> 0;
  }

  /** Puts the state in cell word 0, at another level, into word 1. */
  protected write(ask: LimitAsk, level: number): void {
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
}

/** Index of STATE of a slot, in words of 64 bits. */
export const stateWord = (slot: number): number => HEADER_WORDS64 + slot * SLOT_WORDS64 + 1;
