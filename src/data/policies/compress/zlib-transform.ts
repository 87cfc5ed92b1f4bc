// Owns one response body on its way through a compressor of node:zlib: backpressure, flushing, and the end of the native handle.

import type { BrotliCompress, Gzip, ZstdCompress } from "node:zlib";
import type { BodyTransform } from "../../exchange.ts";
import type { Encoding } from "./config.ts";

/** Bytes that came in are sent on after this many ms at the latest, also when the block is not full: a slow stream is never held. */
const FLUSH_AFTER_MS = 20;
/** Window sizes as powers of two: 256 KiB keeps one response's native memory near 1 MiB (the libraries' defaults take up to 8 MiB). */
const WINDOW_BITS = 18;

type Compressor = Gzip | BrotliCompress | ZstdCompress;
type Sink = Parameters<BodyTransform["attach"]>[0];

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

function open(encoding: Encoding, level: number): Compressor {
  const { constants, createBrotliCompress, createGzip, createZstdCompress } = zlib();
  switch (encoding) {
    case "gzip":
      return createGzip({ level });
    case "br":
      return createBrotliCompress({
        params: { [constants.BROTLI_PARAM_QUALITY]: level, [constants.BROTLI_PARAM_LGWIN]: WINDOW_BITS },
      });
    case "zstd":
      return createZstdCompress({
        params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: WINDOW_BITS },
      });
  }
}

/** A {@link BodyTransform} that compresses. Holds at most one chunk of input and 64 KiB of output while the client is slow. */
export class ZlibTransform implements BodyTransform {
  readonly #encoding: Encoding;
  readonly #level: number;
  readonly #slots: Slots;
  /** Opened by the first byte, so that a response that never starts costs no native memory. */
  #stream: Compressor | null = null;
  #sink: Sink | null = null;
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
    slots.used++;
  }

  attach(sink: Sink): void {
    this.#sink = sink;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#closed || chunk.byteLength === 0) return !this.#full;
    this.#flushTimer ??= setTimeout(this.#flush, FLUSH_AFTER_MS);
    this.#full = !this.#opened().write(Buffer.from(chunk)); // compressed in another thread, later; the chunk is lent
    return !this.#full;
  }

  end(): void {
    if (this.#closed) return;
    this.#stopFlushing();
    this.#opened().end();
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
    return stream;
  }

  readonly #flush = (): void => {
    this.#flushTimer = null;
    this.#stream?.flush(flushMode(this.#encoding));
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
    this.#slots.used--;
    return true;
  }
}
