// What HTTP/2 says in ways that HTTP/1.1 could misread: what the client sees, and the bytes that the service saw, if any.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ERROR_CODE } from "../../../src/base/http2/protocol.ts";
import { Gateway } from "../../support/gateway.ts";
import { type Field, RawH2Client, request } from "../../support/raw-h2-client.ts";
import { data, headers } from "../../support/raw-http2.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";
import { until } from "../../support/until.ts";

let gateway: Gateway;
let upstream: RawUpstream;
beforeAll(async () => {
  upstream = await RawUpstream.start();
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
admin: false
limits: { headerBytes: 4KiB, headerCount: 20, uriBytes: 1KiB }
listeners:
  - { address: 127.0.0.1:0, h2c: true }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${upstream.port}" } ] } }
routes:
  - { name: all, match: { path: /** }, to: u }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

let client: RawH2Client;
let before: number;
beforeEach(async () => {
  before = upstream.requests.length;
  client = await RawH2Client.connect(gateway.port);
  return () => client[Symbol.asyncDispose]();
});

/** Requests that the service has had since the test began, a mark behind them left out. */
async function seen(id = 99): Promise<readonly string[]> {
  const mark = `/mark-${before}`;
  client.ask(id, request(mark));
  expect(await client.status(id)).toBe(200);
  await upstream.received(mark);
  return upstream.requests.slice(before, -1).map(({ raw }) => raw);
}

const { protocolError } = ERROR_CODE;
const replace = (name: string, value: string): Field[] => request("/x").map((field) => (field[0] === name ? [name, value] : field));
const without = (name: string): Field[] => request("/x").filter((field) => field[0] !== name);

describe("reset with PROTOCOL_ERROR, without a service seeing anything, and the connection goes on:", () => {
  it.each<readonly [section: string, what: string, fields: readonly Field[]]>([
    ["8.2.1", "CR in a value", request("/x", "GET", ["a", "b\rc"])],
    ["8.2.1", "LF in a value", request("/x", "GET", ["a", "b\nc: d"])],
    ["8.2.1", "CRLF and a field in a value", request("/x", "GET", ["a", "b\r\ntransfer-encoding: chunked"])],
    ["8.2.1", "a whole request in a value", request("/x", "GET", ["a", "b\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"])],
    ["8.2.1", "NUL in a value", request("/x", "GET", ["a", "b\0c"])],
    ["8.2.1", "a blank before a value", request("/x", "GET", ["a", " b"])],
    ["8.2.1", "a blank behind a value", request("/x", "GET", ["a", "b "])],
    ["8.2.1", "CR in a name", request("/x", "GET", ["a\rb", "c"])],
    ["8.2.1", "LF in a name", request("/x", "GET", ["a\nb", "c"])],
    ["8.2.1", "a colon in a name", request("/x", "GET", ["transfer-encoding: chunked\r\na", "c"])],
    ["8.2.1", "a colon at the end of a name", request("/x", "GET", ["a:", "c"])],
    ["8.2.1", "a blank in a name", request("/x", "GET", ["content-length ", "5"])],
    ["8.2.1", "NUL in a name", request("/x", "GET", ["a\0", "c"])],
    ["8.2.1", "a name in capitals", request("/x", "GET", ["Transfer-Encoding", "chunked"])],
    ["8.2.1", "an empty name", request("/x", "GET", ["", "c"])],
    ["8.2.2", "transfer-encoding", request("/x", "POST", ["transfer-encoding", "chunked"])],
    ["8.2.2", "connection", request("/x", "GET", ["connection", "x-a"])],
    ["8.2.2", "keep-alive", request("/x", "GET", ["keep-alive", "timeout=5"])],
    ["8.2.2", "proxy-connection", request("/x", "GET", ["proxy-connection", "close"])],
    ["8.2.2", "upgrade", request("/x", "GET", ["upgrade", "websocket"])],
    ["8.2.2", "te with another coding", request("/x", "GET", ["te", "trailers, chunked"])],
    ["8.3", ":method twice", request("/x", "GET", [":method", "POST"])],
    ["8.3", ":path twice", [...request("/x"), [":path", "/y"]]],
    ["8.3", ":authority behind a field", [...without(":authority"), ["a", "b"], [":authority", "api.example.com"]]],
    ["8.3", "an unknown pseudo-header field", request("/x", "GET", [":x", "y"])],
    ["8.3.1", "no :method", without(":method")],
    ["8.3.1", "no :scheme", without(":scheme")],
    ["8.3.1", "no :path", without(":path")],
    ["8.3.1", "an empty :path", replace(":path", "")],
    ["8.3.1", "CR LF in :path", replace(":path", "/x HTTP/1.1\r\nHost: b\r\n\r\nGET /y")],
    ["8.3.1", "CR LF in :method", replace(":method", "GET / HTTP/1.1\r\nHost: b\r\n\r\nGET")],
    ["8.3.1", "CR LF in :authority", replace(":authority", "api.example.com\r\nx: y")],
    ["8.3.1", "LF in :scheme", replace(":scheme", "http\n")],
    ["8.3.1", "host twice", request("/x", "GET", ["host", "api.example.com"], ["host", "b.example"])],
    ["8.3.2", ":status", [[":status", "200"], ...request("/x")]],
    ["8.1.1", "content-length that is no number", request("/x", "POST", ["content-length", "+5"])],
    ["8.1.1", "content-length twice, differing", request("/x", "POST", ["content-length", "5"], ["content-length", "6"])],
    ["8.1.1", "content-length without DATA", request("/x", "POST", ["content-length", "5"])],
    ["8.5", ":protocol without CONNECT", request("/x", "GET", [":protocol", "websocket"])],
    ["8.5", "CONNECT with :path", request("/x", "CONNECT")],
  ])("RFC 9113 section %s, %s", async (_section, _what, fields) => {
    client.ask(1, fields);
    expect((await client.answer(1)).reset).toBe(protocolError);
    expect(await seen()).toEqual([]);
  });

  it("less DATA than content-length says, of which the service has seen no end", async () => {
    client.send(headers(1, request("/less", "POST", ["content-length", "5"]), { end: false }), data(1, "abc", true));
    expect((await client.answer(1)).reset).toBe(protocolError);
    expect(upstream.to("/less")).toEqual([]);
  });

  it("more DATA than content-length says", async () => {
    client.send(headers(1, request("/more", "POST", ["content-length", "2"]), { end: false }), data(1, "abcGET / HTTP/1.1\r\n\r\n", true));
    expect((await client.answer(1)).reset).toBe(protocolError);
    expect(upstream.to("/more")).toEqual([]);
  });

  it("content-length 0 with DATA", async () => {
    client.send(
      headers(1, request("/zero", "POST", ["content-length", "0"]), { end: false }),
      data(1, "GET /y HTTP/1.1\r\nHost: a\r\n\r\n", true),
    );
    expect((await client.answer(1)).reset).toBe(protocolError);
    await seen();
    expect(upstream.to("/y")).toEqual([]);
    expect(upstream.to("/zero").filter(({ body }) => body.length > 0)).toEqual([]);
    expect(upstream.faults).toEqual([]);
  });

  it("a pseudo-header field in trailers", async () => {
    client.send(headers(1, request("/t", "POST"), { end: false }), data(1, "abc"), headers(1, [[":path", "/y"]]));
    expect((await client.answer(1)).reset).toBe(protocolError);
    expect(upstream.to("/t")).toEqual([]);
  });

  it("CR LF in trailers", async () => {
    client.send(headers(1, request("/t2", "POST"), { end: false }), data(1, "abc"), headers(1, [["a", "b\r\nc: d"]]));
    expect((await client.answer(1)).reset).toBe(protocolError);
    expect(upstream.to("/t2")).toEqual([]);
  });
});

describe("answered, without a service seeing anything, and the connection goes on:", () => {
  it.each<readonly [status: number, what: string, fields: readonly Field[]]>([
    [400, "a blank in :path", replace(":path", "/x HTTP/1.1")],
    [400, "a tab in :path", replace(":path", "/x\ty")],
    [400, "a fragment in :path", replace(":path", "/x#y")],
    [400, "an absolute URI as :path", replace(":path", "http://b.example/x")],
    [400, ":path without a slash", replace(":path", "x")],
    [400, "an asterisk as :path of GET", replace(":path", "*")],
    [400, "an encoded slash in :path", replace(":path", "/a%2fb")],
    [400, "obs-text in :path", replace(":path", "/caf\xe9")],
    [400, "a blank in :method", replace(":method", "GET /y")],
    [400, "a small :method", replace(":method", "get")],
    [400, "a colon in :method", replace(":method", "GET:")],
    [400, "a blank in :authority", replace(":authority", "api.example.com b")],
    [400, "a path in :authority", replace(":authority", "api.example.com/y")],
    [400, "a password in :authority", replace(":authority", "a:b@api.example.com")],
    [400, "an empty :authority", replace(":authority", "")],
    [400, "neither :authority nor Host", without(":authority")],
    [400, "Host that differs from :authority", request("/x", "GET", ["host", "b.example"])],
    [400, "Host with another port than :authority", request("/x", "GET", ["host", "api.example.com:81"])],
    [400, "an empty Host beside :authority", request("/x", "GET", ["host", ""])],
    [400, "https as :scheme in cleartext", replace(":scheme", "https")],
    [400, "another :scheme", replace(":scheme", "ftp")],
    [400, "a :scheme that is an URI", replace(":scheme", "http://b.example/?")],
    [417, "another expectation", request("/x", "GET", ["expect", "200-ok"])],
    [
      501,
      "CONNECT",
      [
        [":method", "CONNECT"],
        [":authority", "api.example.com:443"],
      ],
    ],
    [501, "TRACE", replace(":method", "TRACE")],
    [501, "another :protocol than websocket", [...replace(":method", "CONNECT"), [":protocol", "connect-udp"]]],
    [414, "a long :path", replace(":path", `/${"x".repeat(1024)}`)],
    [431, "a large field", request("/x", "GET", ["a", "x".repeat(4096)])],
    [431, "too many fields", request("/x", "GET", ...Array.from({ length: 20 }, (_, i): Field => [`a-${i}`, "b"]))],
    [431, "a section beyond all that is decoded", request("/x", "GET", ["a", "x".repeat(4096)], ["b", "x".repeat(4096)])],
  ])("%i for %s", async (status, _what, fields) => {
    client.ask(
      1,
      fields,
      fields.every(([name]) => name !== ":protocol"),
    );
    expect(await client.status(1)).toBe(status);
    const { ended, heads } = await client.answer(1);
    expect(ended).toBe(true);
    expect(heads.at(-1)?.fields).toContain("application/problem+json");
    expect(await seen()).toEqual([]);
  });
});

describe("what the service gets", () => {
  const linesOf = (raw: string | undefined): string[] => (raw ?? "").split("\r\n");

  it("has exactly one Host, by the upstream's rules, of a request with :authority alone, Host alone, or both alike", async () => {
    client.ask(1, request("/h"));
    client.ask(3, request("/h", "GET", ["host", "API.example.com:80"]));
    client.ask(5, [...request("/h").filter(([name]) => name !== ":authority"), ["host", "api.example.com"]]);
    expect(await Promise.all([client.status(1), client.status(3), client.status(5)])).toEqual([200, 200, 200]);
    for (const { raw } of upstream.to("/h").slice(-3)) {
      expect(linesOf(raw).filter((line) => /^host:/i.test(line))).toHaveLength(1);
      expect(raw).toMatch(/x-forwarded-host: api\.example\.com\r\n/i);
    }
  });

  it("has cookies in one field, joined by a semicolon, in their order (RFC 9113 section 8.2.3)", async () => {
    client.ask(1, request("/cookies", "GET", ["cookie", "a=1"], ["x-y", "z"], ["cookie", "b=2"], ["cookie", "c=3; d=4"]));
    expect(await client.status(1)).toBe(200);
    expect(linesOf((await upstream.received("/cookies")).raw)).toContain("cookie: a=1; b=2; c=3; d=4");
  });

  it("is framed anew: chunked where the length is not known, by its length where it is", async () => {
    client.send(headers(1, request("/chunked", "POST"), { end: false }), data(1, "abc"));
    await until("the service has the head", () => upstream.connections.length > 0);
    client.send(data(1, "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", true));
    client.send(headers(3, request("/fixed", "POST", ["content-length", "5"]), { end: false }), data(3, "hello", true));
    await Promise.all([client.status(1), client.status(3)]);
    const chunked = await upstream.received("/chunked");
    expect(chunked.body.toString()).toBe("abc0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    const fixed = await upstream.received("/fixed");
    expect(linesOf(fixed.raw)).toContain("content-length: 5");
    expect(fixed.raw).not.toMatch(/transfer-encoding/i);
    expect(fixed.body.toString()).toBe("hello");
    expect(upstream.to("/smuggled")).toEqual([]);
  });

  it("has no body for a request whose HEADERS end it, and nothing that is HTTP/2's own", async () => {
    client.ask(1, request("/plain", "GET", ["te", "trailers"], ["http2-settings", "AAMAAABk"], ["accept", "*/*"]));
    expect(await client.status(1)).toBe(200);
    const { raw, body } = await upstream.received("/plain");
    expect(body.length).toBe(0);
    expect(raw).toMatch(/^GET \/plain HTTP\/1\.1\r\n/);
    expect(raw).not.toMatch(/^(?::|http2-settings|transfer-encoding|content-length|upgrade)/im);
    expect(raw).toMatch(/^accept: \*\/\*$/im);
  });

  it("has the trailers of the request behind its chunks", async () => {
    client.send(headers(1, request("/trailers", "POST"), { end: false }), data(1, "abc"), headers(1, [["x-checksum", "1"]]));
    expect(await client.status(1)).toBe(200);
    expect((await upstream.received("/trailers")).raw).toMatch(/\r\n0\r\nx-checksum: 1\r\n\r\n$/);
  });

  it("names HTTP/2 in Via", async () => {
    client.ask(1, request("/via", "GET", ["via", "1.0 fred"]));
    expect(await client.status(1)).toBe(200);
    expect(linesOf((await upstream.received("/via")).raw)).toContain("via: 1.0 fred, 2.0 sluice");
  });

  it("is the same for sections that are equal, on any stream, and one that differs by END_STREAM alone is framed by that", async () => {
    const fields = request("/again", "POST", ["x-a", "b"]);
    for (const id of [1, 3, 5]) client.ask(id, fields);
    client.send(headers(7, fields, { end: false }), data(7, "x", true));
    client.ask(9, fields);
    for (const id of [1, 3, 5, 7, 9]) expect(await client.status(id)).toBe(200);
    const bodies = upstream.to("/again").map(({ body }) => body.toString());
    expect(bodies.sort()).toEqual(["", "", "", "", "x"]);
  });
});
