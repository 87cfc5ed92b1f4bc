// Relays one exchange to an upstream and its response back: the client's side of an UpstreamCall, with backpressure both ways.
// Must never choose a target or decide about an attempt; must never send a head that the response policies have not seen.
import type { Readable } from "node:stream";
import type { ErrorCode } from "../../../base/errors.ts";
import type { HeaderList } from "../../../base/header-list.ts";
import { faultCode, PolicyFailure } from "../../../base/policy-failure.ts";
import type { TimeoutsPlan } from "../../../plan/plan.ts";
import { RequestBody } from "../../exchange/body/request-body.ts";
import { BODY_NONE, type ClientEvents, type Exchange } from "../../exchange/exchange.ts";
import { finish } from "../../exchange/finish.ts";
import type { ResponseHead } from "../../exchange/policy.ts";
import { fail, finalHead, hasBody, replaceBy, reply } from "../../exchange/reply.ts";
import { FilterChain, type ResponseSource } from "../../exchange/response-filter.ts";
import type { Route, Services } from "../../exchange/runtime.ts";
import { upstreamRequest } from "../../exchange/upstream-headers.ts";
import type { RequestView } from "../../routing/request-view.ts";
import {
  type BodySource,
  type CallFailure,
  type CallRecord,
  type CallRequest,
  NO_BODY,
  type ResponseSink,
} from "../../upstream/call-request.ts";
import type { Endpoint, Upstream, WireHead, WireRequest } from "../../upstream/upstream.ts";
import { UpstreamCall } from "../../upstream/upstream-call.ts";
import type { MirrorConfig } from "./config.ts";
import { sendCopy } from "./mirror.ts";

export class Relay implements CallRequest, ResponseSink, ClientEvents, ResponseSource {
  readonly method: string;
  readonly body: BodySource;
  readonly timeouts: Partial<TimeoutsPlan> | null;
  readonly boundsBody = false;
  readonly single = false;
  readonly via: CallRequest["via"] = null;
  protected readonly x: Exchange;
  protected readonly route: Route;
  private readonly mirror: MirrorConfig | null;
  protected readonly call: UpstreamCall;
  /** What the response passes; null when it goes straight to the client. */
  private filters: FilterChain | null = null;
  /** The client has the whole response; the upstream's end is still to come. */
  private clientDone = false;

  constructor(x: Exchange, route: Route, upstream: Upstream, mirror: MirrorConfig | null = null) {
    this.x = x;
    this.route = route;
    this.mirror = mirror;
    this.method = x.method;
    this.timeouts = route.settings.timeouts;
    const { bodyBytes } = route.settings;
    this.body = x.bodyKind === BODY_NONE ? NO_BODY : new RequestBody(x, { keepBytes: upstream.plan.retry.bufferBytes, limit: bodyBytes });
    x.events = this;
    this.call = new UpstreamCall(upstream, this, this);
  }

  start(): void {
    this.call.start();
  }

  // --- CallRequest ---

  get services(): Services {
    return this.x.runtime.services;
  }

  get record(): CallRecord {
    return this.x;
  }

  get view(): RequestView {
    return this.x;
  }

  prepare(upstream: Upstream, endpoint: Endpoint, remainingMs: number): WireRequest {
    return upstreamRequest(this.x, upstream, endpoint, remainingMs);
  }

  dispatched(body: Buffer | Readable | null): void {
    if (this.mirror !== null && this.x.attempts === 1) sendCopy(this.x, this.mirror, body);
  }

  // --- ResponseSink ---

  onHead(status: number, { headers, length }: WireHead): void {
    const { x, route } = this;
    this.call.rememberTarget(headers);
    const head: ResponseHead = { status, headers, length, hasBody: hasBody(x.method, status), fromUpstream: true };
    const instead = finalHead(x, head);
    if (instead !== null) {
      this.call.discard();
      return replaceBy(x, instead);
    }
    if (route.filters !== null) this.openFilters(head);
    else {
      x.status = head.status;
      x.start(head.status, head.headers, head.length);
    }
  }

  private openFilters(head: ResponseHead): void {
    const { x, route } = this;
    const chain = new FilterChain(x, route.filters ?? [], this);
    this.filters = x.filters = chain;
    chain.head(head);
    if (chain.isEmpty) this.filters = x.filters = null;
  }

  onData(chunk: Buffer): boolean {
    return this.filters === null ? this.x.write(chunk) : this.filters.data(chunk);
  }

  onEnd(trailers: HeaderList | null): void {
    const { x, filters } = this;
    if (filters !== null) return filters.end(trailers);
    if (trailers !== null) x.responseTrailers = trailers;
    if (!this.clientDone) return x.end();
    this.call.resume();
    finish(x);
  }

  onFailure(failure: CallFailure): void {
    const { x, route } = this;
    const { code, detail, headers, overloadReason } = failure;
    if (overloadReason !== null) x.overloadReason = overloadReason;
    if (x.started || this.filters !== null) return this.breakOff(code, detail); // takeBack() has said no
    try {
      for (const policy of route.onUpstreamFailure ?? []) {
        const answer = policy.onUpstreamFailure?.(x, failure);
        if (answer === undefined) continue;
        x.errorCode = code; // for log and metrics: the client gets what the policy wants it to
        x.errorDetail = detail;
        return reply(x, answer);
      }
    } catch (error) {
      this.services.reportFault("answering for an upstream failed inside the gateway", error, x.requestId);
      return fail(x, "internal_error");
    }
    fail(x, code, detail, headers);
  }

  /** The response was begun and cannot be completed: the client's connection is cut, which is all that can still be said. */
  private breakOff(code: ErrorCode, detail: string): void {
    const { x } = this;
    x.errorCode = code;
    x.errorDetail = detail;
    x.abort();
    finish(x); // the client may have had everything already: then abort() says nothing
  }

  takeBack(): boolean {
    const { x } = this;
    if (x.started && !x.isWithdrawable) return false;
    if (x.started) x.withdraw();
    x.status = 0;
    this.filters?.abort();
    this.filters = x.filters = null;
    return true;
  }

  // --- ResponseSource of the first filter ---

  drained(): void {
    this.call.resume();
  }

  failed(error: unknown): void {
    const { x } = this;
    if (x.finished) return;
    if (!(error instanceof PolicyFailure)) x.runtime.services.reportFault("a response filter failed", error, x.requestId);
    this.call.cancel();
    const code = faultCode(error);
    if (this.takeBack()) fail(x, code);
    else this.breakOff(code, "");
  }

  // --- ClientEvents ---

  clientDrained(): void {
    if (this.filters !== null) this.filters.drained();
    else this.call.resume();
  }

  clientAborted(x: Exchange): void {
    if (x.errorCode === null) x.errorCode = "client_aborted";
    this.call.cancel();
    finish(x);
  }

  clientCompleted(_x: Exchange): void {
    // With a known length the client is done before the upstream's parser says so: its connection is worth keeping.
    this.clientDone = true;
    if (this.filters !== null) this.filters.whenEnded(() => this.completed());
    else if (!this.call.active) this.completed();
  }

  /** Of a filter that has ended the response by itself, the call may still be under way. */
  private completed(): void {
    this.call.cancel();
    finish(this.x);
  }
}
