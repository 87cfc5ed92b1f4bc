// What a pool thread does: checks signatures, many a call. jose reads the keys and refuses those that do not fit their algorithm;
// the check itself is node:crypto's, synchronous in this thread: see verify-pool.ts for the numbers. Must never judge claims.
import { constants, createHmac, createSecretKey, KeyObject, timingSafeEqual, verify } from "node:crypto";
import os from "node:os";
import { isMainThread } from "node:worker_threads";
import { importJWK } from "jose";
import type { VerificationKeyPlan } from "../plan/keys.ts";

/** What goes to the thread and, as one number for each token, comes back. */
export interface VerifyBatch {
  /** Each key once. */
  readonly keys: readonly VerificationKeyPlan[];
  readonly tokens: readonly VerifyItem[];
}

export interface VerifyItem {
  /** Three parts of strict base64url, as token.ts leaves them. */
  readonly token: string;
  readonly alg: string;
  /** Index into {@link VerifyBatch.keys}. */
  readonly key: number;
}

/** Imported keys that a thread keeps. */
const KEYS_MAX = 500;
/** Below the event loops when there is not enough CPU for all (Linux gives each thread its own niceness). */
const NICENESS = 10;
if (process.platform === "linux" && !isMainThread) os.setPriority(0, NICENESS);

type Check = (input: Buffer, signature: Buffer) => boolean;

const checks = new Map<string, Check>();

/** @returns 1 for each signature that is good, else 0. Never rejects. */
export async function verifyBatch({ keys, tokens }: VerifyBatch): Promise<Uint8Array> {
  const verdicts = new Uint8Array(tokens.length);
  for (const [i, { token, alg, key: index }] of tokens.entries()) {
    const key = keys[index];
    if (key === undefined) continue;
    try {
      // Awaited only when the key is new: tokens of a known key are checked in one go.
      const check = checks.get(`${alg} ${key.id}`) ?? (await newCheck(alg, key));
      if (check !== null && isGood(token, check)) verdicts[i] = 1;
    } catch {
      // A key or a signature that OpenSSL cannot even read: not good.
    }
  }
  return verdicts;
}

function isGood(token: string, check: Check): boolean {
  const dot = token.lastIndexOf(".");
  return check(Buffer.from(token.slice(0, dot), "latin1"), Buffer.from(token.slice(dot + 1), "base64url"));
}

async function newCheck(alg: string, { id, algorithms, jwk }: VerificationKeyPlan): Promise<Check | null> {
  if (!algorithms.includes(alg)) return null;
  const imported = await importJWK({ ...jwk }, alg);
  const key = imported instanceof Uint8Array ? createSecretKey(imported) : KeyObject.from(imported); // jose leaves shared secrets as bytes
  const check = checkOf(alg, key);
  if (checks.size >= KEYS_MAX) checks.clear();
  if (check !== null) checks.set(`${alg} ${id}`, check);
  return check;
}

/** RFC 7518 section 3, RFC 8037 section 3.1. @returns null for an algorithm that is not known */
function checkOf(alg: string, key: KeyObject): Check | null {
  const digest = `sha${alg.slice(2)}`;
  switch (alg.slice(0, 2)) {
    case "HS":
      return (input, signature) => {
        const mac = createHmac(digest, key).update(input).digest();
        return mac.length === signature.length && timingSafeEqual(mac, signature);
      };
    case "RS":
      return ofModulusLength(key, (input, signature) => verify(digest, input, { key, padding: constants.RSA_PKCS1_PADDING }, signature));
    case "PS": {
      const options = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
      return ofModulusLength(key, (input, signature) => verify(digest, input, options, signature));
    }
    case "ES":
      return (input, signature) => verify(digest, input, { key, dsaEncoding: "ieee-p1363" }, signature);
    case "Ed":
      return (input, signature) => verify(null, input, key, signature);
    default:
      return null;
  }
}

/** RFC 8017 section 8.1.2 step 1. OpenSSL (and so jose) also takes a PSS signature whose leading zero bytes were left out. */
function ofModulusLength(key: KeyObject, check: Check): Check {
  const bytes = Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
  return (input, signature) => signature.length === bytes && check(input, signature);
}
