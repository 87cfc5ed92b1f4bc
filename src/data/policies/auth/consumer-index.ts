// Owns finding a configured consumer by what a credential names: hash of a key, user name, certificate, signing key.
// Built once a plan and kind of question, whatever the number of authenticators that ask. Must never hold a credential in the clear.
import type { ConsumerPlan, SigningSecretPlan } from "../../../plan/plan.ts";

type Consumers = ReadonlyMap<string, ConsumerPlan>;

/** Builds an index when it is first asked for; the same consumers (the same plan) give the same index. */
function perPlan<T>(build: (consumers: Consumers) => ReadonlyMap<string, T>): (consumers: Consumers) => ReadonlyMap<string, T> {
  const built = new WeakMap<Consumers, ReadonlyMap<string, T>>();
  return (consumers) => {
    let index = built.get(consumers);
    if (index === undefined) built.set(consumers, (index = build(consumers)));
    return index;
  };
}

const PLAIN = "sha256:";
const PEPPERED = "hmac-sha256:";

/** Lowercase hexadecimal digest of a key -> consumer, for keys that are stored under this scheme. */
const byDigest = (scheme: string) =>
  perPlan((consumers) => {
    const index = new Map<string, ConsumerPlan>();
    for (const consumer of consumers.values())
      for (const key of consumer.keys) if (key.startsWith(scheme)) index.set(key.slice(scheme.length), consumer);
    return index;
  });

/** By SHA-256 of the key, hexadecimal. */
export const consumersByKey = byDigest(PLAIN);
/** By HMAC-SHA-256 of the key under the pepper, hexadecimal. */
export const consumersByPepperedKey = byDigest(PEPPERED);

/** Those with a password, by user name. */
export const consumersByUsername = perPlan((consumers) => {
  const index = new Map<string, ConsumerPlan>();
  for (const consumer of consumers.values()) if (consumer.password !== null) index.set(consumer.username ?? consumer.id, consumer);
  return index;
});

/** Those with a user name that is not their id, by it. */
export const consumersByName = perPlan((consumers) => {
  const index = new Map<string, ConsumerPlan>();
  for (const consumer of consumers.values()) if (consumer.username !== null) index.set(consumer.username, consumer);
  return index;
});

/** By what `consumers[].certificates` lists. */
export const consumersByCertificate = perPlan((consumers) => {
  const index = new Map<string, ConsumerPlan>();
  for (const consumer of consumers.values()) for (const name of consumer.certificates) index.set(name, consumer);
  return index;
});

/** A signing key and whose it is. */
export interface SigningKey {
  readonly consumer: ConsumerPlan;
  readonly secret: SigningSecretPlan;
}

/** By `keyid` (RFC 9421 section 2.3). */
export const signingKeysById = perPlan((consumers) => {
  const index = new Map<string, SigningKey>();
  for (const consumer of consumers.values()) for (const secret of consumer.signingSecrets) index.set(secret.keyId, { consumer, secret });
  return index;
});
