// Owns the client's side of HTTP message signatures (RFC 9421, hmac-sha256) for tests, written from the RFC and sharing nothing with the gateway's.
import { createHash, createHmac } from "node:crypto";

export interface SignOptions {
  /** Component -> value, in the order in which they are covered. */
  readonly components: Readonly<Record<string, string>>;
  readonly secret: string | Buffer;
  /** As they stand behind the list: `created=1;keyid="a"`. */
  readonly parameters: string;
  readonly label?: string;
}

/** @returns the two headers */
export function signMessage({ components, secret, parameters, label = "sig" }: SignOptions): {
  signature: string;
  "signature-input": string;
} {
  const list = Object.keys(components).map((name) => `"${name}"`);
  const input = `(${list.join(" ")})${parameters === "" ? "" : `;${parameters}`}`;
  const lines = Object.entries(components).map(([name, value]) => `"${name}": ${value}`);
  const base = [...lines, `"@signature-params": ${input}`].join("\n");
  return {
    signature: `${label}=:${createHmac("sha256", secret).update(base).digest("base64")}:`,
    "signature-input": `${label}=${input}`,
  };
}

export const contentDigest = (body: string | Buffer, algorithm: "sha-256" | "sha-512" = "sha-256"): string =>
  `${algorithm}=:${createHash(algorithm.replace("-", "")).update(body).digest("base64")}:`;
