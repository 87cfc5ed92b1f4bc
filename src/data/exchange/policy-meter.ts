// Owns what is measured of policies of the user's own in one worker: time, failures, and the mark by which the watchdog knows which one holds the event loop.
// Must cost little more than two looks at the clock a call.
import type { MetricCells } from "../../shared/metric-cells.ts";

/** Failures of one policy that are told one by one in a period; the rest of it is counted. */
const TOLD_MAX = 10;
const TOLD_PERIOD_MS = 10_000;

/** Where a failure is told of: the gateway's log. */
type Report = (message: string, error: unknown, requestId: string) => void;

export class PolicyMeter {
  readonly #cells: MetricCells;
  readonly #mark: Int32Array;
  readonly #report: Report;
  readonly #told = new Map<number, { sinceMs: number; count: number }>();

  /** @param mark of shared/heartbeat.ts */
  constructor(cells: MetricCells, mark: Int32Array, report: Report) {
    this.#cells = cells;
    this.#mark = mark;
    this.#report = report;
  }

  /** A call of a policy begins. @returns when, for {@link leave} */
  enter(slot: number): number {
    this.#mark[0] = slot;
    return performance.now();
  }

  /** The call is over. @returns when */
  leave(slot: number, enteredMs: number): number {
    this.#mark[0] = 0;
    const now = performance.now();
    this.#cells.policy(slot, now - enteredMs);
    return now;
  }

  /** The promise that a call gave is settled. */
  waited(slot: number, sinceMs: number): void {
    this.#cells.policyWait(slot, performance.now() - sinceMs);
  }

  /** A call failed. One that fails with each request must not fill the log. @param what names policy and hook */
  failed(slot: number, what: string, failure: { readonly error: unknown; readonly requestId: string }): void {
    this.#cells.policyFailure(slot);
    const now = performance.now();
    let told = this.#told.get(slot);
    if (told === undefined || now - told.sinceMs > TOLD_PERIOD_MS) this.#told.set(slot, (told = { sinceMs: now, count: 0 }));
    told.count++;
    const more = told.count === TOLD_MAX ? `; further ones in the next ${TOLD_PERIOD_MS / 1000} s are counted, not told` : "";
    if (told.count <= TOLD_MAX) this.#report(`${what}${more}`, failure.error, failure.requestId);
  }
}
