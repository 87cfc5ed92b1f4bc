// Relays one exchange to an upstream and its response back (exchange/response-relay.ts): what is sent, and by whose time.
// Must never choose a target or decide about an attempt.

import type { Readable } from "node:stream";
import type { TimeoutsPlan } from "../../../plan/plan.ts";
import { RequestBody } from "../../exchange/body/request-body.ts";
import { BODY_NONE, type Exchange } from "../../exchange/exchange.ts";
import type { ResponseHead, SentRequest } from "../../exchange/policy.ts";
import { ResponseRelay } from "../../exchange/response-relay.ts";
import type { Route, Services } from "../../exchange/runtime.ts";
import { upstreamRequest } from "../../exchange/upstream-headers.ts";
import type { RequestView } from "../../routing/request-view.ts";
import { type BodySource, type CallRecord, type CallRequest, NO_BODY } from "../../upstream/call-request.ts";
import type { Endpoint, Upstream, WireRequest } from "../../upstream/upstream.ts";
import { UpstreamCall } from "../../upstream/upstream-call.ts";
import type { MirrorConfig } from "./config.ts";
import { sendCopy } from "./mirror.ts";

export class Relay extends ResponseRelay implements CallRequest {
  readonly method: string;
  readonly body: BodySource;
  readonly timeouts: Partial<TimeoutsPlan> | null;
  readonly boundsBody = false;
  readonly single = false;
  readonly via: CallRequest["via"] = null;
  private readonly mirror: MirrorConfig | null;
  protected readonly call: UpstreamCall;
  /** What the attempt under way has sent; only where a policy wants to know. */
  private sent: SentRequest | null = null;

  constructor(x: Exchange, route: Route, upstream: Upstream, mirror: MirrorConfig | null = null) {
    super(x, route);
    this.mirror = mirror;
    this.method = x.method;
    this.timeouts = route.settings.timeouts;
    const { bodyBytes } = route.settings;
    this.body = x.bodyKind === BODY_NONE ? NO_BODY : new RequestBody(x, { keepBytes: upstream.plan.retry.bufferBytes, limit: bodyBytes });
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
    const request = upstreamRequest(this.x, upstream, endpoint, remainingMs);
    if (this.route.onUpstreamResponse !== null) this.sent = { request, endpoint };
    return request;
  }

  dispatched(body: Buffer | Readable | null): void {
    if (this.mirror !== null && this.x.attempts === 1) sendCopy(this.x, this.mirror, body);
  }

  // --- ResponseRelay ---

  /** Policies see what the upstream has said, before the gateway adds to it. */
  protected override upstreamHead(head: ResponseHead): void {
    if (this.sent !== null) for (const policy of this.route.onUpstreamResponse ?? []) policy.onUpstreamResponse?.(this.x, head, this.sent);
    this.call.rememberTarget(head.headers);
  }

  protected get origin(): UpstreamCall {
    return this.call;
  }
}
