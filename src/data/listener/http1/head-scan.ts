// Owns following a request's head byte by byte: where it ends, and the first byte by which it is wrong or too large, in whatever pieces it comes.
// The slow and exact way, for heads that come in pieces or are in doubt: what is wrong with one must not depend on how it was cut.
import type { LimitsPlan } from "../../../plan/limits-plan.ts";
import type { Refusal } from "../../exchange/refusal.ts";

/** Empty lines before a request line that are passed over (RFC 9112 section 2.2). */
const BLANK_LINES_MAX = 4;
/** Room for what stands around the target in a request line: the longest method, two blanks and a version. */
const LINE_ROOM_BYTES = 32 + 2 + 8;
const [HTAB, LF, CR, SP, DEL] = [9, 10, 13, 32, 127] as const;

const wrong = (detail: string): Refusal => ({ code: "bad_request", detail: `not valid HTTP (RFC 9112): ${detail}` });

/** Longest request line, bytes. */
export const lineBytesMax = (limits: LimitsPlan): number => limits.uriBytes + LINE_ROOM_BYTES;
/** Longest header section on the wire, the empty line that ends it included, bytes. */
export const sectionBytesMax = (limits: LimitsPlan): number => limits.headerBytes + 2;

export class HeadScan {
  /** Why the request is refused. */
  fault: Refusal | null = null;
  /** Bytes seen before the request line, and in it. */
  lineAt = 0;
  lineBytes = 0;
  private readonly limits: LimitsPlan;
  private inRequestLine = true;
  private sectionBytes = 0;
  /** Characters of the present line. */
  private chars = 0;
  private afterCr = false;
  private blankLines = 0;

  constructor(limits: LimitsPlan) {
    this.limits = limits;
  }

  /** @returns where the head ends, behind its last CRLF; -1 when it does not, or is at fault. Called with one piece after the other. */
  next(bytes: Uint8Array, from: number, to: number): number {
    for (let at = from; at < to; at++) {
      const c = bytes[at] as number; // in range
      if (c === LF) {
        if (!this.afterCr) return this.refuse(wrong("a line ends in LF without CR"));
        this.afterCr = false;
        if (this.lineEnds()) return this.hasRoom() ? at + 1 : -1;
      } else if (this.afterCr) return this.refuse(wrong("a CR that ends no line"));
      else if (c === CR) this.afterCr = true;
      else if ((c < SP && c !== HTAB) || c === DEL) return this.refuse(wrong("a control character"));
      else this.chars++;
      if (this.fault !== null || !this.hasRoom()) return -1;
    }
    return -1;
  }

  /** @returns whether it was the last line of the head */
  private lineEnds(): boolean {
    const { chars } = this;
    this.chars = 0;
    if (!this.inRequestLine) return chars === 0;
    if (chars > 0) {
      this.inRequestLine = false;
      this.lineBytes = chars;
      this.sectionBytes = -1; // this LF is counted below
    } else if (++this.blankLines > BLANK_LINES_MAX) this.refuse(wrong("too many empty lines before the request line"));
    else this.lineAt = 2 * this.blankLines;
    return false;
  }

  private hasRoom(): boolean {
    const { limits } = this;
    if (this.inRequestLine) {
      if (this.chars > lineBytesMax(limits))
        this.refuse({ code: "uri_too_long", detail: `the request target is longer than ${limits.uriBytes} bytes` });
    } else if (++this.sectionBytes > sectionBytesMax(limits))
      this.refuse({ code: "headers_too_large", detail: `the header section is larger than ${limits.headerBytes} bytes` });
    return this.fault === null;
  }

  private refuse(fault: Refusal): number {
    this.fault = fault;
    return -1;
  }
}
