// Owns field blocks on their way in (RFC 9113 sections 4.3, 6.2, 6.10): HEADERS and what CONTINUATION adds, within bounds, decoded in the order of the connection.
// Must never know what a section means.
import type { FramePayload } from "./frame-reader.ts";
import type { HeaderSection } from "./header-section.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { ERROR_CODE, FLAG_END_HEADERS, FLAG_PADDED, FLAG_PRIORITY, FRAME_BYTES_MAX, TABLE_BYTES_DEFAULT } from "./protocol.ts";

/** CONTINUATION frames behind one HEADERS; the bytes of a block are bounded too. */
const CONTINUATIONS_MAX = 16;
/** Of a priority, which is ignored (RFC 9113 section 5.3.2). */
const PRIORITY_BYTES = 5;

/** Why a block ends its connection. */
export interface BlockFault {
  readonly code: number;
  readonly reason: string;
}

export class FieldBlocks {
  /** The stream whose block is cut: its end is awaited. 0 for none. */
  cutId = 0;
  /** Of the HEADERS frame of the block that was begun last. */
  flags = 0;
  /** Why the last frame was not taken; null when it was. */
  fault: BlockFault | null = null;
  private readonly decoder: HpackDecoder;
  private readonly bytesMax: number;
  private parts: Buffer[] = [];
  private bytes = 0;

  /** @param headerBytesMax of a decoded section */
  constructor(headerBytesMax: number) {
    this.decoder = new HpackDecoder(TABLE_BYTES_DEFAULT, headerBytesMax);
    this.bytesMax = headerBytesMax + FRAME_BYTES_MAX;
  }

  /** HEADERS. @returns what the block says, when it is whole; null: CONTINUATION follows, or there is a fault */
  begin(flags: number, id: number, { buffer, from, to }: FramePayload): HeaderSection | null {
    let begin = from;
    let end = to;
    if ((flags & FLAG_PADDED) !== 0) {
      end -= begin < to ? buffer[begin]! : 0; // in range
      begin++;
    }
    if ((flags & FLAG_PRIORITY) !== 0) begin += PRIORITY_BYTES;
    if (begin > to) return this.refuse(ERROR_CODE.frameSizeError, "HEADERS is too short");
    if (end < begin) return this.refuse(ERROR_CODE.protocolError, "padding is longer than its frame");
    this.flags = flags;
    if ((flags & FLAG_END_HEADERS) !== 0) return this.decode(buffer, begin, end);
    this.cutId = id;
    this.keep(buffer, begin, end);
    return null;
  }

  /** CONTINUATION of the block that is cut. The same. */
  goOn(flags: number, { buffer, from, to }: FramePayload): HeaderSection | null {
    if (this.parts.length > CONTINUATIONS_MAX || this.bytes + (to - from) > this.bytesMax)
      return this.refuse(ERROR_CODE.enhanceYourCalm, "a field block is too long");
    this.keep(buffer, from, to);
    if ((flags & FLAG_END_HEADERS) === 0) return null;
    const whole = Buffer.concat(this.parts);
    this.parts = [];
    this.bytes = this.cutId = 0;
    return this.decode(whole, 0, whole.length);
  }

  private keep(buffer: Buffer, from: number, to: number): void {
    this.parts.push(Buffer.from(buffer.subarray(from, to)));
    this.bytes += to - from;
  }

  private decode(buffer: Buffer, from: number, to: number): HeaderSection | null {
    return this.decoder.decode(buffer, from, to) ?? this.refuse(ERROR_CODE.compressionError, "a field block cannot be decoded");
  }

  private refuse(code: number, reason: string): null {
    this.fault = { code, reason };
    return null;
  }
}
