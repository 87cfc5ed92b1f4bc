// Holds the head of a request for the upstream to what may be sent, whatever its parts contain.
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { TimerWheel } from "../../../../../../src/base/timer-wheel.ts";
import { H1Pool } from "../../../../../../src/data/upstream/transport/http1/pool.ts";
import { RequestHeads } from "../../../../../../src/data/upstream/transport/http1/request-head.ts";
import type { WireRequest } from "../../../../../../src/data/upstream/upstream.ts";
import { endpoint, seededRandom, upstreamPlan } from "../../../../../support/upstreams.ts";

const request = (parts: Partial<WireRequest>): WireRequest => ({
  method: "GET",
  path: "/a?b=c",
  headers: ["host", "a"],
  body: null,
  contentLength: 0,
  ...parts,
});

/** @returns null when it must not be sent */
function requestHead(wanted: WireRequest): string | null {
  const heads = new RequestHeads();
  return heads.add(wanted) ? heads.bytes().toString("latin1") : null;
}

/** The rules, plainly: each part brings one line or none, and all together are a request line and fields. */
function plainHead({ method, path, headers, body, contentLength }: WireRequest): string | null {
  const lines = [`${method} ${path} HTTP/1.1\r\n`];
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}\r\n`);
  const head = lines.join("");
  if (headers.some((each, i) => i % 2 === 0 && each.includes(":"))) return null; // the line would be one of another field
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
    ["a name with a colon", { headers: ["x: a", "1"] }],
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
        headers.push(odd(["host", "x-a", "accept"][below(3)] ?? ""), odd(["", "1", "text/html, */*", "v".repeat(100)][below(4)] ?? ""));
      const parts = { method: odd(["GET", "POST", "M-SEARCH"][below(3)] ?? ""), path: odd("/a?b=c"), headers };
      const whole = request(random() < 0.2 ? { ...parts, body: Buffer.from("abc") } : parts);
      const expected = plainHead(whole);
      expect(requestHead(whole), JSON.stringify(whole)).toBe(expected);
      if (expected !== null) sent++;
    }
    expect(sent).toBeGreaterThan(3000);
    expect(sent).toBeLessThan(25_000);
  });

  it("of several stand one behind the other, and one that must not be sent leaves nothing behind", () => {
    const heads = new RequestHeads();
    expect(heads.add(request({ path: "/1" }))).toBe(true);
    expect(heads.add(request({ path: "/2", headers: ["x-a", "1", "x-b", "\n"] }))).toBe(false);
    expect(heads.add(request({ path: "/3" }))).toBe(true);
    expect(heads.bytes().toString("latin1")).toBe("GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /3 HTTP/1.1\r\nhost: a\r\n\r\n");
    heads.begin();
    expect(heads.bytes()).toHaveLength(0);
  });

  it("may be longer than the buffer: a path, a name, a value, and many of them", () => {
    for (const length of [0, 63, 64, 65, 65_000, 65_536, 70_000, 200_000]) {
      const long = "v".repeat(length);
      for (const parts of [{ path: `/${long}` }, { headers: [`x${long}`, "1"] }, { headers: ["x-a", long, "x-b", long] }]) {
        expect(requestHead(request(parts))).toBe(plainHead(request(parts)));
      }
    }
    const many = request({ headers: Array.from({ length: 40_000 }, (_, i) => (i % 2 === 0 ? "x-a" : "1")) });
    expect(requestHead(many)).toBe(plainHead(many));
  });

  it("that somebody still reads are not written over", () => {
    const heads = new RequestHeads();
    heads.add(request({ path: "/1" }));
    const bytes = heads.bytes();
    const before = bytes.toString("latin1");
    heads.keep();
    heads.begin();
    heads.add(request({ path: "/2" }));
    expect(bytes.toString("latin1")).toBe(before);
  });

  it("carries every byte that a value may have", () => {
    const value = Array.from({ length: 256 }, (_, c) => String.fromCharCode(c)).filter((char) => /[\t\x20-\x7e\x80-\xff]/.test(char));
    for (const text of [...value, value.join("")]) {
      const wanted = request({ headers: ["x-a", text] });
      expect(requestHead(wanted)).toBe(`GET /a?b=c HTTP/1.1\r\nx-a: ${text}\r\n\r\n`);
    }
  });
});

describe("a head that the kernel does not take at once", () => {
  const BIG = 24 * 1024 * 1024; // more than both sockets hold together

  it("arrives as it was, whatever is sent on other connections meanwhile", async () => {
    const sockets: Socket[] = [];
    const server = createServer({ pauseOnConnect: true }, (socket) => void sockets.push(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const pool = new H1Pool(endpoint("a", 0, { port }), upstreamPlan({}), new TimerWheel());
    const failed: string[] = [];
    const sent: Promise<void>[] = [];
    const send = (value: string): void => {
      const { promise, resolve } = Promise.withResolvers<void>();
      sent.push(promise);
      pool.dispatch(request({ headers: ["x-a", value] }), {
        wireSent: resolve,
        wireHead: () => {},
        wireData: () => {},
        wireEnd: () => {},
        wireError: ({ reason }) => void failed.push(reason),
      });
    };
    const values = ["1".repeat(BIG), "2".repeat(5000), "3".repeat(BIG), "4".repeat(5000)];
    for (const value of values) {
      send(value);
      await sent.at(-1);
    }
    expect(failed).toEqual([]);
    const arrived = await Promise.all(sockets.map((socket) => headFrom(socket)));
    expect(arrived.toSorted()).toEqual(values.map((value) => requestHead(request({ headers: ["x-a", value] }))).toSorted());
    pool.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
});

async function headFrom(socket: Socket): Promise<string> {
  const chunks: string[] = [];
  for await (const chunk of socket.setEncoding("latin1").iterator({ destroyOnReturn: false })) {
    chunks.push(String(chunk));
    if (chunks.slice(-4).join("").endsWith("\r\n\r\n")) break;
  }
  return chunks.join("");
}
