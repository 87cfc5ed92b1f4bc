// Owns the forms in which passwords are stored, and making and checking them: scrypt and argon2id on libuv's threads, what people bring along
// (foreign-hash.ts) on a thread that the caller has. No work on the event loop.
// Must never hold a password longer than the call.
import { type Argon2Parameters, argon2, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";

import { type ForeignHash, type ForeignScheme, foreignProblem, parseForeignHash } from "./foreign-hash.ts";

const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** What one verification may take of memory, bytes, and of work in relation to the default: a stored hash is configuration, but a slip must not stop the gateway. */
const MEMORY_BYTES_MAX = 256 * 1024 ** 2;
const PARALLEL_MAX = 16;
const ARGON2_PASSES_MAX = 16;
const ARGON2_MEMORY_KIB_MIN = 8192;
const SCRYPT_LN_MIN = 14;
const SCRYPT_LN_MAX = 20;
const SCRYPT_R_MAX = 32;

interface Scrypt {
  readonly scheme: "scrypt";
  /** log2 of the cost N, block size, parallelisation (RFC 7914). */
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

interface Argon2id {
  readonly scheme: "argon2id";
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
}

/** Those that passwords are hashed with here. */
export type OwnScheme = Scrypt | Argon2id;
export type PasswordScheme = OwnScheme | ForeignScheme;

export interface PasswordHash {
  readonly scheme: PasswordScheme;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** The second choice of the OWASP Password Storage Cheat Sheet, several times cheaper than scrypt of the same strength. */
export const ARGON2ID_DEFAULT: OwnScheme = { scheme: "argon2id", memoryKib: 19_456, passes: 2, lanes: 1 };
export const SCRYPT_DEFAULT: OwnScheme = { scheme: "scrypt", ln: 15, r: 8, p: 3 };

/** `scrypt:ln=15,r=8,p=3:SALT:HASH`, base64 with or without padding. */
const SCRYPT = /^scrypt:ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2}):([A-Za-z0-9+/]+={0,2}):([A-Za-z0-9+/]+={0,2})$/;
/** The PHC string format: `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`. */
const ARGON2ID = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+={0,2})$/;

/** @returns null when it is no form that is taken, or asks for less than is safe or more than is allowed. */
export function parsePasswordHash(text: string): PasswordHash | null {
  const scryptParts = SCRYPT.exec(text);
  const parts = scryptParts ?? ARGON2ID.exec(text);
  if (parts === null) return parseForeignHash(text);
  const [a = 0, b = 0, c = 0] = parts.slice(1, 4).map(Number);
  const scheme: OwnScheme =
    scryptParts === null ? { scheme: "argon2id", memoryKib: a, passes: b, lanes: c } : { scheme: "scrypt", ln: a, r: b, p: c };
  const salt = Buffer.from(parts[4] ?? "", "base64");
  const hash = Buffer.from(parts[5] ?? "", "base64");
  const sized = salt.length >= 8 && salt.length <= 64 && hash.length >= 16 && hash.length <= 64;
  return sized && isSafe(scheme) ? { scheme, salt, hash } : null;
}

/** Whether whoever gets the hash finds the password soon: such a hash is taken only where somebody wrote so. */
export const isWeak = (stored: string): boolean => {
  const name = parsePasswordHash(stored)?.scheme.scheme;
  return name === "apr1" || name === "sha1";
};

/** Says itself what to do. */
export const NO_HASH = "expected a hash of the password, as `sluice password hash` or `htpasswd -B` prints it";

/** Why a text is no hash that is taken; null when it is. Holds no part of it. */
export function passwordHashProblem(text: string): string | null {
  if (parsePasswordHash(text) !== null) return null;
  return foreignProblem(text) ?? NO_HASH;
}

function isSafe(scheme: OwnScheme): boolean {
  if (scheme.scheme === "scrypt") {
    const { ln, r, p } = scheme;
    if (ln < SCRYPT_LN_MIN || ln > SCRYPT_LN_MAX || r < 1 || r > SCRYPT_R_MAX || p < 1 || p > PARALLEL_MAX) return false;
    return 128 * r * 2 ** ln <= MEMORY_BYTES_MAX;
  }
  const { memoryKib, passes, lanes } = scheme;
  if (passes < 1 || passes > ARGON2_PASSES_MAX || lanes < 1 || lanes > PARALLEL_MAX) return false;
  return memoryKib >= ARGON2_MEMORY_KIB_MIN && memoryKib * 1024 <= MEMORY_BYTES_MAX;
}

/** @returns the text that goes into `consumers[].password`. */
export async function hashPassword(password: string, scheme: OwnScheme = ARGON2ID_DEFAULT): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(password, { scheme, salt, bytes: HASH_BYTES });
  if (scheme.scheme === "scrypt")
    return `scrypt:ln=${scheme.ln},r=${scheme.r},p=${scheme.p}:${salt.toString("base64")}:${hash.toString("base64")}`;
  const bare = (bytes: Buffer): string => bytes.toString("base64").replace(/=+$/, "");
  return `$argon2id$v=19$m=${scheme.memoryKib},t=${scheme.passes},p=${scheme.lanes}$${bare(salt)}$${bare(hash)}`;
}

/** Checks a hash of another program on a thread. Rejects when it cannot. */
export type CheckForeign = (password: string, stored: ForeignHash) => Promise<boolean>;

/** Rejects only when the hash cannot be computed (memory, no thread). */
export async function passwordFits(password: string, stored: PasswordHash, foreign: CheckForeign): Promise<boolean> {
  const { scheme, salt, hash } = stored;
  const composed = password.normalize("NFC");
  if (scheme.scheme !== "scrypt" && scheme.scheme !== "argon2id") return foreign(composed, { scheme, salt, hash });
  return timingSafeEqual(await derive(composed, { scheme, salt, bytes: hash.length }), hash);
}

/** A hash that no password has, of the same cost: to be asked about users that do not exist. */
export const hashOfNobody = (scheme: PasswordScheme): PasswordHash => ({
  scheme,
  salt: randomBytes(SALT_BYTES),
  hash: randomBytes(NOBODY_BYTES[scheme.scheme]),
});

/** Those of the schemes; of the own ones as many as {@link hashPassword} makes. */
const NOBODY_BYTES: Readonly<Record<PasswordScheme["scheme"], number>> = {
  scrypt: HASH_BYTES,
  argon2id: HASH_BYTES,
  bcrypt: 23,
  apr1: 16,
  sha1: 20,
};

interface Derivation {
  readonly scheme: OwnScheme;
  readonly salt: Buffer;
  /** Length of what is derived. */
  readonly bytes: number;
}

/** RFC 8265 section 4.2 (OpaqueString): composed characters, so that it does not matter how a keyboard makes them. */
function derive(password: string, { scheme, salt, bytes }: Derivation): Promise<Buffer> {
  const message = Buffer.from(password.normalize("NFC"), "utf8");
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, key: Buffer): void => (error === null ? resolve(key) : reject(error));
    if (scheme.scheme === "scrypt") {
      const options: ScryptOptions = { N: 2 ** scheme.ln, r: scheme.r, p: scheme.p, maxmem: MEMORY_BYTES_MAX * 2 };
      scrypt(message, salt, bytes, options, done);
      return;
    }
    const { memoryKib, passes, lanes } = scheme;
    const parameters: Argon2Parameters = { message, nonce: salt, memory: memoryKib, passes, parallelism: lanes, tagLength: bytes };
    argon2("argon2id", parameters, done);
  });
}
