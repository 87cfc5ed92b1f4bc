// Holds the response parser to RFC 9112, whatever the reads look like: every case is fed whole, in pieces, and byte by byte.
import { describe, expect, it } from "vitest";
import { RESPONSE_HEAD_BYTES_MAX, ResponseParser } from "../../../../../../src/data/upstream/transport/http1/response-parser.ts";
import type { ResponseHeaders } from "../../../../../../src/data/upstream/transport/response-headers.ts";
import type { WireTrailers } from "../../../../../../src/data/upstream/upstream.ts";

interface Read {
  status: number;
  headers: string[];
  body: string;
  trailers: Record<string, string | string[]> | null;
  ended: boolean;
  fault: string;
  reusable: boolean;
}

/** What earlier reads left behind in a buffer that serves again and again: the end of a head, of a chunk, of trailers, and a body. */
const STALE = "\n\r\n\r\n0\r\n\r\nstale";

/** @param options.lent the bytes stand at the beginning of a buffer that holds older ones behind them */
function read(bytes: string, options: { pieces: number; method?: string; eof?: boolean; lent?: boolean }): Read {
  const result: Read = { status: 0, headers: [], body: "", trailers: null, ended: false, fault: "", reusable: false };
  const parser = new ResponseParser({
    head(status: number, headers: ResponseHeaders) {
      result.status = status;
      result.headers = [...headers.headers];
    },
    body(chunk: Buffer) {
      result.body += chunk.toString("latin1");
    },
    end(trailers: WireTrailers | null) {
      result.ended = true;
      result.trailers = trailers === null ? null : { ...trailers };
      result.reusable = parser.reusable && !parser.surplus;
    },
  });
  parser.expect(options.method ?? "GET");
  const all = Buffer.from(bytes, "latin1");
  for (let at = 0; at < all.length && result.fault === "" && !result.ended; at += options.pieces) {
    const piece = all.subarray(at, at + options.pieces);
    const buffer = Buffer.concat([piece, Buffer.from(options.lent === true ? STALE : "")]);
    result.fault = parser.push(buffer, piece.length);
  }
  if (options.eof === true && result.fault === "" && !result.ended) result.fault = parser.eof();
  return result;
}

/** Checks all ways of cutting the bytes. What was delivered before a fault depends on the cuts; that there is one must not. */
function check(bytes: string, expected: Partial<Read>, options: { method?: string; eof?: boolean } = {}): void {
  for (const lent of [false, true]) {
    for (const pieces of [bytes.length, 1, 2, 3, 7, 16]) {
      const result = read(bytes, { ...options, pieces: Math.max(1, pieces), lent });
      expect({ pieces, lent, ...result }).toMatchObject({ pieces, lent, fault: "", ...expected });
    }
  }
}

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

describe("accepts", () => {
  it.each<[string, string, Partial<Read>, { method?: string; eof?: boolean }?]>([
    [
      "a body of known length",
      `${OK}Content-Length: 5\r\nX-A: 1\r\n\r\nhello`,
      { status: 200, headers: ["x-a", "1"], body: "hello", ended: true, reusable: true },
    ],
    ["an empty body", `${OK}Content-Length: 0\r\n\r\n`, { body: "", ended: true, reusable: true }],
    ["no reason phrase", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", { status: 200, ended: true }],
    ["an empty reason phrase", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", { status: 200, ended: true }],
    ["a latin1 value, byte by byte", `${OK}x: caf\xe9\r\nContent-Length: 0\r\n\r\n`, { headers: ["x", "caf\xe9"], ended: true }],
    ["white space around a value", `${OK}x: \t a b \t\r\nContent-Length: 0\r\n\r\n`, { headers: ["x", "a b"] }],
    ["an empty value", `${OK}x:\r\nContent-Length: 0\r\n\r\n`, { headers: ["x", ""] }],
    [
      "a repeated field",
      `${OK}Set-Cookie: a\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n`,
      { headers: ["set-cookie", "a", "set-cookie", "b"] },
    ],
    [
      "interim responses before the final one",
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
      { status: 200, headers: [], body: "ok", ended: true },
    ],
    ["chunks", `${CHUNKED}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`, { body: "hello world", ended: true, reusable: true, trailers: null }],
    [
      "chunk sizes in hex of both cases, with zeros before",
      `${CHUNKED}00a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n`,
      { body: "01234567890123456789", ended: true },
    ],
    ["chunk extensions", `${CHUNKED}2;a=b;c="d"\r\nok\r\n0;x\r\n\r\n`, { body: "ok", ended: true }],
    [
      "trailers",
      `${CHUNKED}2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Two: a\r\nx-two: b\r\n\r\n`,
      { body: "ok", ended: true, trailers: { "x-sum": "1", "x-two": ["a", "b"] } },
    ],
    ["HEAD with a length and no body", `${OK}Content-Length: 5\r\n\r\n`, { body: "", ended: true, reusable: true }, { method: "HEAD" }],
    ["204", "HTTP/1.1 204 No Content\r\n\r\n", { status: 204, ended: true, reusable: true }],
    ["304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", { status: 304, ended: true, reusable: true }],
    ["a body that ends with the connection", `${OK}\r\nall of it`, { body: "all of it", ended: true, reusable: false }, { eof: true }],
    ["Connection: close", `${OK}Connection: close\r\nContent-Length: 2\r\n\r\nok`, { body: "ok", ended: true, reusable: false }],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", { body: "ok", ended: true, reusable: false }],
    [
      "HTTP/1.0 with keep-alive",
      "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
      { ended: true, reusable: true },
    ],
  ])("%s", (_name, bytes, expected, options) => check(bytes, expected, options));
});

describe("refuses", () => {
  const fault = expect.stringMatching(/./);
  it.each<[string, string]>([
    ["bare LF after the status line", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"],
    ["bare LF after a field", `${OK}x: a\nContent-Length: 0\r\n\r\n`],
    ["bare CR in a value", `${OK}x: a\rb\r\nContent-Length: 0\r\n\r\n`],
    ["NUL in a value", `${OK}x: a\0b\r\nContent-Length: 0\r\n\r\n`],
    ["obsolete folding", `${OK}x: a\r\n b\r\nContent-Length: 0\r\n\r\n`],
    ["white space before the colon", `${OK}x : a\r\nContent-Length: 0\r\n\r\n`],
    ["an empty name", `${OK}: a\r\nContent-Length: 0\r\n\r\n`],
    ["a line without a colon", `${OK}x\r\nContent-Length: 0\r\n\r\n`],
    ["another protocol", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["a lower-case protocol", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"],
    ["a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"],
    ["a status below 100", "HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n"],
    ["two spaces before the status", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["an empty line first", `\r\n${OK}Content-Length: 0\r\n\r\n`],
    ["two lengths", `${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`],
    ["a signed length", `${OK}Content-Length: +2\r\n\r\nok`],
    ["a list of lengths", `${OK}Content-Length: 2, 2\r\n\r\nok`],
    ["an empty length", `${OK}Content-Length:\r\n\r\nok`],
    ["length and chunks", `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
    ["an unknown coding", `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`],
    ["chunked twice", `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ["a chunk size that is no number", `${CHUNKED}g\r\nok\r\n0\r\n\r\n`],
    ["a signed chunk size", `${CHUNKED}+2\r\nok\r\n0\r\n\r\n`],
    ["a chunk size with 0x", `${CHUNKED}0x2\r\nok\r\n0\r\n\r\n`],
    ["a chunk size beyond 2^52", `${CHUNKED}fffffffffffffff\r\nok`],
    ["bare LF after a chunk size", `${CHUNKED}2\nok\r\n0\r\n\r\n`],
    ["a chunk longer than its size", `${CHUNKED}2\r\nokk\r\n0\r\n\r\n`],
    ["a bad trailer", `${CHUNKED}0\r\nx y: 1\r\n\r\n`],
    ["101 without an upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
    ["too many interim responses", "HTTP/1.1 100 Continue\r\n\r\n".repeat(20)],
    ["a head that is too large", `${OK}x: ${"a".repeat(RESPONSE_HEAD_BYTES_MAX)}\r\n\r\n`],
    ["a chunk line that is too large", `${CHUNKED}2;${"a".repeat(5000)}\r\nok\r\n0\r\n\r\n`],
  ])("%s", (_name, bytes) => check(bytes, { fault, ended: false }));

  it.each<[string, string]>([
    ["nothing at all", ""],
    ["a head that stops", "HTTP/1.1 200 OK\r\nContent-"],
    ["a body that stops", `${OK}Content-Length: 5\r\n\r\nhel`],
    ["chunks that stop", `${CHUNKED}5\r\nhello\r\n`],
    ["chunks that stop before the last empty line", `${CHUNKED}0\r\n`],
  ])("the end of the connection after %s", (_name, bytes) => check(bytes, { fault, ended: false }, { eof: true }));
});

describe("a connection after a response", () => {
  it("is not used again when more bytes came with it, and what came is no answer", () => {
    const evil = `${OK}Content-Length: 4\r\n\r\nevil`;
    for (const first of [`${OK}Content-Length: 2\r\n\r\nok`, `${CHUNKED}2\r\nok\r\n0\r\n\r\n`, "HTTP/1.1 204 No Content\r\n\r\n"]) {
      const result = read(first + evil, { pieces: 1_000_000 });
      expect(result).toMatchObject({ ended: true, reusable: false, fault: "" });
      expect(result.body).not.toContain("evil");
    }
  });

  it("refuses bytes that no request asked for", () => {
    const parser = new ResponseParser({
      head: () => expect.fail("a head"),
      body: () => expect.fail("a body"),
      end: () => expect.fail("an end"),
    });
    expect(parser.push(Buffer.from(OK))).not.toBe("");
  });

  it("says nothing more once it was stopped, in the middle of whatever it was reading", () => {
    const seen: string[] = [];
    const parser = new ResponseParser({
      head: () => void seen.push("head"),
      body: () => {
        seen.push("body");
        parser.stop();
      },
      end: () => void seen.push("end"),
    });
    parser.expect("GET");
    expect(parser.push(Buffer.from(`${CHUNKED}2\r\nok\r\n2\r\nok\r\n0\r\n\r\n`))).toBe("");
    expect(seen).toEqual(["head", "body"]);
    expect(parser.push(Buffer.from("more"))).toBe("");
  });
});
