// Owns the kind `forwardAuth`: a service says whose credential a request carries. Fails closed.
// Must never take anything but the service's own word for who is calling, and never send a subrequest for a request without a credential.

import type { HeaderList } from "../../../../base/header-list.ts";
import { ROUTE_SLOT_OVERFLOW } from "../../../../shared/metric-layout.ts";
import type { Exchange } from "../../../exchange/exchange.ts";
import type { Authenticator, AuthenticatorContext, AuthOutcome, CredentialPlace } from "../../../exchange/identity/authenticator.ts";
import type { Services } from "../../../exchange/runtime.ts";
import { utf8 } from "../../../routing/request/single-value.ts";
import type { Collected } from "../../../upstream/collect.ts";
import { answerOf, type Decision, decisionOf, failedCall, valuesOf } from "../../decision.ts";
import { DecisionCache } from "../../decision-cache.ts";
import { keptState } from "../../kept-state.ts";
import { chosenKey, subrequestHeaders, wholeKey } from "../../subrequest.ts";
import { sendSubrequest, upstreamIndex } from "../../subrequest-call.ts";
import { type ClaimReading, identityOf, type Known } from "../jwt/claims-identity.ts";
import { ABSENT, challengeOf, proven, refused, unavailable } from "../outcome.ts";
import { type Place, placeOf } from "../places.ts";
import { NONE, readHeader, stripHeader } from "../reading.ts";
import type { ForwardAuthenticatorConfig } from "./config.ts";

const SEVERAL = refused("more than one credential where one is expected", "invalid_request");
const NOT_ACCEPTED = refused("the service that knows this credential does not accept it");

/** With any scheme: what stands there is the service's business. */
const AUTHORIZATION: Place = {
  id: "header authorization",
  shown: "header authorization",
  find: (x) => readHeader(x, "authorization"),
  stripHeaders: (headers) => stripHeader(headers, "authorization"),
  stripPath: null,
};

export function createForwardAuthenticator({ plan, consumers, tiers, ids, services, whole }: AuthenticatorContext): Authenticator {
  const config = plan.config as ForwardAuthenticatorConfig; // output of forwardAuthConfig, by the registry
  const { cache } = config;
  return new ForwardAuthenticator(plan.name, config, {
    upstream: upstreamIndex(config.service, whole.upstreams),
    metricSlot: whole.decisionSlots[`auth:${plan.name}`] ?? ROUTE_SLOT_OVERFLOW,
    cache: cache === null ? null : keptState(services, plan, () => new DecisionCache(cache)),
    services,
    known: { consumers, tiers, ids },
  });
}

interface Means {
  /** Index in the runtime's upstreams. */
  readonly upstream: number;
  readonly metricSlot: number;
  readonly cache: DecisionCache | null;
  readonly services: Services;
  readonly known: Known;
}

class ForwardAuthenticator implements Authenticator {
  readonly name: string;
  readonly takes: string;
  readonly places: readonly CredentialPlace[];
  readonly challenge: string;
  readonly #config: ForwardAuthenticatorConfig;
  readonly #means: Means;
  readonly #reading: ClaimReading;
  readonly #credential: Place;
  /** Of the request, in a subrequest. */
  readonly #forwarded: readonly string[];
  /** Of the answer. */
  readonly #copied: readonly string[];
  /** By decision, also cached ones: another plan has other consumers. */
  readonly #outcomes = new WeakMap<Decision, AuthOutcome>();

  constructor(name: string, config: ForwardAuthenticatorConfig, means: Means) {
    const { consumer, scopes, roles, groups, tier } = config.identity;
    this.name = name;
    this.#config = config;
    this.#means = means;
    const isAuthorization = config.in === "header" && config.name === "authorization";
    this.#credential = isAuthorization ? AUTHORIZATION : placeOf({ in: config.in, name: config.name, scheme: null });
    this.takes = `${isAuthorization ? "a credential" : "a token"} in the ${this.#credential.shown}`;
    this.places = [this.#credential];
    this.challenge = challengeOf("Credential", name);
    this.#forwarded = config.in === "header" ? [config.name, ...config.requestHeaders] : config.requestHeaders;
    this.#copied = [consumer, scopes, roles, groups, tier, ...config.claimHeaders].filter((each) => each !== null);
    const path = (header: string | null): readonly string[] | null => (header === null ? null : [header]);
    this.#reading = {
      claims: { consumer: [[consumer]], scopes: [scopes ?? ""], roles: path(roles), groups: path(groups), tier: path(tier) },
      consumerPrefix: config.consumerPrefix,
      onlyKnownConsumers: config.onlyKnownConsumers,
      tenantClaim: null,
    };
  }

  authenticate(x: Exchange): AuthOutcome | Promise<AuthOutcome> {
    const credential = this.#credential.find(x);
    if (typeof credential !== "string") return credential === NONE ? ABSENT : SEVERAL;
    const headers = subrequestHeaders(x, this.#forwarded, x.query);
    if (this.#config.in === "cookie" && !this.#forwarded.includes("cookie")) headers.push("cookie", `${this.#config.name}=${credential}`);
    const { cache, services, metricSlot, upstream } = this.#means;
    const key = this.#keyOf(x, headers);
    const known = cache === null || key === null ? undefined : cache.recall(key, performance.now());
    if (known !== undefined) {
      services.recordDecision(metricSlot, "cached");
      return this.#outcome(known);
    }
    headers.push("x-request-id", x.requestId);
    const { method, service, timeoutMs, answerBytes } = this.#config;
    const target = x.runtime.upstreams[upstream];
    if (target === undefined) return this.#outcome(failedCall("no_healthy_target", "the plan has no such upstream"));
    const subrequest = { method, path: service.path, headers, body: null, timeoutMs, bytesMax: answerBytes };
    return sendSubrequest(target, subrequest, { services, view: x }, x.signal).then((outcome) => this.#outcome(this.#decide(key, outcome)));
  }

  #keyOf(x: Exchange, headers: HeaderList): string | null {
    const { cache } = this.#config;
    if (cache === null) return null;
    return cache.key === null ? wholeKey(headers, null) : chosenKey(x, cache.key);
  }

  #decide(key: string | null, outcome: Collected): Decision {
    const { services, metricSlot, cache } = this.#means;
    if (outcome.kind === "failed") {
      services.recordDecision(metricSlot, "error");
      return failedCall(outcome.failure.code, outcome.failure.detail);
    }
    const answer = answerOf(outcome);
    const decision = decisionOf(answer, this.#config.expect, this.#copied);
    services.recordDecision(metricSlot, decision.kind === "allowed" ? "allowed" : decision.kind === "denied" ? "denied" : "error");
    if (key !== null) cache?.keep(key, decision, answer, performance.now());
    return decision;
  }

  #outcome(decision: Decision): AuthOutcome {
    if (decision.kind === "denied") return NOT_ACCEPTED;
    if (decision.kind === "failed") return unavailable(decision.code, decision.detail);
    let outcome = this.#outcomes.get(decision);
    if (outcome === undefined) this.#outcomes.set(decision, (outcome = this.#judge(decision.headers)));
    return outcome;
  }

  /** @param headers of an answer that lets pass */
  #judge(headers: HeaderList): AuthOutcome {
    const { identity } = this.#config;
    const claims: Record<string, unknown> = Object.create(null);
    for (const name of this.#copied) {
      const values = valuesOf(headers, name);
      if (values.length === 0) continue;
      // One caller has one name: two of them are nobody's.
      if ((name === identity.consumer || name === identity.tier) && values.length > 1)
        return refused(`the service gave ${name} more than once`);
      const text = utf8(values.join(name === identity.scopes ? " " : ", "));
      if (text === undefined) return refused(`what the service gave as ${name} is no UTF-8`);
      claims[name] = name === identity.roles || name === identity.groups ? listOf(text) : text;
    }
    const found = identityOf(claims, this.#reading, {
      known: this.#means.known,
      authenticator: this.name,
      expiresMs: Number.POSITIVE_INFINITY,
    });
    return typeof found === "string" ? refused(found) : proven(found);
  }
}

const listOf = (text: string): readonly string[] =>
  text
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "");
