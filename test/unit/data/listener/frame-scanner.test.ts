import { describe, expect, it } from "vitest";
import { closeFrame, FrameScanner } from "../../../../src/data/listener/frame-scanner.ts";
import { frames } from "../../../support/raw-web-socket.ts";

const BINARY = 0x82;
const FIRST = 0x02;
const MORE = 0x00;
const LAST = 0x80;
const CLOSE = 0x88;
const PING = 0x89;

/** A frame as either side would send it. */
function frame(payloadBytes: number, masked: boolean, first = BINARY): Buffer {
  const extended = Buffer.alloc(payloadBytes < 126 ? 0 : payloadBytes < 65_536 ? 2 : 8);
  if (extended.length === 2) extended.writeUInt16BE(payloadBytes);
  if (extended.length === 8) extended.writeBigUInt64BE(BigInt(payloadBytes));
  const short = extended.length === 0 ? payloadBytes : extended.length === 2 ? 126 : 127;
  const head = Buffer.from([first, short | (masked ? 0x80 : 0)]);
  return Buffer.concat([head, extended, masked ? Buffer.from([1, 2, 3, 4]) : Buffer.alloc(0), Buffer.alloc(payloadBytes, 0xff)]);
}

const SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];

describe("FrameScanner", () => {
  it.each(SIZES.flatMap((size) => [false, true].map((masked) => ({ size, masked }))))(
    "passes a frame of $size bytes, masked $masked, and sees its end",
    ({ size, masked }) => {
      const bytes = frame(size, masked);
      const scanner = new FrameScanner(1_000_000, masked);
      expect(scanner.pass(bytes).equals(bytes)).toBe(true);
      expect(scanner.atBoundary).toBe(true);
      expect(scanner.payloadBytes).toBe(size);
    },
  );

  it.each([1, 2, 3, 7, 64, 1000])(
    "passes everything on unchanged in pieces of %i bytes, and is at a boundary only where one is",
    (pieceBytes) => {
      const parts = [frame(3, true), frame(0, true), frame(300, true), frame(4, true, PING), frame(70_000, true)];
      const bytes = Buffer.concat(parts);
      const ends = new Set(parts.map((_, i) => Buffer.concat(parts.slice(0, i + 1)).length).concat(0));
      const scanner = new FrameScanner(1_000_000, true);
      const passed: Buffer[] = [];
      let length = 0;
      // Gathered and judged once: an expectation for each of 70 000 pieces would take longer than the scanner does.
      const wrong: string[] = [];
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        const piece = scanner.pass(bytes.subarray(at, at + pieceBytes));
        passed.push(piece);
        length += piece.length;
        if (scanner.atBoundary !== ends.has(length)) wrong.push(`boundary ${scanner.atBoundary} after ${length} bytes`);
      }
      expect(wrong).toEqual([]);
      expect(Buffer.concat(passed).equals(bytes)).toBe(true);
      expect(scanner.payloadBytes).toBe(70_303);
    },
  );

  it("stops at the end of the frame under way when asked to", () => {
    const scanner = new FrameScanner(1000, false);
    const bytes = Buffer.concat([frame(10, false), frame(20, false)]);
    expect(scanner.pass(bytes.subarray(0, 5))).toHaveLength(5);
    expect(scanner.pass(bytes.subarray(5), true)).toHaveLength(7);
    expect(scanner.atBoundary).toBe(true);
  });

  it.each<[string, Buffer[], number | null]>([
    ["a message at the limit", [frame(100, true)], null],
    ["a message beyond it", [frame(101, true)], 0],
    ["fragments at the limit", [frame(60, true, FIRST), frame(40, true, LAST)], null],
    ["fragments beyond it", [frame(60, true, FIRST), frame(40, true, MORE), frame(1, true, LAST)], 2],
    ["a ping between fragments", [frame(60, true, FIRST), frame(100, true, PING), frame(40, true, LAST)], null],
    ["a second message", [frame(60, true, FIRST), frame(40, true, LAST), frame(100, true)], null],
    ["a length beyond all numbers", [Buffer.from([BINARY, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4])], 0],
  ])("%s", (_, parts, refused) => {
    for (const pieceBytes of [1, 5, 10_000]) {
      const scanner = new FrameScanner(100, true);
      const bytes = Buffer.concat(parts);
      let passed = 0;
      for (let at = 0; at < bytes.length && !scanner.tooBig; at += pieceBytes)
        passed += scanner.pass(bytes.subarray(at, at + pieceBytes)).length;
      expect(scanner.tooBig).toBe(refused !== null);
      expect(passed, `in pieces of ${pieceBytes}`).toBe(Buffer.concat(refused === null ? parts : parts.slice(0, refused)).length);
      expect(scanner.atBoundary).toBe(true);
    }
  });

  it.each<[string, Buffer, boolean]>([
    ["a compressed frame, as no extension was agreed on", frame(10, true, 0xc2), true],
    ["a frame of a client that is not masked", frame(10, false), true],
    ["a frame of a server that is masked", frame(10, true), false],
    ["a ping of 126 bytes", frame(126, true, PING), true],
    ["a ping in pieces", frame(1, true, 0x09), true],
  ])("refuses %s, and passes nothing of it on", (_, bytes, masked) => {
    const before = frame(5, masked);
    for (const pieceBytes of [1, 3, 10_000]) {
      const scanner = new FrameScanner(1000, masked);
      const all = Buffer.concat([before, bytes]);
      let passed = 0;
      for (let at = 0; at < all.length && scanner.violation === ""; at += pieceBytes)
        passed += scanner.pass(all.subarray(at, at + pieceBytes)).length;
      expect([scanner.violation === "", passed, scanner.atBoundary]).toEqual([false, before.length, true]);
    }
  });

  it("sees a Close", () => {
    const scanner = new FrameScanner(100, true);
    scanner.pass(frame(1, true, PING));
    expect(scanner.closeSeen).toBe(false);
    scanner.pass(frame(2, true, CLOSE));
    expect(scanner.closeSeen).toBe(true);
  });
});

describe("closeFrame", () => {
  it.each([true, false])("masked %s", (masked) => {
    const [one, ...others] = frames(closeFrame(1001, "going", masked));
    expect(others).toEqual([]);
    expect(one).toMatchObject({ opcode: 8, fin: true, masked });
    expect(one?.payload.readUInt16BE(0)).toBe(1001);
    expect(one?.payload.toString("utf8", 2)).toBe("going");
  });
});
