// Turns the raw bytes of a peer's address into canonical text. Hot path: addresses seen lately are remembered.

/** Addresses remembered; cleared when full. */
const CACHE_MAX = 8192;
const v4Text = new Map<number, string>();

/** @param raw 4 or 16 bytes in network order, as uWebSockets.js gives them; empty on Unix sockets. @returns RFC 5952 text, v4-mapped addresses as IPv4; '' for none. */
export function canonicalIp(raw: ArrayBuffer): string {
  const bytes = new Uint8Array(raw);
  if (bytes.length === 4) return v4(bytes, 0);
  if (bytes.length !== 16) return "";
  return isMapped(bytes) ? v4(bytes, 12) : v6(bytes);
}

function v4(bytes: Uint8Array, at: number): string {
  const [a = 0, b = 0, c = 0, d = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  const key = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  const known = v4Text.get(key);
  if (known !== undefined) return known;
  const text = `${a}.${b}.${c}.${d}`;
  if (v4Text.size >= CACHE_MAX) v4Text.clear();
  v4Text.set(key, text);
  return text;
}

function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

function v6(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  let bestStart = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let j = i;
    while (j < 8 && groups[j] === 0) j++;
    if (j - i > bestLength) {
      bestStart = i;
      bestLength = j - i;
    }
    if (j > i) i = j;
  }
  const hex = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((g) => g.toString(16))
      .join(":");
  return bestStart < 0 ? hex(0, 8) : `${hex(0, bestStart)}::${hex(bestStart + bestLength, 8)}`;
}
