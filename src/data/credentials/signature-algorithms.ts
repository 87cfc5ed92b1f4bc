// Owns the table of signature algorithms and the keys they take (RFC 7518 section 3.1, RFC 8037, RFC 9864). Pure.
// `none` is not in it, so that nothing can allow it.

export interface Algorithm {
  readonly kty: "RSA" | "EC" | "OKP" | "oct";
  /** The one curve; null where there is none. */
  readonly crv: string | null;
  /** Node's name of the digest; null where the algorithm brings its own. */
  readonly hash: "sha256" | "sha384" | "sha512" | null;
  readonly pss: boolean;
  /** RFC 7518 section 3.2: an HMAC key is at least as long as the digest. Bytes; 0 for others. */
  readonly keyBytesMin: number;
}

const rsa = (hash: "sha256" | "sha384" | "sha512", pss: boolean): Algorithm => ({ kty: "RSA", crv: null, hash, pss, keyBytesMin: 0 });
const ec = (hash: "sha256" | "sha384" | "sha512", crv: string): Algorithm => ({ kty: "EC", crv, hash, pss: false, keyBytesMin: 0 });
const hmac = (hash: "sha256" | "sha384" | "sha512", keyBytesMin: number): Algorithm => ({
  kty: "oct",
  crv: null,
  hash,
  pss: false,
  keyBytesMin,
});
const ed25519: Algorithm = { kty: "OKP", crv: "Ed25519", hash: null, pss: false, keyBytesMin: 0 };

export const ALGORITHM_NAMES = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
  "HS256",
  "HS384",
  "HS512",
] as const;

export type AlgorithmName = (typeof ALGORITHM_NAMES)[number];

const ALGORITHMS: Readonly<Record<AlgorithmName, Algorithm>> = {
  RS256: rsa("sha256", false),
  RS384: rsa("sha384", false),
  RS512: rsa("sha512", false),
  PS256: rsa("sha256", true),
  PS384: rsa("sha384", true),
  PS512: rsa("sha512", true),
  ES256: ec("sha256", "P-256"),
  ES384: ec("sha384", "P-384"),
  ES512: ec("sha512", "P-521"),
  EdDSA: ed25519,
  Ed25519: ed25519,
  HS256: hmac("sha256", 32),
  HS384: hmac("sha384", 48),
  HS512: hmac("sha512", 64),
};

const BY_NAME: ReadonlyMap<string, Algorithm> = new Map(Object.entries(ALGORITHMS));

/** @returns undefined for what is not in the table; names are case-sensitive (RFC 7515 section 4.1.1). */
export const algorithmOf = (name: string): Algorithm | undefined => BY_NAME.get(name);

/** All that a key may verify by its type alone. @param keyBytes of an `oct` key */
export const algorithmsFor = (kty: string, crv: string | null, keyBytes: number): readonly AlgorithmName[] =>
  ALGORITHM_NAMES.filter((name) => {
    const { kty: type, crv: curve, keyBytesMin } = ALGORITHMS[name];
    return type === kty && curve === crv && keyBytes >= keyBytesMin;
  });
