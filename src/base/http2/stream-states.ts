// Owns the streams of a connection and their states (RFC 9113 section 5.1), and the receiving half of flow control (section 5.2): what DATA does, who holds what
// of it, and when windows are given back. Must never read a frame of another kind.
import type { Http2Wire } from "./frame-writer.ts";
import type { HeaderSection } from "./header-section.ts";
import type { Http2Bounds, Http2Host } from "./http2-host.ts";
import { Outgoing } from "./outgoing.ts";
import { ERROR_CODE, FLAG_END_STREAM, STREAM_ID_MAX } from "./protocol.ts";
import { RateMeter } from "./rate-meter.ts";
import { RecentIds } from "./recent-ids.ts";
import type { Http2Stream, StreamReset } from "./stream.ts";

export abstract class StreamStates extends Outgoing {
  /** Those that are not over, by identifier. */
  readonly streams = new Map<number, Http2Stream>();
  /** The connection is of no more use: it failed, or its wire is gone. */
  over = false;
  /** GOAWAY has come: no stream may be opened. */
  goingAway = false;
  /** GOAWAY has been sent. */
  draining = false;
  protected readonly host: Http2Host;
  protected readonly isServer: boolean;
  protected readonly bounds: Http2Bounds;
  /** Frames that carry nothing for a stream. */
  protected readonly controlFrames: RateMeter;
  protected readonly resets: RateMeter;
  /** Streams that were reset by us: what was under way to them is no fault. */
  protected readonly resetIds = new RecentIds();
  protected nowMs = 0;
  protected nextId: number;
  /** The highest of the peer's streams that was looked at. */
  protected lastPeerId = 0;
  /** Beyond it nothing is looked at: our last GOAWAY said so. */
  protected lastAcceptedId = STREAM_ID_MAX;
  protected peerStreams = 0;
  private receiveWindow: number;
  private unreturned = 0;
  private heldBytes = 0;
  protected replyBytes = 0;
  protected settingsCame = false;
  // The DATA frame that is being read.
  private dataStream: Http2Stream | null = null;
  private dataFlags = 0;

  constructor(host: Http2Host, wire: Http2Wire, { isServer, bounds }: { readonly isServer: boolean; readonly bounds: Http2Bounds }) {
    super(wire);
    this.host = host;
    this.isServer = isServer;
    this.bounds = bounds;
    this.resets = new RateMeter(bounds.resetsBurst, bounds.resetsPerSecond);
    this.controlFrames = new RateMeter(bounds.controlFramesBurst, bounds.controlFramesPerSecond);
    this.nextId = isServer ? 2 : 1;
    this.receiveWindow = bounds.connectionWindowBytes;
  }

  /** Ends the connection now, for a reason that is an error's. */
  abstract fail(code: number, reason: string): void;
  /** Nothing is read any more. */
  protected abstract stop(): void;
  /** A field block is cut: its end is awaited. */
  abstract get cutBlockId(): number;

  /** @returns false when there are too many, and the connection has failed */
  protected countControlFrame(): boolean {
    if (this.controlFrames.take(this.nowMs)) return true;
    this.fail(ERROR_CODE.enhanceYourCalm, "too many frames that carry nothing");
    return false;
  }

  // --- DATA (RFC 9113 section 6.1) ---

  dataBegins(flags: number, id: number, length: number): void {
    if (!this.settingsCame || this.cutBlockId !== 0 || id === 0) return this.fail(ERROR_CODE.protocolError, "DATA where it must not be");
    this.receiveWindow -= length;
    if (this.receiveWindow < 0) return this.fail(ERROR_CODE.flowControlError, "more DATA than the connection's window");
    this.unreturned += length;
    this.dataFlags = flags;
    if (length === 0 && (flags & FLAG_END_STREAM) === 0 && !this.countControlFrame()) return;
    const stream = this.streams.get(id) ?? null;
    if (stream === null) return this.dataForNobody(id);
    if (!stream.headCame) return this.streamFault(stream, ERROR_CODE.protocolError, "DATA before a head");
    if (stream.remoteEnded) return this.streamFault(stream, ERROR_CODE.streamClosed, "DATA behind END_STREAM");
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) return this.streamFault(stream, ERROR_CODE.flowControlError, "more DATA than the stream's window");
    stream.unreturned += length;
    this.dataStream = stream;
  }

  dataPart(buffer: Buffer, from: number, to: number): void {
    const stream = this.dataStream;
    if (stream === null || stream.closed) return;
    stream.received += to - from;
    if (stream.lengthExpected >= 0 && stream.received > stream.lengthExpected)
      return this.streamFault(stream, ERROR_CODE.protocolError, "more DATA than content-length says");
    stream.accept(buffer, from, to);
  }

  dataEnds(): void {
    const stream = this.dataStream;
    this.dataStream = null;
    this.returnConnectionWindow();
    if (stream === null || stream.closed) return;
    if ((this.dataFlags & FLAG_END_STREAM) !== 0) this.remoteSideEnded(stream, null);
    else this.returnWindow(stream);
  }

  /** It counts against the connection's window all the same (RFC 9113 section 6.9), and is given back. */
  private dataForNobody(id: number): void {
    this.dataStream = null;
    if (this.isIdle(id)) return this.fail(ERROR_CODE.protocolError, "DATA on an idle stream");
    if (!this.resetIds.has(id) && id <= this.lastAcceptedId) this.resetId(id, ERROR_CODE.streamClosed);
  }

  // --- Receiving windows ---

  held(bytes: number): void {
    this.heldBytes += bytes;
    if (bytes < 0 && !this.over) this.returnConnectionWindow();
  }

  /** As soon as half of it is used up, what came is given back, taken or not, so that one slow reader does not hold up the others. */
  private returnConnectionWindow(): void {
    const { connectionWindowBytes, heldBytesMax } = this.bounds;
    if (2 * this.unreturned < connectionWindowBytes || this.heldBytes > heldBytesMax) return;
    this.writer.windowUpdate(0, this.unreturned);
    this.receiveWindow += this.unreturned;
    this.unreturned = 0;
  }

  returnWindow(stream: Http2Stream): void {
    if (2 * stream.unreturned < this.bounds.streamWindowBytes || !stream.takes || stream.remoteEnded || this.over) return;
    this.writer.windowUpdate(stream.id, stream.unreturned);
    stream.receiveWindow += stream.unreturned;
    stream.unreturned = 0;
  }

  // --- States of streams (RFC 9113 section 5.1) ---

  protected adopt(stream: Http2Stream): void {
    stream.carrier = this;
    stream.sendWindow = this.peer.initialWindowSize;
    stream.receiveWindow = this.bounds.streamWindowBytes;
    this.streams.set(stream.id, stream);
  }

  /** Streams beyond our last GOAWAY are none: the peer may have sent on them before it heard of that. */
  protected isIdle(id: number): boolean {
    return (id & 1) === (this.nextId & 1) ? id >= this.nextId : id > this.lastPeerId && id <= this.lastAcceptedId;
  }

  protected remoteSideEnded(stream: Http2Stream, trailers: HeaderSection | null): void {
    if (stream.lengthExpected >= 0 && stream.received !== stream.lengthExpected)
      return this.streamFault(stream, ERROR_CODE.protocolError, "less DATA than content-length says");
    stream.remoteEnded = true;
    if (stream.localEnded) this.forget(stream);
    stream.acceptEnd(trailers);
  }

  protected localSideEnded(stream: Http2Stream): void {
    stream.localEnded = true;
    if (stream.remoteEnded) this.forget(stream);
    else if (stream.stopsPeer) stream.reset(ERROR_CODE.noError);
  }

  sendReset(stream: Http2Stream, code: number): void {
    if (this.over) return;
    this.writer.rstStream(stream.id, code);
    this.resetIds.add(stream.id);
    this.forget(stream);
  }

  /** The peer broke a rule on this stream (RFC 9113 section 5.4.2). */
  protected streamFault(stream: Http2Stream, code: number, reason: string): void {
    this.resetId(stream.id, code);
    if (!this.over) this.endStream(stream, { code, kind: "fault", reason });
  }

  /** Resets what the peer made us reset. */
  protected resetId(id: number, code: number): void {
    this.dataStream = null;
    if (!this.resets.take(this.nowMs)) return this.fail(ERROR_CODE.enhanceYourCalm, "streams have to be reset too often");
    this.writer.rstStream(id, code);
    this.replyBytes += 13;
    this.resetIds.add(id);
  }

  protected endStream(stream: Http2Stream, reset: StreamReset): void {
    this.forget(stream);
    stream.drop();
    stream.onReset(reset);
  }

  protected forget(stream: Http2Stream): void {
    stream.closed = true;
    this.leaveLine(stream);
    if (!this.streams.delete(stream.id)) return;
    this.host.streamOver(stream);
    this.endIfDrained();
  }

  protected endIfDrained(): void {
    const told = this.draining && this.lastAcceptedId !== STREAM_ID_MAX;
    if (this.over || !(told || (this.goingAway && this.isServer)) || this.streams.size > 0 || this.peerStreams > 0) return;
    this.stop();
    this.writer.flush();
    this.wire.end();
  }

  protected tellAll(reset: StreamReset): void {
    for (const stream of [...this.streams.values()]) {
      this.streams.delete(stream.id);
      this.leaveLine(stream);
      stream.drop();
      stream.onReset(reset);
      this.host.streamOver(stream);
    }
  }
}
