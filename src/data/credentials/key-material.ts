// Owns turning key material that operators and providers give (JWKS, PEM, secrets) into keys to verify with, for the primary only.
// Must never let a private key, a weak key or one of unknown purpose through, and never say a part of it.
import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { keyBytes } from "../../base/key-bytes.ts";
import type { VerificationJwk, VerificationKeyPlan } from "../../plan/keys.ts";
import { algorithmOf, algorithmsFor } from "./signature-algorithms.ts";

/** Keys of one set. */
export const KEYS_MAX = 100;
/** RFC 8725 section 3.5 by way of NIST SP 800-131A; and what verification can be made to cost. */
const RSA_BITS_MIN = 2048;
const RSA_BITS_MAX = 8192;
const EXPONENT_MAX = 2n ** 32n;
const KID_CHARS_MAX = 256;
/** Of base64url in one member of a key: beyond the largest RSA modulus. */
const MEMBER_CHARS_MAX = 2048;

/** The end of what is said of a private key. */
export const IS_PRIVATE = "is a private key: only its public part belongs here";

type Outcome = { readonly key: VerificationKeyPlan } | { readonly problem: string };

/** @property skipped why keys were left out, for operators: with their place, never with their material */
export interface KeyList {
  readonly keys: readonly VerificationKeyPlan[];
  readonly skipped: readonly string[];
}

/** @param value parsed JSON: a JWK set, one JWK, or a list of them. @param symmetric whether `oct` keys are taken */
export function keysOfJwks(value: unknown, symmetric: boolean): KeyList | { readonly problem: string } {
  const list = listOf(value);
  if (list === null) return { problem: "is not a JWK set (an object with a list `keys`)" };
  if (list.length > KEYS_MAX) return { problem: `has more than ${KEYS_MAX} keys` };
  const keys = new Map<string, VerificationKeyPlan>();
  const skipped: string[] = [];
  for (const [i, jwk] of list.entries()) {
    const outcome = keyOfJwk(jwk, symmetric);
    if ("key" in outcome) keys.set(outcome.key.id, outcome.key);
    else skipped.push(`keys[${i}] ${outcome.problem}`);
  }
  return { keys: [...keys.values()], skipped };
}

function listOf(value: unknown): readonly unknown[] | null {
  if (Array.isArray(value)) return value;
  if (!isRecord(value)) return null;
  if (Array.isArray(value["keys"])) return value["keys"];
  return "kty" in value ? [value] : null;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function keyOfJwk(jwk: unknown, symmetric: boolean): Outcome {
  if (!isRecord(jwk)) return { problem: "is not an object" };
  const { kty, kid, use, key_ops: operations, alg } = jwk;
  if (kid !== undefined && (typeof kid !== "string" || kid.length > KID_CHARS_MAX)) return { problem: "has a `kid` that is no short text" };
  if (use !== undefined && use !== "sig") return { problem: "is not for signatures (`use`)" };
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify")))
    return { problem: "is not for verifying (`key_ops`)" };
  if (alg !== undefined && (typeof alg !== "string" || algorithmOf(alg) === undefined))
    return { problem: "is for an algorithm that is not known (`alg`)" };
  if ("d" in jwk || "p" in jwk || "oth" in jwk) return { problem: IS_PRIVATE };
  if (kty === "oct" && !symmetric) return { problem: "is a shared secret, which no published set may hold" };
  const material = materialOf(jwk);
  return typeof material === "string" ? { problem: material } : keyOf(material, kid ?? null, alg ?? null);
}

/** @returns the members that make the key, or what is wrong */
function materialOf(jwk: Readonly<Record<string, unknown>>): VerificationJwk | string {
  const text = (name: string): string | null => {
    const value = jwk[name];
    return typeof value === "string" && value.length <= MEMBER_CHARS_MAX && isBase64Url(value) ? value : null;
  };
  const { kty, crv } = jwk;
  const [n, e, x, y, k] = [text("n"), text("e"), text("x"), text("y"), text("k")];
  if (kty === "RSA" && n !== null && e !== null) return { kty, n, e };
  if (kty === "EC" && typeof crv === "string" && x !== null && y !== null) return { kty, crv, x, y };
  if (kty === "OKP" && typeof crv === "string" && x !== null) return { kty, crv, x };
  if (kty === "oct" && k !== null) return { kty, k };
  return "is of a type that is not known, or incomplete";
}

/** Without padding and with no bits left over (RFC 7515 section 2, RFC 4648 section 3.5). */
export const isBase64Url = (text: string): boolean => text !== "" && Buffer.from(text, "base64url").toString("base64url") === text;

function keyOf(jwk: VerificationJwk, kid: string | null, alg: string | null): Outcome {
  const crv = "crv" in jwk ? jwk.crv : null;
  const keyBytes = jwk.kty === "oct" ? Buffer.from(jwk.k, "base64url").length : 0;
  const possible = algorithmsFor(jwk.kty, crv, keyBytes);
  if (possible.length === 0)
    return { problem: jwk.kty === "oct" ? "is too short: HS256 needs 32 bytes, HS384 48, HS512 64" : "is on a curve that is not known" };
  const algorithms = alg === null ? possible : possible.filter((name) => name === alg);
  if (algorithms.length === 0) return { problem: "does not fit its own `alg`" };
  const problem = jwk.kty === "oct" ? null : publicKeyProblem(jwk);
  if (problem !== null) return { problem };
  const id = createHash("sha256")
    .update(JSON.stringify([kid, algorithms, jwk]))
    .digest("base64url")
    .slice(0, 22);
  return { key: { id, kid, algorithms, jwk } };
}

/** OpenSSL checks that a point lies on its curve. */
function publicKeyProblem(jwk: Exclude<VerificationJwk, { kty: "oct" }>): string | null {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: jwk, format: "jwk" });
  } catch {
    return "is not a valid public key";
  }
  if (jwk.kty !== "RSA") return null;
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < RSA_BITS_MIN) return `has ${modulusLength} bits: RSA keys need at least ${RSA_BITS_MIN}`;
  if (modulusLength > RSA_BITS_MAX) return `has ${modulusLength} bits: RSA keys may have ${RSA_BITS_MAX} at most`;
  if (publicExponent < 3n || publicExponent > EXPONENT_MAX || publicExponent % 2n === 0n) return "has an unsafe public exponent";
  return null;
}

const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[A-Za-z0-9+/=\s]*-----END \1-----/g;

/** Public keys and certificates, several in a row if need be. They have no `kid`. */
export function keysOfPem(text: string): KeyList | { readonly problem: string } {
  const keys: VerificationKeyPlan[] = [];
  const skipped: string[] = [];
  const blocks = [...text.matchAll(PEM_BLOCK)];
  if (blocks.length === 0) return { problem: "holds no PEM block" };
  if (blocks.length > KEYS_MAX) return { problem: `has more than ${KEYS_MAX} keys` };
  for (const [i, [block, label = ""]] of blocks.entries()) {
    if (label.includes("PRIVATE")) return { problem: "holds a private key: give the public key or the certificate" };
    const outcome = keyOfPem(block);
    if ("key" in outcome) keys.push(outcome.key);
    else skipped.push(`PEM block ${i + 1} ${outcome.problem}`);
  }
  return keys.length === 0 && skipped[0] !== undefined ? { problem: `has no usable key: ${skipped[0]}` } : { keys, skipped };
}

function keyOfPem(block: string): Outcome {
  let jwk: unknown;
  try {
    jwk = createPublicKey(block).export({ format: "jwk" });
  } catch {
    return { problem: "is not a valid public key of a known type" };
  }
  return keyOfJwk(jwk, false);
}

/** A shared secret as text: its UTF-8 bytes are the key. */
export function keyOfSecret(secret: string): Outcome {
  const bytes = keyBytes(secret);
  if (bytes === null) return { problem: "has something else than base64 behind `base64:`" };
  return keyOf({ kty: "oct", k: bytes.toString("base64url") }, null, null);
}

/** What operators write: a PEM text, or JSON, with a byte order mark or without. */
export function keysOfText(written: string): KeyList | { readonly problem: string } {
  const text = written.replace(/^\ufeff/, "");
  if (text.includes("-----BEGIN ")) return keysOfPem(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: "is neither PEM nor JSON" };
  }
  return keysOfJwks(value, true);
}
