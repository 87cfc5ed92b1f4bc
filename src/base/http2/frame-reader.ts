// Owns taking frames out of bytes that come in any pieces (RFC 9113 section 4). DATA goes on as it comes, lent; of other frames those that are whole in what was
// read are lent in place, and only what is cut is copied. Must never hold more than one frame, and knows no stream.
import { FLAG_PADDED, FRAME, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, PREFACE } from "./protocol.ts";

/** Takes frames. Whoever has had enough calls FrameReader.stop(). */
export interface FrameSink {
  /** Any frame but DATA; its payload is lent. */
  frame(type: number, flags: number, id: number, payload: FramePayload): void;
  /** @param length of the payload, padding and its length included */
  dataBegins(flags: number, id: number, length: number): void;
  /** Some of a DATA frame's content, lent. */
  dataPart(buffer: Buffer, from: number, to: number): void;
  /** All of it has come. */
  dataEnds(): void;
  /** The connection must be ended: the bytes are no frames. */
  unreadable(fault: FrameFault): void;
}

export type FrameFault = "preface" | "size" | "padding";

/** A frame's payload: a part of a buffer. */
export interface FramePayload {
  readonly buffer: Buffer;
  readonly from: number;
  readonly to: number;
}

export class FrameReader implements FramePayload {
  // The payload of the frame that the sink is told of.
  buffer: Buffer = NOTHING;
  from = 0;
  to = 0;
  private readonly sink: FrameSink;
  /** Bytes of the preface that are still to come. */
  private prefaceLeft: number;
  /** What has come of a frame that was cut. */
  private cut: Buffer | null = null;
  private cutBytes = 0;
  private inData = false;
  private dataLeft = 0;
  private padLeft = 0;
  /** The length of the padding is to come. */
  private padLength = false;
  private stopped = false;

  /** @param expectsPreface of a client (RFC 9113 section 3.4) */
  constructor(sink: FrameSink, expectsPreface: boolean) {
    this.sink = sink;
    this.prefaceLeft = expectsPreface ? PREFACE.length : 0;
  }

  /** Nothing more is told, from this moment on. */
  stop(): void {
    this.stopped = true;
    this.cut = null;
  }

  /** @param buffer lent; from `from` to `to` it is what came */
  push(buffer: Buffer, from: number, to: number): void {
    let at = this.prefaceLeft > 0 ? this.readPreface(buffer, from, to) : from;
    while (at < to && !this.stopped) {
      if (this.inData) at = this.readData(buffer, at, to);
      else if (this.cutBytes > 0) at = this.readCut(buffer, at, to);
      else if (to - at < FRAME_HEADER_BYTES) at = this.keep(buffer, at, to, FRAME_HEADER_BYTES);
      else at = this.readFrame(buffer, at, to);
    }
  }

  private readPreface(buffer: Buffer, from: number, to: number): number {
    let at = from;
    for (; at < to && this.prefaceLeft > 0; at++) {
      if (buffer[at] !== PREFACE[PREFACE.length - this.prefaceLeft]) {
        this.unreadable("preface");
        return to;
      }
      this.prefaceLeft--;
    }
    return at;
  }

  /** A frame begins here, and its header is there. */
  private readFrame(buffer: Buffer, at: number, to: number): number {
    const length = (buffer[at]! << 16) | (buffer[at + 1]! << 8) | buffer[at + 2]!; // the header is there
    if (length > FRAME_BYTES_MAX) {
      this.unreadable("size");
      return to;
    }
    const begin = at + FRAME_HEADER_BYTES;
    const type = buffer[at + 3]!; // the same
    if (type === FRAME.data) {
      this.beginData(buffer, at, length);
      return begin;
    }
    if (to - begin < length) return this.keep(buffer, at, to, FRAME_HEADER_BYTES + length);
    this.tell(buffer, at, length);
    return begin + length;
  }

  private tell(buffer: Buffer, at: number, length: number): void {
    this.buffer = buffer;
    this.from = at + FRAME_HEADER_BYTES;
    this.to = this.from + length;
    this.sink.frame(buffer[at + 3]!, buffer[at + 4]!, idOf(buffer, at), this); // the header is there
    this.buffer = NOTHING;
  }

  // --- A frame that was cut ---

  private keep(buffer: Buffer, at: number, to: number, bytes: number): number {
    if (this.cut === null || this.cut.length < bytes) {
      const larger = Buffer.allocUnsafeSlow(bytes <= SMALL_FRAME_BYTES ? SMALL_FRAME_BYTES : FRAME_HEADER_BYTES + FRAME_BYTES_MAX);
      this.cut?.copy(larger, 0, 0, this.cutBytes);
      this.cut = larger;
    }
    buffer.copy(this.cut, this.cutBytes, at, to);
    this.cutBytes += to - at;
    return to;
  }

  private readCut(buffer: Buffer, from: number, to: number): number {
    let at = from;
    if (this.cutBytes < FRAME_HEADER_BYTES) {
      const end = Math.min(to, at + FRAME_HEADER_BYTES - this.cutBytes);
      at = this.keep(buffer, at, end, FRAME_HEADER_BYTES);
      if (this.cutBytes < FRAME_HEADER_BYTES) return at;
    }
    const cut = this.cut as Buffer; // cutBytes > 0
    const length = (cut[0]! << 16) | (cut[1]! << 8) | cut[2]!; // the header is there
    if (length > FRAME_BYTES_MAX) {
      this.unreadable("size");
      return to;
    }
    if (cut[3] === FRAME.data) {
      this.cutBytes = 0;
      this.beginData(cut, 0, length);
      return at;
    }
    const needed = FRAME_HEADER_BYTES + length;
    const end = Math.min(to, at + needed - this.cutBytes);
    this.keep(buffer, at, end, needed);
    if (this.cutBytes < needed) return end;
    this.cutBytes = 0;
    const whole = this.cut as Buffer; // keep() may have made a larger one
    this.cut = null; // seldom: nothing is held between frames
    this.tell(whole, 0, length);
    return end;
  }

  // --- DATA ---

  private beginData(header: Buffer, at: number, length: number): void {
    const flags = header[at + 4]!; // the header is there
    this.inData = true;
    this.dataLeft = length;
    this.padLeft = 0;
    this.padLength = (flags & FLAG_PADDED) !== 0;
    if (this.padLength && length === 0) return this.unreadable("size");
    this.sink.dataBegins(flags, idOf(header, at), length);
    if (length === 0) this.endData();
  }

  private readData(buffer: Buffer, from: number, to: number): number {
    let at = from;
    if (this.padLength) {
      this.padLength = false;
      this.padLeft = buffer[at++]!; // at < to
      this.dataLeft -= 1 + this.padLeft;
      if (this.dataLeft < 0) {
        this.unreadable("padding");
        return to;
      }
    }
    if (this.dataLeft > 0 && at < to) {
      const end = Math.min(to, at + this.dataLeft);
      this.dataLeft -= end - at;
      this.sink.dataPart(buffer, at, end);
      at = end;
    }
    if (this.dataLeft === 0) {
      const end = Math.min(to, at + this.padLeft);
      this.padLeft -= end - at;
      at = end;
      if (this.padLeft === 0) this.endData();
    }
    return at;
  }

  private endData(): void {
    this.inData = false;
    if (!this.stopped) this.sink.dataEnds();
  }

  private unreadable(fault: FrameFault): void {
    this.stop();
    this.sink.unreadable(fault);
  }
}

const NOTHING = Buffer.alloc(0);
/** What most frames that are cut fit in. */
const SMALL_FRAME_BYTES = 512;

/** Without the reserved bit (RFC 9113 section 4.1). */
const idOf = (buffer: Buffer, at: number): number =>
  ((buffer[at + 5]! & 0x7f) << 24) | (buffer[at + 6]! << 16) | (buffer[at + 7]! << 8) | buffer[at + 8]!; // the header is there
