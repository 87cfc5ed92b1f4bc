// The request body on its way upstream: collected when it is small and its length is known, else streamed with backpressure once its first part is
// there. Keeps the first bytes for a replay. Must never hold more than its bounds, and never read on while nobody takes what there is.
import { Readable } from "node:stream";
import type { ErrorCode } from "../../../base/errors.ts";
import type { HeaderList } from "../../../base/header-list.ts";
import type { BodySource, BodySourceOwner } from "../../upstream/call-request.ts";
import { BODY_CHUNKED, BODY_NONE, type BodySink, type Exchange } from "../exchange.ts";
import { upstreamTrailers } from "../upstream-headers.ts";
import { NO_ROOM } from "./body-limits.ts";
import type { WatchedBody } from "./body-watch.ts";

/** Bytes of a streamed body waiting for a slow upstream before the client is paused. */
const STREAM_BYTES_MAX = 64 * 1024;

export class RequestBody implements BodySource, BodySink, WatchedBody {
  /** The whole body can be sent again. */
  replayable = true;
  readonly x: Exchange;
  /** The client is not held back. */
  reading = true;
  /** Set by begin(). */
  private owner: BodySourceOwner = NOBODY;
  private readonly limit: number;
  private readonly keepBytes: number;
  private readonly collects: boolean;
  private chunks: Buffer[] = [];
  private received = 0;
  /** Bytes that the upstream took and that are still held. */
  private takenBytes = 0;
  private complete: boolean;
  private whole: Buffer | null = null;
  private stream: BodyStream | null = null;

  /** @param keepBytes up to how many bytes a body is kept for a replay @param limit largest body accepted */
  constructor(x: Exchange, bounds: { readonly keepBytes: number; readonly limit: number }) {
    this.x = x;
    this.limit = bounds.limit;
    this.keepBytes = bounds.keepBytes;
    this.whole = x.bufferedBody;
    this.complete = x.bodyKind === BODY_NONE || this.whole !== null;
    this.collects = x.bodyKind !== BODY_CHUNKED && x.contentLength <= bounds.keepBytes;
  }

  /** A body that is sent as a whole, with its length, has no place for them. */
  get trailers(): (() => HeaderList | null) | null {
    return this.x.bodyKind === BODY_CHUNKED ? () => upstreamTrailers(this.x) : null;
  }

  /** -1 when it is chunked, whatever has come of it. */
  get contentLength(): number {
    return this.x.contentLength;
  }

  /** @returns true when the attempt can start now; false: bodyReady() follows. */
  begin(owner: BodySourceOwner): boolean {
    this.owner = owner;
    if (this.complete) return true;
    this.x.readBody(this);
    if (this.complete) return true;
    this.x.runtime.services.bodies.watch(this);
    return this.received > 0 && !this.collects;
  }

  /** Body for one attempt; a new one each time. */
  forAttempt(): Buffer | Readable | null {
    if (this.x.bodyKind === BODY_NONE) return null;
    if (this.collects || (this.complete && this.replayable && this.x.requestTrailers === null))
      return (this.whole ??= this.chunks.length === 1 ? (this.chunks[0] as Buffer) : Buffer.concat(this.chunks));
    const kept = this.chunks;
    const stream = new BodyStream(this, this.owner, { first: this.replayable ? kept.slice() : kept, complete: this.complete });
    if (!this.replayable) this.chunks = [];
    this.stream = stream;
    return stream;
  }

  /** The attempt is over; what arrives before the next one waits here. */
  detach(): void {
    this.stream = null;
    this.takenBytes = 0; // the next one begins anew
    if (!this.complete && !this.collects) this.pause();
  }

  /** Holds the client back. */
  pause(): void {
    if (!this.reading) return;
    this.reading = false;
    this.x.bodyWatch?.paused();
    this.x.pauseBody();
  }

  resume(): void {
    if (this.reading) return;
    this.reading = true;
    this.x.bodyWatch?.resumed();
    this.x.resumeBody();
  }

  /** The upstream took some: it is held no longer, unless it may have to be sent again. */
  taken(bytes: number): void {
    this.takenBytes += bytes;
    if (!this.replayable) this.letGoOfTaken();
    this.owner.bodyProgress();
  }

  private letGoOfTaken(): void {
    const { x, takenBytes } = this;
    this.takenBytes = 0;
    if (takenBytes > 0 && !x.finished) x.runtime.services.bodies.letGo(x, takenBytes);
  }

  bodyRefused(code: ErrorCode, detail: string): void {
    this.owner.bodyRefused(code, detail);
  }

  /** The client is paused because the upstream does not take the body. */
  get stalledByUpstream(): boolean {
    return this.stream !== null && !this.reading;
  }

  /** All of it has been received from the client. */
  get done(): boolean {
    return this.complete;
  }

  bodyChunk(chunk: Buffer, last: boolean): void {
    const { x, owner } = this;
    if (x.finished) return;
    this.received += chunk.length;
    if (this.received > this.limit) return owner.bodyRefused("body_too_large", `the limit is ${this.limit} bytes`);
    if (!x.runtime.services.bodies.hold(x, chunk.length)) return owner.bodyRefused("overloaded", NO_ROOM);
    x.bodyWatch?.moved();
    if (last) {
      this.complete = true;
      x.runtime.services.bodies.arrived(x);
    }
    this.keep(chunk);
    if (this.collects) {
      if (last) owner.bodyReady();
      return;
    }
    if (this.stream !== null) this.stream.feed(chunk, last);
    else if (last || this.received > 0) {
      this.pause(); // until the upstream takes it
      owner.bodyReady();
    }
    owner.bodyProgress();
  }

  /** Holds a chunk while it may be needed again, or while there is no attempt to take it. */
  private keep(chunk: Buffer): void {
    if (this.replayable && !this.collects && this.received > this.keepBytes) {
      this.replayable = false;
      this.letGoOfTaken();
      if (this.stream !== null) this.chunks = []; // the stream has them already
    }
    if (chunk.length > 0 && (this.replayable || this.stream === null)) this.chunks.push(chunk);
  }
}

/** Readable side for the upstream client: pauses the HTTP client when too much is waiting. */
class BodyStream extends Readable {
  /** Readable has asked for more. */
  private wanted = false;
  private readonly body: RequestBody;
  private readonly owner: BodySourceOwner;
  private first: Buffer[] | null;
  private complete: boolean;

  constructor(body: RequestBody, owner: BodySourceOwner, begin: { readonly first: Buffer[]; readonly complete: boolean }) {
    super({ highWaterMark: STREAM_BYTES_MAX });
    this.body = body;
    this.owner = owner;
    this.first = begin.first;
    this.complete = begin.complete;
    this.on("error", ignore); // the attempt reports it
  }

  feed(chunk: Buffer, last: boolean): void {
    if (this.destroyed) return;
    this.flushFirst();
    if (chunk.length > 0 && !this.push(chunk)) this.body.pause();
    if (last) {
      this.complete = true;
      this.push(null);
    }
  }

  override _read(): void {
    this.flushFirst();
    this.wanted = true;
    this.askClient();
  }

  override read(size?: number): unknown {
    const chunk = super.read(size) as Buffer | null; // no encoding is set
    if (chunk !== null) this.body.taken(chunk.length);
    this.askClient();
    return chunk;
  }

  /** Readable asks for more before it has given away what it holds; a client that sends in large pieces would then outrun the upstream. */
  private askClient(): void {
    if (!this.wanted || this.complete || this.readableLength >= STREAM_BYTES_MAX) return;
    this.wanted = false;
    if (this.body.reading) return;
    this.body.resume();
    this.owner.bodyProgress(); // from now on it is the client that is waited for
  }

  private flushFirst(): void {
    const first = this.first;
    if (first === null) return;
    this.first = null;
    for (const chunk of first) this.push(chunk);
    if (this.complete) this.push(null);
  }
}

const ignore = (): void => {};
const NOBODY: BodySourceOwner = { bodyReady: ignore, bodyProgress: ignore, bodyRefused: ignore };
