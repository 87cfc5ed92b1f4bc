// Owns hexadecimal digits and percent-encoded bytes (RFC 3986 section 2.1). Pure; decides nothing.

/** @param code a char code. @returns 0..15, or -1 when it is no hexadecimal digit. */
export function hexValue(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

const HEX = "0123456789ABCDEF";

/** @param byte 0..255. @returns `%XX`, uppercase. */
export const encodeByte = (byte: number): string => `%${HEX[byte >> 4]}${HEX[byte & 15]}`;
