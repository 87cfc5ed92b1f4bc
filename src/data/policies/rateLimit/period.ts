// Owns the periods of quotas: when the present one began and ends, in UTC, and the tag of a bucket in it. Pure.
import type { QuotaPlan } from "../../../plan/plan.ts";
import type { Window } from "../../../plan/rate-limit.ts";
import type { LimitAsk } from "../../../shared/limit-size.ts";
import type { LimitTable } from "../../../shared/limit-table.ts";

const WEEK_MS = 604_800_000;
/** 1970-01-01 was a Thursday; weeks begin on Monday (ISO 8601). */
const MONDAY_MS = 4 * 86_400_000;

/** The present period of one quota; moved on when it is over. One a thread and limit. */
export class QuotaPeriod {
  startMs = 0;
  endMs = 0;
  readonly #plan: Pick<QuotaPlan, "periodMs" | "month">;
  readonly #rolling: boolean;

  constructor(plan: Pick<QuotaPlan, "periodMs" | "month">, window: Window) {
    this.#rolling = window === "rolling";
    // A month in any time of that length is 30 days.
    this.#plan = { periodMs: plan.periodMs, month: plan.month && !this.#rolling };
  }

  /** Makes the ask about the present period: its tag, and what a rolling quota carries over. @param ask with the tag of the key in all periods */
  apply(ask: LimitAsk, table: LimitTable): void {
    const now = table.nowEpochMs;
    if (now < this.startMs || now >= this.endMs) this.#move(now);
    const { high, low } = ask;
    ask.periodStartS = this.startMs / 1000;
    ask.periodEndMs = this.endMs;
    ask.carried = 0;
    if (this.#rolling) {
      // Two periods back nothing counts any more, so the counter is kept for one more.
      ask.periodEndMs = this.endMs + this.#plan.periodMs;
      ask.beforeStartS = ask.periodStartS - this.#plan.periodMs / 1000;
      mixPeriod(ask, ask.beforeStartS);
      ask.beforeHigh = ask.high;
      ask.beforeLow = ask.low;
      const past = (now - this.startMs) / this.#plan.periodMs;
      ask.carried = Math.min(ask.size.capacity, Math.floor(table.usedOf(ask.high, ask.low) * (1 - past)));
      ask.high = high;
      ask.low = low;
    }
    mixPeriod(ask, ask.periodStartS);
  }

  /** Time (ms) until the quota has room again. */
  waitMs(ask: LimitAsk, table: LimitTable): number {
    const now = table.nowEpochMs;
    const over = ask.level + ask.carried + ask.cost - ask.size.capacity;
    if (!this.#rolling || over > ask.carried) return Math.max(0, this.endMs - now);
    // What is carried over falls evenly to 0 by the end of the period.
    return ask.carried === 0 ? 0 : Math.min(this.endMs - now, ((this.endMs - now) * over) / ask.carried);
  }

  #move(now: number): void {
    const { periodMs, month } = this.#plan;
    if (!month) {
      const offset = periodMs === WEEK_MS ? MONDAY_MS : 0;
      this.startMs = Math.floor((now - offset) / periodMs) * periodMs + offset;
      this.endMs = this.startMs + periodMs;
      return;
    }
    const date = new Date(now);
    this.startMs = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
    this.endMs = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
  }
}

/** Each period has a bucket of its own. The tag is a secret hash already: mixing need not be keyed, but one to one for each period. */
function mixPeriod(ask: LimitAsk, periodStartS: number): void {
  ask.high = finish(ask.high ^ Math.imul(periodStartS, 0x9e3779b1));
  ask.low = finish(ask.low ^ ask.high);
}

/** The finaliser of MurmurHash3 (Appleby): a bijection of 32 bits. */
function finish(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
