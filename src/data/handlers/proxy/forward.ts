// Carries one exchange to an upstream and its answer back: attempts (attempts.ts), their deadlines, relay with backpressure.
// One Forward object per exchange serves as handler of every callback, so that the hot path allocates no closures.

import { parseRetryAfterMs } from "../../../base/backoff.ts";
import { ERRORS, type ErrorCode } from "../../../base/errors.ts";
import { RequestBody, type RequestBodyOwner } from "../../exchange/body/request-body.ts";
import type { BodyTransform, ClientEvents, Exchange } from "../../exchange/exchange.ts";
import { finish } from "../../exchange/finish.ts";
import type { ResponseHead, UpstreamRequest } from "../../exchange/policy.ts";
import { finalHead, hasBody } from "../../exchange/reply.ts";
import type { Route } from "../../exchange/runtime.ts";
import { upstreamHeaders } from "../../exchange/upstream-headers.ts";
import { Attempts, WAIT_BODY, WAIT_DATA, WAIT_RESPONSE, WAIT_RETRY } from "../../upstream/attempts.ts";
import { overloaded } from "../../upstream/overload.ts";
import { copyTrailers, type ResponseHeaders } from "../../upstream/transport/response-headers.ts";
import type { Endpoint, Outcome, Upstream, WireCall, WireError, WireHandler, WireTrailers } from "../../upstream/upstream.ts";
import { mirror } from "./mirror.ts";

/** RFC 9110 section 9.2.2. */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** RFC 9110 section 15: there are no others. */
const STATUS_MAX = 599;

export class Forward extends Attempts implements WireHandler, ClientEvents, RequestBodyOwner {
  private readonly body: RequestBody;
  private call: WireCall | null = null;
  /** Of a response that is over, while the client has not taken its end. */
  private undelivered: WireCall | null = null;
  private transform: BodyTransform | null = null;
  /** performance.now() ms when the target last took some of the request; of the attempt under way. */
  private bodyMovedMs = 0;
  private sent = false;
  private paused = false;
  private lastDataMs = 0;
  /** x.deadlineMs until the response head came, which ended it. */
  private headDeadlineMs = 0;
  private began = false;
  /** The client has the whole response; the upstream's end is still to come. */
  private clientDone = false;

  constructor(x: Exchange, route: Route, upstream: Upstream) {
    super(x, route, upstream);
    this.body = new RequestBody(x, this, { keepBytes: upstream.plan.retry.bufferBytes, limit: route.bodyBytes });
    x.events = this;
  }

  start(): void {
    if (!this.mayBegin()) return;
    const ready = this.body.begin();
    this.began = true;
    if (this.over) return;
    if (this.body.done) this.startClock();
    if (ready) this.attempt(); // else bodyReady() goes on; that it comes in time is for the body's watch to say
  }

  /** timeouts.total runs from the request's last byte to the response head, over all attempts; bodies have their own limits. */
  private startClock(): void {
    if (this.timeouts.totalMs > 0) this.x.deadlineMs = performance.now() + this.timeouts.totalMs;
  }

  // --- Attempts ---

  private attempt(): void {
    const { deadlineMs } = this.x;
    const now = performance.now();
    const remainingMs = deadlineMs === 0 ? 0 : deadlineMs - now;
    if (remainingMs < 0) return this.fail("total_timeout", "");
    this.attemptStartedMs = this.bodyMovedMs = now;
    const endpoint = this.take();
    if (endpoint !== null) this.dispatch(endpoint, remainingMs);
  }

  private dispatch(endpoint: Endpoint, remainingMs: number): void {
    const { x, upstream } = this;
    const request: UpstreamRequest = {
      method: x.method,
      path: x.upstreamPath,
      headers: upstreamHeaders(x, upstream, endpoint, remainingMs),
    };
    const policies = this.route.onUpstreamRequest;
    if (policies !== null) for (const policy of policies) policy.onUpstreamRequest?.(x, request);
    this.sent = false;
    x.status = 0;
    x.upstreamFirstByteMs = -1;
    const { method, path, headers } = request;
    const body = this.body.forAttempt();
    this.call = endpoint.pool.dispatch({ method, path, headers, body, contentLength: x.contentLength }, this);
    if (x.attempts === 1 && this.route.mirror !== null) mirror(x, this.route, body);
    // Until it is on the wire it waits for a connection; wireSent() re-arms.
    if (!this.sent) this.wait(WAIT_RESPONSE, this.timeouts.connectMs + this.timeouts.attemptMs);
  }

  protected override settle(outcome: Outcome, code: ErrorCode | null): void {
    if (this.endpoint !== null) this.body.detach();
    super.settle(outcome, code);
  }

  /** While the body is on its way, it is the client that is waited for: no time counts. */
  protected askedMs(): number {
    return this.body.done ? this.bodyMovedMs : performance.now();
  }

  /** @returns true when another attempt is on its way. */
  private retry(condition: string | number, unsent: boolean, retryAfterMs: number): boolean {
    const { nonIdempotent } = this.upstream.plan.retry;
    if (!this.body.replayable || (!unsent && !nonIdempotent && !IDEMPOTENT.has(this.x.method))) return false;
    return this.retryLater(condition, retryAfterMs);
  }

  // --- Deadlines: one entry on the wheel, its meaning in `waiting` ---

  onDeadline(): void {
    const { x } = this;
    if (this.over) return;
    const expired = x.deadlineMs > 0 && performance.now() >= x.deadlineMs;
    if (this.waiting === WAIT_RETRY && !expired) return this.guarded(() => this.attempt());
    if (this.waiting === WAIT_DATA) {
      const quietMs = this.paused ? 0 : performance.now() - this.lastDataMs;
      if (quietMs < this.timeouts.idleMs) return this.wait(WAIT_DATA, this.timeouts.idleMs - quietMs);
      return this.abortResponse("upstream_idle_timeout", "timeout");
    }
    const inLine = !this.sent && this.call?.inLine === true;
    this.call?.cancel();
    this.call = null;
    if (inLine) return this.poolIsBusy("all connections to the target are busy with requests, and none came free in time");
    const code = !this.sent ? "connect_timeout" : expired ? "total_timeout" : "response_timeout";
    if (!expired && this.retryAfterFailure("timeout", !this.sent, code)) return;
    this.settle("failure", code);
    this.fail(code, "");
  }

  // --- WireHandler: what is thrown into a socket's callbacks would end the worker ---

  wireSent(): void {
    this.sent = true;
    // Time in line is no time that the target took.
    this.bodyMovedMs = performance.now();
    this.x.upstreamConnectMs = this.bodyMovedMs - this.attemptStartedMs;
    this.waitForResponse();
  }

  private waitForResponse(): void {
    if (this.body.done || this.body.stalledByUpstream) return this.wait(WAIT_RESPONSE, this.timeouts.attemptMs);
    // While the body is on its way, it is the client that is waited for: its watch says how long.
    this.waiting = WAIT_RESPONSE;
    this.x.runtime.services.wheel.disarm(this);
  }

  wireHead(status: number, copied: ResponseHeaders): void {
    try {
      this.headArrived(status, copied);
    } catch (error) {
      this.crashed(error);
    }
  }

  private headArrived(status: number, copied: ResponseHeaders): void {
    const { x } = this;
    const now = performance.now();
    x.upstreamFirstByteMs = now - this.attemptStartedMs;
    const fault = status > STATUS_MAX ? `status ${status}` : copied.fault;
    if (fault !== "") return this.refuseAnswer(fault);
    this.judge(status, now);
    if (status >= 500 && this.retryStatus(status, copied)) return;
    this.lastDataMs = now;
    this.headDeadlineMs = x.deadlineMs;
    x.deadlineMs = 0;
    this.wait(WAIT_DATA, this.timeouts.idleMs);
    this.relayHead(status, copied);
  }

  /** What else comes would be read wrongly by somebody: the connection goes, and the client is told. */
  private refuseAnswer(fault: string): void {
    this.settle("failure", "upstream_invalid");
    this.fail("upstream_invalid", fault);
  }

  private retryStatus(status: number, copied: ResponseHeaders): boolean {
    const call = this.call;
    this.x.status = status;
    if (!this.retry(status, false, parseRetryAfterMs(copied.retryAfter, Date.now()) ?? 0)) return false;
    this.settle("failure", null);
    this.call = null;
    call?.discard();
    return true;
  }

  private relayHead(status: number, copied: ResponseHeaders): void {
    const { x } = this;
    this.remember(copied.headers);
    const head: ResponseHead = {
      status,
      headers: copied.headers,
      length: copied.length,
      hasBody: hasBody(x.method, status),
      fromUpstream: true,
    };
    finalHead(x, head);
    x.status = head.status;
    this.transform = x.bodyTransform;
    this.transform?.attach({
      transformed: (chunk) => this.relayTransformed(chunk),
      transformEnded: () => x.end(),
      transformDrained: () => this.resume(),
      transformFailed: () => this.abortResponse("internal_error"),
    });
    x.start(head.status, head.headers, head.length);
  }

  wireData(chunk: Buffer): void {
    if (this.over) return;
    this.lastDataMs = performance.now();
    try {
      if (!(this.transform ?? this.x).write(chunk)) this.pause();
    } catch (error) {
      this.crashed(error);
    }
  }

  wireEnd(trailers: WireTrailers | null): void {
    if (this.paused) this.undelivered = this.call;
    this.call = null;
    if (trailers !== null) this.x.responseTrailers = copyTrailers(trailers);
    this.x.runtime.services.wheel.disarm(this);
    this.settle(this.x.status >= 500 ? "failure" : "success", null);
    if (this.clientDone) {
      this.resume();
      return finish(this.x);
    }
    try {
      (this.transform ?? this.x).end();
    } catch (error) {
      this.crashed(error);
    }
  }

  wireError(error: WireError): void {
    if (this.over) return;
    const { x } = this;
    this.call = null;
    x.errorDetail = error.reason;
    if (x.started) {
      if (!x.isWithdrawable) this.settle("failure", "upstream_aborted");
      return this.abortResponse("upstream_aborted", error.code === "upstream_invalid" ? "" : "reset");
    }
    const condition =
      error.code === "upstream_reset" && !error.unsent ? "reset" : error.code === "upstream_invalid" ? "" : "connect-failure";
    if (error.code === "overloaded") return this.poolIsBusy(error.reason);
    if (this.retryAfterFailure(condition, error.unsent, error.code)) return;
    this.settle("failure", error.code);
    this.fail(error.code, error.reason);
  }

  private retryAfterFailure(condition: string, unsent: boolean, code: ErrorCode): boolean {
    if (!this.retry(condition, unsent, 0)) return false;
    this.settle("failure", code);
    return true;
  }

  // --- Relay ---

  private relayTransformed(chunk: Buffer): void {
    if (this.over) return;
    if (!this.x.write(chunk)) this.transform?.pause();
  }

  private pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.call?.pause();
  }

  // --- ClientEvents ---

  clientDrained(): void {
    if (this.transform !== null) this.transform.resume();
    else this.resume();
  }

  private resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.lastDataMs = performance.now();
    (this.call ?? this.undelivered)?.resume();
    this.undelivered = null;
  }

  clientAborted(x: Exchange): void {
    if (x.errorCode === null) x.errorCode = "client_aborted";
    this.stop("neutral");
    finish(x);
  }

  clientCompleted(x: Exchange): void {
    // With a known length the client is done before the upstream's parser says so: its connection is worth keeping.
    this.clientDone = true;
    if (this.call !== null) return;
    this.stop("neutral");
    finish(x);
  }

  // --- RequestBodyOwner ---

  bodyReady(): void {
    if (this.waiting !== WAIT_BODY || this.over) return;
    if (!this.began) return; // the body was there already: start() goes on
    if (this.body.done) this.startClock();
    this.guarded(() => this.attempt());
  }

  bodyProgress(): void {
    if (!this.began || this.over || this.x.started) return;
    if (this.body.done) this.startClock();
    this.bodyMovedMs = performance.now();
    if (this.waiting === WAIT_RESPONSE && this.sent) this.waitForResponse();
  }

  bodyRefused(code: ErrorCode, detail: string): void {
    if (this.over) return;
    const { x } = this;
    const said = code === "overloaded" ? overloaded(x, "bodies", detail).detail : detail;
    if (!x.started) return this.fail(code, said);
    x.errorDetail = said;
    this.abortResponse(code);
  }

  // --- Ends ---

  /**
   * The response was begun and cannot be completed: cut the connection. While nothing of it went out, another attempt or an error takes its place.
   * @param condition of a retry; '' for none
   */
  private abortResponse(code: ErrorCode, condition = ""): void {
    if (this.over) return;
    if (this.x.isWithdrawable) return this.answerAnew(code, condition);
    this.over = true;
    this.x.errorCode = code;
    this.stop(ERRORS[code].source === "upstream" ? "failure" : "neutral");
    this.x.abort();
    finish(this.x); // the client may have had everything already: then abort() says nothing
  }

  private answerAnew(code: ErrorCode, condition: string): void {
    const { x } = this;
    x.withdraw();
    x.deadlineMs = this.headDeadlineMs;
    this.transform?.destroy();
    this.transform = x.bodyTransform = null;
    this.call?.cancel();
    this.call = null;
    this.paused = false;
    if (condition !== "" && this.retryAfterFailure(condition, false, code)) return;
    if (ERRORS[code].source === "upstream") this.settle("failure", code);
    this.fail(code, x.errorDetail);
  }

  /** Free what is held: timer, attempt, transform. Idempotent. */
  protected stop(outcome: Outcome): void {
    this.x.runtime.services.wheel.disarm(this);
    (this.call ?? this.undelivered)?.cancel();
    this.call = null;
    this.undelivered = null;
    this.settle(outcome, outcome === "failure" ? this.x.errorCode : null);
    this.transform?.destroy();
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.crashed(error);
    }
  }

  private crashed(error: unknown): void {
    this.x.runtime.services.reportFault("forwarding failed", error, this.x.requestId);
    if (this.x.started) this.abortResponse("internal_error");
    else this.fail("internal_error", "");
  }
}
