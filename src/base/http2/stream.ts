// Owns one stream of a connection (RFC 9113 section 5): its windows, what waits to be sent, and what came while its reader was paused.
// Whoever uses streams extends this. Must never hold more than a window of what comes, and of what goes only what its user was told to stop at.
import type { HeaderList } from "../header-list.ts";
import type { HeaderSection } from "./header-section.ts";
import { ERROR_CODE } from "./protocol.ts";

/** What a stream needs of its connection. */
export interface StreamCarrier {
  /** @returns how many of these bytes may be sent now, of what the windows and the wire take */
  sendable(stream: Http2Stream, bytes: number): number;
  /** @param to at most what sendable() gave behind `from` */
  sendData(stream: Http2Stream, chunk: Buffer, range: { readonly from: number; readonly to: number; readonly end: boolean }): void;
  sendTrailers(stream: Http2Stream, trailers: HeaderList): void;
  /** It has something to send that its windows or the wire do not take now. */
  waitToSend(stream: Http2Stream): void;
  sendReset(stream: Http2Stream, code: number): void;
  /** @param bytes held more (or less) by a stream whose reader is paused */
  held(bytes: number): void;
  returnWindow(stream: Http2Stream): void;
}

/** Why a stream ended before its end. */
export interface StreamReset {
  /** RFC 9113 section 7. */
  readonly code: number;
  /**
   * `peer`: RST_STREAM came. `fault`: the peer broke a rule on this stream, and it was reset by us. `unprocessed`: the peer's GOAWAY says that it never looked
   * at it. `lost`: the connection ended.
   */
  readonly kind: "peer" | "fault" | "unprocessed" | "lost";
  /** For the log. */
  readonly reason: string;
}

const NO_CHUNKS: Buffer[] = [];

export abstract class Http2Stream {
  /** 0 before it is opened. */
  id = 0;
  /** @internal */ carrier: StreamCarrier = NOWHERE;
  /** @internal Bytes that may be sent; below 0 after the peer made windows smaller. */ sendWindow = 0;
  /** @internal Bytes that the peer may send. */ receiveWindow = 0;
  /** @internal Bytes that came and were not given back. */ unreturned = 0;
  /** END_STREAM has been sent. */
  localEnded = false;
  /** END_STREAM has come; what came before it may still wait for a paused reader. */
  remoteEnded = false;
  /** Reset, or ended on both sides. */
  closed = false;
  /** @internal The head of the peer's message has come. */ headCame = false;
  /** @internal Informational responses that came. */ interim = 0;
  /** @internal Waits in its connection's line. */ awaitsTurn = false;
  /** Bytes that the body must have by Content-Length; -1 for any. Where a response has none by its nature, whoever takes its head sets -1. */
  lengthExpected = -1;
  /** Bytes of content that came. */
  received = 0;
  /** Nothing more of what comes is wanted. */
  private ignores = false;
  private paused = false;
  private inbox = NO_CHUNKS;
  private inboxTrailers: HeaderSection | null = null;
  private endWaits = false;
  private outbox = NO_CHUNKS;
  /** Of the first chunk in the outbox, what has been sent. */
  private outboxAt = 0;
  private endPending = false;
  private trailersPending: HeaderList | null = null;

  // --- What its user takes. Nothing comes after reset(), and nothing after onEnd() or onReset(). ---

  /** A request's head, or a response's, 1xx included. @param section read only, and perhaps shared @param ended there is no content */
  abstract onHead(section: HeaderSection, ended: boolean): void;
  /** @param chunk lent. Counts as taken unless pause() is called. */
  abstract onData(chunk: Buffer): void;
  /** END_STREAM. @param trailers null for none */
  abstract onEnd(trailers: HeaderSection | null): void;
  abstract onReset(reset: StreamReset): void;
  /** After write() gave false: all of it is on its way. */
  abstract onDrained(): void;

  // --- What its user does ---

  /** Nothing is delivered until resume(); the peer is held back by its window. */
  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    while (this.inbox.length > 0 && !this.paused) {
      const chunk = this.inbox.shift() as Buffer; // one is there
      this.carrier.held(-chunk.length);
      this.onData(chunk);
    }
    if (this.paused) return;
    if (this.endWaits) this.deliverEnd();
    else if (!this.closed) this.carrier.returnWindow(this);
  }

  /**
   * Sends content after the head.
   * @param lent the chunk is valid only during the call: what cannot be sent at once is copied
   * @returns false when some of it waits: nothing more until onDrained()
   */
  write(chunk: Buffer, lent: boolean): boolean {
    if (this.closed || this.localEnded || chunk.length === 0) return true;
    let from = 0;
    if (this.outbox.length === 0) {
      while (from < chunk.length) {
        const n = this.carrier.sendable(this, chunk.length - from);
        if (n === 0) break;
        this.carrier.sendData(this, chunk, { from, to: from + n, end: false });
        from += n;
      }
      if (from === chunk.length) return true;
    }
    const rest = from === 0 ? chunk : chunk.subarray(from);
    if (this.outbox === NO_CHUNKS) this.outbox = [];
    this.outbox.push(lent ? Buffer.from(rest) : rest);
    this.carrier.waitToSend(this);
    return false;
  }

  /** Sends the last of the content, and END_STREAM with it. */
  writeLast(chunk: Buffer, lent: boolean): void {
    if (this.closed || this.localEnded) return;
    if (this.outbox.length === 0) {
      const n = this.carrier.sendable(this, chunk.length);
      if (n === chunk.length) return this.carrier.sendData(this, chunk, { from: 0, to: n, end: true });
    }
    this.write(chunk, lent);
    this.end(null);
  }

  /** Sends END_STREAM when all that was written is on its way. @param trailers null or empty for none */
  end(trailers: HeaderList | null): void {
    if (this.closed || this.localEnded || this.endPending) return;
    if (trailers !== null && trailers.length > 0) this.trailersPending = trailers;
    if (this.outbox.length === 0) this.sendEnd();
    else this.endPending = true;
  }

  /**
   * Nothing more of the peer's content is wanted, though our own goes on: what comes is dropped and given back, and where END_STREAM has not come when ours
   * goes, RST_STREAM(NO_ERROR) follows it (RFC 9113 section 8.1). Neither onData() nor onEnd() is called from here on.
   */
  ignoreRest(): void {
    this.ignores = true;
    this.letGo();
    if (this.localEnded) this.reset(ERROR_CODE.noError);
    else if (!this.closed) this.carrier.returnWindow(this);
  }

  /** Ends it at once, both ways. No call comes any more. Idempotent. */
  reset(code: number): void {
    if (this.closed) {
      this.drop(); // it may still have something for its reader
      return;
    }
    this.carrier.sendReset(this, code);
    this.drop();
  }

  /** As new: to be opened once more, elsewhere. After onReset(), of a stream that nothing came on. */
  renew(): void {
    this.id = this.received = this.unreturned = this.outboxAt = this.interim = 0;
    this.localEnded = this.remoteEnded = this.closed = this.headCame = this.awaitsTurn = this.ignores = this.paused = false;
    this.lengthExpected = -1;
    this.trailersPending = null;
  }

  // --- Connection ---

  /** @internal */
  accept(buffer: Buffer, from: number, to: number): void {
    if (this.ignores) return;
    if (!this.paused && this.inbox.length === 0) return this.onData(buffer.subarray(from, to));
    if (this.inbox === NO_CHUNKS) this.inbox = [];
    this.inbox.push(Buffer.from(buffer.subarray(from, to)));
    this.carrier.held(to - from);
  }

  /** @internal */
  acceptEnd(trailers: HeaderSection | null): void {
    if (this.ignores) return;
    this.inboxTrailers = trailers;
    if (this.paused || this.inbox.length > 0) this.endWaits = true;
    else this.deliverEnd();
  }

  /** @internal The peer may send on: what came has been taken. */
  get takes(): boolean {
    return this.ignores || (!this.paused && this.inbox.length === 0);
  }

  /** @internal Something waits to be sent. */
  get waits(): boolean {
    return this.outbox.length > 0;
  }

  /** Content that was written and has not been sent. */
  get waitingBytes(): number {
    let bytes = -this.outboxAt;
    for (const chunk of this.outbox) bytes += chunk.length;
    return bytes;
  }

  /** @internal Sends some of what waits: a frame at most. @returns whether anything could be sent */
  sendSome(): boolean {
    const chunk = this.outbox[0];
    if (chunk === undefined) return false;
    const n = this.carrier.sendable(this, chunk.length - this.outboxAt);
    if (n === 0) return false;
    const from = this.outboxAt;
    const to = from + n;
    const whole = to === chunk.length;
    const last = whole && this.outbox.length === 1;
    if (whole) this.outbox.shift();
    this.outboxAt = whole ? 0 : to;
    this.carrier.sendData(this, chunk, { from, to, end: last && this.endPending && this.trailersPending === null });
    if (!last) return true;
    if (!this.endPending) this.onDrained();
    else if (!this.localEnded) this.sendEnd();
    return true;
  }

  /** @internal Nothing more will come or go. */
  drop(): void {
    this.stopSending();
    this.letGo();
  }

  /** @internal Nothing more goes; what came is still delivered. */
  stopSending(): void {
    this.closed = true;
    this.outbox = NO_CHUNKS;
    this.endPending = false;
  }

  /** @internal END_STREAM of ours has gone. @returns whether the peer is to stop sending */
  get stopsPeer(): boolean {
    return this.ignores && !this.remoteEnded;
  }

  /** What came and was not delivered. */
  private letGo(): void {
    let bytes = 0;
    for (const chunk of this.inbox) bytes += chunk.length;
    this.inbox = NO_CHUNKS;
    this.endWaits = false;
    if (bytes > 0) this.carrier.held(-bytes);
  }

  private deliverEnd(): void {
    this.endWaits = false;
    const trailers = this.inboxTrailers;
    this.inboxTrailers = null;
    this.onEnd(trailers);
  }

  private sendEnd(): void {
    const trailers = this.trailersPending;
    this.endPending = false;
    this.trailersPending = null;
    if (trailers !== null) this.carrier.sendTrailers(this, trailers);
    else this.carrier.sendData(this, EMPTY, { from: 0, to: 0, end: true });
  }
}

const EMPTY = Buffer.alloc(0);

const nothing = (): void => {};
const NOWHERE: StreamCarrier = {
  sendable: () => 0,
  sendData: nothing,
  sendTrailers: nothing,
  waitToSend: nothing,
  sendReset: nothing,
  held: nothing,
  returnWindow: nothing,
};

/** The peer has not looked at it, so that it may be sent again whatever it is (RFC 9113 section 8.7). */
export const isUnprocessed = ({ code, kind }: StreamReset): boolean =>
  kind === "unprocessed" || (kind === "peer" && code === ERROR_CODE.refusedStream);
