// Carries one exchange to an upstream and its answer back: attempts, deadlines, retries, relay with backpressure.
// One Forward object per exchange serves as handler of every callback, so that the hot path allocates no closures.
import { ERRORS, type ErrorCode } from "../../base/errors.ts";
import { WheelEntry } from "../../base/timer-wheel.ts";
import type { TimeoutsPlan } from "../../plan/plan.ts";
import type { BodyTransform, ClientEvents, Exchange } from "../exchange.ts";
import type { ResponseHead, UpstreamRequest } from "../policy.ts";
import { finish } from "../response/finish.ts";
import { fail, finalHead, hasBody } from "../response/reply.ts";
import type { Route } from "../runtime.ts";
import { backoffMs, parseRetryAfterMs } from "./backoff.ts";
import { timeoutsOf } from "./destination.ts";
import { mirror } from "./mirror.ts";
import { RequestBody, type RequestBodyOwner } from "./request-body.ts";
import { upstreamHeaders } from "./request-headers.ts";
import { copyTrailers, type ResponseHeaders } from "./response-headers.ts";
import type { Endpoint, Outcome, Upstream, WireCall, WireError, WireHandler, WireTrailers } from "./upstream.ts";

/** A 503's Retry-After beyond this is relayed to the client rather than waited for. */
const RETRY_AFTER_WAIT_MS_MAX = 5000;
/** RFC 9110 section 9.2.2. */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** RFC 9110 section 15: there are no others. */
const STATUS_MAX = 599;

/** What the single deadline timer is waiting for. */
const WAIT_BODY = 0;
const WAIT_RETRY = 1;
const WAIT_RESPONSE = 2;
const WAIT_DATA = 3;

export class Forward extends WheelEntry implements WireHandler, ClientEvents, RequestBodyOwner {
  private readonly x: Exchange;
  private readonly route: Route;
  private readonly upstream: Upstream;
  private readonly timeouts: TimeoutsPlan;
  private readonly body: RequestBody;
  private endpoint: Endpoint | null = null;
  private tried: Endpoint[] | null = null;
  private call: WireCall | null = null;
  private transform: BodyTransform | null = null;
  private waiting = WAIT_BODY as number; // one of the WAIT_ constants
  private attemptStartedMs = 0;
  private sent = false;
  private paused = false;
  private lastDataMs = 0;
  private began = false;
  /** The client has the whole response; the upstream's end is still to come. */
  private clientDone = false;
  private over = false;

  constructor(x: Exchange, route: Route, upstream: Upstream) {
    super();
    this.x = x;
    this.route = route;
    this.upstream = upstream;
    this.timeouts = timeoutsOf(route, upstream);
    this.body = new RequestBody(x, this, { keepBytes: upstream.plan.retry.bufferBytes, limit: route.plan.bodyBytes });
    x.events = this;
  }

  start(): void {
    const ready = this.body.begin();
    this.began = true;
    if (this.over) return;
    if (this.body.done) this.startClock();
    if (ready) this.attempt();
    else this.wait(WAIT_BODY, this.x.runtime.limits.bodyTimeoutMs);
  }

  /** timeouts.total runs from the request's last byte to the response head, over all attempts; bodies have their own limits. */
  private startClock(): void {
    if (this.timeouts.totalMs > 0) this.x.deadlineMs = performance.now() + this.timeouts.totalMs;
  }

  // --- Attempts ---

  private attempt(): void {
    const { x, upstream } = this;
    const endpoint = upstream.select(x, this.tried);
    if (endpoint === null) return this.fail("no_healthy_target", "");
    this.dispatch(endpoint);
  }

  private dispatch(endpoint: Endpoint): void {
    const { x, upstream } = this;
    const now = performance.now();
    const remainingMs = x.deadlineMs === 0 ? 0 : x.deadlineMs - now;
    if (remainingMs < 0) return this.fail("total_timeout", "");
    const request: UpstreamRequest = {
      method: x.method,
      path: x.upstreamPath,
      headers: upstreamHeaders(x, upstream, endpoint, remainingMs),
    };
    const policies = this.route.onUpstreamRequest;
    if (policies !== null) for (const policy of policies) policy.onUpstreamRequest?.(x, request);
    this.endpoint = endpoint;
    this.attemptStartedMs = now;
    this.sent = false;
    x.status = 0;
    x.upstreamFirstByteMs = -1;
    x.attempts++;
    x.target = endpoint.plan.key;
    upstream.begin(endpoint);
    const { method, path, headers } = request;
    const body = this.body.forAttempt();
    this.call = endpoint.pool.dispatch({ method, path, headers, body, contentLength: x.contentLength }, this);
    if (x.attempts === 1 && this.route.plan.mirror !== null) mirror(x, this.route, body);
    // Until it is on the wire it waits for a connection; wireSent() re-arms.
    if (!this.sent) this.wait(WAIT_RESPONSE, this.timeouts.connectMs + this.timeouts.responseMs);
  }

  /** The attempt is over: give the endpoint back. */
  private settle(outcome: Outcome, code: ErrorCode | null): void {
    const endpoint = this.endpoint;
    if (endpoint === null) return;
    this.endpoint = null;
    this.body.detach();
    this.upstream.done(endpoint, outcome);
    const { services } = this.x.runtime;
    services.recordAttempt(endpoint.slot, code, this.x.status, this.x.upstreamFirstByteMs);
  }

  /** @returns true when another attempt is on its way. */
  private retry(condition: string | number, unsent: boolean, retryAfterMs: number): boolean {
    const { x, upstream } = this;
    const plan = upstream.plan.retry;
    if (x.attempts > plan.attempts || !this.body.replayable || x.closed) return false;
    if (!unsent && !plan.nonIdempotent && !IDEMPOTENT.has(x.method)) return false;
    if (!plan.on.some((on) => on === condition)) return false;
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

  // --- Deadlines: one entry on the wheel, its meaning in `waiting` ---

  private wait(what: number, ms: number): void {
    this.waiting = what;
    const { deadlineMs } = this.x;
    const bound = deadlineMs === 0 ? ms : Math.min(ms, Math.max(0, deadlineMs - performance.now()));
    this.x.runtime.services.wheel.arm(this, bound);
  }

  onDeadline(): void {
    const { x } = this;
    if (this.over) return;
    const expired = x.deadlineMs > 0 && performance.now() >= x.deadlineMs;
    if (this.waiting === WAIT_RETRY && !expired) return this.guarded(() => this.attempt());
    if (this.waiting === WAIT_BODY) return this.fail(expired ? "total_timeout" : "request_timeout", "");
    if (this.waiting === WAIT_DATA) {
      const quietMs = this.paused ? 0 : performance.now() - this.lastDataMs;
      if (quietMs < this.timeouts.idleMs) return this.wait(WAIT_DATA, this.timeouts.idleMs - quietMs);
      return this.breakOff("upstream_idle_timeout");
    }
    this.call?.cancel();
    this.call = null;
    if (this.sent && !this.body.done && !this.body.stalledByUpstream) return this.fail("request_timeout", "");
    const code = expired ? "total_timeout" : this.sent ? "response_timeout" : "connect_timeout";
    if (!expired && this.retryAfterFailure("timeout", !this.sent, code)) return;
    this.settle("failure", code);
    this.fail(code, "");
  }

  // --- WireHandler: what is thrown into a socket's callbacks would end the worker ---

  wireSent(): void {
    this.sent = true;
    this.x.upstreamConnectMs = performance.now() - this.attemptStartedMs;
    this.waitForResponse();
  }

  private waitForResponse(): void {
    // While the body is on its way, it is the client that is waited for, unless the upstream does not take it.
    const waitsForUpstream = this.body.done || this.body.stalledByUpstream;
    this.wait(WAIT_RESPONSE, waitsForUpstream ? this.timeouts.responseMs : this.x.runtime.limits.bodyTimeoutMs);
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
    if (status >= 500 && this.retryStatus(status, copied)) return;
    this.lastDataMs = now;
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
      transformFailed: () => this.breakOff("internal_error"),
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
    this.call = null;
    if (trailers !== null) this.x.responseTrailers = copyTrailers(trailers);
    this.x.runtime.services.wheel.disarm(this);
    this.settle(this.x.status >= 500 ? "failure" : "success", null);
    if (this.clientDone) return finish(this.x);
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
      this.settle("failure", "upstream_aborted");
      return this.breakOff("upstream_aborted");
    }
    const condition =
      error.code === "upstream_reset" && !error.unsent ? "reset" : error.code === "upstream_invalid" ? "" : "connect-failure";
    if (error.code !== "overloaded" && this.retryAfterFailure(condition, error.unsent, error.code)) return;
    this.settle(error.code === "overloaded" ? "neutral" : "failure", error.code);
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
    this.call?.resume();
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
    this.startClock();
    this.guarded(() => this.attempt());
  }

  bodyProgress(): void {
    if (!this.began || this.over || this.x.started) return;
    if (this.body.done) this.startClock();
    if (this.waiting === WAIT_RESPONSE && this.sent) this.waitForResponse();
  }

  bodyTooLarge(): void {
    if (this.over) return;
    if (this.x.started) return this.breakOff("body_too_large");
    this.fail("body_too_large", `the limit is ${this.route.plan.bodyBytes} bytes`);
  }

  // --- Ends ---

  /** Answer with a problem; what is under way upstream is cancelled. */
  private fail(code: ErrorCode, detail: string): void {
    this.stop("neutral");
    if (this.over) return;
    this.over = true;
    fail(this.x, code, detail);
  }

  /** The response was begun and cannot be completed: cut the connection. */
  private breakOff(code: ErrorCode): void {
    if (this.over) return;
    this.over = true;
    this.x.errorCode = code;
    this.stop(ERRORS[code].source === "upstream" ? "failure" : "neutral");
    this.x.abort();
    finish(this.x); // the client may have had everything already: then abort() says nothing
  }

  /** Free what is held: timer, attempt, transform. Idempotent. */
  private stop(outcome: Outcome): void {
    this.x.runtime.services.wheel.disarm(this);
    this.call?.cancel();
    this.call = null;
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
    if (this.x.started) this.breakOff("internal_error");
    else this.fail("internal_error", "");
  }
}
