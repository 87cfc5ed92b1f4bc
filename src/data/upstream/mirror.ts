// Mirrors a fraction of requests to a second upstream: fire and forget, bounded, never seen by the client.
// Only requests without a body or with one that the gateway collects anyway are mirrored; answers are thrown away.
import type { Readable } from "node:stream";
import { WheelEntry } from "../../base/timer-wheel.ts";
import type { Exchange } from "../exchange.ts";
import type { UpstreamRequest } from "../policy.ts";
import type { Route } from "../runtime.ts";
import { upstreamHeaders } from "./request-headers.ts";
import type { Endpoint, Outcome, Upstream, WireCall, WireError, WireHandler } from "./upstream.ts";

/** Mirrored requests under way in one worker; beyond it they are not sent. */
const MIRRORED_MAX = 256;

/** Sends a copy when the dice say so. Never throws, never delays the exchange. @param body as it went to the first attempt; streams are not mirrored */
export function mirror(x: Exchange, route: Route, body: Buffer | Readable | null): void {
  const plan = route.plan.mirror;
  if (plan === null || Math.random() >= plan.fraction || (body !== null && !Buffer.isBuffer(body))) return;
  const { services, upstreams } = x.runtime;
  if (services.mirrored >= MIRRORED_MAX) return services.recordMirror(false);
  const upstream = upstreams[plan.upstream];
  const endpoint = upstream?.select(x, null) ?? null;
  if (upstream === undefined || endpoint === null) return services.recordMirror(false);
  services.recordMirror(true);
  const copy = new MirroredRequest(x, upstream, endpoint);
  try {
    copy.send(route, body);
  } catch (error) {
    services.reportFault("mirroring failed", error, x.requestId);
    copy.giveUp();
  }
}

class MirroredRequest extends WheelEntry implements WireHandler {
  private readonly x: Exchange;
  private readonly upstream: Upstream;
  private readonly endpoint: Endpoint;
  private call: WireCall | null = null;
  private over = false;

  constructor(x: Exchange, upstream: Upstream, endpoint: Endpoint) {
    super();
    this.x = x;
    this.upstream = upstream;
    this.endpoint = endpoint;
  }

  send(route: Route, body: Buffer | null): void {
    const { x, upstream, endpoint } = this;
    const { services } = x.runtime;
    services.mirrored++;
    upstream.begin(endpoint);
    const { connectMs, responseMs, totalMs } = upstream.plan.timeouts;
    services.wheel.arm(this, totalMs > 0 ? totalMs : connectMs + responseMs);
    const request: UpstreamRequest = { method: x.method, path: x.upstreamPath, headers: upstreamHeaders(x, upstream, endpoint, totalMs) };
    for (const policy of route.onUpstreamRequest ?? []) policy.onUpstreamRequest?.(x, request);
    const { method, path, headers } = request;
    this.call = endpoint.pool.dispatch({ method, path, headers, body, contentLength: x.contentLength }, this);
  }

  /** After send() failed: what it counted is given back. */
  giveUp(): void {
    this.end("neutral");
  }

  wireSent(): void {}

  wireHead(status: number): void {
    this.call?.discard();
    this.end(status >= 500 ? "failure" : "success");
  }

  wireData(): void {}

  wireEnd(): void {
    this.end("success");
  }

  wireError(error: WireError): void {
    this.end(error.code === "overloaded" ? "neutral" : "failure");
  }

  onDeadline(): void {
    this.call?.cancel();
    this.end("failure");
  }

  private end(outcome: Outcome): void {
    if (this.over) return;
    this.over = true;
    const { services } = this.x.runtime;
    services.wheel.disarm(this);
    services.mirrored--;
    this.upstream.done(this.endpoint, outcome);
  }
}
