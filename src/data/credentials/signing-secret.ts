// Owns the bounds of a signing secret. Pure.
import { keyBytes } from "../../base/key-bytes.ts";

const BYTES_MIN = 32;
const BYTES_MAX = 1024;

/** @returns the bytes of a secret (text as UTF-8, or `base64:` and base64); null when it is malformed, or too short to be safe. */
export function secretBytes(text: string): Buffer | null {
  const bytes = keyBytes(text);
  return bytes !== null && bytes.length >= BYTES_MIN && bytes.length <= BYTES_MAX ? bytes : null;
}
