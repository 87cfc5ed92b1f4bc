// Owns the form of a shared secret in a configuration: text, or `base64:` and base64 for bytes that are no text. Pure.

const BASE64 = "base64:";

/** @returns the bytes that a secret stands for (text as UTF-8); null for `base64:` and something else behind it */
export function keyBytes(text: string): Buffer | null {
  if (!text.startsWith(BASE64)) return Buffer.from(text, "utf8");
  const written = text.slice(BASE64.length);
  const bytes = Buffer.from(written, "base64");
  return bytes.toString("base64").replace(/=+$/, "") === written.replace(/=+$/, "") ? bytes : null;
}

/** @param bytes that are no text */
export const rawKey = (bytes: Buffer): string => `${BASE64}${bytes.toString("base64")}`;
