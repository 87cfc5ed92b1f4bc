// Owns what a Content-Digest (RFC 9530) demands of a body, and whether a body has it. Must never take a digest that is not known for one that fits.
import { hash, timingSafeEqual } from "node:crypto";
import { parseByteSequences } from "./structured-fields.ts";

/** Digests of a body that are both strong and known; all that are given must fit. */
const ALGORITHMS: Readonly<Record<string, string>> = { "sha-256": "sha256", "sha-512": "sha512" };

/** What a Content-Digest demands; at least one. */
export type Digests = readonly { readonly algorithm: string; readonly expected: Buffer }[];

/** @returns null when there is no digest that can be relied on */
export function parseContentDigest(text: string): Digests | null {
  const given = parseByteSequences(text);
  if (given === null) return null;
  const digests = [...given].flatMap(([key, expected]) => {
    const algorithm = Object.hasOwn(ALGORITHMS, key) ? ALGORITHMS[key] : undefined;
    return algorithm === undefined ? [] : [{ algorithm, expected }];
  });
  return digests.length === 0 ? null : digests;
}

export function digestsFit(body: Buffer, digests: Digests): boolean {
  return digests.every(({ algorithm, expected }) => {
    const actual = hash(algorithm, body, "buffer");
    return actual.length === expected.length && timingSafeEqual(actual, expected);
  });
}
