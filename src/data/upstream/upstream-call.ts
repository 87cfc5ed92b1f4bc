// One call to an upstream, from the choice of a target to the end of its response: attempts, retries, breakers and their fallback upstream, deadlines.
// The only implementation of all that in the workers. Must never know who asks: a CallRequest says what, a ResponseSink takes what comes.
import { parseRetryAfterMs } from "../../base/backoff.ts";
import { ERRORS, type ErrorCode } from "../../base/errors.ts";
import type { HeaderList } from "../../base/header-list.ts";
import { faultCode, PolicyFailure } from "../../base/policy-failure.ts";
import { nowMs } from "../../base/turn-clock.ts";
import { Attempts, CALL_STATE, STATUS_MAX } from "./attempts.ts";
import type { BodySourceOwner, CallFailure, CallFault, CallRequest, ResponseSink, UpgradeSink } from "./call-request.ts";
import { learn } from "./overload/learn.ts";
import { copyTrailers } from "./transport/response-headers.ts";
import type {
  Endpoint,
  Outcome,
  UpgradedResponse,
  Upstream,
  WireCall,
  WireError,
  WireHandler,
  WireHead,
  WireTrailers,
} from "./upstream.ts";

const NOTHING_MORE: Partial<CallFailure> = {};

export class UpstreamCall extends Attempts implements WireHandler, BodySourceOwner {
  private begun = false;
  private paused = false;
  private wire: WireCall | null = null;
  /** Of a response that is over, while the sink has not taken its end. */
  private undelivered: WireCall | null = null;
  /** The deadline until the head came: it counts again when the response is taken back. */
  private headDeadlineMs = 0;
  private lastDataMs = 0;
  private readonly sink: ResponseSink;

  constructor(upstream: Upstream, request: CallRequest, sink: ResponseSink) {
    super(upstream, request);
    this.sink = sink;
  }

  /** Takes the call to its end. May tell the sink at once. Never throws. */
  start(): void {
    try {
      if (!this.breakerAdmits()) return;
      const { body } = this.request;
      const ready = body.begin(this);
      this.begun = true;
      if (!this.active) return;
      if (body.done) this.startClock();
      if (ready && this.enters()) this.attempt(); // else bodyReady() goes on
    } catch (error) {
      this.crashed(error);
    }
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.wire?.pause();
  }

  /** Go on after onData() returned false; also needed after onEnd() when that came meanwhile. */
  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.lastDataMs = nowMs();
    (this.wire ?? this.undelivered)?.resume();
    this.undelivered = null;
  }

  /** Nobody wants the response any more: nothing is told from here on, and nothing is learnt about the target. Idempotent. */
  cancel(): void {
    this.stop("neutral", null);
  }

  /** Inside onHead(): the head was all that was wanted. A short rest is read, so that the connection can be used again. */
  discard(): void {
    const { wire } = this;
    this.wire = null;
    this.stop(this.outcomeOf(this.status, null), null);
    wire?.discard();
  }

  /** The sink is done with the connection that onUpgrade() gave it. */
  tunnelEnded(): void {
    if (this.state !== CALL_STATE.tunnel) return;
    this.state = CALL_STATE.over;
    this.hold?.leave();
    const { endpoint } = this;
    this.endpoint = null;
    if (endpoint !== null) this.upstream.done(endpoint, "neutral");
  }

  protected proceed(): void {
    this.guarded(() => this.attempt());
  }

  private attempt(): void {
    const { deadlineMs } = this;
    const now = nowMs();
    const remainingMs = deadlineMs === 0 ? 0 : deadlineMs - now;
    if (remainingMs < 0) return this.fail("total_timeout", "");
    this.attemptStartedMs = this.bodyMovedMs = now;
    const endpoint = this.take();
    if (endpoint !== null) this.dispatch(endpoint, remainingMs);
  }

  private dispatch(endpoint: Endpoint, remainingMs: number): void {
    const { request } = this;
    this.sent = false;
    this.status = 0;
    request.record.upstreamConnectMs = request.record.upstreamFirstByteMs = -1;
    const wireRequest = request.prepare(this.upstream, endpoint, remainingMs);
    const body = request.body.forAttempt();
    wireRequest.body = body;
    wireRequest.contentLength = request.body.contentLength;
    wireRequest.trailers = request.body.trailers ?? null;
    const { via } = request;
    this.wire = via === null ? endpoint.pool.dispatch(wireRequest, this) : via(this.upstream, endpoint, wireRequest, this);
    request.dispatched(body);
    if (!this.sent) this.waitForConnection(0);
  }

  private retryStatus(status: number, head: WireHead): boolean {
    const { wire } = this;
    if (!this.retry(status, false, parseRetryAfterMs(head.retryAfter, Date.now()) ?? 0)) return false;
    this.settle(this.outcomeOf(status, null), null); // of a target that said 429, nothing failed
    this.wire = null;
    wire?.discard();
    return true;
  }

  // --- The one deadline; its meaning is the state's ---

  onDeadline(): void {
    if (!this.active) return;
    this.guarded(() => this.deadlinePassed());
  }

  private deadlinePassed(): void {
    const expired = this.deadlineMs > 0 && nowMs() >= this.deadlineMs;
    if (this.state === CALL_STATE.retry && !expired) return this.enters() ? this.attempt() : undefined;
    if (this.state === CALL_STATE.data) {
      if (expired) return this.broken({ code: "total_timeout", detail: "" });
      const quietMs = this.quietMs();
      if (quietMs < this.timeouts.idleMs) return this.wait(CALL_STATE.data, this.timeouts.idleMs - quietMs);
      return this.broken({ code: "upstream_idle_timeout", detail: "" }, "timeout");
    }
    if (this.state === CALL_STATE.line && !expired) return this.refused("limit", "no place at the upstream came free in time");
    if (this.state === CALL_STATE.line) this.retryNotMade();
    if (this.state <= CALL_STATE.retry) return this.fail("total_timeout", ""); // of the attempt before nothing is left
    const inLine = !this.sent && this.wire?.inLine === true;
    if (inLine && this.connecting && !expired) {
      // It is connections in use that are waited for: as long as an attempt may take.
      return this.waitForConnection(this.timeouts.connectMs);
    }
    this.wire?.cancel();
    this.wire = null;
    if (inLine) return this.poolIsBusy("all connections to the target are busy with requests, and none came free in time");
    if (this.sent && this.request.body.done) this.hold?.answered(this.waitedMs(nowMs())); // it takes longer still
    const code = !this.sent ? "connect_timeout" : expired ? "total_timeout" : "response_timeout";
    const condition = this.connecting && !this.sent ? "connect-failure" : "timeout";
    if (!expired && this.retryAfterFailure(condition, !this.sent, code)) return;
    this.settle("failure", code);
    this.fail(code, "");
  }

  /** How long the upstream has been silent in the response's body; a sink that takes nothing silences it. */
  private quietMs(): number {
    return this.paused ? 0 : nowMs() - this.lastDataMs;
  }

  // --- WireHandler: what is thrown into a socket's callbacks would end the worker ---

  wireSent(): void {
    this.sent = true;
    // Time in line is no time that the target took.
    this.bodyMovedMs = nowMs();
    this.request.record.upstreamConnectMs = this.bodyMovedMs - this.attemptStartedMs;
    this.waitForResponse();
  }

  wireHead(status: number, head: WireHead): void {
    try {
      this.headArrived(status, head);
    } catch (error) {
      this.crashed(error);
    }
  }

  private headArrived(status: number, head: WireHead): void {
    const now = nowMs();
    this.request.record.upstreamFirstByteMs = now - this.attemptStartedMs;
    const fault = status > STATUS_MAX ? `status ${status}` : head.fault;
    if (fault !== "") {
      // What else comes would be read wrongly by somebody: the connection goes.
      this.settle("failure", "upstream_invalid");
      return this.fail("upstream_invalid", fault);
    }
    this.status = status;
    this.judge(status, now);
    if (this.hold !== null) learn(this.hold, status, head, this.request.body.done ? this.waitedMs(now) : -1);
    if (status >= 400 && this.retryStatus(status, head)) return;
    this.lastDataMs = now;
    this.headDeadlineMs = this.deadlineMs;
    if (!this.request.boundsBody) this.deadlineMs = 0;
    this.wait(CALL_STATE.data, this.timeouts.idleMs);
    this.sink.onHead(status, head);
  }

  wireInterim(status: number, headers: HeaderList): void {
    if (this.state === CALL_STATE.response) this.guarded(() => this.sink.onInterim?.(status, headers));
  }

  wireData(chunk: Buffer): void {
    if (!this.active) return;
    this.lastDataMs = nowMs();
    try {
      if (!this.sink.onData(chunk)) this.pause();
    } catch (error) {
      this.crashed(error);
    }
  }

  wireEnd(trailers: WireTrailers | null): void {
    if (this.paused) this.undelivered = this.wire;
    this.wire = null;
    this.request.services.wheel.disarm(this);
    this.settle(this.outcomeOf(this.status, trailers), null);
    this.state = CALL_STATE.over;
    try {
      this.sink.onEnd(trailers === null ? null : copyTrailers(trailers));
    } catch (error) {
      this.report(error);
      this.undelivered?.cancel();
      this.undelivered = null;
      this.takenBack();
      this.tell("internal_error", "");
    }
    this.hold?.leave();
  }

  wireError(error: WireError): void {
    if (!this.active) return;
    this.wire = null;
    this.guarded(() => this.attemptFailed(error));
  }

  private attemptFailed({ code, unsent, reason }: WireError): void {
    const broken = code === "upstream_invalid" || code === "upstream_upgrade_refused";
    if (this.state === CALL_STATE.data) return this.broken({ code: "upstream_aborted", detail: reason }, broken ? "" : "reset");
    if (code === "overloaded") return this.poolIsBusy(reason);
    const condition = code === "upstream_reset" && !unsent ? "reset" : broken ? "" : "connect-failure";
    if (this.retryAfterFailure(condition, unsent, code)) return;
    this.settle("failure", code);
    this.fail(code, reason);
  }

  wireUpgraded(response: UpgradedResponse): boolean {
    this.guarded(() => this.upgraded(response));
    return this.state === CALL_STATE.tunnel;
  }

  private upgraded(response: UpgradedResponse): void {
    const sink = this.sink as UpgradeSink; // only a request for an upgrade is dispatched where this can come
    const refusal = sink.refusesUpgrade(response);
    if (refusal !== "") return this.attemptFailed({ code: "upstream_upgrade_refused", unsent: false, reason: refusal });
    const { endpoint } = this;
    const now = nowMs();
    this.request.record.upstreamFirstByteMs = now - this.attemptStartedMs;
    this.status = 101;
    this.judge(101, now);
    this.wire = null; // the connection is no longer its own
    this.request.services.wheel.disarm(this);
    this.settle("success", null);
    // The handshake said that the endpoint is well; from here on the connection only counts as load.
    if (endpoint !== null) this.upstream.begin(endpoint);
    this.endpoint = endpoint;
    this.hold?.standApart();
    this.state = CALL_STATE.tunnel;
    sink.onUpgrade(response);
  }

  // --- BodySourceOwner ---

  bodyReady(): void {
    if (this.state !== CALL_STATE.body) return;
    if (!this.begun) return; // the body was there already: start() goes on
    if (this.request.body.done) this.startClock();
    this.guarded(() => {
      if (this.enters()) this.attempt();
    });
  }

  bodyProgress(): void {
    if (!this.begun || this.state > CALL_STATE.data) return;
    if (this.state === CALL_STATE.data) return this.bodyOutlastsHead();
    if (this.request.body.done) this.startClock();
    this.bodyMovedMs = nowMs();
    if (this.state !== CALL_STATE.response) return;
    if (this.sent) this.waitForResponse();
    else if (this.deadlineMs > 0) this.waitForConnection(this.bodyMovedMs - this.attemptStartedMs); // the clock may have begun only now
  }

  /** The response came before the request's body was there: the clock begins when it is, should the response be taken back, or be bounded as a whole. */
  private bodyOutlastsHead(): void {
    const { body, boundsBody } = this.request;
    const { totalMs, idleMs } = this.timeouts;
    if (!body.done || totalMs === 0 || this.headDeadlineMs > 0) return;
    this.headDeadlineMs = nowMs() + totalMs;
    if (!boundsBody) return;
    this.deadlineMs = this.headDeadlineMs;
    this.wait(CALL_STATE.data, idleMs - this.quietMs());
  }

  bodyRefused(code: ErrorCode, detail: string): void {
    if (!this.active) return;
    const why: CallFault = { code, detail, overloadReason: code === "overloaded" ? "bodies" : null };
    if (this.state === CALL_STATE.data) this.broken(why);
    else this.fail(code, detail, why);
  }

  // --- Ends ---

  /** The response was begun and cannot be completed. While nothing of it has left, another attempt or an error takes its place. @param condition of a retry; '' for none */
  private broken(why: CallFault, condition = ""): void {
    if (!this.active) return;
    const { code, detail } = why;
    const ofUpstream = ERRORS[code].source === "upstream";
    if (!this.takenBack()) {
      this.stop(ofUpstream ? "failure" : "neutral", ofUpstream ? code : null);
      return this.tell(code, detail, why);
    }
    this.deadlineMs = this.headDeadlineMs;
    this.wire?.cancel();
    this.wire = null;
    this.paused = false;
    if (condition !== "" && this.retryAfterFailure(condition, false, code)) return;
    if (ofUpstream) this.settle("failure", code);
    this.fail(code, detail, why);
  }

  private takenBack(): boolean {
    try {
      return this.sink.takeBack();
    } catch (error) {
      this.report(error);
      return false;
    }
  }

  protected fail(code: ErrorCode, detail: string, more: Partial<CallFailure> = NOTHING_MORE): void {
    if (!this.active) return;
    this.stop("neutral", null);
    this.tell(code, detail, more);
  }

  private tell(code: ErrorCode, detail: string, more: Partial<CallFailure> = NOTHING_MORE): void {
    const { headers, overloadReason = null, hasFixedReply = false } = more;
    const said = overloadReason === null ? detail : `${overloadReason}: ${detail}`;
    try {
      this.sink.onFailure({ code, detail: said, headers, overloadReason, hasFixedReply, upstream: this.upstream });
    } catch (error) {
      this.report(error); // it has been told
    }
  }

  /** Frees what is held: timer, attempt. Idempotent. */
  private stop(outcome: Outcome, code: ErrorCode | null): void {
    if (this.state === CALL_STATE.tunnel) return this.tunnelEnded();
    if (this.state === CALL_STATE.line) this.leaveLine();
    this.state = CALL_STATE.over;
    this.request.services.wheel.disarm(this);
    (this.wire ?? this.undelivered)?.cancel();
    this.wire = this.undelivered = null;
    this.settle(outcome, code);
    this.hold?.leave();
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.crashed(error);
    }
  }

  private crashed(error: unknown): void {
    if (!(error instanceof PolicyFailure)) this.report(error);
    const code = faultCode(error);
    if (this.state === CALL_STATE.data) this.broken({ code, detail: "" });
    else if (this.state === CALL_STATE.tunnel) {
      this.tunnelEnded();
      this.tell(code, "");
    } else this.fail(code, "");
  }
}
