// Upgrades a WebSocket towards an upstream and hands the connection to the listener's engine: attempts, deadlines, retries, policies.
// Must never read a frame: what follows the 101 is the engine's business.
import type { ErrorCode } from "../../../base/errors.ts";
import type { ClientEvents, Exchange, HeaderList } from "../../exchange/exchange.ts";
import { finish } from "../../exchange/finish.ts";
import type { ResponseHead, UpstreamRequest } from "../../exchange/policy.ts";
import { fail, finalHead, hasBody, respond } from "../../exchange/reply.ts";
import type { Route } from "../../exchange/runtime.ts";
import { upstreamHeaders } from "../../exchange/upstream-headers.ts";
import { Attempts, WAIT_RESPONSE, WAIT_RETRY } from "../../upstream/attempts.ts";
import { createConnector } from "../../upstream/transport/connector.ts";
import { ResponseHeaders } from "../../upstream/transport/response-headers.ts";
import type { Endpoint, Outcome, Upstream } from "../../upstream/upstream.ts";
import { type DialAnswer, type DialFailure, type DialOwner, type DialRefusal, WebSocketDial } from "../../upstream/websocket/dial.ts";
import { wsFrames } from "../../upstream/websocket/frames.ts";
import { offerHeaders, readAnswer, readOffer, type WebSocketAnswer, type WebSocketOffer, withoutHandshake } from "./handshake.ts";

/** Takes a request for a WebSocket to an upstream. May throw before anything was begun; then the caller answers. */
export function forwardWebSocket(x: Exchange, route: Route, upstream: Upstream): void {
  const offer = readOffer(x);
  if ("code" in offer) return fail(x, offer.code, offer.detail, offer.headers);
  new Upgrade(x, route, upstream, offer).start();
}

/** Connectors by endpoint: they hold the TLS context and session. */
const connectors = new WeakMap<Endpoint, ReturnType<typeof createConnector>>();

function connectorOf(endpoint: Endpoint, upstream: Upstream): ReturnType<typeof createConnector> {
  let connector = connectors.get(endpoint);
  if (connector === undefined) {
    connector = createConnector(endpoint.plan, upstream.plan);
    connectors.set(endpoint, connector);
  }
  return connector;
}

class Upgrade extends Attempts implements ClientEvents, DialOwner {
  private readonly offer: WebSocketOffer;
  private dial: WebSocketDial | null = null;
  /** The engine has it: only its end is still to come. */
  private accepted = false;

  constructor(x: Exchange, route: Route, upstream: Upstream, offer: WebSocketOffer) {
    super(x, route, upstream);
    this.offer = offer;
    x.events = this;
  }

  /** timeouts.total runs until the upgrade: a WebSocket itself has no end. */
  start(): void {
    if (this.timeouts.totalMs > 0) this.x.deadlineMs = performance.now() + this.timeouts.totalMs;
    if (this.mayBegin()) this.attempt();
  }

  // --- Attempts ---

  private attempt(): void {
    const { deadlineMs } = this.x;
    this.attemptStartedMs = performance.now();
    const remainingMs = deadlineMs === 0 ? 0 : deadlineMs - this.attemptStartedMs;
    if (remainingMs < 0) return this.fail("total_timeout", "");
    const endpoint = this.take();
    if (endpoint !== null) this.send(endpoint, remainingMs);
  }

  private send(endpoint: Endpoint, remainingMs: number): void {
    const { x, upstream } = this;
    const request: UpstreamRequest = {
      method: "GET",
      path: x.upstreamPath,
      headers: upstreamHeaders(x, upstream, endpoint, remainingMs),
    };
    const policies = this.route.onUpstreamRequest;
    if (policies !== null) for (const policy of policies) policy.onUpstreamRequest?.(x, request);
    const headers = [...withoutHandshake(request.headers), ...offerHeaders(this.offer, x.tunnelsFrames)];
    x.status = 0;
    x.upstreamConnectMs = x.upstreamFirstByteMs = -1;
    this.wait(WAIT_RESPONSE, this.timeouts.connectMs + this.timeouts.attemptMs);
    this.dial = new WebSocketDial(this);
    this.dial.start(connectorOf(endpoint, upstream), request.path, headers);
  }

  protected override settle(outcome: Outcome, code: ErrorCode | null): void {
    this.dial?.cancel();
    this.dial = null;
    super.settle(outcome, code);
  }

  protected askedMs(): number {
    return this.attemptStartedMs;
  }

  // --- Deadlines ---

  onDeadline(): void {
    const { x } = this;
    if (this.over) return;
    const expired = x.deadlineMs > 0 && performance.now() >= x.deadlineMs;
    if (this.waiting === WAIT_RETRY && !expired) return this.guarded(() => this.attempt());
    const code = expired ? "total_timeout" : x.upstreamConnectMs < 0 ? "connect_timeout" : "response_timeout";
    this.guarded(() => this.attemptFailed(expired ? "" : "timeout", code, ""));
  }

  private attemptFailed(condition: string, code: ErrorCode, reason: string): void {
    const again = this.retryLater(condition, 0); // a handshake changes nothing, so it may be repeated
    this.settle("failure", code);
    if (!again) this.fail(code, reason);
  }

  // --- DialOwner ---

  dialSent(): void {
    this.x.upstreamConnectMs = performance.now() - this.attemptStartedMs;
    this.wait(WAIT_RESPONSE, this.timeouts.attemptMs);
  }

  dialProgress(): void {
    const { x } = this;
    if (x.upstreamFirstByteMs < 0) x.upstreamFirstByteMs = performance.now() - this.attemptStartedMs;
    this.wait(WAIT_RESPONSE, this.timeouts.idleMs);
  }

  dialFailed({ code, condition, reason }: DialFailure): void {
    this.guarded(() => this.attemptFailed(condition, code, reason));
  }

  dialAnswered(answer: DialAnswer): boolean {
    this.guarded(() => {
      const lowercase = answer.rawHeaders.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
      const chosen = readAnswer(lowercase, this.offer, this.x.tunnelsFrames);
      if (typeof chosen !== "string") return this.accept(answer, chosen);
      this.attemptFailed("", "upstream_upgrade_refused", chosen);
    });
    return this.accepted && !this.over;
  }

  /** Passes a refusal on as the response that it is. */
  dialRefused({ status, rawHeaders, body }: DialRefusal): void {
    const { x } = this;
    x.status = status;
    this.guarded(() => {
      if (status < 200) return this.attemptFailed("", "upstream_upgrade_refused", `status ${status} that does not upgrade to websocket`);
      this.judge(status, performance.now());
      if (status >= 500 && this.retryLater(status, 0)) return this.settle("failure", null);
      const copied = endToEnd(rawHeaders);
      this.remember(copied.headers);
      const withBody = hasBody("GET", status);
      this.stop(status >= 500 ? "failure" : "success");
      this.over = true;
      const length = withBody ? body.length : copied.length;
      respond(x, { status, headers: copied.headers, length, hasBody: withBody, fromUpstream: true }, body);
    });
  }

  // --- The WebSocket ---

  private accept({ rawHeaders, socket, head }: DialAnswer, chosen: WebSocketAnswer): void {
    const { x, upstream, endpoint } = this;
    const headers = this.acceptedHeaders(rawHeaders, chosen);
    x.deadlineMs = 0;
    x.status = 101;
    this.judge(101, performance.now());
    this.stop("success");
    // The handshake said that the endpoint is well; from here on the connection only counts as load.
    if (endpoint !== null) upstream.begin(endpoint);
    this.endpoint = endpoint;
    this.accepted = true;
    x.runtime.services.webSockets++;
    const closeAtMs = this.route.webSocketClosesAtExpiry ? (x.identity?.expiresMs ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
    x.acceptWebSocket({ socket, head, headers, protocol: chosen.protocol, closeAtMs, frames: wsFrames });
  }

  /** The 101 to the client: the upstream's end-to-end headers with the policies' changes. */
  private acceptedHeaders(rawHeaders: readonly string[], chosen: WebSocketAnswer): HeaderList {
    const { x } = this;
    const copied = endToEnd(rawHeaders).headers;
    this.remember(copied);
    const head: ResponseHead = { status: 101, headers: copied, length: -1, hasBody: false, fromUpstream: true };
    finalHead(x, head);
    x.bodyTransform?.destroy();
    x.bodyTransform = null;
    const headers = withoutHandshake(head.headers);
    if (chosen.extensions !== "") headers.push("sec-websocket-extensions", chosen.extensions);
    return headers;
  }

  // --- ClientEvents ---

  clientDrained(): void {}

  clientAborted(x: Exchange): void {
    if (x.errorCode === null) x.errorCode = "client_aborted";
    this.ended();
  }

  clientCompleted(): void {
    this.ended();
  }

  // --- Ends ---

  private ended(): void {
    if (this.over) return;
    this.over = true;
    const { x, endpoint } = this;
    if (this.accepted) {
      x.runtime.services.webSockets--;
      this.endpoint = null;
      if (endpoint !== null) this.upstream.done(endpoint, "neutral");
    } else this.stop("neutral");
    finish(x);
  }

  protected stop(outcome: Outcome): void {
    this.x.runtime.services.wheel.disarm(this);
    this.settle(outcome, null);
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      const { x } = this;
      x.runtime.services.reportFault("upgrading to a WebSocket failed", error, x.requestId);
      if (!this.accepted) return this.fail("internal_error", "");
      x.abort();
      this.ended();
    }
  }
}

function endToEnd(raw: readonly string[]): ResponseHeaders {
  const headers = new ResponseHeaders();
  for (let i = 0; i + 1 < raw.length; i += 2) headers.add((raw[i] as string).toLowerCase(), raw[i + 1] as string); // i is inside a list of pairs
  return headers.complete();
}
