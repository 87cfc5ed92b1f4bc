// The request body on its way upstream: collected when it is small and its length is known, streamed with backpressure
// otherwise. Keeps the first bytes for a replay. Must never hold more than its bounds.
import { Readable } from "node:stream";
import { BODY_CHUNKED, BODY_NONE, type BodySink, type Exchange } from "../exchange.ts";

/** Bytes of a streamed body waiting for a slow upstream before the client is paused. */
const STREAM_BYTES_MAX = 64 * 1024;

/** Told about the body's fate. */
export interface RequestBodyOwner {
  /** Collected: the attempt may start. */
  bodyReady(): void;
  /** The client sent more, or the upstream took more: slow perhaps, but not stuck. */
  bodyProgress(): void;
  /** Larger than the route allows. */
  bodyTooLarge(): void;
}

export class RequestBody implements BodySink {
  /** The whole body can be sent again. */
  replayable = true;
  private readonly x: Exchange;
  private readonly owner: RequestBodyOwner;
  private readonly limit: number;
  private readonly keepBytes: number;
  private readonly collects: boolean;
  private chunks: Buffer[] = [];
  private received = 0;
  private complete: boolean;
  private whole: Buffer | null = null;
  private stream: BodyStream | null = null;

  /** @param keepBytes up to how many bytes a body is kept for a replay @param limit largest body accepted */
  constructor(x: Exchange, owner: RequestBodyOwner, bounds: { readonly keepBytes: number; readonly limit: number }) {
    this.x = x;
    this.owner = owner;
    this.limit = bounds.limit;
    this.keepBytes = bounds.keepBytes;
    this.whole = x.bufferedBody;
    this.complete = x.bodyKind === BODY_NONE || this.whole !== null;
    this.collects = x.bodyKind !== BODY_CHUNKED && x.contentLength <= bounds.keepBytes;
  }

  /** @returns true when the attempt can start now; false: bodyReady() follows. */
  begin(): boolean {
    if (this.complete) return true;
    this.x.readBody(this);
    return this.complete || !this.collects;
  }

  /** Body for one attempt; a new one each time. */
  forAttempt(): Buffer | Readable | null {
    if (this.x.bodyKind === BODY_NONE) return null;
    if (this.collects || (this.complete && this.replayable))
      return (this.whole ??= this.chunks.length === 1 ? (this.chunks[0] as Buffer) : Buffer.concat(this.chunks));
    const kept = this.chunks;
    const stream = new BodyStream(this.x, this.owner, { first: this.replayable ? kept.slice() : kept, complete: this.complete });
    if (!this.replayable) this.chunks = [];
    this.stream = stream;
    return stream;
  }

  /** The attempt is over; what arrives before the next one waits here. */
  detach(): void {
    this.stream = null;
    if (!this.complete && !this.collects) this.x.pauseBody();
  }

  /** The client is paused because the upstream does not take the body. */
  get stalledByUpstream(): boolean {
    return this.stream?.stalled ?? false;
  }

  /** All of it has been received from the client. */
  get done(): boolean {
    return this.complete;
  }

  bodyChunk(chunk: Buffer, last: boolean): void {
    this.received += chunk.length;
    if (this.received > this.limit) return this.owner.bodyTooLarge();
    if (last) this.complete = true;
    this.keep(chunk);
    if (this.collects) {
      if (last) this.owner.bodyReady();
      return;
    }
    if (this.stream !== null) this.stream.feed(chunk, last);
    else this.x.pauseBody();
    this.owner.bodyProgress();
  }

  /** Holds a chunk while it may be needed again, or while there is no attempt to take it. */
  private keep(chunk: Buffer): void {
    if (this.replayable && !this.collects && this.received > this.keepBytes) {
      this.replayable = false;
      if (this.stream !== null) this.chunks = []; // the stream has them already
    }
    if (chunk.length > 0 && (this.replayable || this.stream === null)) this.chunks.push(chunk);
  }
}

/** Readable side for the upstream client: pauses the HTTP client when too much is waiting. */
class BodyStream extends Readable {
  stalled = false;
  /** Readable has asked for more. */
  private wanted = false;
  private readonly x: Exchange;
  private readonly owner: RequestBodyOwner;
  private first: Buffer[] | null;
  private complete: boolean;

  constructor(x: Exchange, owner: RequestBodyOwner, begin: { readonly first: Buffer[]; readonly complete: boolean }) {
    super({ highWaterMark: STREAM_BYTES_MAX });
    this.x = x;
    this.owner = owner;
    this.first = begin.first;
    this.complete = begin.complete;
    this.on("error", ignore); // the attempt reports it
  }

  feed(chunk: Buffer, last: boolean): void {
    if (this.destroyed) return;
    this.flushFirst();
    if (chunk.length > 0 && !this.push(chunk)) {
      this.stalled = true;
      this.x.pauseBody();
    }
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
    const chunk: unknown = super.read(size);
    if (chunk !== null) this.owner.bodyProgress();
    this.askClient();
    return chunk;
  }

  /** Readable asks for more before it has given away what it holds; a client that sends in large pieces would then outrun the upstream. */
  private askClient(): void {
    if (!this.wanted || this.complete || this.readableLength >= STREAM_BYTES_MAX) return;
    this.wanted = false;
    const stalled = this.stalled;
    this.stalled = false;
    this.x.resumeBody();
    if (stalled) this.owner.bodyProgress(); // from now on it is the client that is waited for
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
