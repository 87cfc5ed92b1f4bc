// Owns one response body on its way through a compressor of node:zlib: backpressure, flushing, and the end of the native handle. A small body that
// has come whole is compressed at once.

import type { BrotliCompress, constants, Gzip, ZstdCompress } from "node:zlib";
import type { Encoding } from "./config.ts";

/** Bytes that came in are sent on after this many ms at the latest, also when the block is not full: a slow stream is never held. */
const FLUSH_AFTER_MS = 20;
/** Window sizes as powers of two: 256 KiB keeps one response's native memory near 1 MiB (the libraries' defaults take up to 8 MiB). */
const WINDOW_BITS = 18;

/**
 * A body that has ended by the first flush is compressed at once, by this thread, up to these bytes and levels: that takes it 0.3 ms at most, where
 * a stream, with all that is made for it and its way through another thread, takes 1 ms of CPU.
 */
export const AT_ONCE_BYTES_MAX = 32 * 1024;
export const AT_ONCE_LEVEL_MAX: Readonly<Record<Encoding, number>> = { gzip: 6, br: 5, zstd: 9 };

type Compressor = Gzip | BrotliCompress | ZstdCompress;

/** Takes what comes out. */
export interface TransformSink {
  transformed(chunk: Buffer): void;
  transformEnded(): void;
  /** There is room again, after write() returned false. */
  transformDrained(): void;
  transformFailed(error: Error): void;
}

/** How many transforms are alive, and may be. */
export interface Slots {
  used: number;
  readonly max: number;
}

/** Loaded with the first body that is compressed. */
const zlib = (): typeof import("node:zlib") => process.getBuiltinModule("node:zlib");

function flushMode(encoding: Encoding): number {
  const { constants } = zlib();
  return { gzip: constants.Z_SYNC_FLUSH, br: constants.BROTLI_OPERATION_FLUSH, zstd: constants.ZSTD_e_flush }[encoding];
}

const brotliParams = ({ BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN }: typeof constants, level: number) => ({
  [BROTLI_PARAM_QUALITY]: level,
  [BROTLI_PARAM_LGWIN]: WINDOW_BITS,
});

const zstdParams = ({ ZSTD_c_compressionLevel, ZSTD_c_windowLog }: typeof constants, level: number) => ({
  [ZSTD_c_compressionLevel]: level,
  [ZSTD_c_windowLog]: WINDOW_BITS,
});

function open(encoding: Encoding, level: number): Compressor {
  const { constants, createBrotliCompress, createGzip, createZstdCompress } = zlib();
  switch (encoding) {
    case "gzip":
      return createGzip({ level });
    case "br":
      return createBrotliCompress({ params: brotliParams(constants, level) });
    case "zstd":
      return createZstdCompress({ params: zstdParams(constants, level) });
  }
}

function compressAtOnce(encoding: Encoding, level: number, data: Buffer): Buffer {
  const { brotliCompressSync, constants, gzipSync, zstdCompressSync } = zlib();
  switch (encoding) {
    case "gzip":
      return gzipSync(data, { level });
    case "br":
      return brotliCompressSync(data, {
        params: { ...brotliParams(constants, level), [constants.BROTLI_PARAM_SIZE_HINT]: data.byteLength },
      });
    case "zstd":
      return zstdCompressSync(data, { params: zstdParams(constants, level) });
  }
}

/** Compresses one body. Holds at most one chunk of input, or {@link AT_ONCE_BYTES_MAX}, and 64 KiB of output while the client is slow. */
export class ZlibTransform {
  readonly #encoding: Encoding;
  readonly #level: number;
  readonly #slots: Slots;
  /** Opened when the body is too large, too slow or too dear for {@link compressAtOnce}. */
  #stream: Compressor | null = null;
  /** What has come so far of a body that may be compressed at once; null: it will not be. */
  #gathered: Buffer[] | null;
  #gatheredBytes = 0;
  #sink: TransformSink | null = null;
  #paused = false;
  /** write() said false; transformDrained is owed. */
  #full = false;
  #closed = false;
  #flushTimer: NodeJS.Timeout | null = null;

  /** Takes a slot, and gives it back when the body has ended, failed or was destroyed. */
  constructor(encoding: Encoding, level: number, slots: Slots) {
    this.#encoding = encoding;
    this.#level = level;
    this.#slots = slots;
    this.#gathered = level <= AT_ONCE_LEVEL_MAX[encoding] ? [] : null;
    slots.used++;
  }

  attach(sink: TransformSink): void {
    this.#sink = sink;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#closed || chunk.byteLength === 0) return !this.#full;
    this.#flushTimer ??= setTimeout(this.#flush, FLUSH_AFTER_MS);
    const copy = Buffer.from(chunk); // compressed later; the chunk is lent
    if (this.#gathered !== null && this.#gatheredBytes + copy.byteLength <= AT_ONCE_BYTES_MAX) {
      this.#gathered.push(copy);
      this.#gatheredBytes += copy.byteLength;
      return true;
    }
    this.#full = !this.#opened().write(copy);
    return !this.#full;
  }

  end(): void {
    if (this.#closed) return;
    this.#stopFlushing();
    if (this.#gathered === null) this.#opened().end();
    else this.#finishAtOnce(this.#gathered);
  }

  #finishAtOnce(gathered: readonly Buffer[]): void {
    let compressed: Buffer;
    try {
      compressed = compressAtOnce(this.#encoding, this.#level, Buffer.concat(gathered));
    } catch (error) {
      this.#close();
      this.#sink?.transformFailed(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#close();
    this.#sink?.transformed(compressed);
    this.#sink?.transformEnded();
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#stream?.resume();
  }

  destroy(): void {
    this.#close();
    this.#stream?.destroy();
  }

  #opened(): Compressor {
    if (this.#stream !== null) return this.#stream;
    const stream = open(this.#encoding, this.#level);
    this.#stream = stream;
    stream.on("data", (chunk: Buffer) => {
      if (!this.#closed) this.#sink?.transformed(chunk);
    });
    stream.on("drain", () => {
      if (this.#closed || !this.#full) return;
      this.#full = false;
      this.#sink?.transformDrained();
    });
    stream.on("end", () => {
      if (this.#close()) this.#sink?.transformEnded();
    });
    stream.on("error", (error: Error) => {
      if (this.#close()) this.#sink?.transformFailed(error);
    });
    if (this.#paused) stream.pause();
    for (const each of this.#gathered ?? []) stream.write(each);
    this.#gathered = null;
    return stream;
  }

  readonly #flush = (): void => {
    this.#flushTimer = null;
    this.#opened().flush(flushMode(this.#encoding));
  };

  #stopFlushing(): void {
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    this.#flushTimer = null;
  }

  /** @returns true the first time */
  #close(): boolean {
    if (this.#closed) return false;
    this.#closed = true;
    this.#stopFlushing();
    this.#gathered = null;
    this.#slots.used--;
    return true;
  }
}
