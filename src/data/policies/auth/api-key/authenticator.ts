// Owns the kind `apiKey`: finds the key, hashes it once, looks the hash up among the consumers. Synchronous throughout.
// Must never keep a key: what stays in memory is what the configuration stores, hashes.
import { createHmac, createSecretKey, hash, type KeyObject } from "node:crypto";
import type { ConsumerPlan } from "../../../../plan/plan.ts";
import type { Exchange } from "../../../exchange/exchange.ts";
import type { Authenticator, AuthenticatorContext, AuthOutcome, CredentialPlace } from "../../../exchange/identity/authenticator.ts";
import { consumersByKey, consumersByPepperedKey } from "../consumer-index.ts";
import { ABSENT, challengeOf, consumerIdentity, proven, refused } from "../outcome.ts";
import { Places } from "../places.ts";
import { NONE, SEVERAL } from "../reading.ts";
import type { ApiKeyConfig } from "./config.ts";

/** Longest key that is hashed; those of `sluice key create` have 47 characters. */
const KEY_CHARS_MAX = 512;
/** Visible ASCII: what every carrier (header, cookie, query) gives back as it was. */
const KEY = /^[\x21-\x7e]+$/;

/** @param place `header x-api-key or the cookie key` */
const refusalsFor = (place: string) => ({
  several: refused(`more than one API key in the ${place}, or another that is spelt almost like it`),
  empty: refused(`the API key in the ${place} is empty`),
  odd: refused(`the API key in the ${place} is longer than ${KEY_CHARS_MAX} characters, or has others than visible ASCII`),
  unknown: refused(`the API key in the ${place} is not known`),
});

export function createApiKeyAuthenticator({ plan, consumers }: AuthenticatorContext): Authenticator {
  const config = plan.config as ApiKeyConfig; // output of apiKeyConfig, by the registry
  const plain = consumersByKey(consumers);
  const peppered = config.pepper === null ? null : consumersByPepperedKey(consumers);
  return new ApiKeyAuthenticator(plan.name, config, { plain, peppered });
}

type ByDigest = ReadonlyMap<string, ConsumerPlan>;

/**
 * A key is looked up by its SHA-256. A look-up takes longer the more of a stored digest fits, but nobody can steer that: to try digests byte by byte one
 * needs keys with chosen digests (preimages), and even a digest that is known whole gives no key. So nothing has to be compared in constant time here.
 *
 * There is no cache from raw keys to identities: hashing costs half a microsecond (bench/micro/credentials.ts), and a cache would keep keys in memory.
 */
class ApiKeyAuthenticator implements Authenticator {
  readonly name: string;
  readonly takes: string;
  readonly places: readonly CredentialPlace[];
  readonly challenge: string;
  private readonly keys: Places;
  private readonly refusals: ReturnType<typeof refusalsFor>;
  private readonly plain: ByDigest;
  private readonly peppered: ByDigest | null;
  private readonly pepper: KeyObject | null;
  /** SHA-256 of a key -> outcome, for keys that were right once. At most one entry a configured key, so it needs no other bound. */
  private readonly known = new Map<string, AuthOutcome>();

  constructor(name: string, config: ApiKeyConfig, digests: { readonly plain: ByDigest; readonly peppered: ByDigest | null }) {
    this.name = name;
    this.keys = new Places(config.from);
    this.places = this.keys.all;
    this.takes = `an API key in the ${this.keys.shown}`;
    this.refusals = refusalsFor(this.keys.shown);
    // There is no registered scheme for keys; the parameters are called as in OpenAPI. A name has no character that a quoted string would have to escape.
    // One place is named, the first: a challenge can hold a parameter once (RFC 9110 section 11.2).
    const [first] = config.from;
    this.challenge = challengeOf("ApiKey", name) + (first === undefined ? "" : `, in="${first.in}", name="${first.name}"`);
    this.plain = digests.plain;
    this.peppered = digests.peppered;
    this.pepper = config.pepper === null ? null : createSecretKey(config.pepper, "utf8");
  }

  authenticate(x: Exchange): AuthOutcome {
    const key = this.keys.find(x);
    if (key === NONE) return ABSENT;
    if (key === SEVERAL) return this.refusals.several;
    if (key === "") return this.refusals.empty;
    if (key.length > KEY_CHARS_MAX || !KEY.test(key)) return this.refusals.odd;
    const digest = hash("sha256", key);
    return this.known.get(digest) ?? this.firstTime(key, digest);
  }

  private firstTime(key: string, digest: string): AuthOutcome {
    const consumer = this.plain.get(digest) ?? this.findPeppered(key);
    if (consumer === undefined) return this.refusals.unknown;
    const outcome = proven(consumerIdentity(consumer, this.name));
    this.known.set(digest, outcome);
    return outcome;
  }

  private findPeppered(key: string): ConsumerPlan | undefined {
    if (this.pepper === null || this.peppered === null || this.peppered.size === 0) return undefined;
    return this.peppered.get(createHmac("sha256", this.pepper).update(key, "utf8").digest("hex"));
  }
}
