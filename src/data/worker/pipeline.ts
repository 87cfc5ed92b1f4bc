// The whole life of a request in one place: route, request policies in order, then the upstream or a reply; every
// exchange ends in exchange/finish.ts. Must not throw, and never lets a request through because something failed.
import { WheelEntry } from "../../base/timer-wheel.ts";
import { crashed } from "../exchange/crash.ts";
import type { ClientEvents, Exchange } from "../exchange/exchange.ts";
import { begin, finish } from "../exchange/finish.ts";
import { shedAtRoute } from "../exchange/overload.ts";
import type { Reply } from "../exchange/policy.ts";
import type { Refusal } from "../exchange/refusal.ts";
import { fail, reply } from "../exchange/reply.ts";
import type { Route } from "../exchange/runtime.ts";
import { SERVER_METHODS } from "../handlers/proxy/max-forwards.ts";
import { httpsReply } from "../policies/redirect/location.ts";
import { refusedSpelling } from "../routing/path-rules.ts";
import { singleHeaderValue } from "../routing/request/single-value.ts";
import { MATCH_METHOD, MATCH_VERSION } from "../routing/router.ts";

/** X-Request-Id that is passed on: anything else is replaced. */
const REQUEST_ID = /^[A-Za-z0-9._:/+=@-]{1,128}$/;

/** Permanent, with method and body (RFC 9110 section 15.4.9). */
const HTTPS_STATUS = 308;

/** Takes an admitted request to its end. Never throws. */
export function handle(x: Exchange): void {
  begin(x);
  try {
    identify(x);
    const route = findRoute(x);
    if (route === null) return;
    const { services } = x.runtime;
    if (services.inFlight > services.load.free) {
      const refusal = shedAtRoute(x, route);
      if (refusal !== null) return reply(x, refusal);
    }
    const refused = x.spellings & route.settings.refusedSpellings;
    if (refused !== 0) return fail(x, "bad_path", refusedSpelling(refused));
    x.upstreamPath = x.query === "" ? x.path : `${x.path}?${x.query}`;
    const { bodyBytes } = route.settings;
    if (x.contentLength > bodyBytes) return fail(x, "body_too_large", `the limit is ${bodyBytes} bytes`);
    runRequestPolicies(x, route, 0);
  } catch (error) {
    crashed(x, error);
  }
}

/** Answers a request that was not admitted (admit.ts), or whose admission failed. Never throws. */
export function refuseExchange(x: Exchange, refusal: Refusal, error?: unknown): void {
  begin(x);
  try {
    if (error !== undefined) x.runtime.services.reportFault("admitting a request failed", error, x.requestId);
    x.requestId = x.runtime.services.nextRequestId();
    x.closeAfter = true;
    fail(x, refusal.code, refusal.detail);
  } catch (failure) {
    crashed(x, failure);
  }
}

/** Answers `OPTIONS *` (RFC 9110 section 9.3.7): it asks the gateway itself, not a route. Never throws. */
export function answerServerOptions(x: Exchange): void {
  begin(x);
  try {
    identify(x);
    reply(x, { kind: "response", status: 204, headers: ["allow", SERVER_METHODS], body: null });
  } catch (error) {
    crashed(x, error);
  }
}

/** Of a listener that serves nothing by plain HTTP: before there is a route. Never throws. @param port of the https address */
export function redirectToHttps(x: Exchange, port: number): void {
  begin(x);
  try {
    identify(x);
    reply(x, httpsReply(x, { port, status: HTTPS_STATUS, query: x.runtime.hideCredentials(x.query) }));
  } catch (error) {
    crashed(x, error);
  }
}

function identify(x: Exchange): void {
  const given = singleHeaderValue(x, "x-request-id");
  x.requestId = given !== undefined && REQUEST_ID.test(given) ? given : x.runtime.services.nextRequestId();
}

/** @returns the route, set on the exchange; null when the request was answered already. */
function findRoute(x: Exchange): Route | null {
  const { router, routes } = x.runtime;
  let id = x.method === "OPTIONS" ? preflightRoute(x) : -1;
  if (id < 0) id = router.match(x);
  if (router.vary !== "") x.addResponseHeader("vary", router.vary);
  const route = routes[id];
  if (route !== undefined) return (x.route = route);
  if (id === MATCH_METHOD) fail(x, "method_not_allowed", "", ["allow", router.allowedMethods(x).join(", ")]);
  else if (id === MATCH_VERSION) refuseVersion(x);
  else fail(x, "route_not_found", "");
  return null;
}

function refuseVersion(x: Exchange): void {
  const { code, detail } = x.runtime.router.versionRefusal(x);
  fail(x, code, detail);
}

/** A CORS preflight (Fetch standard, section 3.2.2) belongs to the route of the request it asks about. @returns -1 for none */
function preflightRoute(x: Exchange): number {
  const asked = singleHeaderValue(x, "access-control-request-method");
  if (asked === undefined || singleHeaderValue(x, "origin") === undefined) return -1;
  x.method = asked;
  let id = x.runtime.router.match(x);
  // A browser's preflight has neither the header nor the media types by which the request will name its version.
  if (id === MATCH_VERSION) id = x.runtime.router.nearest(x);
  x.method = "OPTIONS";
  return id >= 0 && x.runtime.routes[id]?.answersPreflight === true ? id : -1;
}

function runRequestPolicies(x: Exchange, route: Route, from: number): void {
  const policies = route.onRequest;
  if (policies !== null) {
    for (let i = from; i < policies.length; i++) {
      const outcome = policies[i]?.onRequest?.(x);
      if (outcome === undefined) continue;
      if (outcome instanceof Promise) return new PolicyWait(x, route, i).begin(outcome);
      return reply(x, outcome);
    }
  }
  route.handler.handle(x, route);
}

/** Waits for an asynchronous policy, for as long as it may take and the client is there; then the exchange goes on. */
class PolicyWait extends WheelEntry implements ClientEvents {
  readonly #x: Exchange;
  readonly #route: Route;
  /** Index of the policy. */
  readonly #step: number;
  #over = false;

  constructor(x: Exchange, route: Route, step: number) {
    super();
    this.#x = x;
    this.#route = route;
    this.#step = step;
  }

  begin(pending: Promise<Reply | undefined>): void {
    const x = this.#x;
    pending.then(
      (outcome) => this.#goOn(() => (outcome === undefined ? runRequestPolicies(x, this.#route, this.#step + 1) : reply(x, outcome))),
      (error: unknown) => this.#goOn(() => crashed(x, error)),
    );
    x.events = this;
    x.runtime.services.wheel.arm(this, this.#route.policyTimeoutMs);
  }

  /** What comes later than the end is nobody's: the exchange has been answered, or is gone. */
  #goOn(next: () => void): void {
    if (this.#over) return;
    const x = this.#x;
    this.#end();
    try {
      if (!vanished(x)) next();
    } catch (error) {
      crashed(x, error);
    }
  }

  #end(): void {
    this.#over = true;
    this.#x.events = null;
    this.#x.runtime.services.wheel.disarm(this);
  }

  onDeadline(): void {
    const x = this.#x;
    this.#end();
    x.abandonWork();
    const name = this.#route.onRequest?.[this.#step]?.name ?? "";
    try {
      if (!vanished(x)) fail(x, "policy_timeout", `policy ${name} took longer than ${this.#route.policyTimeoutMs} ms`);
    } catch (error) {
      crashed(x, error);
    }
  }

  clientAborted(x: Exchange): void {
    this.#end();
    if (x.errorCode === null) x.errorCode = "client_aborted";
    finish(x);
  }

  clientDrained(): void {}

  /** Nothing has been sent. */
  clientCompleted(): void {}
}

/** After a wait: the client may have gone before anybody listened for that. @returns true when the exchange is over */
function vanished(x: Exchange): boolean {
  if (!x.closed) return false;
  x.errorCode ??= "client_aborted";
  finish(x);
  return true;
}
