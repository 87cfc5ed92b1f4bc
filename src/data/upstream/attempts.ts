// The attempts of one call to an upstream: which target, how many, after which failures, by which breaker's leave, until when.
// Must never send anything or tell anybody of a response: UpstreamCall does.
import { backoffMs } from "../../base/backoff.ts";
import type { ErrorCode } from "../../base/errors.ts";
import type { HeaderList } from "../../base/header-list.ts";
import { hasStatus } from "../../base/status-list.ts";
import { WheelEntry } from "../../base/timer-wheel.ts";
import { nowMs } from "../../base/turn-clock.ts";
import { RETRY } from "../../plan/overload-plan.ts";
import type { TimeoutsPlan } from "../../plan/plan.ts";
import { NO_TICKET, REFUSED } from "../../shared/breaker-word.ts";
import { spreadRetryAfter } from "../load/retry-after.ts";
import type { RequestView } from "../routing/request-view.ts";
import type { Tickets } from "./breaker.ts";
import type { CallFailure, CallRequest } from "./call-request.ts";
import { type GateCall, type GateReason, Hold } from "./overload/hold.ts";
import type { TargetLimits } from "./overload/target-limits.ts";
import type { Endpoint, Outcome, Upstream, WireTrailers } from "./upstream.ts";

/** A 503's Retry-After beyond this is relayed rather than waited for. */
const RETRY_AFTER_WAIT_MS_MAX = 5000;
/** RFC 9110 section 15: there are no others. */
export const STATUS_MAX = 599;
/** RFC 9110 section 9.2.2. */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/**
 * States of a call, each with what its one deadline means (ARCHITECTURE.md has the diagram):
 * body (-> line) -> response (<-> retry) -> data -> over, or response -> tunnel -> over; from anywhere to over.
 */
export const CALL_STATE = {
  /** The first part of the request's body is awaited; its source says how long. */
  body: 0,
  /** The upstream has all that it can work on: in line for a place there. */
  line: 1,
  /** Backing off before a further attempt. */
  retry: 2,
  /** An attempt is on its way: a connection, then the response head. */
  response: 3,
  /** The head was delivered, the body follows. */
  data: 4,
  /** The connection was handed over (101): it only counts as load. */
  tunnel: 5,
  /** Nothing more will be told. */
  over: 6,
} as const;

export abstract class Attempts extends WheelEntry implements Tickets, GateCall {
  /** Another one once a breaker's fallback stands in. */
  upstream: Upstream;
  protected readonly request: CallRequest;
  protected state: number = CALL_STATE.body;
  protected timeouts: TimeoutsPlan;
  /** Of the attempt under way. */
  protected endpoint: Endpoint | null = null;
  /** It is on the wire. */
  protected sent = false;
  /** Of the last attempt's response; 0 for none yet. */
  protected status = 0;
  /** performance.now() ms; 0 for none. */
  deadlineMs = 0;
  protected attemptStartedMs = 0;
  /** When the target last took some of the request; of the attempt under way. */
  protected bodyMovedMs = 0;
  /** Targets that failed, in order. */
  protected tried: Endpoint[] | null = null;
  /** At the upstream's gate; null where it has none. */
  protected hold: Hold | null = null;
  private fallbackUsed = false;
  /** The deadline is the call's own `connect`, which is shorter than the pool's. */
  protected connecting = false;
  upstreamTicket = NO_TICKET;
  targetTicket = NO_TICKET;
  answered = false;

  constructor(upstream: Upstream, request: CallRequest) {
    super();
    this.upstream = upstream;
    this.request = request;
    this.timeouts = timeoutsFor(request, upstream);
    request.record.upstream = upstream.name;
  }

  // --- GateCall ---

  get view(): RequestView {
    return this.request.view;
  }

  get background(): boolean {
    return this.request.background === true || this.request.view.isBackground === true;
  }

  /** A further attempt, for which it must have a place again. */
  retrying = false;

  get bodyBytes(): number {
    return this.request.body.contentLength;
  }

  get targets(): TargetLimits | null {
    return this.upstream.targets;
  }

  /** It has waited, and has a place now. */
  admitted(): void {
    if (this.state !== CALL_STATE.line) return;
    this.leaveLine();
    this.proceed();
  }

  /** What it has waited for is there. Never throws. */
  protected abstract proceed(): void;

  refused(reason: GateReason, detail: string): void {
    this.retryNotMade();
    this.fail("overloaded", detail, { overloadReason: reason, headers: spreadRetryAfter() });
  }

  /** Before the first attempt, and before each further one. @returns whether it may be made now; else admitted() follows, or the sink has been told */
  protected enters(): boolean {
    const { gate, plan } = this.upstream;
    if (gate === null || plan.overload === null || this.hold !== null) return true;
    const hold = (this.hold = new Hold(gate, plan.overload, this));
    if (gate.enter(hold)) return true;
    // The gate refuses sooner; this is the end in any case.
    if (hold.waits) this.wait(CALL_STATE.line, this.timeouts.connectMs + this.timeouts.attemptMs);
    return false;
  }

  /** Another upstream stands in: nobody waits a second time. @returns false: it has no place, and the sink knows */
  private changesGate(): boolean {
    const { gate, plan } = this.upstream;
    this.hold?.leave();
    this.hold = null;
    if (gate === null || plan.overload === null) return true;
    this.hold = new Hold(gate, plan.overload, this);
    if (gate.enterAtOnce(this.hold)) return true;
    this.refused("limit", "the upstream that stands in has all that it can work on");
    return false;
  }

  /** It waits no more. */
  protected leaveLine(): void {
    if (this.hold !== null) this.request.record.lineMs += nowMs() - this.hold.sinceMs;
  }

  /** Until a further attempt: the place goes to who is next. What failed once comes behind those that have not. */
  private leaveGate(): void {
    this.retrying = true;
    this.hold?.leave();
    this.hold = null;
  }

  /** The sink learns that there is no response. */
  protected abstract fail(code: ErrorCode, detail: string, more?: Partial<CallFailure>): void;

  /** The call can still tell something. */
  get active(): boolean {
    return this.state !== CALL_STATE.over;
  }

  /** timeouts.total runs from the request's last byte to the response head, over all attempts; bodies have their own limits. */
  protected startClock(): void {
    if (this.timeouts.totalMs > 0) this.deadlineMs = nowMs() + this.timeouts.totalMs;
  }

  /** Before anything is read or sent. @returns false when a breaker turned the call away, and the sink knows */
  protected breakerAdmits(): boolean {
    const { breaker } = this.upstream;
    if (breaker === null || !breaker.refuses()) return true;
    this.upstreamTicket = REFUSED;
    return this.tryFallback();
  }

  /** Chooses a target and counts the attempt; settle() ends it. @returns null when there is none: the sink has been told */
  protected take(): Endpoint | null {
    const { request } = this;
    do {
      const endpoint = this.upstream.take(request.view, this.tried, this);
      if (endpoint === null) continue;
      request.record.attempts++;
      request.record.target = endpoint.plan.key;
      if (this.hold !== null) this.hold.goesTo(endpoint.places, this.attemptStartedMs);
      return (this.endpoint = endpoint);
    } while (this.tryFallback() && this.changesGate());
    return null;
  }

  /** The attempt is over: give the endpoint back. Once. */
  protected settle(outcome: Outcome, code: ErrorCode | null): void {
    const { endpoint, upstream, request } = this;
    if (endpoint === null) return;
    request.body.detach();
    this.endpoint = null;
    if (this.hold !== null) this.hold.leavesTarget();
    upstream.done(endpoint, outcome);
    if (upstream.breaker !== null) upstream.breaker.onComplete(this, endpoint.slot, outcome, code, this.waitedMs(nowMs()));
    request.services.recordAttempt(endpoint.slot, code, this.status, request.record.upstreamFirstByteMs);
  }

  /** How long the target has had all it needs to answer, ms. While the body is on its way, it is the client that is waited for: no time counts. */
  protected waitedMs(atMs: number): number {
    return this.request.body.done ? atMs - this.bodyMovedMs : 0;
  }

  /** Inside onHead(): these headers go to the client. Sets the cookie of session affinity, if there is to be one. */
  rememberTarget(headers: HeaderList): void {
    const { sticky } = this.upstream;
    if (sticky !== null && this.endpoint !== null) sticky.remember(this.request.view, this.endpoint, headers);
  }

  protected outcomeOf(status: number, trailers: WireTrailers | null): Outcome {
    return this.endpoint?.pool.classify(status, trailers) ?? "neutral";
  }

  protected judge(status: number, nowMs: number): void {
    const { breaker } = this.upstream;
    if (breaker !== null && this.endpoint !== null) breaker.onHead(this, this.endpoint.slot, status, this.waitedMs(nowMs));
  }

  // --- Retries ---

  /** @returns true when another attempt is on its way: settle() this one. */
  protected retry(condition: string | number, unsent: boolean, retryAfterMs: number): boolean {
    const { request, upstream } = this;
    const plan = upstream.plan.retry;
    if (request.single || request.record.attempts > (request.retryAttempts ?? plan.attempts)) return false;
    if (!(typeof condition === "number" ? hasStatus(plan.statuses, condition) : plan.on.some((on) => on === condition))) return false;
    if (!request.body.replayable || !(unsent || plan.nonIdempotent || IDEMPOTENT.has(request.method))) return false;
    if (upstream.breaker?.refuses() === true || this.hold?.gate.shedding === true || request.services.load.refuses(RETRY)) return false;
    const last = this.endpoint;
    if (last !== null) (this.tried ??= []).push(last);
    const next = upstream.select(request.view, this.tried);
    if (next === null) return false;
    let delay = backoffMs(request.record.attempts - 1, plan.backoffBaseMs, plan.backoffMaxMs, Math.random);
    // Another target may be asked at once; the same one only when it said so.
    if (next === last && retryAfterMs > delay) {
      if (retryAfterMs > RETRY_AFTER_WAIT_MS_MAX) return false;
      delay = retryAfterMs;
    }
    if (this.deadlineMs > 0 && nowMs() + delay >= this.deadlineMs) return false;
    if (!upstream.takeRetry()) return false;
    request.services.recordRetry((last ?? next).slot);
    this.leaveGate();
    this.wait(CALL_STATE.retry, delay);
    return true;
  }

  protected retryAfterFailure(condition: string, unsent: boolean, code: ErrorCode): boolean {
    if (!this.retry(condition, unsent, 0)) return false;
    this.settle("failure", code);
    return true;
  }

  /** No target may be asked. @returns true when another upstream stands in; else the sink has been told */
  protected tryFallback(): boolean {
    const { upstream, request } = this;
    const { breaker } = upstream;
    const afterMs = upstream.closedForMs(this);
    if (breaker === null || afterMs < 0) {
      this.fail("no_healthy_target", "");
      return false;
    }
    const mayFallBack = !this.fallbackUsed && !request.single;
    const stand = mayFallBack ? breaker.standIn : null;
    if (stand === null) {
      const hasFixedReply = mayFallBack && breaker.plan.fallback?.kind === "respond";
      if (hasFixedReply || request.hasStandIn === true) breaker.fellBack();
      else breaker.rejected();
      const headers = ["retry-after", String(Math.max(1, Math.ceil(afterMs / 1000)))];
      this.fail("breaker_open", "", { headers, hasFixedReply });
      return false;
    }
    this.fallbackUsed = true;
    breaker.fellBack();
    this.upstream = stand;
    request.record.upstream = stand.name;
    this.timeouts = timeoutsFor(request, stand);
    this.tried = null;
    return this.breakerAdmits();
  }

  protected wait(state: number, ms: number): void {
    this.state = state;
    const { deadlineMs } = this;
    const bound = deadlineMs === 0 ? ms : Math.min(ms, Math.max(0, deadlineMs - nowMs()));
    this.request.services.wheel.arm(this, bound);
  }

  /**
   * Until it is on the wire; wireSent() re-arms. The pool bounds the making of connections: where others may wait longer for one than this call, its own
   * time is looked at first. @param waitedMs already
   */
  protected waitForConnection(waitedMs: number): void {
    const { connectMs, attemptMs } = this.timeouts;
    this.connecting = waitedMs < connectMs && connectMs < this.upstream.plan.connectMaxMs;
    this.wait(CALL_STATE.response, (this.connecting ? connectMs : connectMs + attemptMs) - waitedMs);
  }

  protected waitForResponse(): void {
    const { body, services } = this.request;
    if (body.done || body.stalledByUpstream) return this.wait(CALL_STATE.response, this.timeouts.attemptMs);
    // While the body is on its way, it is the client that is waited for: its source says how long.
    this.state = CALL_STATE.response;
    services.wheel.disarm(this);
  }

  /** The pool had no connection for the attempt: nothing is learnt about the target. */
  protected poolIsBusy(detail: string): void {
    this.settle("unasked", "overloaded");
    this.retryNotMade();
    this.fail("overloaded", detail, { overloadReason: "pool" });
  }

  /** The attempt that was to come next: where that was a further one, others may have what it has taken of the budget. */
  protected retryNotMade(): void {
    if (this.tried !== null) this.upstream.giveRetryBack();
  }

  /** A fault of ours. */
  protected report(error: unknown): void {
    this.request.services.reportFault("a call to an upstream failed inside the gateway", error, this.request.view.requestId);
  }
}

const timeoutsFor = ({ timeouts }: CallRequest, { plan }: Upstream): TimeoutsPlan =>
  timeouts === null ? plan.timeouts : { ...plan.timeouts, ...timeouts };
