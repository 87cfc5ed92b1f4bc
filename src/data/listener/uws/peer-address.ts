// Turns the raw bytes of a peer's address into canonical text. Hot path: IPv4 addresses seen lately are remembered.
import { formatIpBytes } from "../../../base/ip.ts";

/** Addresses remembered; cleared when full. */
const CACHE_MAX = 8192;
const v4Text = new Map<number, string>();

/** @param raw 4 or 16 bytes in network order, as uWebSockets.js gives them; empty on Unix sockets. @returns RFC 5952 text, v4-mapped addresses as IPv4; '' for none. */
export function canonicalIp(raw: ArrayBuffer): string {
  const bytes = new Uint8Array(raw);
  return bytes.length === 4 ? v4(bytes) : formatIpBytes(bytes);
}

function v4(bytes: Uint8Array): string {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  const key = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  const known = v4Text.get(key);
  if (known !== undefined) return known;
  const text = formatIpBytes(bytes);
  if (v4Text.size >= CACHE_MAX) v4Text.clear();
  v4Text.set(key, text);
  return text;
}
