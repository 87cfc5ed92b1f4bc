// Mirrors a fraction of requests to a second upstream: fire and forget, bounded, never seen by the client.
// Only requests without a body or with one that the gateway collects anyway are mirrored; answers are thrown away.
import type { Readable } from "node:stream";
import type { ErrorCode } from "../../../base/errors.ts";
import { WheelEntry } from "../../../base/timer-wheel.ts";
import { NO_TICKET } from "../../../shared/breaker-word.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { UpstreamRequest } from "../../exchange/policy.ts";
import type { Route } from "../../exchange/runtime.ts";
import { upstreamHeaders } from "../../exchange/upstream-headers.ts";
import type { Tickets } from "../../upstream/breaker.ts";
import type { Endpoint, Outcome, Upstream, WireCall, WireError, WireHandler } from "../../upstream/upstream.ts";

/** Mirrored requests under way in one worker; beyond it they are not sent. */
const MIRRORED_MAX = 256;

/** Sends a copy with probability `fraction`. Never throws, never delays the exchange. @param body as it went to the first attempt; streams are not mirrored */
export function mirror(x: Exchange, route: Route, body: Buffer | Readable | null): void {
  const plan = route.mirror;
  if (plan === null || Math.random() >= plan.fraction || (body !== null && !Buffer.isBuffer(body))) return;
  const { services, upstreams } = x.runtime;
  if (services.mirrored >= MIRRORED_MAX) return services.recordMirror(false);
  const upstream = upstreams[plan.upstream];
  if (upstream === undefined) return services.recordMirror(false);
  const copy = new MirroredRequest(x, upstream);
  const endpoint = upstream.take(x, null, copy);
  services.recordMirror(endpoint !== null);
  if (endpoint === null) return;
  try {
    copy.send(route, endpoint, body);
  } catch (error) {
    services.reportFault("mirroring failed", error, x.requestId);
    copy.giveUp();
  }
}

class MirroredRequest extends WheelEntry implements WireHandler, Tickets {
  private readonly x: Exchange;
  private readonly upstream: Upstream;
  /** performance.now() ms at which it was sent; until then, at which it began to wait. */
  private askedMs = performance.now();
  private endpoint: Endpoint | null = null;
  private call: WireCall | null = null;
  private sent = false;
  upstreamTicket = NO_TICKET;
  targetTicket = NO_TICKET;
  answered = false;

  constructor(x: Exchange, upstream: Upstream) {
    super();
    this.x = x;
    this.upstream = upstream;
  }

  /** @param endpoint as taken */
  send(route: Route, endpoint: Endpoint, body: Buffer | null): void {
    const { x, upstream } = this;
    const { services } = x.runtime;
    this.endpoint = endpoint;
    services.mirrored++;
    const { connectMs, attemptMs, totalMs } = upstream.plan.timeouts;
    services.wheel.arm(this, totalMs > 0 ? totalMs : connectMs + attemptMs);
    const request: UpstreamRequest = { method: x.method, path: x.upstreamPath, headers: upstreamHeaders(x, upstream, endpoint, totalMs) };
    for (const policy of route.onUpstreamRequest ?? []) policy.onUpstreamRequest?.(x, request);
    const { method, path, headers } = request;
    this.call = endpoint.pool.dispatch({ method, path, headers, body, contentLength: x.contentLength }, this);
  }

  /** After send() failed: what it counted is given back. */
  giveUp(): void {
    this.end("neutral", null);
  }

  wireSent(): void {
    this.sent = true;
    this.askedMs = performance.now();
  }

  wireHead(status: number): void {
    this.call?.discard();
    if (this.endpoint !== null) this.upstream.breaker?.answered(this, this.endpoint.slot, status, performance.now() - this.askedMs);
    this.end(status >= 500 ? "failure" : "success", null);
  }

  wireData(): void {}

  wireEnd(): void {
    this.end("success", null);
  }

  wireError(error: WireError): void {
    this.end(error.code === "overloaded" ? "unasked" : "failure", error.code);
  }

  onDeadline(): void {
    const inLine = this.call?.inLine === true;
    this.call?.cancel();
    if (inLine) this.end("unasked", "overloaded");
    else this.end("failure", this.sent ? "response_timeout" : "connect_timeout");
  }

  private end(outcome: Outcome, code: ErrorCode | null): void {
    const { endpoint, upstream } = this;
    if (endpoint === null) return;
    this.endpoint = null;
    const { services } = this.x.runtime;
    services.wheel.disarm(this);
    services.mirrored--;
    upstream.done(endpoint, outcome);
    upstream.breaker?.ended(this, endpoint.slot, outcome, code, performance.now() - this.askedMs);
  }
}
