// The rules of HTTP/1.x that a valid message meets, one a row, with the section each comes from: bytes in, bytes out, at both ends, on both engines side by side.
// What is refused has tables of its own (refused.test.ts).
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES, type Engine } from "../../support/both-engines.ts";
import { OK } from "../../support/raw-upstream.ts";
import { until } from "../../support/until.ts";

const HOST = "Host: a.example\r\n";

/** What is to be seen. A pattern of all that came, as bytes. */
interface Seen {
  readonly client: RegExp;
  /** The request as the service got it; null: none came. Left out: as any. */
  readonly service?: RegExp | null;
}

interface Row extends Seen {
  readonly send: string;
  /** Sent when this has come. */
  readonly next?: readonly [after: string, bytes: string];
  /** The client closes its side behind what it sends. */
  readonly half?: boolean;
  /** What the service says. */
  readonly answer?: string;
  /** Where the engine uws does otherwise, which is known (docs/engines.md). */
  readonly uws?: Seen;
}

const get = (fields = "", rest = ""): string => `GET /p HTTP/1.1\r\n${HOST}${fields}\r\n${rest}`;
const post = (fields: string, body: string): string => `POST /p HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
const ok = (fields: string, body = ""): string => `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;
const CHUNKED = "Transfer-Encoding: chunked\r\n";
const FINE = /^HTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)*\r\nok$/;
const fine = (field: string): RegExp => new RegExp(`^HTTP/1\\.1 200 OK\r\n(?:[^\r]+\r\n)*${field}\r\n(?:[^\r]+\r\n)*\r\nok$`);
const NOT_SPOKEN: Seen = { client: /^HTTP\/1\.1 505 /, service: null };

const ROWS: Readonly<Record<string, Row>> = {
  "9112 2.2: an empty line before the request line is passed over": {
    send: `\r\n${get()}`,
    client: FINE,
    uws: { client: /^$/, service: null },
  },
  "9112 2.3: the response to HTTP/1.0 is HTTP/1.1, and closes": {
    send: `GET /p HTTP/1.0\r\n${HOST}\r\n`,
    client: fine("connection: close"),
    uws: NOT_SPOKEN,
  },
  "9112 3.2: HTTP/1.0 needs no Host": {
    send: "GET /p HTTP/1.0\r\n\r\n",
    client: FINE,
    service: /\r\nhost: 127\.0\.0\.1:\d+\r\n(?!.*x-forwarded-host)/s,
    uws: NOT_SPOKEN,
  },
  "9112 3.2.2: the authority of an absolute target wins": {
    send: `GET http://b.example/p HTTP/1.1\r\n${HOST}\r\n`,
    client: FINE,
    service: /^GET \/t-\d+ HTTP\/1\.1\r\n.*\r\nx-forwarded-host: b\.example\r\n/s,
    uws: NOT_SPOKEN,
  },
  "9112 3.2.4: OPTIONS * is the gateway's own": {
    send: `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`,
    client: /^HTTP\/1\.1 204 No Content\r\nallow: GET, HEAD, /,
    service: null,
    uws: NOT_SPOKEN,
  },
  "9112 5: white space around a value does not belong to it": {
    send: get("x-a: \t b c \t\r\nx-e:\r\n"),
    client: FINE,
    service: /\r\nx-a: b c\r\nx-e: \r\n/,
  },
  "9110 5.1: names in any case are one": { send: get("X-a: 1\r\nx-A: 2\r\n"), client: FINE, service: /\r\nx-a: 1\r\nx-a: 2\r\n/ },
  "9110 5.5: bytes of a value go on as they came": {
    send: get("x-a: \xa0caf\xe9\xff\r\n"),
    client: FINE,
    service: /\r\nx-a: \xa0caf\xe9\xff\r\n/,
    uws: { client: FINE, service: /\r\nx-a: caf\r\n/ },
  },
  "9110 7.6.1: fields of this connection go no further, nor those that Connection names": {
    send: get("Connection: x-b, keep-alive\r\nX-B: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: close\r\nx-c: 1\r\n"),
    client: FINE,
    service: /^(?!.*(x-b|keep-alive|\r\nte:|proxy-connection|\r\nconnection)).*\r\nx-c: 1\r\n/s,
  },
  "9110 7.6.1: the same of a response": {
    send: get(),
    answer: ok("Connection: x-b\r\nX-B: 1\r\nKeep-Alive: timeout=5\r\nx-c: 1\r\nContent-Length: 2\r\n", "ok"),
    client: /^(?!.*(x-b|keep-alive|connection)).*\r\nx-c: 1\r\n.*\r\n\r\nok$/s,
  },
  "9110 7.8: an upgrade that is not spoken is ignored": {
    send: get("Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    client: FINE,
    service: /^(?!.*upgrade)/s,
  },
  "9112 6.2: a body has as many bytes as its length": {
    send: post("Content-Length: 5\r\n", "a\r\n\0b") + get(),
    client: /ok.*ok$/s,
    service: /\r\ncontent-length: 5\r\n\r\na\r\n\0b$/,
    // It loses requests that come in one segment with another that is not answered at once.
    uws: { client: /^/, service: /\r\ncontent-length: 5\r\n\r\na\r\n\0b$/ },
  },
  "9112 7.1: a chunked body is read to its end, and framed anew": {
    send: post(CHUNKED, "3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n"),
    client: FINE,
    service: /\r\n(content-length: 13\r\n\r\nabc0123456789|transfer-encoding: chunked\r\n\r\n[\s\S]*0\r\n\r\n)$/,
  },
  "9112 7.1.1: extensions of chunks are ignored": {
    send: post(CHUNKED, '3;a=b;c="d\\"e;"\r\nabc\r\n0;x\r\n\r\n'.replace('\\"', "")),
    client: FINE,
    service: /\r\n(content-length: 3\r\n\r\nabc|transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n)$/,
    uws: { client: /^(HTTP\/1\.1 4\d\d |$)/ },
  },
  "9112 7.1.2: trailers go on behind the body": {
    send: post(CHUNKED, "3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n"),
    client: FINE,
    service: /\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n$/,
    uws: { client: /HTTP\/1\.1 (505|200) / },
  },
  "9110 10.1.1: who waits for 100 gets it when the body is wanted": {
    send: post("Expect: 100-continue\r\nContent-Length: 2\r\n", ""),
    next: ["HTTP/1.1 100 Continue\r\n\r\n", "hi"],
    client: /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n.*\r\n\r\nok$/s,
    service: /^(?!.*expect).*\r\n\r\nhi$/s,
  },
  "9112 9.3.2: pipelined requests are answered in their order": {
    send: get() + get().replace("GET", "HEAD") + post("Content-Length: 1\r\nConnection: close\r\n", "x"),
    client:
      /^HTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)*\r\nokHTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)*\r\nHTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)*connection: close\r\n(?:[^\r]+\r\n)*\r\nok$/,
    uws: { client: /^/ },
  },
  "9112 9.6: close is said by both": { send: get("Connection: close\r\n"), client: fine("connection: close") },
  "9112 9.6: a client that has closed its side is answered": { send: get(), half: true, client: FINE, uws: { client: /^$/ } },
  "9112 9.6: so is all that it has sent before": {
    send: get() + get(),
    half: true,
    client: /\r\n\r\nok.*\r\n\r\nok$/s,
    uws: { client: /^/ },
  },
  "9110 6.4.1: HEAD has the length and no body": {
    send: get().replace("GET", "HEAD"),
    answer: ok("Content-Length: 7\r\n"),
    client: /^HTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)*content-length: 7\r\n(?:[^\r]+\r\n)*\r\n$/i,
  },
  "9110 6.4.1: 204 has neither": {
    send: get(),
    answer: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    client: /^HTTP\/1\.1 204 No Content\r\n(?!.*content-length)(?:[^\r]+\r\n)*\r\n$/is,
  },
  "9112 6.1: a response of unknown length comes in chunks": {
    send: get(),
    answer: ok(CHUNKED, `6000\r\n${"x".repeat(0x6000)}\r\n`),
    client: /^HTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)*transfer-encoding: chunked\r\n(?:[^\r]+\r\n)*\r\n[0-9a-f]+\r\nx/i,
  },
  "9112 6.3: to HTTP/1.0 it ends with the connection": {
    send: `GET /p HTTP/1.0\r\n${HOST}\r\n`,
    answer: ok(CHUNKED, "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
    client: /^(?!.*(content-length|transfer-encoding)).*\r\nconnection: close\r\n(?:.*\r\n)?\r\nabcd$/s,
    uws: NOT_SPOKEN,
  },
  "9110 6.5.1: trailers of a response go to whoever takes them": {
    send: get("TE: trailers\r\n"),
    answer: ok(CHUNKED, "2\r\nok\r\n0\r\nx-t: 1\r\nContent-Type: x\r\n\r\n"),
    client: /\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n$/,
    uws: { client: /^(?!.*x-t)/s },
  },
  "9110 6.5.1: and to nobody else": {
    send: get(),
    answer: ok(CHUNKED, "2\r\nok\r\n0\r\nx-t: 1\r\n\r\n"),
    client: /^(?!.*x-t).*ok/s,
  },
  "9110 6.6.1: the origin's Date stays": {
    send: get(),
    answer: ok("Date: Mon, 01 Jan 2001 00:00:00 GMT\r\nContent-Length: 2\r\n", "ok"),
    client: /^(?!.*date:.*date:).*\r\ndate: Mon, 01 Jan 2001 00:00:00 GMT\r\n/s,
    uws: { client: /^(?!.*date:.*date:)(?!.*2001)/is },
  },
  "9110 6.6.1: a response without one gets one": {
    send: get(),
    client: /\r\ndate: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n/i,
  },
  "9112 4: a status without a name has an empty one": {
    send: get(),
    answer: "HTTP/1.1 299 Whatever\r\nContent-Length: 2\r\n\r\nok",
    client: /^HTTP\/1\.1 299 \r\n/,
  },
  "9110 15.2: interim responses go on, ahead of the final one": {
    send: get(),
    answer: `HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Internal: 1\r\n\r\n${OK}`,
    client: /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK\r\n.*ok$/s,
    uws: { client: FINE },
  },
  "9110 15.2: but never to HTTP/1.0": {
    send: `GET /p HTTP/1.0\r\n${HOST}\r\n`,
    answer: `HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n${OK}`,
    client: FINE,
    uws: NOT_SPOKEN,
  },
  "the head of a response goes out before there is a body": {
    send: get(),
    answer: ok("Content-Length: 5\r\nx-head: 1\r\n"),
    client: /^HTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)*x-head: 1\r\n(?:[^\r]+\r\n)*\r\n$/,
    uws: { client: /^$/ },
  },
};

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ], health: { passive: false } } }
routes: [ { name: all, match: { path: "/**" }, to: u } ]
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;

/** What comes is looked at for this long when it is less than it may be: that nothing more comes can't be awaited otherwise. */
const QUIET_LOOKS = 40;

async function check(engine: Engine, row: Row): Promise<void> {
  rig.report();
  const expected = engine === "uws" ? (row.uws ?? row) : row;
  const target = `/t-${++runs}`;
  if (row.answer !== undefined) rig.upstream.answer(target, row.answer);
  await using client = await rig.connect(engine);
  const text = (): string => client.pending.toString("latin1");
  client.send(row.send.replaceAll("/p ", `${target} `));
  if (row.half === true) client.socket.end();
  if (row.next !== undefined) {
    await client.receives(row.next[0]);
    client.send(row.next[1]);
  }
  let looks = 0;
  await until(
    `${expected.client} in ${JSON.stringify(text())}`,
    () => expected.client.test(text()) && (text() !== "" || ++looks > QUIET_LOOKS || client.closed),
  );
  const { service } = expected;
  if (service === undefined) return;
  if (service === null) expect(rig.upstream.to(target)).toEqual([]);
  else expect((await rig.upstream.received(target)).raw).toMatch(service);
}

describe.each(ENGINES)("%s", (engine) => {
  it.each(Object.entries(ROWS))("%s", (_, row) => check(engine, row));
});
