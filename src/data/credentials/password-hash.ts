// Owns the form in which passwords are stored (scrypt, argon2id), and making and checking it. All work is done on libuv's threads.
// Must never hold a password longer than the call.
import { type Argon2Parameters, argon2, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";

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

export type PasswordScheme = Scrypt | Argon2id;

export interface PasswordHash {
  readonly scheme: PasswordScheme;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** The second choice of the OWASP Password Storage Cheat Sheet, several times cheaper than scrypt of the same strength. */
export const ARGON2ID_DEFAULT: PasswordScheme = { scheme: "argon2id", memoryKib: 19_456, passes: 2, lanes: 1 };
export const SCRYPT_DEFAULT: PasswordScheme = { scheme: "scrypt", ln: 15, r: 8, p: 3 };

/** `scrypt:ln=15,r=8,p=3:SALT:HASH`, base64 with or without padding. */
const SCRYPT = /^scrypt:ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2}):([A-Za-z0-9+/]+={0,2}):([A-Za-z0-9+/]+={0,2})$/;
/** The PHC string format: `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`. */
const ARGON2ID = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+={0,2})$/;

/** @returns null when it is neither form, or asks for less than is safe or more than is allowed. */
export function parsePasswordHash(text: string): PasswordHash | null {
  const scryptParts = SCRYPT.exec(text);
  const parts = scryptParts ?? ARGON2ID.exec(text);
  if (parts === null) return null;
  const [a = 0, b = 0, c = 0] = parts.slice(1, 4).map(Number);
  const scheme: PasswordScheme =
    scryptParts === null ? { scheme: "argon2id", memoryKib: a, passes: b, lanes: c } : { scheme: "scrypt", ln: a, r: b, p: c };
  const salt = Buffer.from(parts[4] ?? "", "base64");
  const hash = Buffer.from(parts[5] ?? "", "base64");
  const sized = salt.length >= 8 && salt.length <= 64 && hash.length >= 16 && hash.length <= 64;
  return sized && isSafe(scheme) ? { scheme, salt, hash } : null;
}

function isSafe(scheme: PasswordScheme): boolean {
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
export async function hashPassword(password: string, scheme: PasswordScheme = ARGON2ID_DEFAULT): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(password, { scheme, salt, hash: Buffer.alloc(HASH_BYTES) });
  if (scheme.scheme === "scrypt")
    return `scrypt:ln=${scheme.ln},r=${scheme.r},p=${scheme.p}:${salt.toString("base64")}:${hash.toString("base64")}`;
  const bare = (bytes: Buffer): string => bytes.toString("base64").replace(/=+$/, "");
  return `$argon2id$v=19$m=${scheme.memoryKib},t=${scheme.passes},p=${scheme.lanes}$${bare(salt)}$${bare(hash)}`;
}

/** Rejects only when the hash cannot be computed (memory). */
export async function passwordFits(password: string, stored: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, stored), stored.hash);
}

/** A hash that no password has, of the same cost: to be asked about users that do not exist. */
export const hashOfNobody = (scheme: PasswordScheme): PasswordHash => ({
  scheme,
  salt: randomBytes(SALT_BYTES),
  hash: randomBytes(HASH_BYTES),
});

/** RFC 8265 section 4.2 (OpaqueString): composed characters, so that it does not matter how a keyboard makes them. */
function derive(password: string, { scheme, salt, hash }: PasswordHash): Promise<Buffer> {
  const message = Buffer.from(password.normalize("NFC"), "utf8");
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, key: Buffer): void => (error === null ? resolve(key) : reject(error));
    if (scheme.scheme === "scrypt") {
      const options: ScryptOptions = { N: 2 ** scheme.ln, r: scheme.r, p: scheme.p, maxmem: MEMORY_BYTES_MAX * 2 };
      scrypt(message, salt, hash.length, options, done);
      return;
    }
    const { memoryKib, passes, lanes } = scheme;
    const parameters: Argon2Parameters = { message, nonce: salt, memory: memoryKib, passes, parallelism: lanes, tagLength: hash.length };
    argon2("argon2id", parameters, done);
  });
}
