// What becomes of wrong, odd and hostile upstream answers: never relayed in doubt, never tried again where the fault is not the connection's,
// and nothing of one answer is ever taken for another.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES, type Engine } from "../../support/both-engines.ts";
import { field, type RawResponse } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { until } from "../../support/until.ts";

let rig: BothEngines;
beforeAll(async () => {
  // One connection: whatever is left on it would meet the next request.
  rig = await BothEngines.start(
    (port) => `upstreams:
  u:
    targets: [ { url: "http://127.0.0.1:${port}" } ]
    pool: { connections: 1 }
    health: { passive: false }
    retry: { budget: 100% }
routes: [ { name: all, match: { path: "/**" }, to: u } ]
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

/** Of the last answer: those before the final one. */
let interim: string[] = [];
let runs = 0;
const freshPath = (): string => `/answer-${++runs}`;

/** The next request on the same upstream connection gets its own answer. */
async function expectNothingLeft(engine: Engine): Promise<void> {
  await using next = await rig.connect(engine);
  next.send("GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n");
  const response = await next.response();
  expect([response.status, response.body.toString()]).toEqual([200, "ok"]);
}

interface Answer {
  readonly bytes: string;
  readonly method?: string;
  /** Close the connection behind the bytes. */
  readonly end?: boolean;
}

async function ask(
  engine: Engine,
  { bytes, method = "GET", end = false }: Answer,
): Promise<{ readonly response: RawResponse; readonly attempts: number }> {
  rig.report();
  const path = freshPath();
  rig.upstream.answer(path, bytes, end);
  await using client = await rig.connect(engine);
  client.send(`${method} ${path} HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\n\r\n`);
  interim = [];
  let response = await client.response(method === "HEAD");
  for (; response.status < 200; response = await client.response(method === "HEAD"))
    interim.push(`${response.status} ${field(response, "link") ?? ""}`);
  await expectNothingLeft(engine);
  expect(client.pending.toString("latin1")).toBe("");
  return { response, attempts: rig.upstream.to(path).length };
}

const ok = (fields: string, body = "ok"): string => `HTTP/1.1 200 OK\r\n${fields}\r\n\r\n${body}`;
const line = (text: string): string => `${text}\r\nContent-Length: 2\r\n\r\nok`;
const value = (text: string): string => ok(`x-a: ${text}\r\nContent-Length: 2`);
const CHUNKED = "2\r\nok\r\n0\r\n\r\n";
/** What an attacker would have taken for the answer to the next request. */
const EVIL = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

const INVALID: Record<string, Answer> = {
  "two equal Content-Length": { bytes: ok("Content-Length: 2\r\nContent-Length: 2") },
  "two different Content-Length": { bytes: ok("Content-Length: 2\r\nContent-Length: 3") },
  "two Content-Length that make a length together": { bytes: ok("Content-Length: 1\r\nContent-Length: 0", "0123456789") },
  "Content-Length as a list": { bytes: ok("Content-Length: 2, 2") },
  "Content-Length x": { bytes: ok("Content-Length: x") },
  "Content-Length +2": { bytes: ok("Content-Length: +2") },
  "Content-Length 2^60": { bytes: ok("Content-Length: 1152921504606846976") },
  "Content-Length with 20 digits": { bytes: ok("Content-Length: 99999999999999999999") },
  "Content-Length before Transfer-Encoding": { bytes: ok("Content-Length: 2\r\nTransfer-Encoding: chunked", CHUNKED) },
  "Transfer-Encoding before Content-Length": { bytes: ok("Transfer-Encoding: chunked\r\nContent-Length: 2", CHUNKED) },
  "Transfer-Encoding gzip, chunked": { bytes: ok("Transfer-Encoding: gzip, chunked", CHUNKED) },
  "Transfer-Encoding gzip": { bytes: ok("Transfer-Encoding: gzip"), end: true },
  "Transfer-Encoding identity": { bytes: ok("Transfer-Encoding: identity"), end: true },
  "a status that is no number": { bytes: line("HTTP/1.1 abc OK") },
  "status 099": { bytes: line("HTTP/1.1 099 X") },
  "status 600": { bytes: line("HTTP/1.1 600 X") },
  "status 2000": { bytes: line("HTTP/1.1 2000 X") },
  "another protocol": { bytes: line("HTTQ/1.1 200 OK") },
  "HTTP/1.2": { bytes: line("HTTP/1.2 200 OK") },
  "no HTTP at all": { bytes: "hello there\r\n\r\n" },
  "bare LF": { bytes: "HTTP/1.1 200 OK\nContent-Length: 2\n\nok" },
  "an unsolicited 101": { bytes: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw" },
  "bare CR in a value (splitting)": { bytes: value("b\rSet-Cookie: e=1") },
  "bare LF in a value (splitting)": { bytes: value("b\nSet-Cookie: e=1") },
  "bare LF LF in a value (splitting)": { bytes: value(`b\n\n${EVIL}`) },
  "NUL in a value": { bytes: value("b\0c") },
  "a control character in a value": { bytes: value("b\x01c") },
  "DEL in a value": { bytes: value("b\x7fc") },
  "a folded field line": { bytes: value("b\r\n c") },
  "a blank in a field name": { bytes: ok("x a: b\r\nContent-Length: 2") },
  "a blank before the colon": { bytes: ok("Content-Length : 2") },
  "an empty field name": { bytes: ok(": b\r\nContent-Length: 2") },
  "a head of 100 KB": { bytes: value("a".repeat(100_000)) },
};

const BROKEN: Record<string, Answer> = {
  "closed without a byte": { bytes: "", end: true },
  "closed inside the head": { bytes: "HTTP/1.1 200 OK\r\nContent-Len", end: true },
};

/** The client's connection is cut: what it has is not complete, and it can tell. */
const CUT: Record<string, Answer> = {
  "a body shorter than its length": { bytes: ok("Content-Length: 10"), end: true },
  "a chunked body that is cut": { bytes: ok("Transfer-Encoding: chunked", "5\r\nok"), end: true },
  "a chunked body with a wrong size": { bytes: ok("Transfer-Encoding: chunked", "2\r\nok\r\nzz\r\n") },
};

type Check = (response: RawResponse, engine: Engine) => void;
const body =
  (text: string, status = 200): Check =>
  (response) =>
    expect([response.status, response.body.toString("latin1")]).toEqual([status, text]);

const RELAYED: Record<string, Answer & { readonly check: Check }> = {
  "an answer longer than its length": { bytes: ok("Content-Length: 2") + EVIL, check: body("ok") },
  "HEAD answered with a body": {
    method: "HEAD",
    bytes: ok("Content-Length: 2") + EVIL,
    check: (response) => expect([response.status, field(response, "content-length")]).toEqual([200, "2"]),
  },
  "HEAD answered without a length": {
    method: "HEAD",
    bytes: ok("x-a: b", ""),
    check: (response) => expect([response.status, field(response, "transfer-encoding")]).toEqual([200, undefined]),
  },
  "204 with a body": {
    bytes: `HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n${EVIL}`,
    check: (response) => expect([response.status, field(response, "content-length")]).toEqual([204, undefined]),
  },
  "304 with a body": {
    bytes: `HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 4\r\n\r\n${EVIL}`,
    check: (response) => expect([response.status, field(response, "etag")]).toEqual([304, '"x"']),
  },
  "100, 102 and 103 before 200": {
    bytes: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok("Content-Length: 2")}`,
    check: (response, engine) => {
      body("ok")(response, engine);
      expect(field(response, "link")).toBeUndefined();
      // 100 is for the gateway, which has not waited for it (RFC 9110 section 15.2).
      expect(interim).toEqual(engine === "net" ? ["102 ", "103 </a>"] : []);
    },
  },
  "HTTP/1.0 without a length": { bytes: "HTTP/1.0 200 OK\r\n\r\nok", end: true, check: body("ok") },
  "a head of 30 KB": { bytes: value("a".repeat(30_000)), check: (response) => expect(field(response, "x-a")).toBe("a".repeat(30_000)) },
  "no reason phrase": { bytes: line("HTTP/1.1 200"), check: body("ok") },
  "a status without a phrase of its own": {
    bytes: line("HTTP/1.1 599 Made Up"),
    check: (response) => expect(response.startLine).toBe("HTTP/1.1 599 "),
  },
  "a reason phrase in latin1": { bytes: line("HTTP/1.1 200 caf\xe9"), check: body("ok") },
  "chunk extensions": { bytes: ok("Transfer-Encoding: chunked", "2;a=b\r\nok\r\n0\r\n\r\n"), check: body("ok") },
  "an empty body without a length": { bytes: ok("Transfer-Encoding: chunked", "0\r\n\r\n"), check: body("") },
  "latin1 in values, byte by byte": {
    bytes: ok("x-a: caf\xe9\r\nContent-Disposition: attachment; filename=caf\xe9\r\nContent-Length: 2"),
    check: (response) => {
      expect(field(response, "x-a")).toBe("caf\xe9");
      expect(field(response, "content-disposition")).toBe("attachment; filename=caf\xe9");
    },
  },
  "hop-by-hop fields and those that Connection names": {
    bytes: ok(
      "Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nTrailer: x\r\nX-End: 1\r\nContent-Length: 2",
    ),
    end: true,
    check: (response) => {
      const names = response.fields.map(([name]) => name.toLowerCase());
      expect(names.toSorted()).toEqual(["content-length", "date", "x-end", "x-request-id"]);
    },
  },
  "several Set-Cookie, one Date, the upstream's Server": {
    bytes: ok("Date: Mon, 01 Jan 2001 00:00:00 GMT\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: s\r\nContent-Length: 2"),
    check: (response, engine) => {
      expect(valuesOf(response, "set-cookie")).toEqual(["a=1", "b=2"]);
      // RFC 9110 section 6.6.1: the origin's own; the engine uws writes its own on everything.
      expect(field(response, "date")?.includes("2001")).toBe(engine === "net");
      expect(field(response, "server")).toBe("s");
    },
  },
};

describe.each(ENGINES)("%s", (engine) => {
  it.each(Object.entries(INVALID))("502 upstream_invalid, once: %s", async (_, answer) => {
    const { response, attempts } = await ask(engine, answer);
    expect(response.status).toBe(502);
    expect(field(response, "content-type")).toBe("application/problem+json");
    const problem: { code: string; detail: string } = JSON.parse(response.body.toString());
    expect(problem.code).toBe("upstream_invalid");
    // The reason is for the log: nothing of the answer or the upstream leaks.
    expect(problem.detail).toBe("The upstream's answer is not valid HTTP");
    expect(attempts).toBe(1);
  });

  it.each(Object.entries(BROKEN))("502 upstream_reset, tried again: %s", async (_, answer) => {
    const { response, attempts } = await ask(engine, answer);
    expect(response.status).toBe(502);
    expect(JSON.parse(response.body.toString())).toMatchObject({ code: "upstream_reset" });
    expect(attempts).toBe(3);
  });

  it.each(Object.entries(CUT))("502 while nothing of it was sent, else the client is cut off: %s", async (_, { bytes, end = false }) => {
    rig.report();
    const path = freshPath();
    rig.upstream.answer(path, bytes, end);
    await using client = await rig.connect(engine);
    client.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    const inPlace = (): boolean => client.pending.toString("latin1").startsWith("HTTP/1.1 502 ");
    await until("the client is cut off, or has another answer", () => client.closed || inPlace(), 8000);
    expect(rig.upstream.to(path)).toHaveLength(1);
    if (inPlace()) {
      const problem: { code: string } = JSON.parse((await client.response()).body.toString());
      expect(problem.code).toBe("upstream_aborted");
      return expectNothingLeft(engine);
    }
    // node:http may not have begun what broke at once; what was begun has no end.
    const received = client.pending.toString("latin1");
    expect(received).toMatch(engine === "net" ? /^$|^HTTP\/1\.1 200 .*ok/s : /^HTTP\/1\.1 200 .*ok/s);
    expect(received).not.toContain("\r\n0\r\n\r\n");
    if (bytes.includes("Content-Length")) expect(received.toLowerCase()).toMatch(/^$|\r\ncontent-length: 10\r\n/);
    await expectNothingLeft(engine);
  });

  it.each(Object.entries(RELAYED))("relays: %s", async (_, { check, ...answer }) => {
    const { response, attempts } = await ask(engine, answer);
    check(response, engine);
    expect(attempts).toBe(1);
  });

  it("relays trailers to a client that said it takes them, framing and cookies left out", async () => {
    const { response } = await ask(engine, {
      bytes: ok("Transfer-Encoding: chunked", "2\r\nok\r\n0\r\nx-t: 1\r\nSet-Cookie: t=1\r\nContent-Type: x\r\n\r\n"),
    });
    expect(response.body.toString()).toBe("ok");
    expect(response.trailers).toEqual(engine === "net" ? [["x-t", "1"]] : []);
  });

  it.each([
    ["200", 200],
    ["413", 413],
  ])("relays an answer that comes before the request body has ended: %s", async (_, status) => {
    rig.report();
    const path = freshPath();
    rig.upstream.onHead(path, (connection) => connection.write(`HTTP/1.1 ${status} X\r\nContent-Length: 5\r\n\r\nearly`));
    await using client = await rig.connect(engine);
    client.send(`POST ${path} HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(100_000)}`);
    const response = await client.response();
    expect([response.status, response.body.toString(), field(response, "connection")]).toEqual([status, "early", "close"]);
    await client.closes();
    await expectNothingLeft(engine);
  });
});
