// Calls a service before a request is forwarded, and gives the upstream what the service says of it. Must never let a request through about which
// nothing was decided, unless the operator wants that; nor a client's word in a header that is the service's to write.

import type { HeaderList } from "../../../base/header-list.ts";
import { FAILED_OPEN_HEADER } from "../../../base/origin-claims.ts";
import { ROUTE_SLOT_OVERFLOW } from "../../../shared/metric-layout.ts";
import { bufferBody } from "../../exchange/body/buffer-body.ts";
import { BODY_NONE, type Exchange } from "../../exchange/exchange.ts";
import type { Policy, PolicyFactory, Reply, ResponseHead, UpstreamRequest } from "../../exchange/policy.ts";
import type { ExchangeSlot, PolicyResources } from "../../exchange/route-context.ts";
import type { Collected } from "../../upstream/collect.ts";
import { answerOf, type Decision, decisionOf, denialReply, FAILED_OPEN, failedCall } from "../decision.ts";
import { DecisionCache } from "../decision-cache.ts";
import { keptState } from "../kept-state.ts";
import { BODY_MARK, BODY_OMITTED, chosenKey, describeBody, ReservedHeaders, subrequestHeaders, wholeKey } from "../subrequest.ts";
import { sendSubrequest, upstreamIndex } from "../subrequest-call.ts";
import type { ForwardAuthConfig } from "./config.ts";
import { addCookies } from "./cookies.ts";

/** @throws Error when the plan lacks the service's upstream: it is then refused */
export const createForwardAuth: PolicyFactory = (config, route): Policy => {
  const given = config as ForwardAuthConfig; // parsed by forwardAuthSchema in the primary
  const { plan, services, identityHeaders } = route.resources;
  const { cache } = given;
  const decisionCache = (): DecisionCache | null =>
    cache === null
      ? null
      : keptState(
          services,
          { kind: "policy forwardAuth", name: route.name, fingerprint: JSON.stringify(given) },
          () => new DecisionCache(cache),
        );
  return new ForwardAuth(given, route.slot(), {
    upstream: upstreamIndex(given.service, plan.upstreams),
    metricSlot: plan.decisionSlots[`forwardAuth:${route.name}`] ?? ROUTE_SLOT_OVERFLOW,
    cache: decisionCache(),
    services,
    identityHeaders,
  });
};

interface Means extends Pick<PolicyResources, "services" | "identityHeaders"> {
  /** Index in the runtime's upstreams. */
  readonly upstream: number;
  readonly metricSlot: number;
  /** null: nothing is cached. */
  readonly cache: DecisionCache | null;
}

/** A subrequest that is ready to be sent. */
interface Prepared {
  readonly headers: HeaderList;
  readonly body: Buffer | null;
  /** null: the decision is not cached. */
  readonly key: string | null;
}

const MARK: HeaderList = [FAILED_OPEN_HEADER, FAILED_OPEN];

class ForwardAuth implements Policy {
  readonly name = "forwardAuth";
  readonly onUpstreamRequest?: (x: Exchange, request: UpstreamRequest) => void;
  readonly onResponse?: (x: Exchange, head: ResponseHead) => Reply | undefined;
  readonly #config: ForwardAuthConfig;
  readonly #means: Means;
  /** What was decided: for the upstream and the client. */
  readonly #decided: ExchangeSlot<Decision>;
  /** Headers that only the service may write. */
  readonly #reserved: ReservedHeaders;

  constructor(config: ForwardAuthConfig, decided: ExchangeSlot<Decision>, means: Means) {
    this.#config = config;
    this.#decided = decided;
    this.#means = means;
    this.#reserved = new ReservedHeaders([...config.responseHeaders, FAILED_OPEN_HEADER]);
    if (config.responseHeaders.length > 0 || config.onFailure === "allow")
      this.onUpstreamRequest = (x, request) => this.#tellUpstream(x, request);
    if (config.addCookies === "all" || config.addCookies.length > 0) this.onResponse = (x, head) => this.#addCookies(x, head);
  }

  onRequest(x: Exchange): Reply | undefined | Promise<Reply | undefined> {
    const { body } = this.#config;
    if (body === null || x.bodyKind === BODY_NONE) return this.#authorize(x, null, false);
    const { bytesMax } = body;
    const refuses = body.over === "refuse";
    if (x.bufferedBody === null) {
      if (!refuses && x.contentLength > bytesMax) return this.#authorize(x, null, true);
      const mostBytes = refuses ? bytesMax : (x.route?.settings.bodyBytes ?? bytesMax);
      return bufferBody(x, { bytesMax: mostBytes, tooLarge: `the limit is ${mostBytes} bytes` }).then((refusal) =>
        refusal === null ? this.#authorizeWithBody(x, bytesMax) : { kind: "problem", ...refusal },
      );
    }
    if (refuses && x.bufferedBody.length > bytesMax)
      return { kind: "problem", code: "body_too_large", detail: `the limit is ${bytesMax} bytes` };
    return this.#authorizeWithBody(x, bytesMax);
  }

  #authorizeWithBody(x: Exchange, bytesMax: number): Reply | undefined | Promise<Reply | undefined> {
    const { bufferedBody } = x;
    const fits = bufferedBody !== null && bufferedBody.length <= bytesMax;
    return this.#authorize(x, fits ? bufferedBody : null, !fits);
  }

  /** @param omitted the request has a body that the subrequest leaves out */
  #authorize(x: Exchange, body: Buffer | null, omitted: boolean): Reply | undefined | Promise<Reply | undefined> {
    const prepared = this.#prepare(x, body, omitted);
    // The service has received what the client sent under its names, where `requestHeaders` has them; nothing else may see it.
    this.#reserved.removeFrom(x.ownHeaders());
    const { cache, services, metricSlot, upstream } = this.#means;
    const known = cache === null || prepared.key === null ? undefined : cache.recall(prepared.key, performance.now());
    if (known !== undefined) {
      services.recordDecision(metricSlot, "cached");
      return this.#settle(x, known);
    }
    const { method, service, timeoutMs, answerBytes } = this.#config;
    const target = x.runtime.upstreams[upstream];
    if (target === undefined) return this.#settle(x, this.#count(failedCall("no_healthy_target", "the plan has no such upstream")));
    const subrequest = { method, path: service.path, headers: prepared.headers, body, timeoutMs, bytesMax: answerBytes };
    return sendSubrequest(target, subrequest, { services, view: x }, x.signal).then((outcome) =>
      this.#settle(x, this.#decide(prepared, outcome)),
    );
  }

  #prepare(x: Exchange, body: Buffer | null, omitted: boolean): Prepared {
    const { requestHeaders, cache } = this.#config;
    const headers = subrequestHeaders(x, requestHeaders, x.redactedQuery ?? x.query);
    if (x.identity !== null) this.#means.identityHeaders.describe(x.identity, headers);
    if (body !== null) describeBody(x, headers);
    if (omitted) headers.push(BODY_MARK, BODY_OMITTED);
    const key = cache === null ? null : cache.key === null ? wholeKey(headers, body) : chosenKey(x, cache.key);
    headers.push("x-request-id", x.requestId);
    return { headers, body, key };
  }

  #decide({ key }: Prepared, outcome: Collected): Decision {
    const { expect, responseHeaders } = this.#config;
    if (outcome.kind === "failed") {
      const { code, detail, headers, overloadReason } = outcome.failure;
      return this.#count({ ...failedCall(code, detail, headers), overloadReason });
    }
    const answer = answerOf(outcome);
    const decision = this.#count(decisionOf(answer, expect, responseHeaders));
    if (key !== null) this.#means.cache?.keep(key, decision, answer, performance.now());
    return decision;
  }

  #count(decision: Decision): Decision {
    const { services, metricSlot } = this.#means;
    const failed = this.#config.onFailure === "allow" ? "failed_open" : "error";
    services.recordDecision(metricSlot, decision.kind === "allowed" ? "allowed" : decision.kind === "denied" ? "denied" : failed);
    return decision;
  }

  #settle(x: Exchange, decision: Decision): Reply | undefined {
    const { onFailure, onDenied } = this.#config;
    this.#decided.set(x, decision);
    switch (decision.kind) {
      case "allowed":
        // For what else looks at the request on its way: limits by header, templates.
        for (const each of decision.headers) x.ownHeaders().push(each);
        return undefined;
      case "denied":
        return denialReply(decision.answer, onDenied);
      case "failed":
        if (onFailure === "allow") return undefined;
        x.overloadReason = decision.overloadReason ?? null;
        return { kind: "problem", code: decision.code, detail: decision.detail, headers: decision.headers };
    }
  }

  /** Behind the policy `auth`, which takes credentials out: what a service gives in their place stays. */
  #tellUpstream(x: Exchange, { headers }: UpstreamRequest): void {
    this.#reserved.removeFrom(headers);
    const decision = this.#decided.get(x);
    if (decision === undefined || decision.kind === "denied") return;
    for (const each of decision.kind === "allowed" ? decision.headers : MARK) headers.push(each);
  }

  #addCookies(x: Exchange, head: ResponseHead): undefined {
    const decision = this.#decided.get(x);
    if (decision?.kind === "allowed" && decision.cookies.length > 0) addCookies(head.headers, decision.cookies, this.#config.addCookies);
    return undefined;
  }
}
