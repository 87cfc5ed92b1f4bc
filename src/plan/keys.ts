// The keys that tokens are verified with, as they cross from primary to workers and pool threads. Types only; must never hold logic.

/** A key by its JSON form (RFC 7517), with the members that make it and no others; never a private key. */
export type VerificationJwk =
  | { readonly kty: "RSA"; readonly n: string; readonly e: string }
  | { readonly kty: "EC"; readonly crv: string; readonly x: string; readonly y: string }
  | { readonly kty: "OKP"; readonly crv: string; readonly x: string }
  | { readonly kty: "oct"; readonly k: string };

export interface VerificationKeyPlan {
  /** Changes with the material, the `kid` or the algorithms: equal ids are the same key. */
  readonly id: string;
  /** null: the key may be tried for any `kid`. */
  readonly kid: string | null;
  /** The `alg` values this key may verify: what its type, its curve and its own `alg` allow. */
  readonly algorithms: readonly string[];
  readonly jwk: VerificationJwk;
}

/** Where the primary fetches a key set. Equal ids are the same source, whoever names it. */
export interface KeySourcePlan {
  readonly id: string;
  /** `discovery`: the URL is that of an OpenID Connect discovery document, whose `issuer` must be {@link issuer}. */
  readonly kind: "jwks" | "discovery";
  readonly url: string;
  readonly issuer: string;
  /** For one fetch, from connecting to the last byte. */
  readonly timeoutMs: number;
  /** Bounds of the time between two refreshes, whatever Cache-Control says. */
  readonly refreshMinMs: number;
  readonly refreshMaxMs: number;
  /** At most one fetch in this time because tokens name a key that is not there. */
  readonly cooldownMs: number;
  /** Keys are kept this long (from the last fetch that succeeded) while the provider is down. */
  readonly staleForMs: number;
  /** PEM; null for the system's authorities. */
  readonly ca: string | null;
  /** Also over plain http. */
  readonly allowHttp: boolean;
}

/** What a source gave. */
export interface KeySetPlan {
  /** Counts up over all sources of a primary: the higher one is the newer. */
  readonly version: number;
  /** null: never fetched yet, or too long ago. Nothing can be verified then. */
  readonly keys: readonly VerificationKeyPlan[] | null;
}

/** {@link KeySourcePlan.id} -> what it gave. */
export type KeySetMap = ReadonlyMap<string, KeySetPlan>;
