// Owns what only the primary does with the table of circuit breakers: half-open rounds, closing, an operator's word, readings.
// Must never be used by a worker, and must never open a breaker because of outcomes: workers do that themselves, at once.
import {
  CLOSED,
  FALLBACKS,
  HALF_OPENED,
  HEADER_WORDS,
  HELD_MASK,
  HELD_SHIFT,
  IN_A_ROW,
  LEVEL,
  OPENED,
  RECOVERED,
  REJECTED,
  ROUND,
  SINCE_F64,
  SLOT_WORDS,
  TRIALS,
  WINDOW,
} from "./breaker-layout.ts";
import { BreakerTable } from "./breaker-table.ts";
import { epochOf, inPhase, nextWord, PHASE, type Phase, phaseOf, succeededOf, takenOf } from "./breaker-word.ts";
import { clearWindow, FAILED, SLOW, sumOf, TOTAL, tickOf } from "./rolling-window.ts";

/** Everything known about a breaker at one moment, for people and metrics. */
export interface BreakerReading {
  readonly phase: Phase;
  /** Moves with every change of phase but recovering -> closed. */
  readonly epoch: number;
  /** monotonicMs(); 0 for never changed. */
  readonly sinceMs: number;
  /** monotonicMs(); of the last opening. */
  readonly openUntilMs: number;
  readonly openings: number;
  readonly round: { readonly trials: number; readonly taken: number; readonly succeeded: number };
  /** Ever, modulo 2^32. */
  readonly opened: number;
  readonly halfOpened: number;
  readonly recovered: number;
  readonly closed: number;
  readonly trials: number;
  readonly rejected: number;
  readonly fallbacks: number;
}

/** The primary's view of the table. */
export class BreakerAdmin extends BreakerTable {
  /** The whole state (breaker-word.ts): equal words mean that nothing changed. */
  word(slot: number): number {
    return Atomics.load(this.words, this.record(slot));
  }

  /** Forgets what was counted: the window has another length now. */
  forgetCounts(slot: number): void {
    this.#clearCounts(this.record(slot));
  }

  /** Wakes whoever waits for changed(). */
  wake(): void {
    this.announce();
  }

  /** open -> half-open, with so many trials. @returns the word it wrote, which workers may have changed by now; null when it is not open (any more) */
  beginRound(slot: number, trials: number, nowMs: number): number | null {
    const record = this.record(slot);
    Atomics.store(this.words, record + ROUND, trials);
    return this.#move(record, PHASE.open, PHASE.halfOpen, HALF_OPENED, nowMs);
  }

  /** Trials that are still under way no longer count: others may take their places. Those that went well stay. @returns how many places */
  renewRound(slot: number): number {
    const record = this.record(slot);
    for (;;) {
      const word = Atomics.load(this.words, record);
      const missing = takenOf(word) - succeededOf(word);
      if (phaseOf(word) !== PHASE.halfOpen || missing === 0) return 0;
      const renewed = nextWord(word, PHASE.halfOpen, succeededOf(word));
      if (Atomics.compareExchange(this.words, record, word, renewed) === word) return missing;
    }
  }

  /** half-open -> recovering, or closed when there is no recovery, with an empty window. @returns as beginRound(); null when the round is not won */
  endRound(slot: number, recoveryMs: number, nowMs: number): number | null {
    const record = this.record(slot);
    if (!this.isWon(slot)) return null;
    this.#clearCounts(record); // nothing counts there while it is half-open
    if (recoveryMs > 0) return this.#move(record, PHASE.halfOpen, PHASE.recovering, RECOVERED, nowMs);
    return this.#move(record, PHASE.halfOpen, PHASE.closed, CLOSED, nowMs);
  }

  /** Every trial of the round went well. */
  isWon(slot: number): boolean {
    const record = this.record(slot);
    const word = Atomics.load(this.words, record);
    return phaseOf(word) === PHASE.halfOpen && succeededOf(word) >= Atomics.load(this.words, record + ROUND);
  }

  /** recovering -> closed: the next opening is a first one again. @returns as beginRound(); null when it is not recovering (any more) */
  close(slot: number, nowMs: number): number | null {
    const record = this.record(slot);
    const word = Atomics.load(this.words, record);
    const next = inPhase(word, PHASE.closed);
    if (phaseOf(word) !== PHASE.recovering || Atomics.compareExchange(this.words, record, word, next) !== word) return null;
    Atomics.store(this.words, record + LEVEL, 0);
    this.entered(record, CLOSED, nowMs);
    return next;
  }

  /** An operator decides; `closed` gives it back to the outcomes, beginning anew. Always takes effect. @returns as beginRound() */
  force(slot: number, phase: typeof PHASE.forcedOpen | typeof PHASE.forcedClosed | typeof PHASE.closed, nowMs: number): number {
    const record = this.record(slot);
    let word = Atomics.load(this.words, record);
    for (let seen = word; ; word = seen) {
      seen = Atomics.compareExchange(this.words, record, word, nextWord(word, phase));
      if (seen === word) break;
    }
    this.#clearCounts(record);
    Atomics.store(this.words, record + LEVEL, 0);
    this.entered(record, phase === PHASE.forcedOpen ? OPENED : CLOSED, nowMs);
    return nextWord(word, phase);
  }

  /** Forgets everything about a slot: before it is given to another breaker. Tickets for the old one are void. */
  reset(slot: number): void {
    const record = this.record(slot);
    const fresh = nextWord(Atomics.load(this.words, record), PHASE.closed);
    for (let i = 1; i < SLOT_WORDS; i += 1) Atomics.store(this.words, record + i, 0);
    Atomics.store(this.words, record, fresh);
    this.announce();
  }

  /** Gives back the trials of a dead worker: after its thread is gone and before its replacement starts. */
  clearWorker(workerIndex: number): void {
    if (workerIndex < 0 || workerIndex >= this.workers) return;
    for (let slot = 0; slot < this.slots; slot += 1) {
      const cell = HEADER_WORDS + this.slots * SLOT_WORDS + slot * this.workers + workerIndex;
      const held = Atomics.exchange(this.words, cell, 0);
      if ((held & HELD_MASK) !== 0) this.returnTrials(slot, held >>> HELD_SHIFT, held & HELD_MASK);
    }
  }

  /** Outcomes in the window that ends now. */
  counts(slot: number, windowMs: number, nowMs: number): { readonly total: number; readonly failed: number; readonly slow: number } {
    const tick = tickOf(nowMs, windowMs);
    const sum = (kind: typeof TOTAL | typeof FAILED | typeof SLOW): number => sumOf(this.words, this.record(slot) + WINDOW, kind, tick);
    return { total: sum(TOTAL), failed: sum(FAILED), slow: sum(SLOW) };
  }

  read(slot: number): BreakerReading {
    const record = this.record(slot);
    const word = Atomics.load(this.words, record);
    const at = (offset: number): number => Atomics.load(this.words, record + offset) >>> 0;
    return {
      phase: phaseOf(word),
      epoch: epochOf(word),
      sinceMs: this.sinceMs(slot),
      openUntilMs: this.openUntilMs(slot),
      openings: at(LEVEL),
      round: { trials: at(ROUND), taken: takenOf(word), succeeded: succeededOf(word) },
      opened: at(OPENED),
      halfOpened: at(HALF_OPENED),
      recovered: at(RECOVERED),
      closed: at(CLOSED),
      trials: at(TRIALS),
      rejected: at(REJECTED),
      fallbacks: at(FALLBACKS),
    };
  }

  #clearCounts(record: number): void {
    clearWindow(this.words, record + WINDOW);
    Atomics.store(this.words, record + IN_A_ROW, 0);
  }

  #move(record: number, from: Phase, to: Phase, counter: number, nowMs: number): number | null {
    const word = Atomics.load(this.words, record);
    if (phaseOf(word) !== from) return null;
    // Recovering counts from `since`, so it must not be seen with an old one.
    this.doubles[(record >> 1) + SINCE_F64] = nowMs;
    const next = nextWord(word, to);
    if (Atomics.compareExchange(this.words, record, word, next) !== word) return null;
    this.entered(record, counter, nowMs);
    return next;
  }
}
