// A hashed timer wheel (Varghese & Lauck 1987): O(1) arm, re-arm and disarm for deadlines that mostly never fire.
// One per thread; one real timer for all entries, and none while the wheel is empty. Precision: one tick, never early.
// Armed again for later, as deadlines mostly are, an entry stays where it is; when its place comes, it moves on to where it is due.
import { nowMs } from "./turn-clock.ts";

/** Milliseconds a tick: how late a deadline may fire. */
export const WHEEL_TICK_MS = 10;
const SLOTS = 512; // a power of two; deadlines beyond 512 ticks stay in their slot for further rounds
const MASK = SLOTS - 1;

/** Embed in (extend from) the object that waits, so that arming allocates nothing. */
export abstract class WheelEntry {
  /** @internal */ wheelNext: WheelEntry | null = null;
  /** @internal */ wheelPrev: WheelEntry | null = null;
  /** @internal Absolute tick at which it is due; 0 when not armed. */
  wheelDue = 0;
  /** @internal Absolute tick at which its place comes: never behind {@link wheelDue}. */ wheelPlace = 0;
  /** Called once when the deadline passes; the entry is disarmed before. Must not throw. */
  abstract onDeadline(): void;
}

export class TimerWheel {
  private readonly heads: (WheelEntry | null)[] = new Array<WheelEntry | null>(SLOTS).fill(null);
  private readonly originMs: number;
  private readonly now: () => number;
  private tick = 0;
  private count = 0;
  private timer: NodeJS.Timeout | null = null;

  /** @param now monotonic milliseconds; injectable for tests. */
  constructor(now: () => number = nowMs) {
    this.now = now;
    this.originMs = now();
  }

  /** Number of armed entries. */
  get size(): number {
    return this.count;
  }

  /** (Re)arm an entry to fire `delayMs` from now, or up to a tick later. */
  arm(entry: WheelEntry, delayMs: number): void {
    const ticks = Math.ceil((this.now() - this.originMs + delayMs) / WHEEL_TICK_MS);
    const due = Math.max(ticks, this.tick + 1);
    if (entry.wheelDue !== 0) {
      if (due >= entry.wheelPlace) {
        entry.wheelDue = due;
        return;
      }
      this.unlink(entry);
    }
    entry.wheelDue = due;
    this.link(entry);
    if (this.timer === null) this.startTimer();
  }

  /** Disarm; harmless when not armed. */
  disarm(entry: WheelEntry): void {
    if (entry.wheelDue === 0) return;
    this.unlink(entry);
    entry.wheelDue = 0;
  }

  /** Fire everything due; called by the timer, and by tests with a fake clock. */
  advance(): void {
    const target = Math.floor((this.now() - this.originMs) / WHEEL_TICK_MS);
    // After a stall longer than a full turn each slot needs one visit only.
    if (target - this.tick > SLOTS) this.tick = target - SLOTS;
    while (this.tick < target) {
      this.tick++;
      this.fire(this.tick & MASK, target);
    }
    if (this.count === 0) this.stop();
  }

  /** Stop the real timer (thread end). */
  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  private startTimer(): void {
    this.tick = Math.max(this.tick, Math.floor((this.now() - this.originMs) / WHEEL_TICK_MS) - 1);
    this.timer = setInterval(() => this.advance(), WHEEL_TICK_MS);
  }

  private fire(slot: number, target: number): void {
    let here: WheelEntry[] | null = null; // collected first: onDeadline may arm and disarm neighbours
    for (let entry = this.heads[slot] ?? null; entry !== null; entry = entry.wheelNext) {
      if (entry.wheelPlace <= target) (here ??= []).push(entry);
    }
    if (here === null) return;
    for (const entry of here) {
      if (entry.wheelDue === 0 || entry.wheelPlace > target) continue;
      this.unlink(entry);
      if (entry.wheelDue > target) {
        this.link(entry);
        continue;
      }
      entry.wheelDue = 0;
      entry.onDeadline();
    }
  }

  private link(entry: WheelEntry): void {
    entry.wheelPlace = entry.wheelDue;
    const slot = entry.wheelPlace & MASK;
    const head = this.heads[slot] ?? null;
    entry.wheelPrev = null;
    entry.wheelNext = head;
    if (head !== null) head.wheelPrev = entry;
    this.heads[slot] = entry;
    this.count++;
  }

  private unlink(entry: WheelEntry): void {
    const { wheelPrev: prev, wheelNext: next } = entry;
    if (prev !== null) prev.wheelNext = next;
    else this.heads[entry.wheelPlace & MASK] = next;
    if (next !== null) next.wheelPrev = prev;
    entry.wheelNext = null;
    entry.wheelPrev = null;
    this.count--;
  }
}
