import { describe, expect, it } from "vitest";
import {
  FieldPlaces,
  fieldName,
  NAME_CHARS_MAX,
  NAMES_MAX,
  PLACES_MAX,
} from "../../../../../../src/data/upstream/transport/http1/field-names.ts";
import { ResponseParser } from "../../../../../../src/data/upstream/transport/http1/response-parser.ts";
import type { ResponseHeaders } from "../../../../../../src/data/upstream/transport/response-headers.ts";

/** What each of these heads is read as, one after the other on one connection. */
function readAll(heads: readonly string[]): ResponseHeaders[] {
  const read: ResponseHeaders[] = [];
  const parser = new ResponseParser({ head: (_, headers) => void read.push(headers), body: () => {}, end: () => {} });
  for (const head of heads) {
    parser.expect("GET");
    expect(parser.push(Buffer.from(`HTTP/1.1 200 OK\r\n${head}\r\n`, "latin1"))).toBe("");
  }
  return read;
}

describe("names of the last head", () => {
  it("are not taken for those of a head with other names in the same places", () => {
    const read = readAll([
      "Content-Length: 0\r\nX-A: 1\r\nX-B: 2\r\n",
      "X-A: 3\r\nContent-Length: 0\r\nX-B: 4\r\n",
      "X-AB: 5\r\nContent-Length: 0\r\nx-b: 6\r\n",
      "X-: 7\r\nContent-Length: 0\r\n",
    ]);
    expect(read.map((each) => each.headers)).toEqual([
      ["x-a", "1", "x-b", "2"],
      ["x-a", "3", "x-b", "4"],
      ["x-ab", "5", "x-b", "6"],
      ["x-", "7"],
    ]);
  });

  it("judge the same field alike each time it comes", () => {
    const [first, second] = readAll([
      "Content-Length: 0\r\nCookie-Free: yes\r\nConnection: cookie-free\r\n",
      "Content-Length: 0\r\nCookie-Free: yes\r\n",
    ]);
    expect(first?.headers).toEqual([]);
    expect(second?.headers).toEqual(["cookie-free", "yes"]);
  });

  it("find a Content-Length that is sent twice, wherever it stands", () => {
    const parser = new ResponseParser({ head: () => {}, body: () => {}, end: () => {} });
    parser.expect("GET");
    expect(parser.push(Buffer.from("HTTP/1.1 204 No\r\nX-A: 1\r\nX-B: 2\r\n\r\n"))).toBe("");
    parser.expect("GET");
    expect(parser.push(Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCONTENT-length: 0\r\n\r\n"))).toMatch(/sent twice/);
  });
});

describe("a head longer than what is looked at first", () => {
  it.each([900, 1000, 1024, 1040, 5000])("is read whole: a value of %i characters", (size) => {
    const [read] = readAll([`X-Long: ${"v".repeat(size)}\r\nContent-Length: 0\r\n`]);
    expect(read?.headers).toEqual(["x-long", "v".repeat(size)]);
  });
});

describe("fieldName", () => {
  it("keeps short names only, and no more than its bound", () => {
    expect(fieldName("X-Kept:")).toBe(fieldName("X-Kept:"));
    const long = `X-${"n".repeat(NAME_CHARS_MAX)}:`;
    expect(fieldName(long)).not.toBe(fieldName(long));
    const before = fieldName("X-Kept:");
    for (let i = 0; i <= NAMES_MAX; i++) fieldName(`X-Other-${i}:`);
    expect(fieldName("X-Kept:")).not.toBe(before);
    expect(fieldName("X-Kept:")).toEqual(before);
  });

  it("says what goes on to the client", () => {
    expect(fieldName("Content-Type:")).toEqual({ written: "Content-Type:", name: "content-type", relayed: true });
    expect(fieldName("Keep-Alive:")).toEqual({ written: "Keep-Alive:", name: "keep-alive", relayed: false });
  });
});

describe("FieldPlaces", () => {
  it("remembers no more places than its bound", () => {
    const places = new FieldPlaces();
    expect(places.at(PLACES_MAX, "X-Far: 1", 0).name).toBe("x-far");
    expect(places.at(PLACES_MAX, "X-Else: 1", 0).name).toBe("x-else");
    expect((places as unknown as { places: unknown[] }).places).toHaveLength(0);
  });
});
