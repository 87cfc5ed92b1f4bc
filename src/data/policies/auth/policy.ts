// Authenticates the caller of a route, by the authenticators that the route names. Must never let a request through that was not decided,
// and takes the credentials out of what goes upstream.
import type { ErrorCode } from "../../../base/errors.ts";
import type { HeaderList } from "../../../base/header-list.ts";
import type { Challenges, Exchange } from "../../exchange/exchange.ts";
import type { Authenticator, CredentialPlace } from "../../exchange/identity/authenticator.ts";
import type { IdentityHeaders } from "../../exchange/identity/identity-headers.ts";
import type { Policy, PolicyFactory, Reply, UpstreamRequest } from "../../exchange/policy.ts";
import { challengeFor } from "../challenge.ts";
import type { AuthConfig } from "./config.ts";
import { stripPlaces } from "./places.ts";
import { type AuthNode, type AuthRefusal, compileTree, type Verdict } from "./tree.ts";

/** @throws Error when the tree names an authenticator that the plan does not have: the plan is then refused */
export const createAuth: PolicyFactory = (config, route): Policy => {
  const { tree, forwardCredentials } = config as AuthConfig; // parsed by authSchema in the primary
  if (tree === null) return { name: "auth" };
  const { authenticators, identityHeaders, plan } = route.resources;
  const used: Authenticator[] = [];
  const root = compileTree(tree, (name) => {
    const authenticator = authenticators.get(name);
    if (authenticator === undefined) throw new Error(`route ${route.name}: there is no authenticator named ${name}`);
    used.push(authenticator);
    return authenticator;
  });
  const forwarding = new Set(plan.authenticators.filter((each) => each.forwardCredentials).map(({ name }) => name));
  const forwards = new Set(used.map(({ name }) => name).filter((name) => forwardCredentials ?? forwarding.has(name)));
  return new Auth(root, used, { forwards, identityHeaders });
};

interface UpstreamSide {
  /** Names of the authenticators whose credentials services get. */
  readonly forwards: ReadonlySet<string>;
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
  /** Of all of them, each once. */
  readonly #places: readonly CredentialPlace[];
  readonly #forwards: ReadonlySet<string>;
  /** What is taken out although credentials are forwarded, by who proved the caller: as many entries as the tree has combinations. */
  readonly #removed = new Map<string, readonly CredentialPlace[]>();
  readonly #identityHeaders: IdentityHeaders;

  constructor(root: AuthNode, used: readonly Authenticator[], upstream: UpstreamSide) {
    this.#root = root;
    this.#authenticators = [...new Set(used)];
    this.#repeats = this.#authenticators.length < used.length;
    const wanted = [...new Set(this.#authenticators.map(({ takes }) => takes))].join(root.demandsAll ? " and " : " or ");
    const detail = `the route takes ${wanted}`;
    this.#missing = { kind: "problem", code: "credentials_missing", detail, headers: this.#challenges([]) };
    this.#places = [...new Map(this.#authenticators.flatMap(({ places }) => places.map((each) => [each.id, each]))).values()];
    if (this.#places.some((each) => each.stripPath !== null)) this.hideQuery = (query) => this.#hidden(query);
    this.#forwards = upstream.forwards;
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
    stripPlaces(this.#forwards.size === 0 ? this.#places : this.#removedFor(x.identity?.authenticator ?? ""), request);
    if (x.identity !== null) this.#identityHeaders.append(x.identity, request.headers);
  }

  /**
   * Normally the places of every authenticator in the tree, also of the ones that this request did not need. What has proven the caller stays if it is
   * forwarded; credentials that nobody has looked at, or that were not good, never do: services would take them for proven.
   * @param by names joined by `+`; '' for nobody
   */
  #removedFor(by: string): readonly CredentialPlace[] {
    let removed = this.#removed.get(by);
    if (removed === undefined) {
      const names = by.split("+");
      const proven = this.#authenticators.filter(({ name }) => names.includes(name));
      const ids = (forwarded: boolean): Set<string> =>
        new Set(proven.flatMap(({ name, places }) => (this.#forwards.has(name) === forwarded ? places.map(({ id }) => id) : [])));
      const [kept, withheld] = [ids(true), ids(false)];
      removed = this.#places.filter(({ id }) => !kept.has(id) || withheld.has(id));
      this.#removed.set(by, removed);
    }
    return removed;
  }

  /** As it would go upstream. */
  #hidden(query: string): string {
    const shown = { path: `/?${query}`, headers: [] };
    stripPlaces(this.#places, shown);
    return shown.path.slice(2);
  }
}

/** RFC 6750 section 3.1: a request that carries its token wrongly is 400, whatever else may be wrong with it; a token that is not good is 401. */
const codeOf = (refusals: readonly AuthRefusal[]): ErrorCode =>
  refusals.some((refusal) => refusal.error === "invalid_request") ? "credentials_malformed" : "credentials_invalid";
