// Owns reading the password hashes that people bring along from htpasswd files and other programs: bcrypt, and two weak ones, apr1 and {SHA}.
// Must never check one: that takes a thread of its own (offload/password-pool.ts). Never how new passwords are hashed. Pure.

/** Beyond it one check takes longer than half a second. */
export const BCRYPT_COST_MAX = 12;
const BCRYPT_COST_MIN = 4;
const BCRYPT_SALT_BYTES = 16;
const SHA1_BYTES = 20;

export interface Bcrypt {
  readonly scheme: "bcrypt";
  /** log2 of the rounds. */
  readonly cost: number;
}

/** No more than a second of work finds most passwords behind them. */
export interface Weak {
  readonly scheme: "apr1" | "sha1";
}

export type ForeignScheme = Bcrypt | Weak;

export interface ForeignHash {
  readonly scheme: ForeignScheme;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** `$2a$`, `$2b$` and `$2y$` are one algorithm by now; `$2x$` is the broken one of 2011. */
const BCRYPT = /^\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})$/;
const APR1 = /^\$apr1\$([^$:\s]{1,8})\$([./0-9A-Za-z]{22})$/;
const SHA1 = /^\{SHA\}([A-Za-z0-9+/]{27}=)$/;

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BCRYPT_BASE64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const CRYPT_BASE64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** In which order MD5-crypt writes the bytes of its digest, three to four characters. */
const MD5_ORDER = [0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 5] as const;

/** @returns null when it is none of the forms, or costs more than is allowed */
export function parseForeignHash(text: string): ForeignHash | null {
  const [, cost, salt, hash] = BCRYPT.exec(text) ?? [];
  if (cost !== undefined && salt !== undefined && hash !== undefined) {
    const scheme: Bcrypt = { scheme: "bcrypt", cost: Number(cost) };
    const good = scheme.cost >= BCRYPT_COST_MIN && scheme.cost <= BCRYPT_COST_MAX;
    return good ? { scheme, salt: bcryptBytes(salt).subarray(0, BCRYPT_SALT_BYTES), hash: bcryptBytes(hash) } : null;
  }
  const [, apr1Salt, digest] = APR1.exec(text) ?? [];
  if (apr1Salt !== undefined && digest !== undefined)
    return { scheme: { scheme: "apr1" }, salt: Buffer.from(apr1Salt, "utf8"), hash: md5CryptBytes(digest) };
  const [, sha1] = SHA1.exec(text) ?? [];
  const bytes = Buffer.from(sha1 ?? "", "base64");
  return bytes.length === SHA1_BYTES ? { scheme: { scheme: "sha1" }, salt: Buffer.alloc(0), hash: bytes } : null;
}

const bcryptBytes = (text: string): Buffer =>
  Buffer.from([...text].map((character) => BASE64[BCRYPT_BASE64.indexOf(character)]).join(""), "base64");

function md5CryptBytes(text: string): Buffer {
  const bytes = Buffer.alloc(16);
  const valueAt = (at: number, characters: number): number => {
    let value = 0;
    for (let i = characters - 1; i >= 0; i--) value = value * 64 + CRYPT_BASE64.indexOf(text[at + i] ?? "");
    return value;
  };
  for (let group = 0; group < MD5_ORDER.length / 3; group++) {
    const value = valueAt(group * 4, 4);
    for (let i = 0; i < 3; i++) bytes[MD5_ORDER[group * 3 + i] ?? 0] = (value >>> (16 - 8 * i)) & 255;
  }
  bytes[11] = valueAt(20, 2) & 255;
  return bytes;
}

/** Why a hash is not taken, for its owner; without a part of it. null: it may be that of another form. */
export function foreignProblem(text: string): string | null {
  const cost = BCRYPT.exec(text)?.[1];
  if (cost !== undefined) {
    if (Number(cost) > BCRYPT_COST_MAX) return `bcrypt of cost ${Number(cost)} takes too long for each check: at most ${BCRYPT_COST_MAX}`;
    return Number(cost) < BCRYPT_COST_MIN ? `bcrypt has no cost ${Number(cost)}` : null;
  }
  if (/^\$2[abxy]?\$/.test(text)) return "expected bcrypt as `$2a$`, `$2b$` or `$2y$`, its cost and 53 characters";
  if (text.startsWith("$1$")) return "MD5-crypt is not taken";
  if (/^\$[56]\$/.test(text)) return "SHA-crypt is not taken";
  if (text.startsWith("$y$")) return "yescrypt is not taken";
  if (/^\{(SSHA|PLAIN|CRYPT|MD5)/i.test(text)) return `${/^\{\w+\}/.exec(text)?.[0] ?? "this scheme"} is not taken`;
  return null;
}
