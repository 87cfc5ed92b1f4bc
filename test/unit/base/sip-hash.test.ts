import { describe, expect, it } from "vitest";
import { SIP_CHARS_MAX, SipHash } from "../../../src/base/sip-hash.ts";

const key = Uint8Array.from({ length: 16 }, (_, i) => i);
const hash = new SipHash(key);
const hex = (): string => [hash.high, hash.low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");

describe("SipHash-2-4", () => {
  // From the reference implementation's vectors: message 00 01 02 ... of that length, key 00 01 ... 0f.
  it.each([
    [0, "726fdb47dd0e0e31"],
    [1, "74f839c593dc67fd"],
    [7, "ab0200f58b01d137"],
    [8, "93f5f5799a932462"],
    [15, "a129ca6149be45e5"],
    [16, "3f2acc7f57c29bdb"],
    [63, "958a324ceb064572"],
  ])("agrees with the published vectors: %i bytes", (length, expected) => {
    const message = Uint8Array.from({ length }, (_, i) => i);
    hash.hashBytes(message);
    expect(hex()).toBe(expected);
    hash.hash(String.fromCharCode(...message));
    expect(hex()).toBe(expected);
  });

  it("tells texts of bytes from texts of wider characters", () => {
    const narrow = "\u0041\u0000\u0042\u0001";
    const wide = "\u0041\u0142"; // the same bytes, two a character
    hash.hash(narrow);
    const first = hex();
    hash.hash(wide);
    expect(hex()).not.toBe(first);
    hash.hash("\u0141");
    const other = hex();
    hash.hash("\u0142");
    expect(hex()).not.toBe(other);
  });

  it("puts a tag before a text, so that parts of a key cannot run together", () => {
    const seen = new Set<string>();
    for (const [before, text] of [
      ["a", "bc"],
      ["ab", "c"],
      ["", "abc"],
      ["abc", ""],
    ] as const) {
      hash.hash(before);
      hash.hashAfter(hash.high, hash.low, text);
      seen.add(hex());
    }
    expect(seen.size).toBe(4);
  });

  it("bounds what it reads, but not what it tells apart by length", () => {
    hash.hash("x".repeat(SIP_CHARS_MAX + 1));
    const first = hex();
    hash.hash("x".repeat(SIP_CHARS_MAX + 2));
    expect(hex()).not.toBe(first);
  });

  it("differs for another key, and refuses a key of the wrong length", () => {
    const other = new SipHash(Uint8Array.from(key, (byte) => byte ^ 1));
    other.hash("acme");
    hash.hash("acme");
    expect(other.high === hash.high && other.low === hash.low).toBe(false);
    expect(() => new SipHash(new Uint8Array(15))).toThrow(RangeError);
  });
});
