// Owns reading a whole request body within bounds and holding it to its Content-Digest (RFC 9530). Only for requests whose signature was right,
// so that strangers make nobody buffer. Must never leave a reader waiting: a client that goes or stalls ends it.
import { hash, timingSafeEqual } from "node:crypto";
import { type TimerWheel, WheelEntry } from "../../../../base/timer-wheel.ts";
import type { BodySink, Exchange } from "../../../exchange.ts";
import { parseByteSequences } from "./structured-fields.ts";

/** Bytes of bodies being read in one worker, all together. */
const BUFFERED_BYTES_MAX = 64 * 1024 ** 2;
/** How often it is looked whether the client is still there, ms. */
const LOOK_MS = 500;

/** Digests of a body that are both strong and known; all that are given must fit. */
const ALGORITHMS: Readonly<Record<string, string>> = { "sha-256": "sha256", "sha-512": "sha512" };

/** What a Content-Digest demands; at least one. */
export type Digests = readonly { readonly algorithm: string; readonly expected: Buffer }[];

/** @returns null when there is no digest that can be relied on */
export function parseContentDigest(text: string): Digests | null {
  const given = parseByteSequences(text);
  if (given === null) return null;
  const digests = [...given].flatMap(([key, expected]) => {
    const algorithm = Object.hasOwn(ALGORITHMS, key) ? ALGORITHMS[key] : undefined;
    return algorithm === undefined ? [] : [{ algorithm, expected }];
  });
  return digests.length === 0 ? null : digests;
}

export function digestsFit(body: Buffer, digests: Digests): boolean {
  return digests.every(({ algorithm, expected }) => {
    const actual = hash(algorithm, body, "buffer");
    return actual.length === expected.length && timingSafeEqual(actual, expected);
  });
}

/** Why there is no body. */
export type BodyFailure = "too large" | "too slow" | "no room";

/** Reads the body into `x.bufferedBody`. Once for an exchange. @returns null when it is there */
export function bufferBody(x: Exchange, bytesMax: number): Promise<BodyFailure | null> {
  return new Promise((resolve) => new BodyReader(x, bytesMax, resolve).begin());
}

let bufferedBytes = 0;

class BodyReader extends WheelEntry implements BodySink {
  private readonly x: Exchange;
  private readonly wheel: TimerWheel;
  private readonly bytesMax: number;
  private readonly resolve: (failure: BodyFailure | null) => void;
  private readonly chunks: Buffer[] = [];
  private bytes = 0;
  private lastMs = performance.now();
  private over = false;

  constructor(x: Exchange, bytesMax: number, resolve: (failure: BodyFailure | null) => void) {
    super();
    this.x = x;
    this.wheel = x.runtime.services.wheel;
    this.bytesMax = bytesMax;
    this.resolve = resolve;
  }

  begin(): void {
    if (this.x.contentLength > this.bytesMax) return this.end("too large");
    this.wheel.arm(this, LOOK_MS);
    this.x.readBody(this);
  }

  bodyChunk(chunk: Buffer, last: boolean): void {
    if (this.over) return;
    this.bytes += chunk.length;
    bufferedBytes += chunk.length;
    this.lastMs = performance.now();
    if (this.bytes > this.bytesMax) return this.end("too large");
    if (bufferedBytes > BUFFERED_BYTES_MAX) return this.end("no room");
    if (chunk.length > 0) this.chunks.push(chunk);
    if (!last) return;
    const [only] = this.chunks;
    this.x.bufferedBody = only !== undefined && this.chunks.length === 1 ? only : Buffer.concat(this.chunks);
    this.end(null);
  }

  onDeadline(): void {
    // Nobody else is told yet that the client went away.
    if (this.x.closed || performance.now() - this.lastMs > this.x.runtime.limits.bodyTimeoutMs) this.end("too slow");
    else this.wheel.arm(this, LOOK_MS);
  }

  private end(failure: BodyFailure | null): void {
    this.over = true;
    this.wheel.disarm(this);
    bufferedBytes -= this.bytes;
    this.resolve(failure);
  }
}
