// Decides what part of its requests a worker that has more to do than it can takes, and which ones: by how late its event loop is.
// Pure: time, delay and utilisation are parameters. Must never know a request.
//
// A delay alone says little: one long tick, a garbage collection or a reload makes requests wait as well, and is over by itself. What counts is a delay that
// stays (CoDel: Nichols & Jacobson 2012, RFC 8289), and that does not fall fast enough to be gone soon. While it sheds, the work offered for each
// unit of time is known: how busy the loop was, and by how much it got later; the part that is taken follows from it, so that the delay comes down to half the
// bound and the worker stays busy. Which requests make up that part: those of the highest classes of priority, by what came lately (DAGOR: Zhou et al. 2018).
import { PRIORITIES, RETRY, STARVATION_MS } from "../../plan/overload-plan.ts";

/** A delay counts when it has stayed above the bound for so long, ms. */
const HOLD_MS = 100;
/** One that falls so fast that it would be gone within this time, ms, does not. */
const RECOVERY_MS = 1000;
/** How often the part is worked out anew, ms, at most. */
const INTERVAL_MS = 100;
/** What has queued up is to be gone after this time, ms. */
const DRAIN_MS = 500;
/** The part changes at once by these factors at most. */
const FACTOR_LEAST = 0.5;
const FACTOR_MOST = 1.25;
/** With too much memory in use. */
const FACTOR_MEMORY = 0.8;
/** It never falls below. With too much memory in use V8 must go on allocating, or it does not collect. */
const PART_LEAST = 0.01;
const PART_LEAST_MEMORY = 0.1;
/** Of what a class of priority came with, as much as is remembered from one interval to the next. */
const REMEMBERED = 0.5;
/** Consecutive multiples of it, modulo 1, are spread evenly (golden ratio). */
const SPREAD = 0.6180339887498949;

export class ShedControl {
  /** Something must be refused. */
  active = false;
  /** Of what comes, that is taken; 1 for all. */
  part = 1;
  /** How late the loop may be, ms; Infinity for any. */
  boundMs = Number.POSITIVE_INFINITY;
  /** Nothing is refused in fact: the part means nothing, and all is well as soon as the delay is. */
  shadow = false;
  /** Classes below are refused, those above not; the fraction is the part of the class between that is taken. */
  #level: number = PRIORITIES.length;
  #lateSinceMs = 0;
  #lateFromMs = 0;
  #intervalMs = 0;
  /** Least delay of the interval, and of the one before, ms. */
  #leastMs = 0;
  #beforeMs = 0;
  #spread = 0;
  readonly #came = new Float64Array(PRIORITIES.length);
  readonly #mix = new Float64Array(PRIORITIES.length);
  readonly #takenMs = new Float64Array(PRIORITIES.length);
  readonly #utilisation: () => number;

  /** @param utilisation which part of the time since the last call the loop was busy, 0 to 1 */
  constructor(utilisation: () => number) {
    this.#utilisation = utilisation;
  }

  /** To be called by a timer, some times in INTERVAL_MS. @param delayMs by which it was late @param memory too much is in use */
  sample(nowMs: number, delayMs: number, memory: boolean): void {
    if (this.active) {
      this.#leastMs = Math.min(this.#leastMs, delayMs);
      if (nowMs - this.#intervalMs >= INTERVAL_MS) this.#adjust(nowMs, memory);
    } else if (memory) this.#begin(nowMs, delayMs, FACTOR_MEMORY);
    else if (delayMs <= this.boundMs) this.#lateSinceMs = 0;
    else if (this.#lateSinceMs === 0) {
      this.#lateSinceMs = nowMs;
      this.#lateFromMs = delayMs;
    } else this.#mayBegin(nowMs, delayMs);
  }

  /** Nothing is to be refused any more, whatever was. */
  end(): void {
    this.active = false;
    this.part = 1;
    this.#level = PRIORITIES.length;
    this.#lateSinceMs = 0;
  }

  /** A request of that class has come. Only while {@link active}. @returns whether it is to be refused */
  refuses(priority: number, nowMs: number): boolean {
    this.#came[priority] = (this.#came[priority] ?? 0) + 1;
    this.#spread = (this.#spread + SPREAD) % 1;
    return priority + this.#spread >= this.#level && !this.starved(priority, nowMs);
  }

  /** Of that class nothing is taken, not even for want of any. Only while {@link active}. */
  closes(priority: number, nowMs: number): boolean {
    return priority >= this.#level && !this.isDue(priority, nowMs);
  }

  /** Nothing of the class was taken for as long as it may be: the next one is, whatever else. Only looks. */
  isDue(priority: number, nowMs: number): boolean {
    return nowMs - (this.#takenMs[priority] ?? 0) >= STARVATION_MS;
  }

  /** As {@link isDue}, of a request that has come: it is that one. */
  starved(priority: number, nowMs: number): boolean {
    if (!this.isDue(priority, nowMs)) return false;
    this.#takenMs[priority] = nowMs;
    return true;
  }

  #mayBegin(nowMs: number, delayMs: number): void {
    const elapsedMs = nowMs - this.#lateSinceMs;
    if (elapsedMs < HOLD_MS) return;
    const growth = (delayMs - this.#lateFromMs) / elapsedMs;
    if (growth < 0 && delayMs <= RECOVERY_MS * -growth) return;
    this.#begin(nowMs, delayMs, (1 - DRAIN_PART_MOST) / Math.max(1, 1 + growth));
  }

  #begin(nowMs: number, delayMs: number, part: number): void {
    this.active = true;
    this.part = Math.max(PART_LEAST, part);
    this.#mix.fill(0);
    this.#mix[NORMAL_CLASS] = 1; // as long as it is not known what comes
    this.#restart(nowMs, delayMs);
    this.#level = this.#levelOf(this.part);
  }

  #restart(nowMs: number, delayMs: number): void {
    this.#intervalMs = nowMs;
    this.#beforeMs = delayMs;
    this.#leastMs = Number.POSITIVE_INFINITY;
    this.#came.fill(0);
    this.#utilisation();
  }

  #adjust(nowMs: number, memory: boolean): void {
    const delayMs = this.#leastMs;
    if (this.shadow) return delayMs <= this.boundMs && !memory ? this.end() : this.#restart(nowMs, delayMs);
    const offered = this.#utilisation() + (delayMs - this.#beforeMs) / (nowMs - this.#intervalMs);
    const aimMs = this.boundMs === Number.POSITIVE_INFINITY ? delayMs : this.boundMs / 2;
    const wanted = 1 - clamp((delayMs - aimMs) / DRAIN_MS, -DRAIN_PART_LEAST, DRAIN_PART_MOST);
    const factor = clamp(wanted / Math.max(0.1, offered), FACTOR_LEAST, FACTOR_MOST);
    const least = memory ? PART_LEAST_MEMORY : PART_LEAST;
    this.part = clamp(this.part * (memory ? Math.min(factor, FACTOR_MEMORY) : factor), least, 1);
    if (this.part === 1 && delayMs <= this.boundMs && !memory) return this.end();
    for (let c = 0; c < PRIORITIES.length; c++) this.#mix[c] = REMEMBERED * (this.#mix[c] ?? 0) + (this.#came[c] ?? 0);
    this.#restart(nowMs, delayMs);
    this.#level = this.#levelOf(this.part);
  }

  /** Retries, mirrors and refreshes are none of the mix: they have no part while anything is refused. */
  #levelOf(part: number): number {
    let total = 0;
    for (let c = 0; c < RETRY; c++) total += this.#mix[c] ?? 0;
    let left = part * total;
    for (let c = 0; c < RETRY; c++) {
      const n = this.#mix[c] ?? 0;
      if (left < n) return c + left / n;
      left -= n;
    }
    return RETRY;
  }
}

/** Of the work of an interval, given to what has queued up; and left out of it to fill the loop. */
const DRAIN_PART_MOST = 0.5;
const DRAIN_PART_LEAST = 0.05;
const NORMAL_CLASS = PRIORITIES.indexOf("normal");

const clamp = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));
