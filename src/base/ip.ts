// Owns IP addresses as text: parsing, canonical form (RFC 5952), CIDR sets. Pure; knows nothing of headers or trust.
// An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is its IPv4 address everywhere: one client has one spelling.
import { hexValue } from "./hex.ts";

/** An address as eight 16-bit groups; IPv4 is held as IPv4-mapped (::ffff:a.b.c.d), so that one order covers both. */
type Groups = Uint16Array;

const GROUPS = 8;
/** Longest text of an IPv6 address (INET6_ADDRSTRLEN without NUL). */
const IP_TEXT_LENGTH_MAX = 45;
/** Prefix bits in front of an IPv4 address in its mapped form. */
const MAPPED_BITS = 96;

/** Parse target of the hot path: reused, valid until the next parse. */
const scratch: Groups = new Uint16Array(GROUPS);

/** @returns the 32 bits of a strict dotted quad (four decimals, no leading zeros), or -1. */
export function parseIpv4(text: string): number {
  return parseIpv4At(text, 0, text.length);
}

function parseIpv4At(text: string, start: number, end: number): number {
  let address = 0;
  let octet = -1;
  let dots = 0;
  for (let i = start; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c === 46) {
      if (octet < 0 || ++dots > 3) return -1;
      address = address * 256 + octet;
      octet = -1;
    } else {
      if (c < 48 || c > 57 || octet === 0) return -1;
      octet = octet < 0 ? c - 48 : octet * 10 + c - 48;
      if (octet > 255) return -1;
    }
  }
  return dots === 3 && octet >= 0 ? address * 256 + octet : -1;
}

/** Fills `out`. @returns false when the text is no IPv4 or IPv6 address (zone ids, brackets and ports are none). */
function parseGroups(text: string, out: Groups): boolean {
  if (text.length > IP_TEXT_LENGTH_MAX) return false;
  const v4 = parseIpv4At(text, 0, text.length);
  if (v4 < 0) return parseIpv6(text, out);
  out.fill(0, 0, 5);
  out[5] = 0xffff;
  out[6] = v4 >>> 16;
  out[7] = v4 & 0xffff;
  return true;
}

/** RFC 4291 section 2.2, all three forms. */
function parseIpv6(text: string, out: Groups): boolean {
  const length = text.length;
  let count = 0;
  let gapAt = -1;
  let i = 0;
  if (text.startsWith("::")) {
    gapAt = 0;
    i = 2;
    if (length === 2) return out.fill(0) === out;
  } else if (length === 0 || text.charCodeAt(0) === 58) return false;
  while (i < length) {
    const start = i;
    let group = 0;
    for (; i < length; i++) {
      const digit = hexValue(text.charCodeAt(i));
      if (digit < 0) break;
      group = group * 16 + digit;
    }
    if (i < length && text.charCodeAt(i) === 46) {
      const v4 = parseIpv4At(text, start, length);
      if (v4 < 0 || count > GROUPS - 2) return false;
      out[count++] = v4 >>> 16;
      out[count++] = v4 & 0xffff;
      break;
    }
    if (i === start || i - start > 4 || count === GROUPS) return false;
    out[count++] = group;
    if (i === length) break;
    if (text.charCodeAt(i) !== 58 || ++i === length) return false;
    if (text.charCodeAt(i) === 58) {
      if (gapAt >= 0) return false;
      gapAt = count;
      i++;
    }
  }
  if (gapAt < 0) return count === GROUPS;
  if (count === GROUPS) return false;
  out.copyWithin(GROUPS - (count - gapAt), gapAt, count);
  out.fill(0, gapAt, GROUPS - (count - gapAt));
  return true;
}

const isMapped = (g: Groups): boolean => g[5] === 0xffff && g[0] === 0 && g[1] === 0 && g[2] === 0 && g[3] === 0 && g[4] === 0;

/** RFC 5952 text of the groups; mapped addresses as dotted quad. */
function formatGroups(g: Groups): string {
  if (isMapped(g)) return `${g[6]! >>> 8}.${g[6]! & 255}.${g[7]! >>> 8}.${g[7]! & 255}`; // eight groups always exist
  let gapStart = -1;
  let gapLength = 1;
  for (let i = 0; i < GROUPS; i++) {
    let n = 0;
    while (i + n < GROUPS && g[i + n] === 0) n++;
    if (n > gapLength) {
      gapStart = i;
      gapLength = n;
    }
    i += n;
  }
  let text = "";
  for (let i = 0; i < GROUPS; i++) {
    if (i === gapStart) {
      text += "::";
      i += gapLength - 1;
    } else text += (text === "" || text.endsWith(":") ? "" : ":") + g[i]!.toString(16);
  }
  return text;
}

/** @returns the canonical text (RFC 5952 lowercase; IPv4-mapped as dotted quad), or null when it is no address. */
export function canonicalIp(text: string): string | null {
  if (parseIpv4At(text, 0, text.length) >= 0) return text;
  return parseGroups(text, scratch) ? formatGroups(scratch) : null;
}

/** @param ip canonical */
export const isLoopback = (ip: string): boolean => ip.startsWith("127.") || ip === "::1";

/** @param bytes 4 or 16 bytes in network order. @returns canonical text; '' for any other length (Unix sockets have none). */
export function formatIpBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  if (bytes.length !== 16) return "";
  for (let i = 0; i < GROUPS; i++) scratch[i] = (bytes[2 * i]! << 8) | bytes[2 * i + 1]!; // length checked above
  return formatGroups(scratch);
}

/** Bytes of the last masked address: reused. */
const masked: Groups = new Uint16Array(GROUPS);

/**
 * @param bits4 leading bits that count of an IPv4 address. @param bits6 the same for IPv6
 * @returns a text that is equal for addresses that agree in so many bits, and for no others; what is no address ('' for a Unix socket) as it is
 */
export function maskIp(ip: string, bits4: number, bits6: number): string {
  if (!parseGroups(ip, scratch)) return ip;
  const bits = isMapped(scratch) ? MAPPED_BITS + bits4 : bits6;
  let text = isMapped(scratch) ? "4" : "6";
  for (let i = 0; i < GROUPS && 16 * i < bits; i++) {
    masked[i] = scratch[i]! & (0xffff << (16 - Math.min(16, bits - 16 * i)));
    text += String.fromCharCode(masked[i]! >>> 8, masked[i]! & 255);
  }
  return text;
}

/** 4, 6, or 0 when the text is no address. A mapped address counts as 4. */
export function ipFamily(text: string): 4 | 6 | 0 {
  if (!parseGroups(text, scratch)) return 0;
  return isMapped(scratch) ? 4 : 6;
}

/** A block of addresses: first and last, both included. */
export interface Cidr {
  readonly first: Uint16Array;
  readonly last: Uint16Array;
}

/** @param text `10.0.0.0/8`, `2001:db8::/32` or a single address. Host bits are ignored. @returns null when it is none of these. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const groups: Groups = new Uint16Array(GROUPS);
  if (!parseGroups(address, groups)) return null;
  const dotted = parseIpv4(address) >= 0;
  const width = dotted ? 32 : 128;
  let bits = width;
  if (slash >= 0) {
    const digits = text.slice(slash + 1);
    if (!/^(0|[1-9]\d{0,2})$/.test(digits)) return null;
    bits = Number(digits);
    if (bits > width) return null;
  }
  if (dotted) bits += MAPPED_BITS;
  const first = groups.slice();
  const last = groups.slice();
  for (let i = 0; i < GROUPS; i++) {
    const mask = (0xffff << (16 - Math.min(16, Math.max(0, bits - 16 * i)))) & 0xffff;
    first[i] = groups[i]! & mask; // eight groups always exist
    last[i] = groups[i]! | (~mask & 0xffff);
  }
  return { first, last };
}

/** < 0, 0, > 0 as the address `a` is below, equal to, above the one that begins at `at` in `b`. */
function compareAt(a: Groups, b: Uint16Array, at: number): number {
  for (let i = 0; i < GROUPS; i++) {
    const difference = a[i]! - b[at + i]!; // callers pass whole addresses
    if (difference !== 0) return difference;
  }
  return 0;
}

const ipv4Of = (g: Groups): number => g[6]! * 65536 + g[7]!;

/**
 * An immutable set of addresses given as CIDR blocks. Membership is a binary search over sorted, disjoint ranges.
 * IPv4 blocks match IPv4 (and mapped) addresses, IPv6 blocks match only real IPv6: `::/0` holds no IPv4 address.
 */
export class CidrSet {
  readonly #first4: Uint32Array;
  readonly #last4: Uint32Array;
  /** Eight groups for each range. */
  readonly #first6: Uint16Array;
  readonly #last6: Uint16Array;

  /** @throws RangeError naming the text that is no CIDR block: validate with {@link parseCidr} first. */
  constructor(cidrs: readonly string[]) {
    const ranges = cidrs.map((text) => {
      const cidr = parseCidr(text);
      if (cidr === null) throw new RangeError(`not an address or CIDR block: ${JSON.stringify(text)}`);
      return cidr;
    });
    const ranges4 = outermost(ranges.filter((range) => isMapped(range.first)));
    const ranges6 = outermost(ranges.filter((range) => !isMapped(range.first)));
    this.#first4 = Uint32Array.from(ranges4, (range) => ipv4Of(range.first));
    this.#last4 = Uint32Array.from(ranges4, (range) => ipv4Of(range.last));
    this.#first6 = Uint16Array.from(ranges6.flatMap((range) => [...range.first]));
    this.#last6 = Uint16Array.from(ranges6.flatMap((range) => [...range.last]));
  }

  get isEmpty(): boolean {
    return this.#first4.length === 0 && this.#first6.length === 0;
  }

  /** @returns false for anything that is no address, '' included. */
  contains(ip: string): boolean {
    const v4 = parseIpv4At(ip, 0, ip.length);
    if (v4 >= 0) return this.#contains4(v4);
    if (this.isEmpty || !parseGroups(ip, scratch)) return false;
    return isMapped(scratch) ? this.#contains4(ipv4Of(scratch)) : this.#contains6(scratch);
  }

  #contains4(address: number): boolean {
    let low = 0;
    let high = this.#first4.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (address < this.#first4[middle]!)
        high = middle - 1; // middle is inside the array
      else low = middle + 1;
    }
    return high >= 0 && address <= this.#last4[high]!;
  }

  #contains6(address: Groups): boolean {
    let low = 0;
    let high = this.#first6.length / GROUPS - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (compareAt(address, this.#first6, middle * GROUPS) < 0) high = middle - 1;
      else low = middle + 1;
    }
    return high >= 0 && compareAt(address, this.#last6, high * GROUPS) <= 0;
  }
}

/** Sorted, without the blocks that lie inside others. CIDR blocks nest or are apart: one that begins inside another also ends inside it. */
function outermost(ranges: readonly Cidr[]): readonly Cidr[] {
  const sorted = ranges.toSorted((a, b) => compareAt(a.first, b.first, 0) || compareAt(b.last, a.last, 0));
  const kept: Cidr[] = [];
  for (const range of sorted) {
    const previous = kept.at(-1);
    if (previous === undefined || compareAt(range.first, previous.last, 0) > 0) kept.push(range);
  }
  return kept;
}
