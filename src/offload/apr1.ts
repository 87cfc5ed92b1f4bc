// Owns apr1, Apache's variant of MD5-crypt (apr_md5_encode of the Apache Portable Runtime), for checking hashes that people bring along in htpasswd files.
// It is weak: a thousand rounds of MD5. Must never be how new passwords are hashed.
import { createHash } from "node:crypto";

const ROUNDS = 1000;
const MAGIC = "$apr1$";
export const APR1_HASH_BYTES = 16;

const md5 = (...parts: readonly (Uint8Array | string)[]): Buffer => {
  const hash = createHash("md5");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** @param salt 1 to 8 characters, as bytes. @returns APR1_HASH_BYTES */
export function apr1(password: Uint8Array, salt: Uint8Array): Buffer {
  let digest = md5(password, salt, password);
  const parts: (Uint8Array | string)[] = [password, MAGIC, salt];
  for (let left = password.length; left > 0; left -= APR1_HASH_BYTES) parts.push(digest.subarray(0, Math.min(left, APR1_HASH_BYTES)));
  for (let bits = password.length; bits > 0; bits >>>= 1) parts.push((bits & 1) === 1 ? new Uint8Array(1) : password.subarray(0, 1));
  digest = md5(...parts);
  for (let i = 0; i < ROUNDS; i++) {
    const odd = (i & 1) === 1;
    digest = md5(odd ? password : digest, i % 3 === 0 ? "" : salt, i % 7 === 0 ? "" : password, odd ? digest : password);
  }
  return digest;
}
