// One call of a leg: a request to its upstream with what every proxied request has (identity, forwarding, the route's policies) and its whole response.
// Must never send the client's body, or fields that speak of it, unless the leg is to have it.
import { type HeaderList, removeHeaders, setHeader } from "../../../base/header-list.ts";
import type { TimeoutsPlan } from "../../../plan/plan.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Services } from "../../exchange/runtime.ts";
import { upstreamHeaders } from "../../exchange/upstream-headers.ts";
import type { RequestView } from "../../routing/request-view.ts";
import { type BodySource, type CallRequest, NO_BODY, newCallRecord, WholeBody } from "../../upstream/call-request.ts";
import { type Collected, CollectedCall } from "../../upstream/collect.ts";
import type { Endpoint, Upstream, WireRequest } from "../../upstream/upstream.ts";
import type { Leg, LegRequest } from "./leg.ts";

/**
 * Of the client's fields, those that ask for a form of the answer that is not wanted of a leg: it is to be whole, in JSON, without coding.
 * (RFC 9110 sections 12.5, 13.1 and 14.2.)
 */
const OF_THE_ANSWER: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "range",
]);

/** Fields about a body (RFC 9110 section 8, RFC 9530). */
const OF_THE_BODY: ReadonlySet<string> = new Set([
  "content-digest",
  "content-encoding",
  "content-language",
  "content-location",
  "content-md5",
  "content-range",
  "content-type",
  "digest",
  "repr-digest",
]);

const isOfTheAnswer = (name: string): boolean => OF_THE_ANSWER.has(name);
const isOfEither = (name: string): boolean => OF_THE_ANSWER.has(name) || OF_THE_BODY.has(name);

export class LegCall implements CallRequest {
  readonly record = newCallRecord();
  readonly method: string;
  readonly body: BodySource;
  readonly timeouts: Partial<TimeoutsPlan> | null;
  readonly boundsBody = true;
  readonly single = false;
  readonly retryAttempts: number | null;
  readonly via = null;
  private readonly x: Exchange;
  private readonly request: LegRequest;
  private readonly keepsBodyFields: boolean;
  private readonly call: CollectedCall;

  /** @param timeouts over the upstream's */
  constructor(
    x: Exchange,
    leg: Leg,
    target: {
      readonly request: LegRequest;
      readonly upstream: Upstream;
      readonly timeouts: Partial<TimeoutsPlan> | null;
      readonly maxBytes: number;
    },
  ) {
    const { method, body, retryAttempts } = leg.config;
    this.x = x;
    this.request = target.request;
    this.method = method;
    this.timeouts = target.timeouts;
    this.retryAttempts = retryAttempts;
    const bytes = body?.kind === "client" ? x.bufferedBody : target.request.body;
    this.keepsBodyFields = body?.kind === "client" && bytes !== null;
    this.body = bytes === null ? NO_BODY : new WholeBody(bytes);
    this.call = new CollectedCall(target.upstream, this, target.maxBytes);
  }

  /** @param done called once, perhaps at once, and not after cancel() */
  start(done: (outcome: Collected) => void): void {
    this.call.start(done);
  }

  cancel(): void {
    this.call.cancel();
  }

  // --- CallRequest ---

  get services(): Services {
    return this.x.runtime.services;
  }

  get view(): RequestView {
    return this.x;
  }

  prepare(upstream: Upstream, endpoint: Endpoint, remainingMs: number): WireRequest {
    const { x, request } = this;
    const headers = upstreamHeaders(x, upstream, endpoint, remainingMs);
    removeHeaders(headers, this.keepsBodyFields ? isOfTheAnswer : isOfEither);
    headers.push("accept", "application/json", "accept-encoding", "identity");
    if (request.body !== null) headers.push("content-type", "application/json");
    setAll(headers, request.headers);
    const wire: WireRequest = { method: this.method, path: request.path, headers, body: null, contentLength: 0 };
    const policies = x.route?.onUpstreamRequest ?? null;
    if (policies === null) return wire;
    for (const policy of policies) policy.onUpstreamRequest?.(x, wire);
    setAll(wire.headers, request.headers); // a leg's own credential is not the client's, which the policy auth takes out
    return wire;
  }

  dispatched(): void {}
}

function setAll(headers: HeaderList, own: HeaderList): void {
  for (let i = 0; i < own.length; i += 2) setHeader(headers, own[i]!, own[i + 1]!); // pairs
}

/** @returns lines of the named headers, in their order; each line of a list and each cookie stays its own (RFC 9110 section 5.3) */
export function namedLines(headers: HeaderList, names: readonly string[]): HeaderList {
  const lines: HeaderList = [];
  for (let i = 0; i < headers.length; i += 2) if (names.includes(headers[i]!)) lines.push(headers[i]!, headers[i + 1]!); // pairs
  return lines;
}
