// Owns the rules and the plain model that tests of the breaker table share: the same state machine, told as sequential code over plain objects.
import type { BreakerPlan } from "../../src/plan/plan.ts";
import { upstreamBreakerSlot } from "../../src/shared/breaker-layout.ts";
import { type BreakerOutcome, type BreakerRules, OUTCOME, openForMs, RECOVERY_SHARE_MIN } from "../../src/shared/breaker-table.ts";
import { PHASE, type Phase } from "../../src/shared/breaker-word.ts";

export const breakerRules = (part: Partial<BreakerRules> = {}): BreakerRules => ({
  errorRate: 0.5,
  minimumRequests: 10,
  consecutiveFailures: 0,
  windowMs: 8000,
  slowCallRate: 0,
  openForMs: 1000,
  maxOpenForMs: 60_000,
  recoveryMs: 4000,
  ...part,
});

/** A plan with these rules, of an upstream that has the second upstream slot. */
export const breakerPlan = (part: Partial<BreakerPlan> = {}): BreakerPlan => ({
  ...breakerRules(),
  slot: upstreamBreakerSlot(2),
  scope: "target",
  slowCallMs: 0,
  halfOpenRequests: 3,
  trialTimeoutMs: 10_000,
  failures: { statuses: [{ min: 500, max: 599 }], conditions: ["connect-failure", "reset", "timeout", "invalid"] },
  fallback: null,
  ...part,
});

/** A request that the model let pass. */
export interface ModelPass {
  readonly era: number;
  readonly trial: boolean;
}

/** What a breaker should do, one thread, no shared memory. */
export class BreakerModel {
  phase: Phase = PHASE.closed;
  era = 0;
  level = 0;
  sinceMs = 0;
  openUntilMs = 0;
  trials = 0;
  taken = 0;
  succeeded = 0;
  #log: { tick: number; failed: boolean; slow: boolean; extra: boolean }[] = [];
  readonly #rules: BreakerRules;
  readonly #random: () => number;
  /** Failures in a row. */
  #inARow = 0;

  constructor(rules: BreakerRules, random: () => number) {
    this.#rules = rules;
    this.#random = random;
  }

  admit(nowMs: number): ModelPass | null {
    if (this.phase === PHASE.closed || this.phase === PHASE.forcedClosed) return { era: this.era, trial: false };
    if (this.phase === PHASE.halfOpen) {
      if (this.taken === this.trials) return null;
      this.taken++;
      return { era: this.era, trial: true };
    }
    if (this.phase !== PHASE.recovering) return null;
    const part = (nowMs - this.sinceMs) / this.#rules.recoveryMs;
    if (part >= 1) return { era: this.era, trial: false };
    return this.#random() < RECOVERY_SHARE_MIN + (1 - RECOVERY_SHARE_MIN) * part ? { era: this.era, trial: false } : null;
  }

  settle(pass: ModelPass, outcome: BreakerOutcome, nowMs: number): void {
    if (pass.era !== this.era) return;
    const failed = outcome === OUTCOME.failed || outcome === OUTCOME.failedSlow;
    const slow = outcome === OUTCOME.slow || outcome === OUTCOME.failedSlow;
    if (pass.trial) {
      if (failed || (slow && this.#rules.slowCallRate > 0)) this.#open(nowMs);
      else this.succeeded++;
      return;
    }
    this.#log.push({ tick: this.#tick(nowMs), failed, slow, extra: false });
    this.#inARow = failed ? this.#inARow + 1 : 0;
    this.#judge(nowMs);
  }

  turnedBad(pass: ModelPass, nowMs: number): void {
    if (pass.era !== this.era) return;
    if (this.phase === PHASE.halfOpen) return this.#open(nowMs);
    this.#log.push({ tick: this.#tick(nowMs), failed: true, slow: false, extra: true });
    this.#judge(nowMs);
  }

  giveBack(pass: ModelPass): void {
    if (pass.trial && pass.era === this.era) this.taken--;
  }

  beginRound(trials: number, nowMs: number): void {
    if (this.phase !== PHASE.open) return;
    this.#enter(PHASE.halfOpen, nowMs);
    this.trials = trials;
  }

  renewRound(): void {
    if (this.phase !== PHASE.halfOpen || this.taken === this.succeeded) return;
    this.era++;
    this.taken = this.succeeded;
  }

  endRound(nowMs: number): void {
    if (this.phase !== PHASE.halfOpen || this.succeeded < this.trials) return;
    this.#log = [];
    this.#inARow = 0;
    this.#enter(this.#rules.recoveryMs > 0 ? PHASE.recovering : PHASE.closed, nowMs);
  }

  close(): void {
    if (this.phase !== PHASE.recovering) return;
    this.phase = PHASE.closed;
    this.level = 0;
  }

  force(phase: Phase, nowMs: number): void {
    this.#log = [];
    this.#inARow = 0;
    this.level = 0;
    this.#enter(phase, nowMs);
  }

  counts(nowMs: number): { total: number; failed: number; slow: number } {
    const seen = this.#log.filter((entry) => this.#tick(nowMs) - entry.tick < 8);
    return {
      total: seen.filter((entry) => !entry.extra).length,
      failed: seen.filter((entry) => entry.failed).length,
      slow: seen.filter((entry) => entry.slow).length,
    };
  }

  #tick(nowMs: number): number {
    return Math.floor((nowMs * 8) / this.#rules.windowMs);
  }

  #judge(nowMs: number): void {
    if (this.phase !== PHASE.closed && this.phase !== PHASE.recovering) return;
    const { total, failed, slow } = this.counts(nowMs);
    const { errorRate, slowCallRate, minimumRequests, consecutiveFailures } = this.#rules;
    if (consecutiveFailures > 0 && this.#inARow >= consecutiveFailures) return this.#open(nowMs);
    if (total < minimumRequests || failed + (slowCallRate > 0 ? slow : 0) === 0) return;
    if (failed / total >= errorRate || (slowCallRate > 0 && slow / total >= slowCallRate)) this.#open(nowMs);
  }

  #open(nowMs: number): void {
    this.#enter(PHASE.open, nowMs);
    this.openUntilMs = nowMs + openForMs(this.level, this.#rules, this.#random);
    this.level = Math.min(this.level + 1, 30);
  }

  #enter(phase: Phase, nowMs: number): void {
    this.phase = phase;
    this.era++;
    this.sinceMs = nowMs;
    this.taken = this.succeeded = 0;
  }
}
