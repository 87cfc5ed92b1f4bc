// Owns what the primary does for the table of limits: it sweeps, and notices when the table is full. Must never change a decision.
import type { Log } from "../../observe/log.ts";
import type { LimitTablePrimary } from "../../shared/limit-table-primary.ts";

/** Looks without a full event after which it is over: half a minute. */
const QUIET_LOOKS = 60;

export class LimitWatch {
  readonly #ledger: LimitTablePrimary;
  #events = 0;
  #refused = 0;
  #quietLooks = QUIET_LOOKS;
  #wasFull = false;

  constructor(ledger: LimitTablePrimary) {
    this.#ledger = ledger;
  }

  /** Why not every caller has a bucket of his own; null when all have. */
  get concern(): string | null {
    if (this.#quietLooks >= QUIET_LOOKS) return null;
    const { active, slots } = this.#ledger.fill;
    return `the table of limits is full (${active} of ${slots} in use): new callers share buckets; raise limits.rateLimitBuckets, or limit by address what makes so many`;
  }

  /** Called about twice a second. */
  look(log: Log): void {
    this.#ledger.sweep();
    const { fullEvents, refusedEvents, active, slots } = this.#ledger.fill;
    const moved = fullEvents !== this.#events || refusedEvents !== this.#refused;
    const facts = { shared: fullEvents, refused: refusedEvents, active, slots };
    if (moved && this.#quietLooks >= QUIET_LOOKS)
      log.error("the table of limits is full: new callers share buckets; raise limits.rateLimitBuckets", facts);
    this.#quietLooks = moved ? 0 : Math.min(QUIET_LOOKS, this.#quietLooks + 1);
    if (this.#quietLooks === QUIET_LOOKS && this.#wasFull) log.info("every caller has a bucket of its own again", facts);
    this.#wasFull = this.#quietLooks < QUIET_LOOKS;
    this.#events = fullEvents;
    this.#refused = refusedEvents;
  }
}
