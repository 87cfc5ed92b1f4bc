// Owns what every way to an upstream has in common: choosing a target, counting, retries, breakers and their fallbacks, one deadline.
// Must never speak to a target; to the client only to turn it away.

import { backoffMs } from "../../base/backoff.ts";
import type { ErrorCode } from "../../base/errors.ts";
import { WheelEntry } from "../../base/timer-wheel.ts";
import type { TimeoutsPlan } from "../../plan/plan.ts";
import { NO_TICKET, REFUSED } from "../../shared/breaker-word.ts";
import type { Exchange, HeaderList } from "../exchange/exchange.ts";
import type { Reply } from "../exchange/policy.ts";
import { fail, reply } from "../exchange/reply.ts";
import type { Route } from "../exchange/runtime.ts";
import { timeoutsOf } from "../handlers/proxy/destination.ts";
import type { Tickets } from "./breaker.ts";
import { overloaded } from "./overload.ts";
import type { Endpoint, Outcome, Upstream } from "./upstream.ts";

/** A 503's Retry-After beyond this is relayed to the client rather than waited for. */
const RETRY_AFTER_WAIT_MS_MAX = 5000;

/** What the single deadline timer is waiting for. */
export const WAIT_BODY = 0;
export const WAIT_RETRY = 1;
export const WAIT_RESPONSE = 2;
export const WAIT_DATA = 3;

export abstract class Attempts extends WheelEntry implements Tickets {
  protected readonly x: Exchange;
  protected readonly route: Route;
  /** Another one once a breaker's fallback stands in. */
  protected upstream: Upstream;
  protected timeouts: TimeoutsPlan;
  /** Of the attempt under way. */
  protected endpoint: Endpoint | null = null;
  protected waiting = WAIT_BODY as number; // one of the WAIT_ constants
  protected attemptStartedMs = 0;
  /** Answered, or given up. */
  protected over = false;
  private tried: Endpoint[] | null = null;
  private fellBack = false;
  upstreamTicket = NO_TICKET;
  targetTicket = NO_TICKET;
  answered = false;

  constructor(x: Exchange, route: Route, upstream: Upstream) {
    super();
    this.x = x;
    this.route = route;
    this.upstream = upstream;
    this.timeouts = timeoutsOf(route, upstream);
    x.upstream = upstream.name;
  }

  /** Free what is held: timer, attempt. Idempotent. */
  protected abstract stop(outcome: Outcome): void;
  /** Since when the target has all it needs to answer: performance.now() ms. */
  protected abstract askedMs(): number;

  // --- An attempt ---

  /** Before anything is read or sent. @returns false when a breaker turned the exchange away */
  protected mayBegin(): boolean {
    const { breaker } = this.upstream;
    if (breaker === null || !breaker.refuses()) return true;
    this.upstreamTicket = REFUSED;
    return this.standIn();
  }

  /** Chooses a target and counts the attempt; settle() ends it. @returns null when there is none: the exchange has been answered */
  protected take(): Endpoint | null {
    do {
      const endpoint = this.upstream.take(this.x, this.tried, this);
      if (endpoint === null) continue;
      this.x.attempts++;
      this.x.target = endpoint.plan.key;
      return (this.endpoint = endpoint);
    } while (this.standIn());
    return null;
  }

  /** The response head came. */
  protected judge(status: number, nowMs: number): void {
    const { breaker } = this.upstream;
    if (breaker !== null && this.endpoint !== null) breaker.answered(this, this.endpoint.slot, status, nowMs - this.askedMs());
  }

  /** These headers came from the target and go to the client. */
  protected remember(headers: HeaderList): void {
    const { sticky } = this.upstream;
    if (sticky !== null && this.endpoint !== null) sticky.remember(this.x, this.endpoint, headers);
  }

  /** The attempt is over: give the endpoint back. */
  protected settle(outcome: Outcome, code: ErrorCode | null): void {
    const { endpoint, upstream, x } = this;
    if (endpoint === null) return;
    this.endpoint = null;
    upstream.done(endpoint, outcome);
    if (upstream.breaker !== null) upstream.breaker.ended(this, endpoint.slot, outcome, code, performance.now() - this.askedMs());
    x.runtime.services.recordAttempt(endpoint.slot, code, x.status, x.upstreamFirstByteMs);
  }

  /** @returns true when another attempt is on its way: onDeadline() comes with WAIT_RETRY. */
  protected retryLater(condition: string | number, retryAfterMs: number): boolean {
    const { x, upstream } = this;
    const plan = upstream.plan.retry;
    if (x.attempts > plan.attempts || x.closed || !plan.on.some((on) => on === condition)) return false;
    if (upstream.breaker?.refuses() === true) return false;
    const last = this.endpoint;
    if (last !== null) (this.tried ??= []).push(last);
    const next = upstream.select(x, this.tried);
    if (next === null) return false;
    let delay = backoffMs(x.attempts - 1, plan.backoffBaseMs, plan.backoffMaxMs, Math.random);
    // Another target may be asked at once; the same one only when it said so.
    if (next === last && retryAfterMs > delay) {
      if (retryAfterMs > RETRY_AFTER_WAIT_MS_MAX) return false;
      delay = retryAfterMs;
    }
    if (x.deadlineMs > 0 && performance.now() + delay >= x.deadlineMs) return false;
    if (!upstream.takeRetry()) return false;
    x.runtime.services.recordRetry((last ?? next).slot);
    this.wait(WAIT_RETRY, delay);
    return true;
  }

  /** Arms the one deadline. @param what it means when it comes */
  protected wait(what: number, ms: number): void {
    this.waiting = what;
    const { deadlineMs } = this.x;
    const bound = deadlineMs === 0 ? ms : Math.min(ms, Math.max(0, deadlineMs - performance.now()));
    this.x.runtime.services.wheel.arm(this, bound);
  }

  // --- Nobody may be asked ---

  /** @returns true when another upstream stands in; else the exchange has been answered */
  private standIn(): boolean {
    const { upstream } = this;
    const { breaker } = upstream;
    const afterMs = upstream.closedForMs(this);
    if (breaker === null || afterMs < 0) {
      this.fail("no_healthy_target", "");
      return false;
    }
    const stand = this.fellBack ? null : (breaker.standIn ?? breaker.reply);
    if (stand === null) {
      breaker.rejected();
      this.fail("breaker_open", "", ["retry-after", String(Math.max(1, Math.ceil(afterMs / 1000)))]);
      return false;
    }
    this.fellBack = true;
    breaker.fellBack();
    if (typeof stand === "function") {
      this.x.errorCode = "breaker_open"; // for log and metrics: the client gets what the operator wants it to
      this.answer(stand());
      return false;
    }
    this.upstream = stand;
    this.x.upstream = stand.name;
    this.timeouts = timeoutsOf(this.route, stand);
    this.tried = null;
    return this.mayBegin();
  }

  private answer(answer: Reply): void {
    this.stop("neutral");
    this.over = true;
    reply(this.x, answer);
  }

  /** The pool had no connection for the attempt: nothing is learnt about the target. */
  protected poolIsBusy(detail: string): void {
    this.settle("unasked", "overloaded");
    if (this.tried !== null) this.upstream.giveRetryBack();
    const { code, detail: said } = overloaded(this.x, "pool", detail);
    this.fail(code, said);
  }

  /** Answer with a problem; what is under way upstream is cancelled. */
  protected fail(code: ErrorCode, detail: string, headers?: HeaderList): void {
    this.stop("neutral");
    if (this.over) return;
    this.over = true;
    fail(this.x, code, detail, headers);
  }
}
