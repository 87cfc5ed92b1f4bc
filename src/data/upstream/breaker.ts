// Owns what circuit breakers mean to one upstream in one worker: who may pass, and which outcomes are failures. The state is shared.
// Must never choose a target or answer a client. Everything here is on the request path: no allocation, some atomic loads while all is well.
import { ERROR_CODES, type ErrorCode, errorNumber } from "../../base/errors.ts";
import { StatusSet } from "../../base/status-list.ts";
import type { BreakerCondition, BreakerPlan } from "../../plan/plan.ts";
import { type BreakerOutcome, type BreakerTable, OUTCOME } from "../../shared/breaker-table.ts";
import { NO_TICKET, PHASE, REFUSED } from "../../shared/breaker-word.ts";
import type { Outcome, Upstream } from "./upstream.ts";

/** When to come again while trials or a recovery decide, ms. */
const SOON_MS = 1000;

/** What each condition means in codes. An attempt that ends with any other code says nothing about the upstream. */
const CONDITION_CODES: Readonly<Record<BreakerCondition, readonly ErrorCode[]>> = {
  "connect-failure": ["connect_failed", "connect_timeout", "upstream_tls"],
  timeout: ["connect_timeout", "response_timeout", "total_timeout", "upstream_idle_timeout"],
  reset: ["upstream_reset", "upstream_aborted"],
  invalid: ["upstream_invalid", "upstream_upgrade_refused"],
};

/** What an attempt holds while it is under way. Its owner keeps the fields and gives them no meaning. */
export interface Tickets {
  upstreamTicket: number;
  targetTicket: number;
  /** The response head came and was judged. */
  answered: boolean;
}

export class UpstreamBreaker {
  readonly plan: BreakerPlan;
  /** The upstream to ask instead; null for none. Set when the runtime is built. */
  standIn: Upstream | null = null;
  readonly #table: BreakerTable;
  readonly #now: () => number;
  readonly #judgesUpstream: boolean;
  readonly #judgesTargets: boolean;
  /** Those of failures. */
  readonly #statuses: StatusSet;
  /** By errorNumber; 1: a failure. */
  readonly #codes = new Uint8Array(ERROR_CODES.length + 1);

  /** @param now monotonicMs() of base/clock.ts */
  constructor(plan: BreakerPlan, table: BreakerTable, now: () => number) {
    const { failures, scope } = plan;
    this.plan = plan;
    this.#table = table;
    this.#now = now;
    this.#judgesUpstream = scope !== "target";
    this.#judgesTargets = scope !== "upstream";
    this.#statuses = new StatusSet(failures.statuses);
    for (const condition of failures.conditions) for (const code of CONDITION_CODES[condition]) this.#codes[errorNumber(code)] = 1;
  }

  /** Whether the upstream as a whole is closed to requests now. Takes nothing. */
  refuses(): boolean {
    return this.#table.refuses(this.plan.slot);
  }

  /** May an attempt at the upstream begin? If so, one of release(), onHead() and onComplete() must follow. */
  tryAcquire(tickets: Tickets): boolean {
    tickets.answered = false;
    tickets.targetTicket = NO_TICKET;
    tickets.upstreamTicket = this.#table.admit(this.plan.slot, this.plan.recoveryMs, this.#now);
    return tickets.upstreamTicket !== REFUSED;
  }

  /** May it go to this target? A refusal leaves everything as it was, so that another one can be asked for. */
  tryAcquireTarget(slot: number, tickets: Tickets): boolean {
    const ticket = this.#table.admit(slot, this.plan.recoveryMs, this.#now);
    if (ticket === REFUSED) return false;
    tickets.targetTicket = ticket;
    return true;
  }

  /** There was no target to go to. */
  release(tickets: Tickets): void {
    this.#table.giveBack(this.plan.slot, tickets.upstreamTicket);
    tickets.upstreamTicket = NO_TICKET;
  }

  /** The response head is here, so many ms after the request was with the target. */
  onHead(tickets: Tickets, slot: number, status: number, tookMs: number): void {
    this.#settle(tickets, slot, this.#statuses.has(status), tookMs);
    tickets.answered = true;
  }

  /**
   * The attempt is over. What was answered can still turn bad: the answer broke off.
   * @param outcome neutral, unasked: nothing was learnt about the target (the client went away, the gateway's own bounds)
   */
  onComplete(tickets: Tickets, slot: number, outcome: Outcome, code: ErrorCode | null, tookMs: number): void {
    const failed = outcome === "failure" && this.#codes[errorNumber(code)] === 1;
    if (tickets.answered) {
      if (failed) this.#failAfterHead(tickets, slot);
    } else if (outcome === "neutral" || outcome === "unasked") {
      this.#table.giveBack(this.plan.slot, tickets.upstreamTicket);
      this.#table.giveBack(slot, tickets.targetTicket);
    } else this.#settle(tickets, slot, failed, tookMs);
    tickets.upstreamTicket = tickets.targetTicket = NO_TICKET;
  }

  /** ms until it is worth asking again what refuses now. */
  retryAfterMs(slot: number): number {
    const phase = this.#table.phase(slot);
    if (phase === PHASE.open) return Math.max(0, this.#table.openUntilMs(slot) - this.#now());
    return phase === PHASE.forcedOpen ? this.plan.openForMs : SOON_MS;
  }

  /** Counts a request that was turned away. */
  rejected(): void {
    this.#table.rejected(this.plan.slot);
  }

  /** Counts a request that the fallback took. */
  fellBack(): void {
    this.#table.fellBack(this.plan.slot);
  }

  #settle(tickets: Tickets, slot: number, failed: boolean, tookMs: number): void {
    const { plan } = this;
    const slow = plan.slowCallMs > 0 && tookMs >= plan.slowCallMs;
    const outcome = ((failed ? OUTCOME.failed : 0) | (slow ? OUTCOME.slow : 0)) as BreakerOutcome; // the two bits are all there is
    const nowMs = this.#now();
    const { upstreamTicket, targetTicket } = tickets;
    if (this.#judgesUpstream && upstreamTicket >= 0) this.#table.settle(plan.slot, upstreamTicket, outcome, plan, nowMs);
    if (this.#judgesTargets && targetTicket >= 0) this.#table.settle(slot, targetTicket, outcome, plan, nowMs);
    // A trial is decided once, a failure counts once: what is left of a good answer is the epoch in which it could still turn bad.
    tickets.upstreamTicket = failed || upstreamTicket < 0 ? NO_TICKET : upstreamTicket & ~1;
    tickets.targetTicket = failed || targetTicket < 0 ? NO_TICKET : targetTicket & ~1;
  }

  #failAfterHead(tickets: Tickets, slot: number): void {
    const nowMs = this.#now();
    const { upstreamTicket, targetTicket } = tickets;
    if (this.#judgesUpstream && upstreamTicket >= 0) this.#table.failAfterHead(this.plan.slot, upstreamTicket, this.plan, nowMs);
    if (this.#judgesTargets && targetTicket >= 0) this.#table.failAfterHead(slot, targetTicket, this.plan, nowMs);
  }
}
