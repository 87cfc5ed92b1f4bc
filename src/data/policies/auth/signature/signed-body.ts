// Owns reading a whole request body within bounds and holding it to its Content-Digest (RFC 9530). Only for requests whose signature was right,
// so that strangers make nobody buffer. Must never leave a reader waiting: a client that goes or stalls ends it.
import { hash, timingSafeEqual } from "node:crypto";
import type { ErrorCode } from "../../../../base/errors.ts";
import { type TimerWheel, WheelEntry } from "../../../../base/timer-wheel.ts";
import { NO_ROOM } from "../../../exchange/body/body-limits.ts";
import type { WatchedBody } from "../../../exchange/body/body-watch.ts";
import type { BodySink, Exchange } from "../../../exchange/exchange.ts";
import { overloaded } from "../../../exchange/overload.ts";
import type { Refusal } from "../../../exchange/refusal.ts";
import { parseByteSequences } from "./structured-fields.ts";

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

/** Reads the body into `x.bufferedBody`. Once for an exchange. @returns null when it is there, else why it is not */
export function bufferBody(x: Exchange, bytesMax: number): Promise<Refusal | null> {
  return new Promise((resolve) => new BodyReader(x, bytesMax, resolve).begin());
}

class BodyReader extends WheelEntry implements BodySink, WatchedBody {
  readonly x: Exchange;
  readonly reading = true;
  private readonly wheel: TimerWheel;
  private readonly bytesMax: number;
  private readonly resolve: (failure: Refusal | null) => void;
  private readonly chunks: Buffer[] = [];
  private bytes = 0;
  private over = false;

  constructor(x: Exchange, bytesMax: number, resolve: (failure: Refusal | null) => void) {
    super();
    this.x = x;
    this.wheel = x.runtime.services.wheel;
    this.bytesMax = bytesMax;
    this.resolve = resolve;
  }

  begin(): void {
    if (this.x.contentLength > this.bytesMax) return this.tooLarge();
    this.wheel.arm(this, LOOK_MS);
    this.x.readBody(this);
    if (!this.over) this.x.runtime.services.bodies.watch(this);
  }

  bodyChunk(chunk: Buffer, last: boolean): void {
    if (this.over) return;
    const { x } = this;
    const { bodies } = x.runtime.services;
    this.bytes += chunk.length;
    if (this.bytes > this.bytesMax) return this.tooLarge();
    if (!bodies.hold(x, chunk.length)) return this.end(overloaded(x, "bodies", NO_ROOM));
    x.bodyWatch?.moved();
    if (chunk.length > 0) this.chunks.push(chunk);
    if (!last) return;
    bodies.arrived(x);
    const [only] = this.chunks;
    x.bufferedBody = only !== undefined && this.chunks.length === 1 ? only : Buffer.concat(this.chunks);
    this.end(null);
  }

  bodyRefused(code: ErrorCode, detail: string): void {
    if (!this.over) this.end({ code, detail });
  }

  /** Nobody else is told yet that the client went away. */
  onDeadline(): void {
    if (this.x.closed) this.bodyRefused("request_timeout", "");
    else this.wheel.arm(this, LOOK_MS);
  }

  private tooLarge(): void {
    this.bodyRefused("body_too_large", `a signed body may have ${this.bytesMax} bytes`);
  }

  private end(failure: Refusal | null): void {
    this.over = true;
    this.wheel.disarm(this);
    this.resolve(failure);
  }
}
