// Follows the frames (RFC 6455 section 5.2) of one direction of a raw WebSocket connection by their heads alone: where they end, how
// large messages get, whether a Close came. Must never change, unmask or keep payload.
import { randomBytes } from "node:crypto";

const FIN = 0x80;
const MASKED = 0x80;
const OPCODE_BITS = 0x0f;
const OPCODE_CONTINUATION = 0;
const OPCODE_CONTROL = 8;
const OPCODE_CLOSE = 8;
/** RSV1 to RSV3. */
const RESERVED_BITS = 0x70;
const CONTROL_BYTES_MAX = 125;

export class FrameScanner {
  /** Payload of data frames, bytes as they are on the wire. */
  payloadBytes = 0;
  closeSeen = false;
  /** A message passes the limit: nothing of its last frame was passed on, and nothing more may be. */
  tooBig = false;
  /** Why no end may have sent the frame (RFC 6455 sections 5.1, 5.2 and 5.5): it was not passed on, and nothing more may be. '' for nothing. */
  violation = "";
  private readonly messageBytesMax: number;
  private readonly masked: boolean;
  private messageBytes = 0;
  /** Payload of the frame under way that is still to come. */
  private payloadLeft = 0;
  /** The beginning of a frame's head, held back until it is whole: at most 13 bytes. */
  private partialHead: Buffer = EMPTY;

  /**
   * @param messageBytesMax largest message: as no extension was agreed on, none is compressed
   * @param masked whether frames of this direction are masked
   */
  constructor(messageBytesMax: number, masked: boolean) {
    this.messageBytesMax = messageBytesMax;
    this.masked = masked;
  }

  /** What was passed on so far ends where a frame ends: another one may be put there. */
  get atBoundary(): boolean {
    return this.payloadLeft === 0;
  }

  /**
   * @param toBoundary only up to the end of the frame under way; the rest of the chunk is given up
   * @returns what may be passed on now: the chunk with what was held back before, without what is held back or too big
   */
  pass(chunk: Buffer, toBoundary = false): Buffer {
    const data = this.partialHead.length === 0 ? chunk : Buffer.concat([this.partialHead, chunk]);
    this.partialHead = EMPTY;
    let at = 0;
    while (at < data.length) {
      const step = Math.min(this.payloadLeft, data.length - at);
      this.payloadLeft -= step;
      at += step;
      if (at === data.length || (toBoundary && at > 0 && this.atBoundary)) return data.subarray(0, at);
      const size = headSize(data, at);
      if (at + size > data.length) {
        this.partialHead = Buffer.from(data.subarray(at)); // a copy: it must not keep the whole chunk alive
        return data.subarray(0, at);
      }
      if (!this.head(data, at)) return data.subarray(0, at);
      at += size;
    }
    return data;
  }

  private isAllowed(data: Buffer, at: number, length: number): boolean {
    const [first = 0, second = 0] = [data[at], data[at + 1]];
    if ((first & RESERVED_BITS) !== 0) this.violation = "a frame uses an extension that was not agreed on";
    else if (((second & MASKED) !== 0) !== this.masked)
      this.violation = this.masked ? "a frame of a client is not masked" : "a frame of a server is masked";
    else if ((first & OPCODE_CONTROL) !== 0 && (length > CONTROL_BYTES_MAX || (first & FIN) === 0))
      this.violation = "a control frame is too long, or in pieces";
    return this.violation === "";
  }

  /** @returns false when the message gets too big */
  private head(data: Buffer, at: number): boolean {
    const first = data[at] ?? 0;
    const length = payloadLength(data, at);
    const opcode = first & OPCODE_BITS;
    if (!this.isAllowed(data, at, length)) return false;
    if (opcode >= OPCODE_CONTROL) this.closeSeen ||= opcode === OPCODE_CLOSE;
    else {
      if (opcode !== OPCODE_CONTINUATION) this.messageBytes = 0;
      this.messageBytes += length;
      this.tooBig = this.messageBytes > this.messageBytesMax;
      if (this.tooBig) return false;
      this.payloadBytes += length;
    }
    this.payloadLeft = length;
    return true;
  }
}

const EMPTY = Buffer.alloc(0);

/** Bytes of the head that begins there, as far as can be told: 2 when not even that is known. */
function headSize(data: Buffer, at: number): number {
  const second = data[at + 1];
  if (second === undefined) return 2;
  const short = second & ~MASKED;
  return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + ((second & MASKED) === 0 ? 0 : 4);
}

/** Lengths above 2^53 lose precision, which is far above any limit. */
function payloadLength(data: Buffer, at: number): number {
  const short = (data[at + 1] ?? 0) & ~MASKED;
  if (short < 126) return short;
  return short === 126 ? data.readUInt16BE(at + 2) : data.readUInt32BE(at + 2) * 0x1_0000_0000 + data.readUInt32BE(at + 6);
}

/** A Close frame (RFC 6455 section 5.5.1). @param reason at most 123 bytes @param masked towards a server */
export function closeFrame(code: number, reason: string, masked: boolean): Buffer {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2);
  const head = Buffer.from([FIN | OPCODE_CLOSE, (masked ? MASKED : 0) | payload.length]);
  if (!masked) return Buffer.concat([head, payload]);
  const key = randomBytes(4);
  for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] ?? 0) ^ (key[i & 3] ?? 0);
  return Buffer.concat([head, key, payload]);
}
