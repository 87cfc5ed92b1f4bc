// Owns finding the head of the next request in what a connection reads: mostly all of it is there at once, else its pieces wait here, copied and bounded.
// Must never keep more of a head than its limits allow, nor look at its meaning.
import type { LimitsPlan } from "../../../plan/limits-plan.ts";
import type { Refusal } from "../../exchange/refusal.ts";
import { HeadScan, lineBytesMax, sectionBytesMax } from "./head-scan.ts";

/** So much is made a text at once; where heads are longer, as much as the last one had. */
const HEAD_BYTES_MOSTLY = 1024;
const HEAD_BYTES_AT_ONCE_MAX = 16 * 1024;
const PIECES_BYTES_MIN = 512;
const CR = 13;

/** Pieces of a head that has not ended. */
interface Pieces {
  bytes: Buffer;
  length: number;
  readonly scan: HeadScan;
}

export class HeadReader {
  /** Of the head that was found: its bytes as characters, from the request line on; what stands behind {@link end} is none of it. */
  text = "";
  /** In `text`: where the CRLF of the request line stands, and behind the last CRLF. */
  lineEnd = 0;
  end = 0;
  /** The header section is the one that {@link next} was given. */
  isKnown = false;
  /** Why the request is refused. */
  fault: Refusal | null = null;
  private pieces: Pieces | null = null;
  private atOnce = HEAD_BYTES_MOSTLY;

  /** Some of a head has come, and not all. */
  get isWaiting(): boolean {
    return this.pieces !== null;
  }

  /**
   * @param known a header section, with the empty line behind it, that was found to be in order; '' for none
   * @returns where in `bytes` the rest begins when the head has come; -1 when it has not, or is at fault
   */
  next(bytes: Buffer, from: number, to: number, limits: LimitsPlan, known: string): number {
    if (this.pieces === null && bytes[from] !== CR) {
      const text = bytes.toString("latin1", from, Math.min(to, from + this.atOnce));
      const lineEnd = text.indexOf("\r\n");
      if (lineEnd > 0 && lineEnd <= lineBytesMax(limits)) {
        const sectionAt = lineEnd + 2;
        this.isKnown = known !== "" && text.slice(sectionAt, sectionAt + known.length) === known;
        const end = this.isKnown ? sectionAt + known.length : text.indexOf("\r\n\r\n", lineEnd) + 4;
        if (end > 4 && end - sectionAt <= sectionBytesMax(limits)) {
          this.found(text, lineEnd, end);
          return from + end;
        }
      }
    }
    return this.nextPiece(bytes, from, to, limits);
  }

  /** A head was found and is not understood: its first byte that is wrong by itself, whatever pieces it came in. */
  faultIn(limits: LimitsPlan): Refusal | null {
    const scan = new HeadScan(limits);
    scan.next(Buffer.from(this.text, "latin1"), 0, this.end);
    return scan.fault;
  }

  /** Nothing more of the present head is waited for. @returns as much of its request line as has come */
  abandon(): string {
    const { pieces } = this;
    this.pieces = null;
    return pieces === null ? this.text : this.lineOf(pieces, Buffer.alloc(0));
  }

  private nextPiece(bytes: Buffer, from: number, to: number, limits: LimitsPlan): number {
    const pieces = (this.pieces ??= { bytes: Buffer.allocUnsafe(0), length: 0, scan: new HeadScan(limits) });
    const { scan } = pieces;
    const end = scan.next(bytes, from, to);
    if (scan.fault !== null) {
      this.fault = scan.fault;
      this.text = this.lineOf(pieces, bytes.subarray(from, to));
      this.pieces = null;
      return -1;
    }
    keep(pieces, bytes, from, end < 0 ? to : end);
    if (end < 0) return -1;
    this.pieces = null;
    const text = pieces.bytes.toString("latin1", scan.lineAt, pieces.length);
    this.atOnce = Math.min(HEAD_BYTES_AT_ONCE_MAX, Math.max(this.atOnce, 2 * text.length));
    this.isKnown = false;
    this.found(text, scan.lineBytes, text.length);
    return end;
  }

  private found(text: string, lineEnd: number, end: number): void {
    this.text = text;
    this.lineEnd = lineEnd;
    this.end = end;
  }

  /** For the log: as much of the request line as there is. */
  private lineOf({ bytes, length }: Pieces, more: Buffer): string {
    const text = bytes.toString("latin1", 0, length) + more.toString("latin1", 0, HEAD_BYTES_MOSTLY);
    return text.trimStart().split("\r\n", 1)[0] ?? "";
  }
}

function keep(pieces: Pieces, bytes: Buffer, from: number, to: number): void {
  const length = pieces.length + to - from;
  if (length > pieces.bytes.length) {
    const grown = Buffer.allocUnsafeSlow(Math.max(PIECES_BYTES_MIN, 2 * length));
    pieces.bytes.copy(grown, 0, 0, pieces.length);
    pieces.bytes = grown;
  }
  bytes.copy(pieces.bytes, pieces.length, from, to);
  pieces.length = length;
}
