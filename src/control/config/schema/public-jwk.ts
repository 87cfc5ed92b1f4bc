// Owns the public half of the key that signs the internal token, as services read it. Must never let the private half through.
import { createHash, createPublicKey } from "node:crypto";

/** The public half (RFC 8037), with its thumbprint (RFC 7638) as `kid`. @param pem an Ed25519 private key */
export function publicJwk(pem: string): Readonly<Record<string, unknown>> {
  const { crv, kty, x } = createPublicKey(pem).export({ format: "jwk" });
  const kid = createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");
  return { kty, crv, x, kid, alg: "EdDSA", use: "sig" };
}
