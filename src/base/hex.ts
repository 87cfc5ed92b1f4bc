// Owns hexadecimal digits and percent-encoded bytes (RFC 3986 section 2.1). Pure; decides nothing.

/** @param code a char code. @returns 0..15, or -1 when it is no hexadecimal digit. */
export function hexValue(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

const ENCODED = Array.from({ length: 256 }, (_, byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`);

/** @param byte 0..255. @returns `%XX`, uppercase. */
export const encodeByte = (byte: number): string => ENCODED[byte & 255] as string; // there are 256
