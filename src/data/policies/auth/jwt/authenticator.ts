// Owns the `jwt` authenticator: what was verified is remembered, what was not is read strictly here and verified in the pool thread.
// Must never let a token through that was not verified, and never check a signature on this thread.
import type { Verdict } from "../../../../offload/verify-pool.ts";
import type { Exchange } from "../../../exchange/exchange.ts";
import type { Authenticator, AuthenticatorFactory, AuthOutcome, CredentialPlace } from "../../../exchange/identity/authenticator.ts";
import type { LiveKey } from "../../../exchange/identity/key-store.ts";
import { ABSENT, challengeOf, proven, refused, unavailable } from "../outcome.ts";
import { Places, tokenTakes } from "../places.ts";
import { NONE } from "../reading.ts";
import { type ClaimsGood, checkClaims } from "./claims.ts";
import { identityOf, type Known } from "./claims-identity.ts";
import { type JwtMemory, jwtMemory, type Provider, type Verified } from "./memory.ts";
import { parseToken, type UnprovenToken } from "./token.ts";

const OVERLOADED = unavailable("auth_overloaded", "too many tokens wait to be verified");
const BROKEN = unavailable("auth_unavailable", "tokens cannot be verified at present");
const NO_KEYS = unavailable("auth_unavailable", "the issuer's keys are not known at present");
const INVALID = "invalid_token";
const WRONG_SIGNATURE = refused("the token's signature is wrong", INVALID);
const UNKNOWN_KEY = refused("the token is signed with a key that the issuer does not have", INVALID);
const SEVERAL_TOKENS = refused("the request has more than one token", "invalid_request");
const NO_TOKEN = refused("there is no token where one is announced", INVALID);

/** A token that keeps all rules but is not verified yet. */
interface Candidate {
  readonly text: string;
  readonly token: UnprovenToken;
  readonly provider: Provider;
  readonly good: ClaimsGood;
  /** The primary was asked for new keys on its behalf: that happens once. */
  asked: boolean;
}

export const createJwt: AuthenticatorFactory = ({ plan, consumers, tiers, ids, services }) => {
  const memory = jwtMemory(plan, services);
  return new JwtAuthenticator(plan.name, memory, { consumers, tiers, ids });
};

class JwtAuthenticator implements Authenticator {
  readonly name: string;
  readonly takes: string;
  readonly places: readonly CredentialPlace[];
  readonly challenge: string;
  readonly #memory: JwtMemory;
  readonly #tokens: Places;
  readonly #known: Known;

  constructor(name: string, memory: JwtMemory, known: Known) {
    this.name = name;
    this.challenge = challengeOf("Bearer", name);
    this.#memory = memory;
    this.#known = known;
    this.#tokens = new Places(memory.config.from);
    this.takes = tokenTakes(this.#tokens, memory.config.from);
    this.places = this.#tokens.all;
  }

  authenticate(x: Exchange): AuthOutcome | Promise<AuthOutcome> {
    const text = this.#tokens.find(x);
    if (typeof text !== "string") return text === NONE ? ABSENT : SEVERAL_TOKENS;
    const verified = this.#memory.verified.get(text);
    if (verified !== undefined && Date.now() < verified.freshUntilMs && !verified.key.withdrawn) {
      return verified.known === this.#known ? verified.outcome : this.#rejoin(verified);
    }
    return this.#look(text, verified);
  }

  /** @param before what is remembered of this token but no longer to be relied on */
  #look(text: string, before: Verified | undefined): AuthOutcome | Promise<AuthOutcome> {
    if (text === "") return NO_TOKEN;
    const { failures, pending } = this.#memory;
    const failure = failures.get(text);
    if (failure !== undefined) {
      if (Date.now() < failure.untilMs && failure.keysVersion === (failure.keys?.version ?? 0)) return failure.outcome;
      failures.delete(text);
    }
    const same = pending.get(text);
    if (same !== undefined) return same;
    const candidate = this.#inspect(text);
    return "token" in candidate ? this.#prove(candidate, before) : candidate;
  }

  /** Everything but the signature. */
  #inspect(text: string): Candidate | AuthOutcome {
    const token = parseToken(text);
    if (typeof token === "string") return this.#fail(text, refused(token, INVALID), null);
    const provider = this.#memory.providerOf(token.claims);
    if (provider === undefined) return this.#fail(text, refused("the token is from another issuer", INVALID), null);
    if (!provider.algorithms.has(token.alg))
      return this.#fail(text, refused("the token is signed with an algorithm that is not allowed", INVALID), null);
    const good = checkClaims(token, provider.config, Date.now());
    if ("untilMs" in good) return { text, token, provider, good, asked: false };
    const outcome = refused(good.problem, INVALID);
    // One that will be good later must not be kept out longer than it is.
    return good.final ? this.#fail(text, outcome, null) : outcome;
  }

  #prove(candidate: Candidate, before: Verified | undefined): AuthOutcome | Promise<AuthOutcome> {
    const { token, provider, text } = candidate;
    if (!provider.keys.known) return NO_KEYS;
    const keys = provider.keys.candidates(token.kid, token.alg);
    const [first] = keys;
    if (first === undefined && !provider.keys.canAsk) return this.#fail(text, this.#noKey(candidate), provider);
    const proving = first === undefined ? this.#askForKey(candidate) : this.#tryKeys(candidate, keys);
    if (proving === null) return this.#stillGood(before) ?? OVERLOADED;
    this.#memory.pending.set(text, proving);
    const done = () => this.#memory.pending.delete(text);
    proving.then(done, done);
    return proving;
  }

  /** What was verified once stays good while too many others wait: of all bounds only the age of the memory has passed. */
  #stillGood(before: Verified | undefined): AuthOutcome | null {
    if (before === undefined || before.key.withdrawn || Date.now() >= before.untilMs) return null;
    return before.known === this.#known ? before.outcome : this.#rejoin(before);
  }

  #noKey(candidate: Candidate): AuthOutcome {
    return this.#misfits(candidate) ? refused("the token's algorithm does not fit the issuer's keys", INVALID) : UNKNOWN_KEY;
  }

  /** There are keys for it by name, but not for its algorithm. */
  #misfits({ token, provider }: Candidate): boolean {
    return token.kid === null || provider.keys.names(token.kid);
  }

  /** Nothing fits: the provider may have new keys. */
  async #askForKey(candidate: Candidate): Promise<AuthOutcome> {
    const { token, provider, text } = candidate;
    candidate.asked = true;
    const answer = await provider.keys.ask();
    if (answer === "overloaded") return OVERLOADED;
    const keys = provider.keys.candidates(token.kid, token.alg);
    if (keys.length > 0) return (await this.#tryKeys(candidate, keys)) ?? OVERLOADED;
    return answer === "unavailable" && !this.#misfits(candidate) ? NO_KEYS : this.#fail(text, this.#noKey(candidate), provider);
  }

  /** @param keys at least one. @returns null when the pool takes no more */
  #tryKeys(candidate: Candidate, keys: readonly LiveKey[]): Promise<AuthOutcome> | null {
    const verdict = this.#check(candidate, keys[0]);
    return verdict === null ? null : this.#judge(candidate, keys, verdict);
  }

  #check({ text, token }: Candidate, key: LiveKey | undefined): Promise<Verdict> | null {
    return key === undefined ? null : this.#memory.verify(text, token.alg, key.plan);
  }

  async #judge(candidate: Candidate, keys: readonly LiveKey[], first: Promise<Verdict>): Promise<AuthOutcome> {
    const { provider, text } = candidate;
    const { version } = provider.keys;
    for (const [i, key] of keys.entries()) {
      const verdict = await (i === 0 ? first : this.#check(candidate, key));
      if (verdict === null) return OVERLOADED;
      if (verdict === "failed") return BROKEN;
      if (verdict === "good") return key.withdrawn ? UNKNOWN_KEY : this.#accept(candidate, key);
    }
    return (await this.#tryNewKeys(candidate, version)) ?? this.#fail(text, WRONG_SIGNATURE, provider);
  }

  /** Keys may have been replaced under the same name, or without one: once in a cooldown the provider is asked. @returns null when there is nothing new to try */
  async #tryNewKeys(candidate: Candidate, version: number): Promise<AuthOutcome | null> {
    const { token, provider } = candidate;
    const { keys } = provider;
    if (candidate.asked || !keys.canAsk) return null;
    candidate.asked = true;
    await keys.ask();
    const fitting = keys.version === version ? [] : keys.candidates(token.kid, token.alg);
    return fitting.length === 0 ? null : await this.#tryKeys(candidate, fitting);
  }

  #accept({ text, token, provider, good }: Candidate, key: LiveKey): AuthOutcome {
    const context = { known: this.#known, authenticator: this.name, expiresMs: good.untilMs };
    const identity = identityOf(token.claims, provider.config, context);
    if (typeof identity === "string") return refused(identity, INVALID);
    const { verified, config } = this.#memory;
    const nowMs = Date.now();
    const outcome = proven(identity);
    const freshUntilMs = Math.min(good.untilMs, nowMs + config.cacheForMs);
    verified.set(text, {
      outcome,
      key,
      freshUntilMs,
      untilMs: good.untilMs,
      known: this.#known,
      provider: provider.config,
      claims: token.claims,
    });
    return outcome;
  }

  /** The configuration of consumers changed since this token was verified. */
  #rejoin(verified: Verified): AuthOutcome {
    const context = { known: this.#known, authenticator: this.name, expiresMs: verified.untilMs };
    const identity = identityOf(verified.claims, verified.provider, context);
    if (typeof identity === "string") return refused(identity, INVALID);
    verified.outcome = proven(identity);
    verified.known = this.#known;
    return verified.outcome;
  }

  /** Remembers a token that will not become good while the keys are what they are. @param provider whose keys it depends on; null for none */
  #fail(text: string, outcome: AuthOutcome, provider: Provider | null): AuthOutcome {
    const { failures, config } = this.#memory;
    const keys = provider?.keys ?? null;
    failures.set(text, { outcome, untilMs: Date.now() + config.failuresForMs, keys, keysVersion: keys?.version ?? 0 });
    return outcome;
  }
}
