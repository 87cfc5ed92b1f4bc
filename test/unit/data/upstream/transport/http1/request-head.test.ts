// Holds the head of a request for the upstream to what may be sent, whatever its parts contain.
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { requestHead } from "../../../../../../src/data/upstream/transport/http1/request-head.ts";
import type { WireRequest } from "../../../../../../src/data/upstream/upstream.ts";
import { seededRandom } from "../../../../../support/upstreams.ts";

const request = (parts: Partial<WireRequest>): WireRequest => ({
  method: "GET",
  path: "/a?b=c",
  headers: ["host", "a"],
  body: null,
  contentLength: 0,
  ...parts,
});

/** The rules, plainly: each part brings one line or none, and all together are a request line and fields. */
function plainHead({ method, path, headers, body, contentLength }: WireRequest): string | null {
  const lines = [`${method} ${path} HTTP/1.1\r\n`];
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}\r\n`);
  const head = lines.join("");
  if (!HEAD.test(head) || head.split("\n").length - 1 !== lines.length) return null;
  if (body instanceof Readable)
    return `${head}${contentLength < 0 ? "transfer-encoding: chunked" : `content-length: ${contentLength}`}\r\n\r\n`;
  if (body !== null) return `${head}content-length: ${body.length}\r\n\r\n`;
  return `${head}${["POST", "PUT", "PATCH"].includes(method) ? "content-length: 0\r\n" : ""}\r\n`;
}

const HEAD = /^[A-Z][A-Z-]* \/[\x21-\x7e]* HTTP\/1\.1\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n)*$/;

describe("requestHead", () => {
  it.each<[string, Partial<WireRequest>, string]>([
    ["no body", {}, ""],
    ["a method that expects one, without it", { method: "POST" }, "content-length: 0\r\n"],
    ["a whole body", { method: "PUT", body: Buffer.from("abc") }, "content-length: 3\r\n"],
    ["a stream of known length", { method: "PUT", body: new Readable(), contentLength: 7 }, "content-length: 7\r\n"],
    ["a stream of unknown length", { method: "PUT", body: new Readable(), contentLength: -1 }, "transfer-encoding: chunked\r\n"],
  ])("frames %s", (_, parts, field) => {
    const head = requestHead(request(parts));
    expect(head).toBe(`${parts.method ?? "GET"} /a?b=c HTTP/1.1\r\nhost: a\r\n${field}\r\n`);
  });

  it.each<[string, Partial<WireRequest>]>([
    ["a value with a line of its own", { headers: ["x-a", "1\r\nx-b: 2"] }],
    ["a value that ends the head", { headers: ["x-a", "1\r\n\r\nGET /admin HTTP/1.1"] }],
    ["a value with LF alone", { headers: ["x-a", "1\n"] }],
    ["a value with CR alone", { headers: ["x-a", "1\r"] }],
    ["a value with NUL", { headers: ["x-a", "\0"] }],
    ["a value with a character that is no byte", { headers: ["x-a", "\u0141"] }],
    ["a name with a line of its own", { headers: ["x-a: 1\r\nx-b", "2"] }],
    ["no name", { headers: ["", "1"] }],
    ["a path with a line of its own", { path: "/ HTTP/1.1\r\nx-a: 1\r\nx-b: " }],
    ["a path with a space", { path: "/a b" }],
    ["a path of another form", { path: "http://a/" }],
    ["a method with a space", { method: "GET /" }],
    ["a method with a line of its own", { method: "GET / HTTP/1.1\r\nx-a: 1\r\n\r\nGET" }],
  ])("makes none of %s", (_, parts) => {
    expect(requestHead(request(parts))).toBeNull();
  });

  it("sends what is a request line and one field for each pair, whatever stands in them", () => {
    const random = seededRandom(20_261_130);
    const below = (count: number): number => Math.floor(random() * count);
    const PIECES = [
      "\r\n",
      "\n",
      "\r",
      "\0",
      "\t",
      " ",
      ":",
      ": ",
      "a",
      "X-B: c",
      "\x7f",
      "\x80",
      "\xff",
      "\u0100",
      "\u2028",
      "",
      "\r\n\r\n",
      " HTTP/1.1",
    ];
    const odd = (sound: string): string => {
      if (random() < 0.85) return sound;
      const at = below(sound.length + 1);
      return sound.slice(0, at) + (PIECES[below(PIECES.length)] ?? "") + sound.slice(at + below(2));
    };
    let sent = 0;
    for (let i = 0; i < 30_000; i++) {
      const headers: string[] = [];
      for (let n = below(6); n > 0; n--)
        headers.push(odd(["host", "x-a", "accept"][below(3)] ?? ""), odd(["", "1", "text/html, */*"][below(3)] ?? ""));
      const parts = { method: odd(["GET", "POST", "M-SEARCH"][below(3)] ?? ""), path: odd("/a?b=c"), headers };
      const whole = request(random() < 0.2 ? { ...parts, body: Buffer.from("abc") } : parts);
      const expected = plainHead(whole);
      expect(requestHead(whole), JSON.stringify(whole)).toBe(expected);
      if (expected !== null) sent++;
    }
    expect(sent).toBeGreaterThan(3000);
    expect(sent).toBeLessThan(25_000);
  });
});
