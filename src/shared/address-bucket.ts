// Owns which bucket a client address belongs to in the tables that count by address: one for an IPv4 address, one for an IPv6 network of 64 bits, which
// is what one customer gets. Some addresses share a bucket; which ones nobody outside can know.
import { maskIp } from "../base/ip.ts";
import { SipHash } from "../base/sip-hash.ts";

/** A power of two. */
export const ADDRESS_BUCKETS = 2 ** 16;
const IPV4_BITS = 32;
const IPV6_BITS = 64;

export class AddressBucket {
  readonly #hash: SipHash;

  /** @param key secret, equal in all threads of the instance; of SIP_KEY_BYTES */
  constructor(key: Uint8Array) {
    this.#hash = new SipHash(key);
  }

  /** @param ip canonical text. @returns 0 to {@link ADDRESS_BUCKETS} - 1 */
  of(ip: string): number {
    this.#hash.hash(ip.includes(":") ? maskIp(ip, IPV4_BITS, IPV6_BITS) : ip);
    return this.#hash.low & (ADDRESS_BUCKETS - 1);
  }
}
