import { isUtf8 } from "node:buffer";
import { expect, test } from "vitest";
import { decodeUtf8 } from "../../../src/base/utf8.ts";

test("text is decoded whole, and a byte order mark is not part of it", () => {
  expect(decodeUtf8(Buffer.from("Jürgen 🦊\n"))).toBe("Jürgen 🦊\n");
  expect(decodeUtf8(Buffer.from("\ufeffkey"))).toBe("key");
  expect(decodeUtf8(Buffer.from("a\ufeffb"))).toBe("a\ufeffb");
  expect(decodeUtf8(Buffer.alloc(0))).toBe("");
});

test.each([
  [[0xff], 0, 1, 1],
  [[0x61, 0x0a, 0x62, 0xe9], 3, 2, 2], // Latin-1: é at the end
  [[0x61, 0xe9, 0x62, 0x63], 1, 1, 2],
  [[0xc3, 0xbc, 0x0a, 0xc3, 0xbc, 0xc0, 0x80], 5, 2, 2], // an overlong NUL
  [[0xed, 0xa0, 0x80], 0, 1, 1], // a surrogate
  [[0xf0, 0x9f, 0xa6], 0, 1, 1], // cut short
  [[0x61, 0x80, 0x80, 0x80], 1, 1, 2],
] as const)("in %j the first byte that is no UTF-8 is at %i, line %i, column %i", (bytes, offset, line, column) => {
  expect(decodeUtf8(Buffer.from(bytes))).toMatchObject({ offset, line, column });
});

test("UTF-16 is called by its name", () => {
  expect(decodeUtf8(Buffer.from("\ufeffversion: 1", "utf16le"))).toMatchObject({ offset: 0, what: "this is UTF-16" });
});

test("the place of the first wrong byte is the end of the longest good beginning, wherever a byte is damaged", () => {
  const good = Buffer.from("aü€🦊".repeat(7));
  for (let at = 0; at < good.length; at++) {
    for (const byte of [0x00, 0x80, 0xbf, 0xc3, 0xff]) {
      const damaged = Buffer.from(good);
      damaged[at] = byte;
      if (isUtf8(damaged)) continue;
      let longest = 0;
      for (let end = 0; end <= damaged.length; end++) if (isUtf8(damaged.subarray(0, end))) longest = end;
      expect(decodeUtf8(damaged), `${byte} at ${at}`).toMatchObject({ offset: longest });
    }
  }
});
