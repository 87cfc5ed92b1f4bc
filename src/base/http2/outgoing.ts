// Owns the sending half of a connection: windows (RFC 9113 section 5.2), whose turn it is when they open, and what is written in a turn.
// Must never queue content without telling whoever wrote it to stop, nor read anything.
import type { HeaderList } from "../header-list.ts";
import { FrameWriter, type Http2Wire } from "./frame-writer.ts";
import { hpackEncoder } from "./hpack-encoder.ts";
import { PeerSettings } from "./peer-settings.ts";
import { FRAME_BYTES_MAX, TABLE_BYTES_DEFAULT, WINDOW_BYTES_DEFAULT, WINDOW_BYTES_MAX } from "./protocol.ts";
import type { Http2Stream, StreamCarrier } from "./stream.ts";

/** Content waits while so much of what was written is not the kernel's yet. */
export const WIRE_BYTES_MAX = 64 * 1024;

export abstract class Outgoing implements StreamCarrier {
  /** What the peer's SETTINGS say. */
  readonly peer = new PeerSettings();
  protected readonly wire: Http2Wire;
  protected readonly writer: FrameWriter;
  /** DATA frames that were sent, for meters. */
  protected dataFramesSent = 0;
  private sendWindow = WINDOW_BYTES_DEFAULT;
  /** Streams that have something to send and windows of their own that allow it, first come first. */
  private line: Http2Stream[] = [];
  /** The next block says that our table is empty. */
  private tableChanged = false;

  constructor(wire: Http2Wire) {
    this.wire = wire;
    this.writer = new FrameWriter(wire);
  }

  abstract sendReset(stream: Http2Stream, code: number): void;
  abstract held(bytes: number): void;
  abstract returnWindow(stream: Http2Stream): void;
  /** Our side of a stream is over. */
  protected abstract localSideEnded(stream: Http2Stream): void;

  /** @returns the encoder, for a field block: fields go into it, then the block into a frame */
  protected beginBlock(): typeof hpackEncoder {
    hpackEncoder.begin();
    if (this.tableChanged) hpackEncoder.emptyTable();
    return hpackEncoder;
  }

  /** @param ended END_STREAM goes with it */
  protected sendBlock(stream: Http2Stream, ended: boolean): void {
    this.tableChanged = false;
    this.writer.headers(stream.id, ended);
    if (ended) this.localSideEnded(stream);
  }

  // --- StreamCarrier ---

  sendable(stream: Http2Stream, bytes: number): number {
    if (this.wire.pending >= WIRE_BYTES_MAX) return 0;
    return Math.max(0, Math.min(bytes, FRAME_BYTES_MAX, this.sendWindow, stream.sendWindow));
  }

  sendData(stream: Http2Stream, chunk: Buffer, { from, to, end }: { from: number; to: number; end: boolean }): void {
    this.sendWindow -= to - from;
    stream.sendWindow -= to - from;
    this.dataFramesSent++;
    this.writer.data(stream.id, chunk, from, to, end);
    if (end) this.localSideEnded(stream);
  }

  sendTrailers(stream: Http2Stream, trailers: HeaderList): void {
    const encoder = this.beginBlock();
    for (let i = 0; i < trailers.length; i += 2) {
      const [name, value] = [trailers[i] as string, trailers[i + 1] as string]; // a list of pairs
      encoder.field(name, value); // what must not be sent is left out: the message is to come to its end
    }
    if (encoder.length > 0) this.sendBlock(stream, true);
    else this.sendData(stream, NOTHING, { from: 0, to: 0, end: true });
  }

  waitToSend(stream: Http2Stream): void {
    if (stream.awaitsTurn || stream.sendWindow <= 0) return; // its window opens first
    stream.awaitsTurn = true;
    this.line.push(stream);
  }

  /** It is over: it may be another connection's from here on. */
  protected leaveLine(stream: Http2Stream): void {
    if (!stream.awaitsTurn) return;
    stream.awaitsTurn = false;
    const place = this.line.indexOf(stream);
    if (place >= 0) this.line.splice(place, 1);
  }

  // --- Windows ---

  /** @returns whether the window is still one (RFC 9113 section 6.9.1) */
  protected openWindow(bytes: number): boolean {
    this.sendWindow += bytes;
    if (this.sendWindow > WINDOW_BYTES_MAX) return false;
    if (this.line.length > 0) this.sendWaiting();
    return true;
  }

  /** The same of a stream. */
  protected openStreamWindow(stream: Http2Stream, bytes: number): boolean {
    stream.sendWindow += bytes;
    if (stream.sendWindow > WINDOW_BYTES_MAX) return false;
    if (stream.waits) {
      this.waitToSend(stream);
      this.sendWaiting();
    }
    return true;
  }

  /** A frame for each in turn, while the connection takes any. */
  protected sendWaiting(): void {
    const { line } = this;
    for (let stream = line[0]; stream !== undefined && this.canSend; stream = line[0]) {
      line.shift();
      stream.awaitsTurn = false;
      // Else it is its own window that it waits for: it comes back when that opens.
      if (stream.sendSome() && stream.waits) this.waitToSend(stream);
    }
  }

  private get canSend(): boolean {
    return this.sendWindow > 0 && this.wire.pending < WIRE_BYTES_MAX;
  }

  /** The peer decodes with a smaller table from now on: it must hear that ours has its size (RFC 7541 section 4.2). */
  protected tableSizeChanged(): void {
    if (this.peer.headerTableSize < TABLE_BYTES_DEFAULT) this.tableChanged = true;
  }
}

const NOTHING = Buffer.alloc(0);
