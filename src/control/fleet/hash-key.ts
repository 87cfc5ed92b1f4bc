// Owns the keys that the callers' names, and stored responses, are hashed with before they leave the instance: equal in a fleet, unpredictable outside of it.
// Must never be logged, and never be sent anywhere.
import { hkdfSync } from "node:crypto";
import { earlyRandomBytes } from "../../base/random-bytes.ts";

/** Length of the key, in bytes. */
export const HASH_KEY_BYTES = 16;

/** Length of the key of stored responses, in bytes. */
const RECORD_KEY_BYTES = 32;
/** Says what the derived key is for (RFC 5869 section 3.2), so that the same secret gives other keys elsewhere. */
const INFO = "sluice limits hash key 1";
/** When there is nothing secret to derive from (`validate` warns): fleets agree all the same. */
const NOTHING_SECRET = "sluice";

/** @param redis null for an instance alone: then the key lives as long as the process. */
export function limitHashKey(redis: { readonly secret: string | null; readonly password: string | null } | null): Uint8Array {
  if (redis === null) return earlyRandomBytes(HASH_KEY_BYTES);
  return new Uint8Array(hkdfSync("sha256", redis.secret ?? redis.password ?? NOTHING_SECRET, "", INFO, HASH_KEY_BYTES));
}

/** What stored responses in Redis are named and signed by. */
export function tierRecordKey({ secret, password }: { readonly secret: string | null; readonly password: string | null }): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret ?? password ?? NOTHING_SECRET, "", "sluice cache records key 1", RECORD_KEY_BYTES));
}
