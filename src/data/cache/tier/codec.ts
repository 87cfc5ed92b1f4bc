// Owns what is done with the bytes of a record on their way to Redis and back: names, codes, digests, compression. Small ones in this turn, larger ones on a thread.
// Must never unpack more than a record says, and never load what it needs (node:crypto, node:zlib) before a route uses it.
import type { KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { decodeRecord, encodeRecord, type PackedRecord, type Sign, type TierRecord } from "./record.ts";

/**
 * zstd at its lowest level, as measured (CPU to pack and unpack; share that is left): 8 KiB of JSON 24 + 16 µs, 0.26 (deflate 1: 21 + 11, 0.30; brotli 1: 21 + 15, 0.29);
 * 64 KiB 91 + 46 µs, 0.23 (259 + 65, 0.30; 234 + 100, 0.26); 256 KiB 281 + 120 µs, 0.18 (1086 + 266, 0.24; 502 + 340, 0.21). Level 3 costs a third more and saves nothing.
 */
const LEVEL = 1;
/** Below, packing costs as much CPU as it saves bytes: 14 µs for 0.6 KiB. */
const PACKED_BYTES_MIN = 2048;
/** Larger bodies are packed, unpacked and hashed on a thread: some 60 µs of this one. */
const INLINE_BYTES_MAX = 32 * 1024;
/** What saves less is written as it is. */
const WORTHWHILE = 0.9;
/** Media types that are packed already; so is what has a content coding. */
const DENSE = /^(?:image\/(?!svg)|video\/|audio\/|font\/woff|application\/(?:zip|gzip|zstd|x-7z|x-rar))/i;

/** What the codec needs of Node, once a route uses it. */
interface Native {
  readonly crypto: typeof import("node:crypto");
  readonly zlib: typeof import("node:zlib");
}

export class RecordCodec {
  readonly #native: Native;
  readonly #sign: Sign;
  readonly #nameKey: KeyObject;

  /** @param key secret of the fleet */
  constructor(key: Uint8Array) {
    const crypto = process.getBuiltinModule("node:crypto");
    this.#native = { crypto, zlib: process.getBuiltinModule("node:zlib") };
    // Key objects: a key as bytes is made into one at each use.
    const derived = (purpose: string): KeyObject => crypto.createSecretKey(crypto.createHmac("sha256", key).update(purpose).digest());
    this.#nameKey = derived("name");
    const codeKey = derived("code");
    this.#sign = (parts) => {
      const hmac = crypto.createHmac("sha256", codeKey);
      for (const part of parts) hmac.update(part);
      return hmac.digest();
    };
  }

  /** What a record is called in Redis: nobody reads a URL or a caller out of it, and two keys have one name as rarely as SHA-256 collides. @param text key of a stored response, a byte string */
  name(text: string): Buffer {
    return this.#native.crypto.createHmac("sha256", this.#nameKey).update(text, "latin1").digest();
  }

  /** @param body unpacked; its `coding` is chosen here. @returns null for what is too large */
  async encode(record: Omit<TierRecord, "coding" | "bodyBytes">, body: Buffer, name: Buffer): Promise<Buffer | null> {
    const packed = isWorthPacking(record.headers, body.length) ? await this.#pack(body) : body;
    const isPacked = packed.length < body.length * WORTHWHILE;
    const stored = isPacked ? packed : body;
    const whole: TierRecord = { ...record, bodyBytes: body.length, coding: isPacked ? "zstd" : "plain" };
    return encodeRecord({ record: whole, body: stored, digest: await this.#digest(stored) }, name, this.#sign);
  }

  /** @returns null for what is no record of ours, whole and unharmed */
  async decode(bytes: Buffer, name: Buffer, bodyBytesMax: number): Promise<{ readonly record: TierRecord; readonly body: Buffer } | null> {
    const packed = decodeRecord(bytes, name, { sign: this.#sign, bodyBytesMax });
    if (packed === null || !(await this.#digest(packed.body)).equals(packed.digest)) return null;
    const body = await this.#unpack(packed);
    return body === null ? null : { record: packed.record, body };
  }

  async #pack(body: Buffer): Promise<Buffer> {
    const { zlib } = this.#native;
    const options = { params: { [zlib.constants.ZSTD_c_compressionLevel]: LEVEL } };
    if (body.length <= INLINE_BYTES_MAX) return zlib.zstdCompressSync(body, options);
    return promisify(zlib.zstdCompress)(body, options);
  }

  async #unpack({ record: { coding, bodyBytes }, body }: PackedRecord): Promise<Buffer | null> {
    if (coding === "plain") return body;
    const { zlib } = this.#native;
    const options = { maxOutputLength: Math.max(1, bodyBytes) };
    try {
      const bytes =
        bodyBytes <= INLINE_BYTES_MAX ? zlib.zstdDecompressSync(body, options) : await promisify(zlib.zstdDecompress)(body, options);
      return bytes.length === bodyBytes ? bytes : null;
    } catch {
      return null;
    }
  }

  async #digest(body: Buffer): Promise<Buffer> {
    const { crypto } = this.#native;
    if (body.length <= INLINE_BYTES_MAX) return crypto.createHash("sha256").update(body).digest();
    return Buffer.from(await crypto.webcrypto.subtle.digest("SHA-256", body as Uint8Array<ArrayBuffer>)); // never shared memory: read from a socket, or packed
  }
}

function isWorthPacking(headers: readonly string[], bytes: number): boolean {
  if (bytes < PACKED_BYTES_MIN) return false;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === "content-encoding") return false;
    if (headers[i] === "content-type" && DENSE.test(headers[i + 1] ?? "")) return false;
  }
  return true;
}
