// Upgrades a WebSocket towards an upstream and hands the connection to the listener's engine: handshake, deadlines, retries.
// Must never read a frame: what follows the 101 is the engine's business.
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { ErrorCode } from "../../base/errors.ts";
import { WheelEntry } from "../../base/timer-wheel.ts";
import type { TimeoutsPlan } from "../../plan/plan.ts";
import type { ClientEvents, Exchange, HeaderList } from "../exchange.ts";
import type { ResponseHead, UpstreamRequest } from "../policy.ts";
import { finish } from "../response/finish.ts";
import { fail, finalHead, hasBody, respond } from "../response/reply.ts";
import type { Route } from "../runtime.ts";
import { backoffMs } from "./backoff.ts";
import { ConnectError, createConnector } from "./connector.ts";
import { timeoutsOf } from "./forward.ts";
import { copyResponseHeaders, upstreamHeaders } from "./request-headers.ts";
import type { Endpoint, Outcome, Upstream } from "./upstream.ts";
import { offerHeaders, readAnswer, readOffer, type WebSocketAnswer, type WebSocketOffer, withoutHandshake } from "./websocket-handshake.ts";

// Not by import: that reads every export, and one of them loads a whole fetch implementation (some 60 ms, in each thread).
const http = process.getBuiltinModule("node:http");

/** Largest response head accepted from an upstream, bytes. */
const RESPONSE_HEAD_BYTES_MAX = 64 * 1024;
/** Largest body of a refusal that is relayed to the client. */
const REFUSAL_BYTES_MAX = 256 * 1024;

/** What the deadline timer is waiting for. */
const WAIT_RETRY = 0;
const WAIT_RESPONSE = 1;

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

class Upgrade extends WheelEntry implements ClientEvents {
  private readonly x: Exchange;
  private readonly route: Route;
  private readonly upstream: Upstream;
  private readonly offer: WebSocketOffer;
  private readonly timeouts: TimeoutsPlan;
  private endpoint: Endpoint | null = null;
  private tried: Endpoint[] | null = null;
  private request: ClientRequest | null = null;
  /** Counts attempts and cancellations, so that what an abandoned attempt still reports is ignored. */
  private turn = 0;
  private waiting = WAIT_RESPONSE as number; // one of the WAIT_ constants
  private attemptStartedMs = 0;
  /** Answered, or given up. */
  private over = false;
  /** The engine has it: only its end is still to come. */
  private accepted = false;

  constructor(x: Exchange, route: Route, upstream: Upstream, offer: WebSocketOffer) {
    super();
    this.x = x;
    this.route = route;
    this.upstream = upstream;
    this.offer = offer;
    this.timeouts = timeoutsOf(route, upstream);
    x.events = this;
  }

  start(): void {
    if (this.timeouts.totalMs > 0) this.x.deadlineMs = performance.now() + this.timeouts.totalMs;
    this.attempt();
  }

  // --- Attempts ---

  private attempt(): void {
    const { x, upstream } = this;
    const endpoint = upstream.select(x, this.tried);
    if (endpoint === null) return this.fail("no_healthy_target", "");
    const now = performance.now();
    const remainingMs = x.deadlineMs === 0 ? 0 : x.deadlineMs - now;
    if (remainingMs < 0) return this.fail("total_timeout", "");
    const request: UpstreamRequest = {
      method: "GET",
      path: x.upstreamPath,
      headers: upstreamHeaders(x, upstream, endpoint, remainingMs),
    };
    const policies = this.route.onUpstreamRequest;
    if (policies !== null) for (const policy of policies) policy.onUpstreamRequest?.(x, request);
    request.headers = [...withoutHandshake(request.headers), ...offerHeaders(this.offer, x.tunnelsFrames)];
    this.endpoint = endpoint;
    this.attemptStartedMs = now;
    x.status = 0;
    x.upstreamConnectMs = x.upstreamFirstByteMs = -1;
    x.attempts++;
    x.target = endpoint.plan.key;
    upstream.begin(endpoint);
    const turn = ++this.turn;
    this.wait(WAIT_RESPONSE, this.timeouts.connectMs + this.timeouts.responseMs);
    const connect = connectorOf(endpoint, upstream);
    connect((error, socket) => {
      if (turn !== this.turn) return void socket?.destroy();
      this.guarded(() => (socket === null ? this.connectFailed(error) : this.shake(socket, request)));
    });
  }

  private connectFailed(error: Error | null): void {
    const stage = error instanceof ConnectError ? error.stage : "tcp";
    const code = stage === "timeout" ? "connect_timeout" : stage === "tls" ? "upstream_tls" : "connect_failed";
    this.attemptFailed("connect-failure", code, error?.message ?? "");
  }

  /** Sends the handshake. node:http reads the answer: its parser knows every framing a refusal may have. */
  private shake(socket: Duplex, { path, headers }: UpstreamRequest): void {
    this.x.upstreamConnectMs = performance.now() - this.attemptStartedMs;
    let request: ClientRequest;
    try {
      request = http.request({
        createConnection: () => socket,
        method: "GET",
        path,
        headers,
        maxHeaderSize: RESPONSE_HEAD_BYTES_MAX,
        insecureHTTPParser: false,
      });
    } catch (error) {
      socket.destroy();
      return this.attemptFailed("", "upstream_invalid", `refused by the client: ${messageOf(error)}`);
    }
    this.request = request;
    const { turn } = this;
    const mine = (work: () => void): void => {
      if (turn === this.turn) this.guarded(work);
    };
    request.on("upgrade", (response: IncomingMessage, upgraded: Duplex, head: Buffer) => {
      upgraded.on("error", ignore); // 'close' follows; whoever takes the socket hears that
      mine(() => this.upgraded(response, upgraded, head));
      if (!this.accepted || this.over) upgraded.destroy();
    });
    request.on("response", (response: IncomingMessage) => mine(() => this.refused(response)));
    request.on("error", (error: NodeJS.ErrnoException) => mine(() => this.shakeFailed(error)));
    request.end();
    this.wait(WAIT_RESPONSE, this.timeouts.responseMs);
  }

  private shakeFailed(error: NodeJS.ErrnoException): void {
    const invalid = error.code?.startsWith("HPE_") === true;
    this.attemptFailed(invalid ? "" : "reset", invalid ? "upstream_invalid" : "upstream_reset", `${error.code ?? ""} ${error.message}`);
  }

  private attemptFailed(condition: string, code: ErrorCode, reason: string): void {
    if (this.retry(condition)) return this.settle("failure", code);
    this.settle("failure", code);
    this.fail(code, reason);
  }

  /** The attempt is over: give the endpoint back. */
  private settle(outcome: Outcome, code: ErrorCode | null): void {
    const { endpoint, x } = this;
    this.turn++;
    this.request?.destroy();
    this.request = null;
    if (endpoint === null) return;
    this.endpoint = null;
    this.upstream.done(endpoint, outcome);
    x.runtime.services.recordAttempt(endpoint.slot, code, x.status, x.upstreamFirstByteMs);
  }

  /** A handshake changes nothing, so it may be repeated. @returns true when another attempt is on its way */
  private retry(condition: string | number): boolean {
    const { x, upstream } = this;
    const plan = upstream.plan.retry;
    if (x.attempts > plan.attempts || x.closed || !plan.on.some((on) => on === condition)) return false;
    const last = this.endpoint;
    if (last !== null) (this.tried ??= []).push(last);
    const next = upstream.select(x, this.tried);
    if (next === null) return false;
    const delayMs = backoffMs(x.attempts - 1, plan.backoffBaseMs, plan.backoffMaxMs, Math.random);
    if (x.deadlineMs > 0 && performance.now() + delayMs >= x.deadlineMs) return false;
    if (!upstream.takeRetry()) return false;
    x.runtime.services.recordRetry((last ?? next).slot);
    this.wait(WAIT_RETRY, delayMs);
    return true;
  }

  // --- Deadlines ---

  private wait(what: number, ms: number): void {
    this.waiting = what;
    const { deadlineMs, runtime } = this.x;
    runtime.services.wheel.arm(this, deadlineMs === 0 ? ms : Math.min(ms, Math.max(0, deadlineMs - performance.now())));
  }

  onDeadline(): void {
    const { x } = this;
    if (this.over) return;
    const expired = x.deadlineMs > 0 && performance.now() >= x.deadlineMs;
    if (this.waiting === WAIT_RETRY && !expired) return this.guarded(() => this.attempt());
    if (expired) return this.attemptFailed("", "total_timeout", "");
    this.attemptFailed("timeout", x.upstreamConnectMs < 0 ? "connect_timeout" : "response_timeout", "");
  }

  // --- The answer ---

  private upgraded(response: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { x } = this;
    x.upstreamFirstByteMs = performance.now() - this.attemptStartedMs;
    const raw = lowercaseNames(response.rawHeaders);
    const answer = readAnswer(raw, this.offer, x.tunnelsFrames);
    if (typeof answer !== "string") return this.accept(answer, this.acceptedHeaders(response, answer), socket, head);
    this.settle("failure", "upstream_upgrade_refused");
    this.fail("upstream_upgrade_refused", answer);
  }

  /** The 101 to the client: the upstream's end-to-end headers with the policies' changes. */
  private acceptedHeaders(response: IncomingMessage, answer: WebSocketAnswer): HeaderList {
    const { x } = this;
    const head: ResponseHead = { status: 101, headers: endToEnd(response).headers, length: -1, hasBody: false, fromUpstream: true };
    finalHead(x, head);
    x.bodyTransform?.destroy();
    x.bodyTransform = null;
    const headers = withoutHandshake(head.headers);
    if (answer.extensions !== "") headers.push("sec-websocket-extensions", answer.extensions);
    return headers;
  }

  private accept(answer: WebSocketAnswer, headers: HeaderList, socket: Duplex, head: Buffer): void {
    const { x, upstream, endpoint } = this;
    const { services } = x.runtime;
    services.wheel.disarm(this);
    x.deadlineMs = 0;
    x.status = 101;
    this.request = null; // the socket is no longer its own
    this.settle("success", null);
    // The handshake said that the endpoint is well; from here on the connection only counts as load.
    if (endpoint !== null) upstream.begin(endpoint);
    this.endpoint = endpoint;
    this.accepted = true;
    services.webSockets++;
    x.acceptWebSocket({ socket, head, headers, protocol: answer.protocol });
  }

  private refused(response: IncomingMessage): void {
    const { x } = this;
    const status = response.statusCode ?? 0;
    x.upstreamFirstByteMs = performance.now() - this.attemptStartedMs;
    x.status = status;
    response.on("error", ignore); // 'close' follows
    if (status === 101) {
      this.settle("failure", "upstream_upgrade_refused");
      return this.fail("upstream_upgrade_refused", "the 101 does not upgrade to websocket");
    }
    if (status >= 500 && this.retry(status)) return this.settle("failure", null);
    this.collect(response);
  }

  private collect(response: IncomingMessage): void {
    const { turn } = this;
    const chunks: Buffer[] = [];
    let bytes = 0;
    this.wait(WAIT_RESPONSE, this.timeouts.idleMs);
    response.on("data", (chunk: Buffer) => {
      if (turn !== this.turn) return;
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes <= REFUSAL_BYTES_MAX) return this.wait(WAIT_RESPONSE, this.timeouts.idleMs);
      this.settle("neutral", "upstream_upgrade_refused");
      this.fail("upstream_upgrade_refused", `it answered ${response.statusCode} with more than ${REFUSAL_BYTES_MAX} bytes`);
    });
    response.on("close", () => {
      if (turn !== this.turn) return;
      this.guarded(() => {
        if (response.complete) this.relay(response, Buffer.concat(chunks));
        else this.attemptFailed("reset", "upstream_reset", "it broke off in the middle of a refusal");
      });
    });
  }

  /** Passes a refusal on as the response that it is. */
  private relay(response: IncomingMessage, body: Buffer): void {
    const { x } = this;
    const status = response.statusCode ?? 0;
    const copied = endToEnd(response);
    this.stop(status >= 500 ? "failure" : "success", null);
    this.over = true;
    const withBody = hasBody("GET", status);
    const length = withBody ? body.length : copied.length;
    respond(x, { status, headers: copied.headers, length, hasBody: withBody, fromUpstream: true }, body);
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
    } else this.stop("neutral", null);
    finish(x);
  }

  private fail(code: ErrorCode, detail: string): void {
    if (this.over) return;
    this.stop("neutral", null);
    this.over = true;
    fail(this.x, code, detail);
  }

  private stop(outcome: Outcome, code: ErrorCode | null): void {
    this.x.runtime.services.wheel.disarm(this);
    this.settle(outcome, code);
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

const ignore = (): void => {};

const lowercaseNames = (raw: readonly string[]): HeaderList => raw.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));

const endToEnd = (response: IncomingMessage) => copyResponseHeaders(response.rawHeaders.map((text) => Buffer.from(text, "latin1")));

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
