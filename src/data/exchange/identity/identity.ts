// Owns what the gateway knows about a proven caller. Only authenticators make one; must never hold a credential (token, key, password).

/** A proven identity. Immutable: it may be shared by many exchanges (caches hold them). */
export interface Identity {
  /** Id of the consumer: of a configured one, or what the credential says (a JWT's `sub`). Never ''. */
  readonly consumer: string;
  /** Name of the authenticator that proved it. */
  readonly authenticator: string;
  /** Name of the consumer's tier; null for none. */
  readonly tier: string | null;
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  /** Some scopes, roles or groups of the credential could not be used: that one is not in these lists says nothing. */
  readonly partial: boolean;
  /** Claims of the token (JWT payload, introspection answer, certificate fields); null when the credential carries none. Plain JSON. */
  readonly claims: Readonly<Record<string, unknown>> | null;
  /** When the credential ends, tolerance included; Date.now() ms, Infinity for one that does not. */
  readonly expiresMs: number;
}
