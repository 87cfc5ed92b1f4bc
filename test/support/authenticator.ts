// Owns authenticators that say what a test wants: real objects of the contract, driven by one request header each.

import { removeHeader } from "../../src/base/header-list.ts";
import type { Exchange } from "../../src/data/exchange/exchange.ts";
import type { Authenticator, AuthOutcome, CredentialPlace } from "../../src/data/exchange/identity/authenticator.ts";
import type { Identity } from "../../src/data/exchange/identity/identity.ts";

export function identityOf(consumer: string, more: Partial<Identity> = {}): Identity {
  return {
    consumer,
    authenticator: "test",
    tier: null,
    scopes: [],
    roles: [],
    groups: [],
    partial: false,
    claims: null,
    expiresMs: Number.POSITIVE_INFINITY,
    ...more,
  };
}

/** What the header `x-NAME` says: nothing, a consumer's id, `bad`, `twice`, or `down`. */
export class HeaderAuthenticator implements Authenticator {
  readonly name: string;
  readonly takes: string;
  readonly places: readonly CredentialPlace[];
  readonly challenge: string | null;
  calls = 0;
  readonly #later: boolean;
  readonly #grants: Partial<Identity>;
  readonly #identities = new Map<string, Identity>();

  constructor(
    name: string,
    options: {
      readonly later?: boolean;
      readonly challenge?: string | null;
      readonly grants?: Partial<Identity>;
      readonly place?: string;
      readonly stripPath?: (pathAndQuery: string) => string;
    } = {},
  ) {
    this.name = name;
    this.takes = options.place ?? `header x-${name}`;
    const stripPath = options.stripPath ?? null;
    this.places = [{ id: this.takes, stripHeaders: (headers) => removeHeader(headers, `x-${name}`), stripPath }];
    this.challenge = options.challenge === undefined ? `Bearer realm="${name}"` : options.challenge;
    this.#later = options.later ?? false;
    this.#grants = options.grants ?? {};
  }

  authenticate(x: Exchange): AuthOutcome | Promise<AuthOutcome> {
    this.calls++;
    const outcome = this.#outcome(x.header(`x-${this.name}`));
    return this.#later ? Promise.resolve(outcome) : outcome;
  }

  #outcome(said: string | undefined): AuthOutcome {
    if (said === undefined) return { kind: "absent" };
    if (said === "bad") return { kind: "refused", error: "invalid_token", detail: `${this.name} is not good` };
    if (said === "twice") return { kind: "refused", error: "invalid_request", detail: `${this.name} is there twice` };
    if (said === "down") return { kind: "unavailable", code: "auth_unavailable", detail: "" };
    let identity = this.#identities.get(said);
    if (identity === undefined) {
      identity = identityOf(said, { authenticator: this.name, ...this.#grants });
      this.#identities.set(said, identity);
    }
    return { kind: "identity", identity };
  }
}
