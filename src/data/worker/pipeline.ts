// The whole life of a request in one place: route, request policies in order, then the upstream or a reply; every
// exchange ends in exchange/finish.ts. Must not throw, and never lets a request through because something failed.
import type { Exchange } from "../exchange/exchange.ts";
import { begin, finish } from "../exchange/finish.ts";
import type { Reply } from "../exchange/policy.ts";
import type { Refusal } from "../exchange/refusal.ts";
import { fail, reply } from "../exchange/reply.ts";
import type { Route } from "../exchange/runtime.ts";
import { chooseUpstream } from "../handlers/proxy/destination.ts";
import { Forward } from "../handlers/proxy/forward.ts";
import { countForward, SERVER_METHODS } from "../handlers/proxy/max-forwards.ts";
import { refusedSpelling } from "../routing/path-rules.ts";
import { headerSentOnce } from "../routing/request/sent-once.ts";
import { MATCH_METHOD } from "../routing/router.ts";
import type { Upstream } from "../upstream/upstream.ts";

/** X-Request-Id that is passed on: anything else is replaced. */
const REQUEST_ID = /^[A-Za-z0-9._:/+=@-]{1,128}$/;

/** Takes an admitted request to its end. Never throws. */
export function handle(x: Exchange): void {
  begin(x);
  try {
    identify(x);
    const route = findRoute(x);
    if (route === null) return;
    const refused = x.spellings & route.refusedSpellings;
    if (refused !== 0) return fail(x, "bad_path", refusedSpelling(refused));
    x.upstreamPath = x.query === "" ? x.path : `${x.path}?${x.query}`;
    if (x.contentLength > route.bodyBytes) return fail(x, "body_too_large", `the limit is ${route.bodyBytes} bytes`);
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

function identify(x: Exchange): void {
  const given = headerSentOnce(x, "x-request-id");
  x.requestId = given !== undefined && REQUEST_ID.test(given) ? given : x.runtime.services.nextRequestId();
}

/** @returns the route, set on the exchange; null when the request was answered already. */
function findRoute(x: Exchange): Route | null {
  const { router, routes } = x.runtime;
  let id = x.method === "OPTIONS" ? preflightRoute(x) : -1;
  if (id < 0) id = router.match(x);
  const route = routes[id];
  if (route !== undefined) return (x.route = route);
  if (id !== MATCH_METHOD) fail(x, "route_not_found", "");
  else fail(x, "method_not_allowed", "", ["allow", router.allowedMethods(x).join(", ")]);
  return null;
}

/** A CORS preflight (Fetch standard, section 3.2.2) belongs to the route of the request it asks about. @returns -1 for none */
function preflightRoute(x: Exchange): number {
  const asked = headerSentOnce(x, "access-control-request-method");
  if (asked === undefined || headerSentOnce(x, "origin") === undefined) return -1;
  x.method = asked;
  const id = x.runtime.router.match(x);
  x.method = "OPTIONS";
  return id >= 0 && x.runtime.routes[id]?.answersPreflight === true ? id : -1;
}

function runRequestPolicies(x: Exchange, route: Route, from: number): void {
  const policies = route.onRequest;
  if (policies !== null) {
    for (let i = from; i < policies.length; i++) {
      const outcome = policies[i]?.onRequest?.(x);
      if (outcome === undefined) continue;
      if (outcome instanceof Promise) return continueLater(x, route, i + 1, outcome);
      return reply(x, outcome);
    }
  }
  forward(x, route);
}

/** Goes on after an asynchronous policy; the client may be gone by then. */
function continueLater(x: Exchange, route: Route, next: number, pending: Promise<Reply | undefined>): void {
  pending.then(
    (outcome) => {
      try {
        if (vanished(x)) return;
        if (outcome === undefined) runRequestPolicies(x, route, next);
        else reply(x, outcome);
      } catch (error) {
        crashed(x, error);
      }
    },
    (error: unknown) => crashed(x, error),
  );
}

function forward(x: Exchange, route: Route): void {
  const to = route.to;
  if (to === null) return fail(x, "internal_error", `route ${route.name} has no upstream and no policy answered`);
  const answer = x.method === "OPTIONS" ? countForward(x) : undefined;
  if (answer !== undefined) return reply(x, answer);
  const upstream = chooseUpstream(x.runtime, route, to);
  if (x.wantsWebSocket && route.webSocket) return openWebSocket(x, route, upstream);
  new Forward(x, route, upstream).start();
}

/** The code for WebSockets is loaded with the first one: workers start a third faster without it. */
function openWebSocket(x: Exchange, route: Route, upstream: Upstream): void {
  import("../handlers/websocket/upgrade.ts").then(
    ({ forwardWebSocket }) => {
      try {
        if (!vanished(x)) forwardWebSocket(x, route, upstream);
      } catch (error) {
        crashed(x, error);
      }
    },
    (error: unknown) => crashed(x, error),
  );
}

/** After a wait: the client may have gone before anybody listened for that. @returns true when the exchange is over */
function vanished(x: Exchange): boolean {
  if (!x.closed) return false;
  x.errorCode ??= "client_aborted";
  finish(x);
  return true;
}

function crashed(x: Exchange, error: unknown): void {
  x.runtime.services.reportFault("the request failed inside the gateway", error, x.requestId);
  try {
    if (x.started || x.closed) x.abort();
    else fail(x, "internal_error");
  } catch (again) {
    x.runtime.services.reportFault("answering internal_error failed", again, x.requestId);
    x.abort();
  }
  if (x.closed) finish(x); // whoever was to be told of the end may not know it
}
