// Owns what one worker remembers for one `jwt` authenticator: verified tokens, refused ones, those being verified.
// It outlives reloads that leave the authenticator as it is. Must never hold an answer that outlives its key.
import type { Verdict } from "../../../../offload/verify-pool.ts";
import type { VerificationKeyPlan } from "../../../../plan/keys.ts";
import type { AuthenticatorPlan } from "../../../../plan/plan.ts";
import { type IssuerPattern, matchesIssuer } from "../../../credentials/issuer-pattern.ts";
import type { AuthOutcome } from "../../../exchange/identity/authenticator.ts";
import { type LiveKey, LiveKeySet } from "../../../exchange/identity/key-store.ts";
import type { Services } from "../../../exchange/runtime.ts";
import type { Known } from "./claims-identity.ts";
import type { JwtConfig } from "./config.ts";
import type { JwtProviderConfig } from "./config-provider.ts";
import { TokenCache } from "./token-cache.ts";

/** Refused tokens remembered; apart from the verified ones, so that no flood of the former pushes out the latter. */
const FAILURES_MAX = 4096;
const FAILURE_BYTES_MAX = 4 * 1024 ** 2;
/** A character of a token is one byte of the key, and becomes about this much of parsed claims. Measured on tokens of 300 to 2000 bytes. */
const VERIFIED_BYTES_PER_CHAR = 4;

/** A verified token. */
export interface Verified {
  outcome: AuthOutcome;
  readonly key: LiveKey;
  /** Until then it need not be looked at again; Date.now(), ms. */
  readonly freshUntilMs: number;
  /** Until then the claims are good. */
  readonly untilMs: number;
  /** What the identity was joined with. */
  known: Known;
  readonly provider: JwtProviderConfig;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** A refused token. It counts only while the keys it was held against are the same. */
interface Failure {
  readonly outcome: AuthOutcome;
  readonly untilMs: number;
  readonly keys: LiveKeySet | null;
  readonly keysVersion: number;
}

/** A provider with its keys as they are now. */
export interface Provider {
  readonly config: JwtProviderConfig;
  readonly algorithms: ReadonlySet<string>;
  readonly keys: LiveKeySet;
}

export class JwtMemory {
  readonly config: JwtConfig;
  readonly #providers: readonly Provider[];
  /** Those with one issuer, by it. */
  readonly #byIssuer: ReadonlyMap<string, Provider>;
  /** Those with many: no two can have the same. */
  readonly #byPattern: readonly { readonly pattern: IssuerPattern; readonly provider: Provider }[];
  /** Whose tokens are taken whatever `iss` they have. It stands alone. */
  readonly #byAny: Provider | null;
  readonly verified: TokenCache<Verified>;
  readonly failures = new TokenCache<Failure>({ entries: FAILURES_MAX, bytes: FAILURE_BYTES_MAX }, 1);
  /** Tokens being verified: whoever brings the same one waits for the same answer. Bounded by the pool's queue and the key store's. */
  readonly pending = new Map<string, Promise<AuthOutcome>>();
  readonly #services: Services;

  constructor(config: JwtConfig, services: Services) {
    this.config = config;
    this.#services = services;
    this.verified = new TokenCache({ entries: config.cacheEntries, bytes: config.cacheBytes }, VERIFIED_BYTES_PER_CHAR);
    this.#providers = config.providers.map((provider) => ({
      config: provider,
      algorithms: new Set(provider.algorithms),
      keys: provider.source === null ? LiveKeySet.fixed(provider.keys ?? []) : services.keys.source(provider.source.id),
    }));
    const single = this.#providers.filter((each) => each.config.pattern === null);
    this.#byAny = this.#providers.find((each) => each.config.anyIssuer) ?? null;
    this.#byIssuer = new Map(single.map((each) => [each.config.issuer, each]));
    this.#byPattern = this.#providers.flatMap((provider) =>
      provider.config.pattern === null ? [] : [{ pattern: provider.config.pattern, provider }],
    );
  }

  /** Whose token it is, by its claims, which nothing has proven yet. */
  providerOf(claims: Readonly<Record<string, unknown>>): Provider | undefined {
    if (this.#byAny !== null) return this.#byAny;
    const { iss } = claims;
    if (typeof iss !== "string") return undefined;
    return this.#byIssuer.get(iss) ?? this.#byPattern.find(({ pattern }) => matchesIssuer(pattern, iss, claims))?.provider;
  }

  /** false: a plan in between did without a source, so that the store made a new one since. */
  isCurrent(): boolean {
    return this.#providers.every(({ config: { source }, keys }) => source === null || this.#services.keys.source(source.id) === keys);
  }

  /** @returns null when too many tokens wait */
  verify(token: string, alg: string, key: VerificationKeyPlan): Promise<Verdict> | null {
    return this.#services.verifySignature(token, alg, key);
  }
}

/**
 * By worker, name and fingerprint. Held weakly, unlike what keptState() keeps, since it may be large: the runtimes in use keep theirs, and
 * what no plan uses any more goes.
 */
const memories = new WeakMap<Services, Map<string, WeakRef<JwtMemory>>>();

/** The memory of an authenticator of a plan: the one there is, if the plan before had the same. */
export function jwtMemory(plan: AuthenticatorPlan, services: Services): JwtMemory {
  const mine = memories.get(services) ?? new Map<string, WeakRef<JwtMemory>>();
  memories.set(services, mine);
  const id = `${plan.name} ${plan.fingerprint}`;
  const known = mine.get(id)?.deref();
  if (known?.isCurrent() === true) return known;
  for (const [other, memory] of mine) if (memory.deref() === undefined) mine.delete(other);
  const fresh = new JwtMemory(plan.config as JwtConfig, services); // by contract what the kind's schema made
  mine.set(id, new WeakRef(fresh));
  return fresh;
}
