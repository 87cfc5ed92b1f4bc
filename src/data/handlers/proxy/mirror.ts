// Mirrors a fraction of requests to a second upstream: fire and forget, bounded, never seen by the client.
// Only requests without a body or with one that the gateway collects anyway are mirrored; answers are thrown away.
import type { Readable } from "node:stream";
import { BACKGROUND } from "../../../plan/overload-plan.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Services } from "../../exchange/runtime.ts";
import { upstreamRequest } from "../../exchange/upstream-headers.ts";
import type { RequestView } from "../../routing/request-view.ts";
import { type BodySource, type CallRequest, NO_BODY, newCallRecord, type ResponseSink, WholeBody } from "../../upstream/call-request.ts";
import type { Endpoint, Upstream, WireRequest } from "../../upstream/upstream.ts";
import { UpstreamCall } from "../../upstream/upstream-call.ts";
import type { MirrorConfig } from "./config.ts";

/** Mirrored requests under way in one worker; beyond it they are not sent. */
const MIRRORED_MAX = 256;

/** Sends a copy with probability `fraction`. Never throws, never delays the exchange. @param body as it went to the first attempt; streams are not mirrored */
export function sendCopy(x: Exchange, { upstream: index, fraction }: MirrorConfig, body: Buffer | Readable | null): void {
  if (Math.random() >= fraction || (body !== null && !Buffer.isBuffer(body))) return;
  const { services, upstreams } = x.runtime;
  const upstream = upstreams[index];
  const busy = services.mirrored >= MIRRORED_MAX || (services.inFlight > services.load.free && services.load.refuses(BACKGROUND));
  if (busy || upstream === undefined) return services.recordMirror(false);
  new MirrorCopy(x, body).start(upstream);
}

class MirrorCopy implements CallRequest, ResponseSink {
  readonly services: Services;
  readonly record = newCallRecord();
  readonly method: string;
  readonly body: BodySource;
  readonly timeouts = null;
  readonly boundsBody = false;
  readonly single = true;
  readonly background = true;
  readonly via = null;
  private readonly x: Exchange;
  private call: UpstreamCall | null = null;
  private sent = false;

  constructor(x: Exchange, body: Buffer | null) {
    this.x = x;
    this.services = x.runtime.services;
    this.method = x.method;
    this.body = body === null ? NO_BODY : new WholeBody(body);
  }

  start(upstream: Upstream): void {
    this.services.mirrored++;
    this.call = new UpstreamCall(upstream, this, this);
    this.call.start();
  }

  get view(): RequestView {
    return this.x;
  }

  prepare(upstream: Upstream, endpoint: Endpoint, remainingMs: number): WireRequest {
    // What the route says of Host is meant for the upstream that answers.
    return upstreamRequest(this.x, upstream, endpoint, remainingMs, upstream.plan.host);
  }

  dispatched(): void {
    this.sent = true;
    this.services.recordMirror(true);
  }

  onHead(): void {
    this.call?.discard();
    this.services.mirrored--;
  }

  onData(): boolean {
    return true;
  }

  onEnd(): void {}

  onFailure(): void {
    this.services.mirrored--;
    if (!this.sent) this.services.recordMirror(false);
  }

  takeBack(): boolean {
    return false;
  }
}
