// Owns the keyed 64-bit hash of short texts: SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). Pure.
// Must never be used for passwords or signatures: it keeps attackers from choosing collisions, nothing more.

/** Bytes of a key. */
export const SIP_KEY_BYTES = 16;
/** Longest text that is hashed whole; of a longer one, only this much and its length count. Headers are bounded far above. */
export const SIP_CHARS_MAX = 4096;

/** Rounds after each block, and at the end. */
const BLOCK_ROUNDS = 2;
const FINAL_ROUNDS = 4;
/** Texts with chars beyond 0xff are hashed with another initial state, so that no text of bytes can be made to collide with one of them. */
const WIDE_TWEAK = 0xee;

/**
 * Hashes with one key. The result stands in {@link high} and {@link low}, so that a hash allocates nothing.
 * 64-bit words are pairs of int32, as BigInt would be some thirty times slower.
 */
export class SipHash {
  /** Result of the last hash: upper and lower half, int32. */
  high = 0;
  low = 0;
  private readonly k0h: number;
  private readonly k0l: number;
  private readonly k1h: number;
  private readonly k1l: number;

  /** @param key of {@link SIP_KEY_BYTES} bytes. @throws RangeError for any other length */
  constructor(key: Uint8Array) {
    if (key.length !== SIP_KEY_BYTES) throw new RangeError(`SipHash: a key of ${key.length} bytes, not ${SIP_KEY_BYTES}`);
    const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
    this.k0l = view.getInt32(0, true);
    this.k0h = view.getInt32(4, true);
    this.k1l = view.getInt32(8, true);
    this.k1h = view.getInt32(12, true);
  }

  /** Hashes a text: one byte for each char when all are below 0x100 (what headers, addresses and most ids are), else two. */
  hash(text: string): void {
    this.hashText(text, 0);
  }

  /** Hashes a text behind 64 bits: those of a hash of what stands before it. So a key of several parts has one hash, and no part can run into the next. */
  hashAfter(high: number, low: number, text: string): void {
    words[0] = low;
    words[1] = high;
    this.hashText(text, 2);
  }

  /** @param first words that are filled already */
  private hashText(text: string, first: number): void {
    const length = Math.min(text.length, SIP_CHARS_MAX);
    const end = length & ~7;
    let wide = 0;
    let at = first;
    let i = 0;
    for (; i < end; i += 4) {
      const a = text.charCodeAt(i);
      const b = text.charCodeAt(i + 1);
      const c = text.charCodeAt(i + 2);
      const d = text.charCodeAt(i + 3);
      wide |= a | b | c | d;
      words[at++] = a | (b << 8) | (c << 16) | (d << 24);
    }
    words[at] = 0;
    words[at + 1] = text.length << 24;
    for (; i < length; i++) {
      const code = text.charCodeAt(i);
      wide |= code;
      words[at + ((i & 7) >> 2)]! |= code << ((i & 3) << 3);
    }
    if (wide > 0xff) this.hashWide(text, first);
    else this.mix(at + 2, 0);
  }

  /** Hashes at most {@link SIP_CHARS_MAX} bytes, as the paper has it. */
  hashBytes(bytes: Uint8Array, count = bytes.length): void {
    const length = Math.min(count, SIP_CHARS_MAX);
    const last = (length >> 3) << 1;
    words.fill(0, 0, last + 2);
    for (let i = 0; i < length; i++) words[i >> 2]! |= (bytes[i] ?? 0) << ((i & 3) << 3);
    words[last + 1]! |= count << 24;
    this.mix(last + 2, 0);
  }

  private hashWide(text: string, first: number): void {
    const length = Math.min(text.length, SIP_CHARS_MAX);
    const last = first + ((length >> 2) << 1);
    words.fill(0, first, last + 4);
    for (let i = 0; i < length; i++) words[first + (i >> 1)]! |= text.charCodeAt(i) << ((i & 1) << 4);
    words[last + 2] = text.length;
    this.mix(last + 4, WIDE_TWEAK);
  }

  /** @param count int32 words of {@link words}, an even number. State stays in locals, so in registers. */
  private mix(count: number, tweak: number): void {
    let v0h = this.k0h ^ 0x736f6d65;
    let v0l = this.k0l ^ 0x70736575;
    let v1h = this.k1h ^ 0x646f7261;
    let v1l = this.k1l ^ 0x6e646f6d ^ tweak;
    let v2h = this.k0h ^ 0x6c796765;
    let v2l = this.k0l ^ 0x6e657261;
    let v3h = this.k1h ^ 0x74656462;
    let v3l = this.k1l ^ 0x79746573;
    for (let i = 0; i <= count; i += 2) {
      const final = i === count;
      const low = final ? 0 : words[i]!;
      const high = final ? 0 : words[i + 1]!;
      v3h ^= high;
      v3l ^= low;
      if (final) v2l ^= 0xff;
      for (let round = final ? FINAL_ROUNDS : BLOCK_ROUNDS; round > 0; round--) {
        let sum = (v0l + v1l) | 0;
        v0h = (v0h + v1h + (sum >>> 0 < v0l >>> 0 ? 1 : 0)) | 0;
        let turned = (v1h << 13) | (v1l >>> 19);
        v1l = ((v1l << 13) | (v1h >>> 19)) ^ sum;
        v1h = turned ^ v0h;
        v0l = v0h; // rotated by 32: the halves change places
        v0h = sum;

        sum = (v2l + v3l) | 0;
        v2h = (v2h + v3h + (sum >>> 0 < v2l >>> 0 ? 1 : 0)) | 0;
        v2l = sum;
        turned = (v3h << 16) | (v3l >>> 16);
        v3l = ((v3l << 16) | (v3h >>> 16)) ^ v2l;
        v3h = turned ^ v2h;

        sum = (v0l + v3l) | 0;
        v0h = (v0h + v3h + (sum >>> 0 < v0l >>> 0 ? 1 : 0)) | 0;
        v0l = sum;
        turned = (v3h << 21) | (v3l >>> 11);
        v3l = ((v3l << 21) | (v3h >>> 11)) ^ v0l;
        v3h = turned ^ v0h;

        sum = (v2l + v1l) | 0;
        v2h = (v2h + v1h + (sum >>> 0 < v2l >>> 0 ? 1 : 0)) | 0;
        turned = (v1h << 17) | (v1l >>> 15);
        v1l = ((v1l << 17) | (v1h >>> 15)) ^ sum;
        v1h = turned ^ v2h;
        v2l = v2h;
        v2h = sum;
      }
      v0h ^= high;
      v0l ^= low;
    }
    this.high = v0h ^ v1h ^ v2h ^ v3h;
    this.low = v0l ^ v1l ^ v2l ^ v3l;
  }
}

/** The message as little-endian words: reused by every hash of the thread. */
const words = new Int32Array(SIP_CHARS_MAX / 2 + 6);
