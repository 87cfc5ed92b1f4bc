// Owns the shared table of circuit breakers: their state, rolling counts and trials, one slot each, seen by all threads at once.
// Must never wait, lock, or need a living thread to go on; what counts as a failure is its callers' business.
import {
  BREAKER_SLOTS_MAX,
  CHANGES,
  FALLBACKS,
  HEADER_WORDS,
  HELD_MASK,
  HELD_SHIFT,
  IN_A_ROW,
  LEVEL,
  OPEN_UNTIL_F64,
  OPENED,
  REJECTED,
  ROUND,
  SINCE_F64,
  SLOT_WORDS,
  SLOTS,
  TRIALS,
  WINDOW,
  WORD_BYTES,
  WORKERS,
} from "./breaker-layout.ts";
import {
  epochOf,
  isCurrent,
  isTrial,
  nextWord,
  ONE_SUCCEEDED,
  ONE_TAKEN,
  PHASE,
  type Phase,
  phaseOf,
  REFUSED,
  succeededOf,
  takenOf,
  ticketOf,
  trialOf,
} from "./breaker-word.ts";
import { countOne, FAILED, SLOW, sumOf, TOTAL, tickOf } from "./rolling-window.ts";
import { HEALTH_WORKERS_MAX } from "./target-health.ts";

/** Doublings of openFor beyond which the cap has long been reached. */
const LEVEL_MAX = 30;
/** Reopening lasts a random part less, so that instances do not come back in step. */
export const OPEN_JITTER = 0.25;
/** Share of requests that pass when recovery begins. */
export const RECOVERY_SHARE_MIN = 0.1;

/** By which a breaker judges. Times in ms, shares 0..1. */
export interface BreakerRules {
  readonly errorRate: number;
  readonly minimumRequests: number;
  /** Opens after so many failures in a row, whatever the window holds; 0: they are not counted. */
  readonly consecutiveFailures: number;
  readonly windowMs: number;
  /** 0: slow calls do not matter. */
  readonly slowCallRate: number;
  readonly openForMs: number;
  readonly maxOpenForMs: number;
  /** 0: closed at once. */
  readonly recoveryMs: number;
}

/** What an outcome was. */
export const OUTCOME = { good: 0, failed: 1, slow: 2, failedSlow: 3 } as const;
export type BreakerOutcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** One thread's view. The primary allocates; every worker opens it with its own index. */
export class BreakerTable {
  readonly buffer: SharedArrayBuffer;
  readonly slots: number;
  readonly workers: number;
  protected readonly words: Int32Array;
  protected readonly doubles: Float64Array;
  readonly #random: () => number;
  readonly #ownCell: number;

  /** @throws RangeError beyond the bounds */
  static allocate(workers: number, slots: number = BREAKER_SLOTS_MAX): SharedArrayBuffer {
    if (workers < 1 || workers > HEALTH_WORKERS_MAX) throw new RangeError(`breakers: ${workers} workers, at most ${HEALTH_WORKERS_MAX}`);
    if (slots < 1 || slots > BREAKER_SLOTS_MAX) throw new RangeError(`breakers: ${slots} slots, at most ${BREAKER_SLOTS_MAX}`);
    const buffer = new SharedArrayBuffer(Math.ceil((HEADER_WORDS + slots * (SLOT_WORDS + workers)) / 2) * 2 * WORD_BYTES);
    const header = new Int32Array(buffer);
    header[WORKERS] = workers;
    header[SLOTS] = slots;
    return buffer;
  }

  /** @param workerIndex -1 for a thread that sends no requests (the primary): admit() and settle() are not for it */
  constructor(buffer: SharedArrayBuffer, workerIndex = -1, random: () => number = Math.random) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.doubles = new Float64Array(buffer);
    this.#random = random;
    this.workers = this.words[WORKERS] ?? 0;
    this.slots = this.words[SLOTS] ?? 0;
    if (workerIndex >= this.workers) throw new RangeError(`breakers: worker index ${workerIndex} of ${this.workers}`);
    this.#ownCell = HEADER_WORDS + this.slots * SLOT_WORDS + workerIndex;
  }

  /** Moves whenever a breaker opened, or there is something for the primary to decide. Compare for equality only (wraps). */
  changes(): number {
    return Atomics.load(this.words, CHANGES);
  }

  /** Resolves when changes() is no longer `seen`; null when it is not already. @returns also when something else woke it */
  changed(seen: number): Promise<unknown> | null {
    const waiting = Atomics.waitAsync(this.words, CHANGES, seen);
    return waiting.async ? waiting.value : null;
  }

  phase(slot: number): Phase {
    return phaseOf(this.words[this.record(slot)] ?? 0);
  }

  /** Nothing passes, and that is not about to change by trials. */
  isOpen(slot: number): boolean {
    const phase = this.phase(slot);
    return phase === PHASE.open || phase === PHASE.forcedOpen;
  }

  /** Whether admit() would refuse now, as far as that is not a matter of chance. Takes nothing. */
  refuses(slot: number): boolean {
    const record = this.record(slot);
    const word = this.words[record] ?? 0;
    const phase = phaseOf(word);
    if (phase === PHASE.halfOpen) return takenOf(word) >= (this.words[record + ROUND] ?? 0);
    return phase === PHASE.open || phase === PHASE.forcedOpen;
  }

  // --- Workers: hot ---

  /**
   * May a request pass? A ticket that is not REFUSED must be settled or given back, once.
   * @param nowMs monotonicMs(): only called while recovering
   */
  admit(slot: number, recoveryMs: number, nowMs: () => number): number {
    const record = this.record(slot);
    const word = this.words[record] ?? 0;
    const phase = phaseOf(word);
    if (phase === PHASE.closed || phase === PHASE.forcedClosed) return ticketOf(word);
    if (phase === PHASE.halfOpen) return this.#takeTrial(slot, record);
    if (phase !== PHASE.recovering) return REFUSED;
    const part = (nowMs() - this.sinceMs(slot)) / recoveryMs;
    if (part >= 1 || this.#random() < RECOVERY_SHARE_MIN + (1 - RECOVERY_SHARE_MIN) * part) return ticketOf(word);
    return REFUSED;
  }

  /** Counts the outcome of a request that passed. Outcomes of earlier epochs are of no interest. @returns whether this opened the breaker */
  settle(slot: number, ticket: number, outcome: BreakerOutcome, rules: BreakerRules, nowMs: number): boolean {
    const record = this.record(slot);
    if (isTrial(ticket)) return this.#settleTrial(slot, ticket, outcome, rules, nowMs);
    if (!isCurrent(ticket, this.words[record] ?? 0)) return false;
    const tick = tickOf(nowMs, rules.windowMs);
    const window = record + WINDOW;
    countOne(this.words, window, TOTAL, tick);
    if ((outcome & OUTCOME.failed) !== 0) countOne(this.words, window, FAILED, tick);
    if ((outcome & OUTCOME.slow) !== 0) countOne(this.words, window, SLOW, tick);
    if (rules.consecutiveFailures > 0) this.#countInARow(record, (outcome & OUTCOME.failed) !== 0);
    return this.#judge(slot, ticket, tick, rules, nowMs);
  }

  /** A request whose good outcome was settled went wrong after all: its answer broke off. @returns as settle() */
  failAfterHead(slot: number, ticket: number, rules: BreakerRules, nowMs: number): boolean {
    const record = this.record(slot);
    const word = Atomics.load(this.words, record);
    if (!isCurrent(ticket, word)) return false;
    if (phaseOf(word) === PHASE.halfOpen) return this.#open(slot, word, rules, nowMs);
    const tick = tickOf(nowMs, rules.windowMs);
    countOne(this.words, record + WINDOW, FAILED, tick);
    return this.#judge(slot, ticket, tick, rules, nowMs);
  }

  /** The request came to nothing that says anything about the upstream: a trial is free for another one. */
  giveBack(slot: number, ticket: number): void {
    if (!isTrial(ticket)) return;
    this.returnTrials(slot, ticket >> 1, 1);
    this.#letGo(slot, ticket);
  }

  /** Counts a request that was turned away. */
  rejected(slot: number): void {
    Atomics.add(this.words, this.record(slot) + REJECTED, 1);
  }

  /** Counts a request that the fallback served. */
  fellBack(slot: number): void {
    Atomics.add(this.words, this.record(slot) + FALLBACKS, 1);
  }

  #takeTrial(slot: number, record: number): number {
    const { words } = this;
    for (;;) {
      const word = Atomics.load(words, record);
      if (phaseOf(word) !== PHASE.halfOpen || takenOf(word) >= Atomics.load(words, record + ROUND)) return REFUSED;
      this.#hold(slot, epochOf(word));
      if (Atomics.compareExchange(words, record, word, word + ONE_TAKEN) === word) {
        Atomics.add(words, record + TRIALS, 1);
        return trialOf(word);
      }
      this.#letGo(slot, trialOf(word));
    }
  }

  #settleTrial(slot: number, ticket: number, outcome: BreakerOutcome, rules: BreakerRules, nowMs: number): boolean {
    const record = this.record(slot);
    const bad = (outcome & OUTCOME.failed) !== 0 || ((outcome & OUTCOME.slow) !== 0 && rules.slowCallRate > 0);
    let opened = false;
    for (;;) {
      const word = Atomics.load(this.words, record);
      if (!isCurrent(ticket, word) || phaseOf(word) !== PHASE.halfOpen) break;
      if (bad) {
        opened = this.#open(slot, word, rules, nowMs);
        if (opened) break;
      } else if (Atomics.compareExchange(this.words, record, word, word + ONE_SUCCEEDED) === word) {
        if (succeededOf(word) + 1 >= Atomics.load(this.words, record + ROUND)) this.announce();
        break;
      }
    }
    this.#letGo(slot, ticket);
    return opened;
  }

  #judge(slot: number, ticket: number, tick: number, rules: BreakerRules, nowMs: number): boolean {
    if (!this.#isTooMuch(this.record(slot), tick, rules)) return false;
    for (;;) {
      const word = Atomics.load(this.words, this.record(slot));
      const phase = phaseOf(word);
      if (!isCurrent(ticket, word) || (phase !== PHASE.closed && phase !== PHASE.recovering)) return false;
      if (this.#open(slot, word, rules, nowMs)) return true; // else it was recovering and is closed now
    }
  }

  #countInARow(record: number, failed: boolean): void {
    if (failed) Atomics.add(this.words, record + IN_A_ROW, 1);
    else if (this.words[record + IN_A_ROW] !== 0) Atomics.store(this.words, record + IN_A_ROW, 0);
  }

  #isTooMuch(record: number, tick: number, rules: BreakerRules): boolean {
    if (rules.consecutiveFailures > 0 && (this.words[record + IN_A_ROW] ?? 0) >= rules.consecutiveFailures) return true;
    const window = record + WINDOW;
    const failed = sumOf(this.words, window, FAILED, tick);
    const slow = rules.slowCallRate > 0 ? sumOf(this.words, window, SLOW, tick) : 0;
    if (failed + slow === 0) return false;
    const total = sumOf(this.words, window, TOTAL, tick);
    if (total < rules.minimumRequests) return false;
    // The epsilon repairs products such as 0.07 * 100 = 7.000000000000001.
    return failed >= rules.errorRate * total - 1e-9 || (rules.slowCallRate > 0 && slow >= rules.slowCallRate * total - 1e-9);
  }

  /** @returns false when somebody else changed it first */
  #open(slot: number, word: number, rules: BreakerRules, nowMs: number): boolean {
    const { words } = this;
    const record = this.record(slot);
    if (Atomics.compareExchange(words, record, word, nextWord(word, PHASE.open)) !== word) return false;
    const level = Atomics.load(words, record + LEVEL);
    Atomics.store(words, record + LEVEL, Math.min(level + 1, LEVEL_MAX));
    const untilMs = nowMs + openForMs(level, rules, this.#random);
    this.doubles[(record >> 1) + OPEN_UNTIL_F64] = untilMs;
    this.entered(record, OPENED, nowMs);
    return true;
  }

  // --- Readings ---

  sinceMs(slot: number): number {
    return this.doubles[(this.record(slot) >> 1) + SINCE_F64] ?? 0;
  }

  openUntilMs(slot: number): number {
    return this.doubles[(this.record(slot) >> 1) + OPEN_UNTIL_F64] ?? 0;
  }

  // --- Within ---

  protected record(slot: number): number {
    return HEADER_WORDS + slot * SLOT_WORDS;
  }

  protected entered(record: number, counter: number, nowMs: number): void {
    this.doubles[(record >> 1) + SINCE_F64] = nowMs;
    Atomics.add(this.words, record + counter, 1);
    this.announce();
  }

  protected announce(): void {
    Atomics.add(this.words, CHANGES, 1);
    Atomics.notify(this.words, CHANGES);
  }

  #hold(slot: number, epoch: number): void {
    const cell = this.#ownCell + slot * this.workers;
    const held = this.words[cell] ?? 0;
    this.words[cell] = held >>> HELD_SHIFT === epoch ? held + 1 : (epoch << HELD_SHIFT) | 1;
  }

  #letGo(slot: number, ticket: number): void {
    const cell = this.#ownCell + slot * this.workers;
    const held = this.words[cell] ?? 0;
    if (held >>> HELD_SHIFT === ticket >> 1 && (held & HELD_MASK) > 0) this.words[cell] = held - 1;
  }

  protected returnTrials(slot: number, epoch: number, count: number): void {
    const record = this.record(slot);
    for (;;) {
      const word = Atomics.load(this.words, record);
      const taken = Math.min(count, takenOf(word) - succeededOf(word));
      if (epochOf(word) !== epoch || phaseOf(word) !== PHASE.halfOpen || taken === 0) return;
      if (Atomics.compareExchange(this.words, record, word, word - taken * ONE_TAKEN) === word) return;
    }
  }
}

/** How long an opening lasts: doubled for each one before it in a row, at most the cap; all but the first shortened by a random part. */
export function openForMs(level: number, rules: BreakerRules, random: () => number): number {
  const whole = Math.min(rules.openForMs * 2 ** level, Math.max(rules.maxOpenForMs, rules.openForMs));
  return level === 0 ? whole : whole * (1 - OPEN_JITTER * random());
}
