// Owns the form of a signing secret in the configuration. Pure.

const BYTES_MIN = 32;
const BYTES_MAX = 1024;
const BASE64 = "base64:";

/** @returns the bytes of a secret (text as UTF-8, or `base64:` and base64); null when it is malformed, or too short to be safe. */
export function secretBytes(text: string): Buffer | null {
  let bytes = Buffer.from(text, "utf8");
  if (text.startsWith(BASE64)) {
    const written = text.slice(BASE64.length);
    bytes = Buffer.from(written, "base64");
    if (bytes.toString("base64").replace(/=+$/, "") !== written.replace(/=+$/, "")) return null;
  }
  return bytes.length >= BYTES_MIN && bytes.length <= BYTES_MAX ? bytes : null;
}
