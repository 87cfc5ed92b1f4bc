// Owns what is about to be written to one connection: the frames of a turn of the event loop in one buffer, which goes out as one write.
// Must never hold memory while there is nothing to write, nor decide what is sent.
import { hpackEncoder } from "./hpack-encoder.ts";
import { FLAG_ACK, FLAG_END_HEADERS, FLAG_END_STREAM, FRAME, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, PREFACE } from "./protocol.ts";

/** One write, at most: two whole frames with room for small ones. */
export const WRITE_BYTES_MAX = 36 * 1024;
/** Buffers that a thread keeps for the next turn. */
const SPARE_BUFFERS_MAX = 16;

const spare: Buffer[] = [];

/** The bytes of one connection, as HTTP/2 writes them. */
export interface Http2Wire {
  /** @param bytes lent @returns whether their memory may be used again now; false: it is the wire's from here on */
  send(bytes: Buffer): boolean;
  /** Bytes given to send() that the kernel has not taken. Once it was WIRE_BYTES_MAX, Http2Connection.drained() is called when they are gone. */
  readonly pending: number;
  /** There is something to write: Http2Connection.flush() is to be called at the end of this turn of the event loop. */
  flushLater(): void;
  /** Of reading. drained() is called when nothing is pending, however little that is: reading goes on then. */
  pause(): void;
  resume(): void;
  /** Nothing more will be written: close after what waits. */
  end(): void;
}

export class FrameWriter {
  private readonly wire: Http2Wire;
  private buffer: Buffer | null = null;
  private at = 0;

  constructor(wire: Http2Wire) {
    this.wire = wire;
  }

  /** Bytes that no write has taken yet. */
  get waiting(): number {
    return this.at;
  }

  /** Writes what there is. */
  flush(): void {
    const { buffer, at } = this;
    if (buffer === null) return;
    this.buffer = null;
    this.at = 0;
    if (this.wire.send(buffer.subarray(0, at)) && spare.length < SPARE_BUFFERS_MAX) spare.push(buffer);
  }

  preface(): void {
    const buffer = this.room(PREFACE.length);
    PREFACE.copy(buffer, this.at);
    this.at += PREFACE.length;
  }

  /** @param pairs of an identifier and its value, flat */
  settings(pairs: readonly number[]): void {
    const length = pairs.length * 3;
    const buffer = this.frame(FRAME.settings, 0, 0, length);
    for (let i = 0; i < pairs.length; i += 2) {
      this.at = buffer.writeUInt16BE(pairs[i] as number, this.at); // in range
      this.at = buffer.writeUInt32BE(pairs[i + 1] as number, this.at); // in range: pairs
    }
  }

  settingsAck(): void {
    this.frame(FRAME.settings, FLAG_ACK, 0, 0);
  }

  /** @param payload its 8 bytes from `from` on */
  ping(payload: Buffer, from: number, ack: boolean): void {
    const buffer = this.frame(FRAME.ping, ack ? FLAG_ACK : 0, 0, 8);
    payload.copy(buffer, this.at, from, from + 8);
    this.at += 8;
  }

  goAway(lastId: number, code: number, reason: string): void {
    const buffer = this.frame(FRAME.goAway, 0, 0, 8 + reason.length);
    this.at = buffer.writeUInt32BE(lastId, this.at);
    this.at = buffer.writeUInt32BE(code, this.at);
    this.at += buffer.write(reason, this.at, "latin1");
  }

  rstStream(id: number, code: number): void {
    const buffer = this.frame(FRAME.rstStream, 0, id, 4);
    this.at = buffer.writeUInt32BE(code, this.at);
  }

  windowUpdate(id: number, bytes: number): void {
    const buffer = this.frame(FRAME.windowUpdate, 0, id, 4);
    this.at = buffer.writeUInt32BE(bytes, this.at);
  }

  /** The field block that hpackEncoder holds. */
  headers(id: number, endStream: boolean): void {
    const { length } = hpackEncoder;
    const flags = endStream ? FLAG_END_STREAM : 0;
    let from = 0;
    do {
      const to = Math.min(length, from + FRAME_BYTES_MAX);
      const last = to === length ? FLAG_END_HEADERS : 0;
      const buffer = from === 0 ? this.frame(FRAME.headers, flags | last, id, to) : this.frame(FRAME.continuation, last, id, to - from);
      hpackEncoder.copyTo(buffer, this.at, from, to);
      this.at += to - from;
      from = to;
    } while (from < length);
  }

  /** @param to at most FRAME_BYTES_MAX behind `from` */
  data(id: number, chunk: Buffer, from: number, to: number, endStream: boolean): void {
    const buffer = this.frame(FRAME.data, endStream ? FLAG_END_STREAM : 0, id, to - from);
    if (to === from) return;
    chunk.copy(buffer, this.at, from, to);
    this.at += to - from;
  }

  /** Nothing of it will be written. */
  drop(): void {
    this.buffer = null;
    this.at = 0;
  }

  private frame(type: number, flags: number, id: number, length: number): Buffer {
    const buffer = this.room(FRAME_HEADER_BYTES + length);
    let { at } = this;
    buffer[at++] = length >>> 16;
    buffer[at++] = length >>> 8;
    buffer[at++] = length;
    buffer[at++] = type;
    buffer[at++] = flags;
    buffer[at++] = id >>> 24;
    buffer[at++] = id >>> 16;
    buffer[at++] = id >>> 8;
    buffer[at++] = id;
    this.at = at;
    return buffer;
  }

  /** @param bytes at most a frame */
  private room(bytes: number): Buffer {
    if (this.buffer !== null && this.at + bytes > WRITE_BYTES_MAX) this.flush();
    if (this.buffer === null) {
      this.buffer = spare.pop() ?? Buffer.allocUnsafeSlow(WRITE_BYTES_MAX);
      this.wire.flushLater();
    }
    return this.buffer;
  }
}
