// Authenticates the caller of a route, by the authenticators that the route names. Must never let a request through that was not decided,
// and takes the credentials out of what goes upstream.
import type { ErrorCode } from "../../../base/errors.ts";
import type { Challenges, Exchange, HeaderList } from "../../exchange/exchange.ts";
import type { Authenticator } from "../../exchange/identity/authenticator.ts";
import type { IdentityHeaders } from "../../exchange/identity/identity-headers.ts";
import type { Policy, PolicyFactory, Reply, UpstreamRequest } from "../../exchange/policy.ts";
import { challengeFor } from "../challenge.ts";
import type { AuthConfig } from "./config.ts";
import { type AuthNode, type AuthRefusal, compileTree, type Verdict } from "./tree.ts";

/** @throws Error when the tree names an authenticator that the plan does not have: the plan is then refused */
export const createAuth: PolicyFactory = (config, route): Policy => {
  const { tree, forwardCredentials } = config as AuthConfig; // parsed by authSchema in the primary
  if (tree === null) return { name: "auth" };
  const { authenticators } = route.resources;
  const used: Authenticator[] = [];
  const root = compileTree(tree, (name) => {
    const authenticator = authenticators.get(name);
    if (authenticator === undefined) throw new Error(`route ${route.name}: there is no authenticator named ${name}`);
    used.push(authenticator);
    return authenticator;
  });
  return new Auth(root, used, { forwardCredentials, identityHeaders: route.resources.identityHeaders });
};

interface UpstreamSide {
  readonly forwardCredentials: boolean;
  readonly identityHeaders: IdentityHeaders;
}

class Auth implements Policy {
  readonly name = "auth";
  readonly #root: AuthNode;
  readonly #authenticators: readonly Authenticator[];
  /** An authenticator stands in the tree twice. */
  readonly #repeats: boolean;
  readonly #missing: Reply & Challenges;
  readonly hideQuery?: (query: string) => string;
  readonly #forwardCredentials: boolean;
  /** What is taken out although credentials are forwarded, by who proved the caller: as many entries as the tree has combinations. */
  readonly #unproven = new Map<string, readonly Authenticator[]>();
  readonly #identityHeaders: IdentityHeaders;

  constructor(root: AuthNode, used: readonly Authenticator[], upstream: UpstreamSide) {
    this.#root = root;
    this.#authenticators = [...new Set(used)];
    this.#repeats = this.#authenticators.length < used.length;
    const wanted = [...new Set(this.#authenticators.map(({ takes }) => takes))].join(root.demandsAll ? " and " : " or ");
    const detail = `the route takes ${wanted}`;
    this.#missing = { kind: "problem", code: "credentials_missing", detail, headers: this.#challenges([]) };
    if (this.#authenticators.some((each) => each.stripPath !== null)) this.hideQuery = (query) => this.#hidden(query);
    this.#forwardCredentials = upstream.forwardCredentials;
    this.#identityHeaders = upstream.identityHeaders;
  }

  onRequest(x: Exchange): Reply | undefined | Promise<Reply | undefined> {
    const verdict = this.#root.decide(x, this.#repeats ? new Map() : null);
    return verdict instanceof Promise ? verdict.then((late) => this.#answer(x, late)) : this.#answer(x, verdict);
  }

  #answer(x: Exchange, verdict: Verdict): Reply | undefined {
    switch (verdict.kind) {
      case "identity":
        x.identity = verdict.identity;
        return undefined;
      case "anonymous":
        x.challenges = this.#missing;
        return undefined;
      case "absent":
      case "incomplete":
        return this.#missing;
      case "refused": {
        const detail = verdict.refusals.find((refusal) => refusal.detail !== "")?.detail ?? "";
        return { kind: "problem", code: codeOf(verdict.refusals), detail, headers: this.#challenges(verdict.refusals) };
      }
      case "unavailable":
        return { kind: "problem", code: verdict.code, detail: verdict.detail };
    }
  }

  /** One for each authenticator that would do; RFC 6750 section 3.1: an error only where a credential was refused. RFC 9110 section 15.5.2 demands at least one. */
  #challenges(refusals: readonly AuthRefusal[]): HeaderList {
    const texts = new Set<string>();
    for (const authenticator of this.#authenticators) {
      if (authenticator.challenge === null) continue;
      const refusal = refusals.find((each) => each.authenticator === authenticator);
      texts.add(
        refusal === undefined
          ? authenticator.challenge
          : challengeFor(authenticator.challenge, { error: refusal.error, description: refusal.detail }),
      );
    }
    if (texts.size === 0) for (const { name } of this.#authenticators) texts.add(`Credential realm="${name}"`);
    return [...texts].flatMap((text) => ["www-authenticate", text]);
  }

  /** What the client sent under the names of the identity's headers was removed when the request was admitted. */
  onUpstreamRequest(x: Exchange, request: UpstreamRequest): void {
    this.#strip(request, this.#forwardCredentials ? this.#notProven(x.identity?.authenticator ?? "") : this.#authenticators);
    if (x.identity !== null) this.#identityHeaders.append(x.identity, request.headers);
  }

  /** Credentials that nobody has looked at, or that were not good: services would take them for proven. @param by names joined by `+`; '' for nobody */
  #notProven(by: string): readonly Authenticator[] {
    let list = this.#unproven.get(by);
    if (list === undefined) {
      const names = by.split("+");
      const proven = new Set(this.#authenticators.filter(({ name }) => names.includes(name)).map(({ place }) => place));
      list = this.#authenticators.filter(({ place }) => !proven.has(place));
      this.#unproven.set(by, list);
    }
    return list;
  }

  /** @param list normally of every authenticator in the tree, also the ones that this request did not need */
  #strip(request: UpstreamRequest, list: readonly Authenticator[]): void {
    for (const authenticator of list) {
      authenticator.stripHeaders(request.headers);
      if (authenticator.stripPath !== null) request.path = authenticator.stripPath(request.path);
    }
  }

  /** As it would go upstream. */
  #hidden(query: string): string {
    let path = `/?${query}`;
    for (const { stripPath } of this.#authenticators) if (stripPath !== null) path = stripPath(path);
    return path.slice(2);
  }
}

/** RFC 6750 section 3.1: a request that carries its token wrongly is 400, whatever else may be wrong with it; a token that is not good is 401. */
const codeOf = (refusals: readonly AuthRefusal[]): ErrorCode =>
  refusals.some((refusal) => refusal.error === "invalid_request") ? "credentials_malformed" : "credentials_invalid";
