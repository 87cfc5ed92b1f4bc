import { describe, expect, it } from "vitest";
import {
  FieldPlaces,
  fieldName,
  LINE_CHARS_MAX,
  LINES_CHARS_MAX,
  NAME_CHARS_MAX,
  NAMES_MAX,
  PLACES_MAX,
} from "../../../../../../src/data/upstream/transport/http1/field-names.ts";
import { ResponseParser } from "../../../../../../src/data/upstream/transport/http1/response-parser.ts";
import { type ResponseHeaders, ROLE_READ, ROLE_RELAYED } from "../../../../../../src/data/upstream/transport/response-headers.ts";
import { seededRandom } from "../../../../../support/upstreams.ts";

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

describe("lines of the last heads", () => {
  /** What a head may be, in one expression over all of it (RFC 9112 sections 4 and 5). */
  const HEAD = /^HTTP\/1\.[01] [1-9]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/;
  const BAD_HEAD = "the response head is not valid HTTP/1.1";
  const headOf = (bytes: Buffer): string => bytes.toString("latin1", 0, bytes.indexOf("\r\n\r\n") + 2);

  /** What a parser makes of a response: what it tells, and its fault. */
  function readWith(parser: ResponseParser, told: string[], bytes: Buffer): string {
    told.length = 0;
    parser.expect("GET");
    const fault = parser.push(bytes);
    if (fault !== "") return fault;
    return JSON.stringify([told, parser.reusable, parser.surplus, parser.keepAlive, parser.busy]);
  }

  function parserInto(told: string[]): ResponseParser {
    return new ResponseParser({
      head: (status, headers) => void told.push(`${status} ${JSON.stringify(headers)}`),
      body: (chunk) => void told.push(chunk.toString("latin1")),
      end: () => void told.push("end"),
    });
  }

  const NAMES = [
    "Server",
    "Date",
    "Content-Type",
    "content-type",
    "Connection",
    "Retry-After",
    "Keep-Alive",
    "X-Request-Id",
    "X-\xe9",
    "X Y",
  ];
  const VALUES = [
    "nginx",
    " nginx ",
    "close",
    "keep-alive",
    "timeout=5",
    "a\x7f",
    "caf\xe9",
    "",
    "  ",
    "x".repeat(LINE_CHARS_MAX),
    "x: y",
    "server, close",
  ];
  const LINES = [
    "Content-Length: 5\r\n",
    "Content-Length: 05\r\n",
    "Content-Length: 0x5\r\n",
    "Transfer-Encoding: chunked\r\n",
    " folded\r\n",
    "\n",
    "\r",
  ];

  it("are read as by a parser that has seen none, whatever comes after what", () => {
    const random = seededRandom(20_261_129);
    const pick = (list: readonly string[]): string => list[Math.floor(random() * list.length)] ?? "";
    const told: string[] = [];
    const fresh: string[] = [];
    let parser = parserInto(told);
    let lines: string[] = [];
    let sound = 0;
    for (let i = 0; i < 20_000; i++) {
      if (random() < 0.02) lines = Array.from({ length: Math.floor(random() * 8) }, () => `${pick(NAMES)}: ${pick(VALUES)}\r\n`);
      const place = Math.floor(random() * (lines.length + 1));
      const change = random();
      const sent = lines.slice();
      if (change < 0.2) sent.splice(place, 1, `${pick(NAMES)}:${pick(VALUES)}\r\n`);
      else if (change < 0.3) sent.splice(place, 0, pick(LINES));
      else if (change < 0.4) sent.splice(place, 1);
      const status = random() < 0.9 ? "200 OK" : pick(["204 No Content", "404", "200 OK\x7f", "20 OK", "200 O\nK"]);
      const bytes = Buffer.from(`HTTP/1.1 ${status}\r\n${sent.join("")}Content-Length: 5\r\n\r\nhello`, "latin1");
      const expected = readWith(parserInto(fresh), fresh, bytes);
      expect(expected === BAD_HEAD, JSON.stringify(bytes.toString("latin1"))).toBe(!HEAD.test(headOf(bytes)) && headOf(bytes) !== "");
      expect(readWith(parser, told, bytes), JSON.stringify(bytes.toString("latin1"))).toBe(expected);
      if (expected.startsWith("[")) sound++;
      else parser = parserInto(told); // as its connection is done with
    }
    expect(sound).toBeGreaterThan(5000);
  });

  it("stay within their bound, and are not kept when they are long", () => {
    const places = new FieldPlaces();
    const learn = (place: number, value: string): void => {
      const line = `X-${place}: ${value}\r\n`;
      places.learn(place, places.at(place, line, 0), line);
    };
    for (let place = 0; place < PLACES_MAX; place++) learn(place, "v".repeat(LINE_CHARS_MAX - 20));
    const kept = Array.from({ length: PLACES_MAX }, (_, place) => places.last(place)?.line.length ?? 0);
    expect(kept.reduce((sum, length) => sum + length)).toBeLessThanOrEqual(LINES_CHARS_MAX);
    expect(kept[0]).toBeGreaterThan(0);
    learn(0, "v".repeat(LINE_CHARS_MAX));
    learn(0, "v".repeat(LINE_CHARS_MAX));
    expect(places.last(0)?.line).toBe("");
  });

  it("are learnt ever more seldom where another comes each time, and at once where the last one had come twice", () => {
    const places = new FieldPlaces();
    let learnt = 0;
    const learn = (value: string): boolean => {
      const line = `ETag: ${value}\r\n`;
      places.learn(0, places.at(0, line, 0), line);
      return places.last(0)?.line === line;
    };
    for (let i = 0; i < 1000; i++) if (learn(String(i))) learnt++;
    expect(learnt).toBeLessThan(25);
    places.last(0)?.hit();
    expect(learn("next")).toBe(true);
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
    expect(fieldName("Content-Type:")).toEqual({ written: "Content-Type:", name: "content-type", role: ROLE_RELAYED });
    expect(fieldName("Keep-Alive:")).toEqual({ written: "Keep-Alive:", name: "keep-alive", role: ROLE_READ });
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
