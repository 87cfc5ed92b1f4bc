// One HTTP/2 connection (RFC 9113), client's or server's: what frames do to it and to its streams, and every bound against a peer that means harm.
// Whoever owns the socket feeds it and says what time it is. Must never throw at its owner, hold a timer, nor go on after an error of the connection.
import { FieldBlocks } from "./field-blocks.ts";
import { type FrameFault, type FramePayload, FrameReader, type FrameSink } from "./frame-reader.ts";
import type { Http2Wire } from "./frame-writer.ts";
import type { HeaderSection } from "./header-section.ts";
import type { hpackEncoder } from "./hpack-encoder.ts";
import type { Http2Bounds, Http2Host } from "./http2-host.ts";
import { ERROR_CODE, errorName, FLAG_ACK, FLAG_END_STREAM, FRAME, SETTING, STREAM_ID_MAX, WINDOW_BYTES_DEFAULT } from "./protocol.ts";
import type { Http2Stream, StreamReset } from "./stream.ts";
import { StreamStates } from "./stream-states.ts";

export type { Http2Bounds, Http2Host } from "./http2-host.ts";

/** Informational responses before a final one. */
const INTERIM_MAX = 16;
/** Replies (acknowledgements, resets) that may wait for the peer to read; beyond it nothing more is read. */
const REPLY_BYTES_MAX = 16 * 1024;
/** WINDOW_UPDATE frames that a DATA frame gives reason for. */
const WINDOW_UPDATES_PER_DATA = 10;
const PING_BYTES = 8;
/** Payloads of our own pings: of the one that asks whether anybody is there, and of the one that parts the two GOAWAYs. */
const PING_PROBE = Buffer.from("sluice-p", "latin1");
const PING_DRAIN = Buffer.from("sluice-d", "latin1");

export class Http2Connection extends StreamStates implements FrameSink {
  /** When bytes last came, by the owner's clock; ms. */
  lastReceivedMs = 0;
  /** When the ping() that is not answered was sent; 0 for none. */
  pingSentMs = 0;
  /** When our SETTINGS went out that are not acknowledged; 0 for none (RFC 9113 section 6.5.3). */
  settingsSentMs = 0;
  private readonly reader: FrameReader;
  private readonly blocks: FieldBlocks;
  private readingPaused = false;

  /** @param isServer which side of the connection we are */
  constructor(host: Http2Host, wire: Http2Wire, { isServer, bounds }: { readonly isServer: boolean; readonly bounds: Http2Bounds }) {
    super(host, wire, { isServer, bounds });
    this.reader = new FrameReader(this, isServer);
    this.blocks = new FieldBlocks(bounds.headerBytesMax);
  }

  /** Before anything else: the preface and our SETTINGS. @param nowMs by the owner's clock, as everywhere here */
  start(nowMs: number): void {
    const { bounds, writer } = this;
    this.nowMs = this.lastReceivedMs = this.settingsSentMs = nowMs;
    if (!this.isServer) writer.preface();
    const pairs: number[] = [SETTING.initialWindowSize, bounds.streamWindowBytes, SETTING.maxHeaderListSize, bounds.headerBytesMax];
    if (this.isServer) pairs.push(SETTING.maxConcurrentStreams, bounds.peerStreamsMax, SETTING.noRfc7540Priorities, 1);
    else pairs.push(SETTING.enablePush, 0);
    if (bounds.extendedConnect) pairs.push(SETTING.enableConnectProtocol, 1);
    writer.settings(pairs);
    if (bounds.connectionWindowBytes > WINDOW_BYTES_DEFAULT) writer.windowUpdate(0, bounds.connectionWindowBytes - WINDOW_BYTES_DEFAULT);
  }

  // --- The wire ---

  /** @param buffer lent: its first bytes are what came */
  receive(buffer: Buffer, length: number, nowMs: number): void {
    if (this.over) return;
    this.nowMs = this.lastReceivedMs = nowMs;
    this.reader.push(buffer, 0, length);
    if (this.replyBytes <= REPLY_BYTES_MAX || this.over) return;
    this.flush();
    if (this.replyBytes <= REPLY_BYTES_MAX || this.readingPaused) return;
    this.readingPaused = true;
    this.wire.pause();
  }

  /** Writes what there is: at the end of a turn, as Http2Wire.flushLater() was told. */
  flush(): void {
    this.writer.flush();
    if (this.wire.pending === 0) this.replyBytes = 0;
  }

  /** The wire has taken all that waited. */
  drained(): void {
    this.replyBytes = 0;
    if (this.readingPaused) {
      this.readingPaused = false;
      this.wire.resume();
    }
    if (!this.over) this.sendWaiting();
  }

  /** The wire is gone: nothing more comes or goes. @param reason for the log */
  lost(reason: string): void {
    if (this.over) return;
    this.stop();
    this.tellAll({ code: ERROR_CODE.internalError, kind: "lost", reason });
  }

  // --- What its owner does ---

  /** The peer's SETTINGS have come. */
  get settled(): boolean {
    return this.settingsCame;
  }

  /** How many streams a client may open more. */
  get room(): number {
    if (this.over || this.goingAway || this.draining || this.nextId > STREAM_ID_MAX) return 0;
    return this.peer.maxConcurrentStreams - this.streams.size;
  }

  /** @returns the encoder: the fields of a head go into it, pseudo-header fields first; then open() or respond() */
  head(): typeof hpackEncoder {
    return this.beginBlock();
  }

  /** Of a client: sends the head() that was encoded as a request. There is room. @param ended there is no content */
  open(stream: Http2Stream, ended: boolean): void {
    stream.id = this.nextId;
    this.nextId += 2;
    this.adopt(stream);
    this.sendBlock(stream, ended);
  }

  /** Of a server: sends the head() that was encoded as a response, 1xx too. @param ended there is no content */
  respond(stream: Http2Stream, ended: boolean): void {
    if (!stream.closed && !stream.localEnded) this.sendBlock(stream, ended);
  }

  /** Of a server: the handler of this stream has ended, once for each. Until then it counts against `peerStreamsMax`, reset or not. */
  release(): void {
    this.peerStreams--;
    this.endIfDrained();
  }

  /** Asks whether anybody is there; Http2Host.ponged() is called when there is. One at a time. */
  ping(nowMs: number): void {
    if (this.over || this.pingSentMs > 0) return;
    this.pingSentMs = nowMs;
    this.writer.ping(PING_PROBE, 0, false);
  }

  /**
   * No new streams; those that are open go on, then the wire ends. A server says so twice, with a round trip between, so that what is under way is not
   * lost (RFC 9113 section 6.8). Idempotent.
   */
  drain(): void {
    if (this.over || this.draining) return;
    this.draining = true;
    if (this.isServer) {
      this.writer.goAway(STREAM_ID_MAX, ERROR_CODE.noError, "");
      this.writer.ping(PING_DRAIN, 0, false);
      return;
    }
    this.lastAcceptedId = 0;
    this.writer.goAway(0, ERROR_CODE.noError, "");
    this.endIfDrained();
  }

  /** Ends the connection now, for a reason that is an error's. */
  fail(code: number, reason: string): void {
    if (this.over) return;
    this.stop();
    this.writer.goAway(this.lastPeerId, code, reason);
    this.writer.flush();
    this.wire.end();
    this.host.failed(code, reason);
    this.tellAll({ code, kind: "lost", reason: `${errorName(code)}: ${reason}` });
  }

  /** The stream of a field block that is cut, and whose end is awaited; 0 for none. */
  override get cutBlockId(): number {
    return this.blocks.cutId;
  }

  // --- FrameSink ---

  unreadable(fault: FrameFault): void {
    if (fault === "preface") this.fail(ERROR_CODE.protocolError, "no preface of HTTP/2");
    else if (fault === "size") this.fail(ERROR_CODE.frameSizeError, "a frame is too large");
    else this.fail(ERROR_CODE.protocolError, "padding is longer than its frame");
  }

  frame(type: number, flags: number, id: number, payload: FramePayload): void {
    if (!this.settingsCame && (type !== FRAME.settings || (flags & FLAG_ACK) !== 0))
      return this.fail(ERROR_CODE.protocolError, "the first frame is not SETTINGS");
    if (this.cutBlockId !== 0 && (type !== FRAME.continuation || id !== this.blocks.cutId))
      return this.fail(ERROR_CODE.protocolError, "a frame between HEADERS and its CONTINUATION");
    switch (type) {
      case FRAME.headers:
        return this.headersFrame(flags, id, payload);
      case FRAME.continuation:
        return this.continuationFrame(flags, id, payload);
      case FRAME.windowUpdate:
        return this.windowUpdateFrame(id, payload);
      case FRAME.rstStream:
        return this.rstStreamFrame(id, payload);
      case FRAME.settings:
        return this.settingsFrame(flags, id, payload);
      case FRAME.ping:
        return this.pingFrame(flags, id, payload);
      case FRAME.goAway:
        return this.goAwayFrame(id, payload);
      case FRAME.priority:
        return this.priorityFrame(id, payload);
      case FRAME.pushPromise:
        return this.fail(ERROR_CODE.protocolError, "PUSH_PROMISE, which is switched off");
      default:
        this.countControlFrame();
    }
  }

  // --- Field blocks (RFC 9113 sections 6.2, 6.10) ---

  private headersFrame(flags: number, id: number, payload: FramePayload): void {
    if (id === 0) return this.fail(ERROR_CODE.protocolError, "HEADERS on stream 0");
    this.blockRead(id, this.blocks.begin(flags, id, payload));
  }

  private continuationFrame(flags: number, id: number, payload: FramePayload): void {
    if (this.cutBlockId === 0) return this.fail(ERROR_CODE.protocolError, "CONTINUATION without HEADERS");
    this.blockRead(id, this.blocks.goOn(flags, payload));
  }

  private blockRead(id: number, section: HeaderSection | null): void {
    const { fault, flags } = this.blocks;
    if (fault !== null) return this.fail(fault.code, fault.reason);
    if (section === null) return; // its end is to come
    const ended = (flags & FLAG_END_STREAM) !== 0;
    const stream = this.streams.get(id);
    if (stream !== undefined) return this.sectionCame(stream, section, ended);
    const ofPeer = (id & 1) === (this.isServer ? 1 : 0);
    if (ofPeer && id > this.lastPeerId) {
      if (!this.isServer) return this.fail(ERROR_CODE.protocolError, "a stream opened by a server");
      return this.streamRequested(id, section, ended);
    }
    if (this.isIdle(id)) return this.fail(ERROR_CODE.protocolError, "HEADERS on an idle stream");
    if (!this.resetIds.has(id)) this.resetId(id, ERROR_CODE.streamClosed);
  }

  /** Of a server. */
  private streamRequested(id: number, section: HeaderSection, ended: boolean): void {
    if (id > this.lastAcceptedId) return; // our GOAWAY said so
    this.lastPeerId = id;
    if (this.peerStreams >= this.bounds.peerStreamsMax) return this.resetId(id, ERROR_CODE.refusedStream);
    const fault = section.requestFault(this.bounds.extendedConnect);
    if (fault !== "" && !section.tooLarge) return this.resetId(id, ERROR_CODE.protocolError);
    if (ended && section.contentLength > 0) return this.resetId(id, ERROR_CODE.protocolError);
    const stream = this.host.opened();
    if (stream === null) return this.resetId(id, ERROR_CODE.refusedStream);
    this.peerStreams++;
    stream.id = id;
    stream.headCame = true;
    stream.lengthExpected = section.contentLength;
    this.adopt(stream);
    stream.onHead(section, ended);
    if (ended && !stream.closed) this.remoteSideEnded(stream, null);
  }

  /** A response's head, or trailers. */
  private sectionCame(stream: Http2Stream, section: HeaderSection, ended: boolean): void {
    if (stream.remoteEnded) return this.streamFault(stream, ERROR_CODE.streamClosed, "HEADERS behind END_STREAM");
    if (section.tooLarge) return this.streamFault(stream, ERROR_CODE.cancel, "the field section is too large");
    if (stream.headCame) {
      const fault = ended ? section.trailersFault() : "HEADERS in the middle of a message";
      if (fault !== "") return this.streamFault(stream, ERROR_CODE.protocolError, fault);
      return this.remoteSideEnded(stream, section);
    }
    const fault = section.responseFault();
    if (fault !== "") return this.streamFault(stream, ERROR_CODE.protocolError, fault);
    const informational = section.status < 200;
    if (informational && ended) return this.streamFault(stream, ERROR_CODE.protocolError, "an informational response at the end");
    if (informational && ++stream.interim > INTERIM_MAX)
      return this.streamFault(stream, ERROR_CODE.enhanceYourCalm, "too many informational responses");
    if (!informational) {
      stream.headCame = true;
      stream.lengthExpected = section.contentLength;
    }
    stream.onHead(section, ended);
    if (ended && !stream.closed) this.remoteSideEnded(stream, null);
  }

  // --- Other frames ---

  private windowUpdateFrame(id: number, { buffer, from, to }: FramePayload): void {
    if (to - from !== 4) return this.fail(ERROR_CODE.frameSizeError, "WINDOW_UPDATE has not 4 bytes");
    const bytes = buffer.readUInt32BE(from) & 0x7fffffff;
    this.controlFrames.credit(WINDOW_UPDATES_PER_DATA * this.dataFramesSent);
    this.dataFramesSent = 0;
    if (!this.countControlFrame()) return;
    if (id === 0) {
      if (bytes === 0) return this.fail(ERROR_CODE.protocolError, "WINDOW_UPDATE of 0");
      if (!this.openWindow(bytes)) this.fail(ERROR_CODE.flowControlError, "a window beyond 2^31-1");
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.isIdle(id)) this.fail(ERROR_CODE.protocolError, "WINDOW_UPDATE on an idle stream");
      return;
    }
    if (bytes === 0) return this.streamFault(stream, ERROR_CODE.protocolError, "WINDOW_UPDATE of 0");
    if (!this.openStreamWindow(stream, bytes)) this.streamFault(stream, ERROR_CODE.flowControlError, "a window beyond 2^31-1");
  }

  private rstStreamFrame(id: number, { buffer, from, to }: FramePayload): void {
    if (to - from !== 4) return this.fail(ERROR_CODE.frameSizeError, "RST_STREAM has not 4 bytes");
    if (id === 0 || this.isIdle(id)) return this.fail(ERROR_CODE.protocolError, "RST_STREAM on an idle stream");
    if (!this.resets.take(this.nowMs)) return this.fail(ERROR_CODE.enhanceYourCalm, "streams are reset too often");
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    const code = buffer.readUInt32BE(from);
    if (!this.isServer && stream.remoteEnded) {
      // The whole response has come, and stays whatever the code is (RFC 9113 section 8.1): only our side ends.
      stream.stopSending();
      return this.forget(stream);
    }
    this.endStream(stream, { code, kind: "peer", reason: `RST_STREAM ${errorName(code)}` });
  }

  private settingsFrame(flags: number, id: number, { buffer, from, to }: FramePayload): void {
    if (id !== 0) return this.fail(ERROR_CODE.protocolError, "SETTINGS on a stream");
    if (!this.countControlFrame()) return;
    if ((flags & FLAG_ACK) !== 0) {
      if (to !== from) return this.fail(ERROR_CODE.frameSizeError, "an acknowledgement with SETTINGS in it");
      this.settingsSentMs = 0;
      return;
    }
    if ((to - from) % 6 !== 0) return this.fail(ERROR_CODE.frameSizeError, "SETTINGS are cut");
    const windowBefore = this.peer.initialWindowSize;
    for (let at = from; at < to; at += 6) {
      const code = this.peer.set(buffer.readUInt16BE(at), buffer.readUInt32BE(at + 2), !this.isServer);
      if (code !== 0) return this.fail(code, "a setting has a value that it must not have");
    }
    this.settingsCame = true;
    this.tableSizeChanged();
    this.writer.settingsAck();
    this.replyBytes += 9;
    if (!this.moveWindows(this.peer.initialWindowSize - windowBefore)) return;
    this.host.settled();
  }

  /** RFC 9113 section 6.9.2. */
  private moveWindows(by: number): boolean {
    if (by === 0) return true;
    for (const stream of [...this.streams.values()]) {
      if (this.openStreamWindow(stream, by)) continue;
      this.fail(ERROR_CODE.flowControlError, "a window beyond 2^31-1");
      return false;
    }
    return true;
  }

  private pingFrame(flags: number, id: number, { buffer, from, to }: FramePayload): void {
    if (to - from !== PING_BYTES) return this.fail(ERROR_CODE.frameSizeError, "PING has not 8 bytes");
    if (id !== 0) return this.fail(ERROR_CODE.protocolError, "PING on a stream");
    if (!this.countControlFrame()) return;
    if ((flags & FLAG_ACK) === 0) {
      this.writer.ping(buffer, from, true);
      this.replyBytes += 17;
    } else if (PING_PROBE.compare(buffer, from, to) === 0 && this.pingSentMs > 0) {
      this.pingSentMs = 0;
      this.host.ponged();
    } else if (PING_DRAIN.compare(buffer, from, to) === 0 && this.draining && this.lastAcceptedId === STREAM_ID_MAX) {
      this.lastAcceptedId = this.lastPeerId;
      this.writer.goAway(this.lastPeerId, ERROR_CODE.noError, "");
      this.endIfDrained();
    }
  }

  private goAwayFrame(id: number, { buffer, from, to }: FramePayload): void {
    if (id !== 0) return this.fail(ERROR_CODE.protocolError, "GOAWAY on a stream");
    if (to - from < 8) return this.fail(ERROR_CODE.frameSizeError, "GOAWAY is too short");
    if (!this.countControlFrame()) return;
    const lastId = buffer.readUInt32BE(from) & 0x7fffffff;
    const code = buffer.readUInt32BE(from + 4);
    const reason = buffer.toString("latin1", from + 8, Math.min(to, from + 8 + GOAWAY_REASON_BYTES_MAX));
    this.goingAway = true;
    const why: StreamReset = { code, kind: "unprocessed", reason: `GOAWAY ${errorName(code)} ${reason}` };
    if (!this.isServer) for (const stream of [...this.streams.values()]) if (stream.id > lastId) this.endStream(stream, why);
    this.host.goneAway(lastId, code, reason);
    this.endIfDrained();
  }

  /** Ignored, as RFC 9113 section 5.3.2 allows. */
  private priorityFrame(id: number, { from, to }: FramePayload): void {
    if (id === 0) return this.fail(ERROR_CODE.protocolError, "PRIORITY on stream 0");
    if (!this.countControlFrame()) return;
    if (to - from === 5) return;
    const stream = this.streams.get(id);
    if (stream !== undefined) this.streamFault(stream, ERROR_CODE.frameSizeError, "PRIORITY has not 5 bytes");
    else this.resetId(id, ERROR_CODE.frameSizeError);
  }

  protected stop(): void {
    this.over = true;
    this.reader.stop();
  }
}

/** Of a GOAWAY's debug data, for the log. */
const GOAWAY_REASON_BYTES_MAX = 256;
