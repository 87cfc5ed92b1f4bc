// Every request that is in any doubt is refused, its connection closed, and nothing behind it is taken for another request.
// One row for each line of the listener's table of pitfalls; bytes go in over raw sockets.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES, type Engine } from "../../support/both-engines.ts";
import type { RawClient } from "../../support/raw-client.ts";

const HOST = "Host: a.example\r\n";

/** Status of the refusal; `cut`: closed without an answer, at the latest by a timeout; `taken`: the request itself is served, re-framed. */
type Outcome = number | "cut" | "taken";

interface Row {
  readonly bytes: string;
  readonly uws: Outcome;
  readonly net: Outcome;
  /** The body may be on its way upstream, framed anew, before it turns out to be wrong. */
  readonly streamed?: boolean;
}

const row = (bytes: string, uws: Outcome, net: Outcome = uws): Row => ({ bytes, uws, net });
const get = (fields: string, uws: Outcome, net: Outcome = uws): Row => row(`GET /p HTTP/1.1\r\n${HOST}${fields}\r\n\r\n`, uws, net);
const target = (text: string, uws: Outcome, net: Outcome = uws): Row => row(`GET ${text} HTTP/1.1\r\n${HOST}\r\n`, uws, net);
const post = (fields: string, body: string, uws: Outcome, net: Outcome = uws): Row =>
  row(`POST /p HTTP/1.1\r\n${HOST}${fields}\r\n\r\n${body}`, uws, net);
const chunked = (body: string, uws: Outcome, net: Outcome = uws): Row => ({
  ...post("Transfer-Encoding: chunked", body, uws, net),
  streamed: true,
});
const fields = (count: number): string => Array.from({ length: count }, (_, i) => `x-${i}: v`).join("\r\n");
const EMPTY_CHUNKED = "0\r\n\r\n";

const FRAMING: Record<string, Row> = {
  "two equal Content-Length": post("Content-Length: 5\r\nContent-Length: 5", "hello", 400),
  "two different Content-Length": post("Content-Length: 5\r\nContent-Length: 0", "hello", 400),
  "Content-Length as a list": post("Content-Length: 5, 5", "hello", 400),
  "Content-Length +5": post("Content-Length: +5", "hello", 400),
  "Content-Length -5": post("Content-Length: -5", "hello", 400),
  "Content-Length 0x5": post("Content-Length: 0x5", "hello", 400),
  "Content-Length with 20 digits": post("Content-Length: 99999999999999999999", "hello", 400),
  "empty Content-Length": post("Content-Length: ", "", 400),
  "empty Content-Length and Transfer-Encoding": post("Content-Length: \r\nTransfer-Encoding: chunked", EMPTY_CHUNKED, 400),
  "Content-Length before Transfer-Encoding": post("Content-Length: 5\r\nTransfer-Encoding: chunked", EMPTY_CHUNKED, 400),
  "Transfer-Encoding before Content-Length": post("Transfer-Encoding: chunked\r\nContent-Length: 5", EMPTY_CHUNKED, 400),
  "Transfer-Encoding identity": post("Transfer-Encoding: identity", EMPTY_CHUNKED, 400),
  "Transfer-Encoding xchunked": post("Transfer-Encoding: xchunked", EMPTY_CHUNKED, 400),
  "Transfer-Encoding gzip, chunked": post("Transfer-Encoding: gzip, chunked", EMPTY_CHUNKED, 400),
  "Transfer-Encoding chunked, identity": post("Transfer-Encoding: chunked, identity", EMPTY_CHUNKED, 400),
  "empty Transfer-Encoding": post("Transfer-Encoding: ", EMPTY_CHUNKED, 400),
  "two Transfer-Encoding": post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", EMPTY_CHUNKED, 400),
  "Transfer-Encoding behind a vertical tab": post("Transfer-Encoding: \x0bchunked", EMPTY_CHUNKED, 400),
  "a blank before the colon": post("Transfer-Encoding : chunked", EMPTY_CHUNKED, 400),
  "a folded field line": get("x-a: b\r\n c", 400),
};

// The uws parser mis-reads some of these; then the request is re-framed and the connection ends with it, so that nothing follows.
const CHUNKS: Record<string, Row> = {
  "chunk size g": chunked("g\r\nabc\r\n0\r\n\r\n", "cut", 400),
  "chunk size :": chunked(":\r\nabc\r\n0\r\n\r\n", "cut", 400),
  "chunk size 0x3": chunked("0x3\r\nabc\r\n0\r\n\r\n", 400),
  "chunk size -1": chunked("-1\r\nabc\r\n0\r\n\r\n", 400),
  "chunk size of 72 bits": chunked("ffffffffffffffffff\r\nabc\r\n0\r\n\r\n", 400),
  "empty chunk size": chunked("\r\nabc\r\n0\r\n\r\n", "taken", 400),
  "bare LF in chunks": chunked("3\nabc\n0\n\n", "taken", 400),
  "bare LF behind a chunk": chunked("3\r\nabc\n0\r\n\r\n", "taken", 400),
  "a chunk longer than its size": chunked("3\r\nabcdef\r\n0\r\n\r\n", "cut", 400),
  "a chunk extension": chunked("3;a=b\r\nabc\r\n0\r\n\r\n", "cut", "taken"),
  "request trailers": chunked("3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n", 505, "taken"),
  "Content-Length as a trailer": chunked("0\r\nContent-Length: 40\r\n\r\n", 505, 400),
};

const LINES: Record<string, Row> = {
  "bare LF behind the request line": row("GET /p HTTP/1.1\nHost: a.example\n\n", 505, 400),
  "bare LF between fields": row("GET /p HTTP/1.1\r\nHost: a.example\nx-b: c\r\n\r\n", 400),
  "bare CR in a value": get("x-b: c\rd", "cut", 400),
  "bare CR as line end": row("GET /p HTTP/1.1\rHost: a.example\r\r", 505, 400),
  "CRLF before the request line": row(`\r\nGET /p HTTP/1.1\r\n${HOST}\r\n`, "cut", "taken"),
  "a blank before the method": row(` GET /p HTTP/1.1\r\n${HOST}\r\n`, 505, 400),
  "NUL in a value": get("x-b: c\0d", 400),
  "a control character in a value": get("x-b: c\x01d", 400),
  "DEL in a value": get("x-b: c\x7fd", 400),
  "a blank in a field name": get("x b: c", 400),
  "no colon": get("xb", 400),
  "a delimiter in a field name": get("x(b): c", 400),
  // uws hides this field and all behind it from JavaScript: the request is served without them (docs/engines.md).
  "an empty field name": get(": c\r\nx-b: d", "taken", 400),
  "U+FFFD in a value": get("x-b: a\xef\xbf\xbdb", 400, "taken"),
  "bytes that are no UTF-8": get("x-b: a\xe9b", 400, "taken"),
  "a method in lower case": row(`get /p HTTP/1.1\r\n${HOST}\r\n`, 400),
  "a method that is no token": row(`FO(O /p HTTP/1.1\r\n${HOST}\r\n`, 400),
  TRACE: row(`TRACE /p HTTP/1.1\r\n${HOST}\r\n`, 501),
  "CONNECT with a path": row(`CONNECT /x HTTP/1.1\r\n${HOST}\r\n`, 501),
  "CONNECT with an authority": row(`CONNECT a.example:443 HTTP/1.1\r\n${HOST}\r\n`, 505, 501),
  "another Expect": post("Expect: 200-ok\r\nContent-Length: 2", "hi", 417),
  "two Expect": post("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 2", "hi", 417),
  "a Connection option that is no token": get("Connection: a b", 400),
  // JavaScript's trim() would take it for a blank.
  "a Connection option with a byte above 0x7f": get("Connection: close\xa0, x-b", 400),
  "33 Connection options": get(`Connection: ${"a, ".repeat(32)}a`, 400),
  "33 Connection options in two lines": get(`Connection: ${"a,".repeat(16)}a\r\nConnection: ${"a,".repeat(15)}a`, 400),
  "15 KB of Connection options": get(`Connection: ${"a,".repeat(7500)}a`, 400),
  "15 KB of commas in Connection": get(`Connection: ${",".repeat(15_000)}`, 400),
  "Connection naming Host": get("Connection: close, Host", 400),
  "Connection naming Authorization": get("Connection: authorization\r\nAuthorization: Bearer x", 400),
  "Connection naming Cookie": get("Connection: Cookie\r\nCookie: a=b", 400),
  "Connection naming X-Request-Id": get("Connection: X-Request-Id\r\nX-Request-Id: 1", 400),
  "Connection naming Forwarded": get("Connection: forwarded", 400),
  "Connection naming X-Forwarded-Anything": get("Connection: x-forwarded-anything", 400),
  "Connection naming a header of a proxy": get("Connection: true-client-ip", 400),
  "Connection naming an identity header": get("Connection: x-consumer-id", 400),
  "Connection naming another spelling of one": get("Connection: x_consumer_id", 400),
  "Connection naming Content-Length": post("Connection: Content-Length\r\nContent-Length: 5", "hello", 400),
  "Connection naming Transfer-Encoding": post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", EMPTY_CHUNKED, 400),
  "no Host": row("GET /p HTTP/1.1\r\nx-a: b\r\n\r\n", 400),
  "an empty Host": row("GET /p HTTP/1.1\r\nHost: \r\n\r\n", 400),
  "two Host": row("GET /p HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
  "Host with a path": row("GET /p HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
  "Host with userinfo": row("GET /p HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
  "Host as a list": row("GET /p HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
  "Host with a wild port": row("GET /p HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400),
  "Host with two empty ports": row("GET /p HTTP/1.1\r\nHost: a::\r\n\r\n", 400),
  "Host that is an empty port": row("GET /p HTTP/1.1\r\nHost: :\r\n\r\n", 400),
  "OPTIONS with a Max-Forwards that is no number": row(`OPTIONS /p HTTP/1.1\r\n${HOST}Max-Forwards: many\r\n\r\n`, 400),
  "OPTIONS with two Max-Forwards": row(`OPTIONS /p HTTP/1.1\r\n${HOST}Max-Forwards: 1\r\nMax-Forwards: 2\r\n\r\n`, 400),
};

const TARGETS: Record<string, Row> = {
  "//evil": target("//evil", 400),
  "/a//b": target("/a//b", 400),
  "/..": target("/..", 400),
  "/%2e%2e": target("/%2e%2e", 400),
  "/a/..;/b": target("/a/..;/b", 400),
  "an encoded slash": target("/a%2fb", 400),
  "an encoded backslash": target("/a%5cb", 400),
  "%00": target("/a%00b", 400),
  "%zz": target("/a%zzb", 400),
  "%252e": target("/a%252eb", 400),
  "a fragment": target("/a#b", 400),
  "a fragment in the query": target("/a?x#b", 400),
  "a backslash": target("/a\\b", 400),
  "a byte above 0x7f": target("/a\xe9b", 400),
  "a tab": target("/a\tb", 505, 400),
  "a blank": target("/a b", 505, 400),
  "no slash": target("a", 505, 400),
  "* for GET": target("*", 505, 400),
  "an absolute URI of another scheme": target("https://b.example/p", 505, 400),
  "an absolute URI with userinfo": target("http://u@b.example/p", 505, 400),
  "an absolute URI without host": target("http:///p", 505, 400),
  "HTTP/0.9": row("GET /p\r\n\r\n", 505),
  "HTTP/1.2": row(`GET /p HTTP/1.2\r\n${HOST}\r\n`, 505),
  "HTTP/2.0": row(`GET /p HTTP/2.0\r\n${HOST}\r\n`, 505),
  "the HTTP/2 preface": row("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
  "Transfer-Encoding in HTTP/1.0": row(`POST /p HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 505, 400),
};

const SIZES: Record<string, Row> = {
  "98 fields": row(`GET /p HTTP/1.1\r\n${HOST}${fields(97)}\r\n\r\n`, "taken"),
  "100 fields, which is the limit": row(`GET /p HTTP/1.1\r\n${HOST}${fields(99)}\r\n\r\n`, 431, "taken"), // uws stops at 98
  "101 fields": row(`GET /p HTTP/1.1\r\n${HOST}${fields(100)}\r\n\r\n`, 431),
  "1000 fields": row(`GET /p HTTP/1.1\r\n${HOST}${fields(999)}\r\n\r\n`, 431),
  "a section above headerBytes": get(`x-a: ${"a".repeat(17_000)}`, 431),
  "a section far above headerBytes": get(`x-a: ${"a".repeat(200_000)}`, 431),
  "a target above uriBytes": target(`/${"a".repeat(9000)}`, 414),
  "a target far above uriBytes": target(`/${"a".repeat(100_000)}`, 431, 414),
};

/** The header timeout of uws is a multiple of 4 s and may take twice as long. */
const CUT_WITHIN_MS = 20_000;

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `limits: { headerTimeout: 2s, bodyTimeout: 1s }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
routes: [ { name: all, match: { path: "/**" }, to: u } ]
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;

/** One row over one connection. Its paths carry a number of their own, so that rows can run side by side. */
class Run implements AsyncDisposable {
  readonly id = ++runs;
  readonly client: RawClient;
  readonly #engine: Engine;
  readonly #from = rig.upstream.requests.length;

  private constructor(client: RawClient, engine: Engine) {
    this.client = client;
    this.#engine = engine;
  }

  static async start(engine: Engine): Promise<Run> {
    return new Run(await rig.connect(engine), engine);
  }

  /** @param behind a request that an attacker would have taken for one of its own */
  send({ bytes }: Row, behind = ""): void {
    this.client.send(bytes.replace(" /p ", ` /p-${this.id} `) + behind.replace(" /smuggled ", ` /smuggled-${this.id} `));
  }

  /** What went upstream because of it. */
  async seen(): Promise<string[]> {
    const own = new RegExp(`^/(p|smuggled)-${this.id}$`);
    const targets = await rig.targetsSince(this.#from, this.#engine);
    return targets.filter((target) => own.test(target) || !OF_SOME_RUN.test(target)).map((target) => target.replace(/-\d+$/, ""));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.client[Symbol.asyncDispose]();
  }
}

const OF_SOME_RUN = /^\/(p|smuggled|canary)-\d+$/;

/** Sends the row alone: the answer is the refusal and the connection ends. */
async function alone(engine: Engine, each: Row): Promise<void> {
  const outcome = each[engine];
  await using run = await Run.start(engine);
  const { client } = run;
  run.send(each);
  if (outcome === "cut") {
    await client.closes(CUT_WITHIN_MS);
    // A body that never makes sense ends as one that never comes: nothing, the parser's 400 or the body timeout's 408.
    expect(client.pending.toString("latin1")).toMatch(/^$|^HTTP\/1\.1 40[08] /);
  } else {
    let response = await client.response();
    // uws sends 100 before it asks anybody; a refusal after it is still one.
    if (engine === "uws" && response.status === 100) response = await client.response();
    expect(response.status).toBe(outcome === "taken" ? 200 : outcome);
    if (outcome !== "taken") await client.closes();
    if (outcome !== "taken") expect(client.pending.toString("latin1")).toBe("");
  }
  const seen = await run.seen();
  if (outcome === "taken") expect(seen).toEqual(["/p"]);
  else expect(seen.filter((target) => !(each.streamed === true && target === "/p"))).toEqual([]);
}

/** Sends the row with a second request in the same segment: it must not be taken for one, unless the first was in no doubt. */
async function pipelined(engine: Engine, each: Row): Promise<void> {
  const outcome = each[engine];
  await using run = await Run.start(engine);
  const { client } = run;
  run.send(each, `GET /smuggled HTTP/1.1\r\n${HOST}\r\n`);
  if (engine === "net" && outcome === "taken") {
    // No doubt is left: the parser has read it to its end, so what follows is a request in its own right.
    expect((await client.response()).status).toBe(200);
    expect((await client.response()).status).toBe(200);
    return;
  }
  await client.closes(CUT_WITHIN_MS);
  const statuses = [...client.pending.toString("latin1").matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
  expect(statuses.length).toBeLessThanOrEqual(1);
  if (engine === "net") expect(statuses).toEqual([outcome]);
  const seen = await run.seen();
  expect(seen.filter((target) => target !== "/p")).toEqual([]);
  if (typeof outcome === "number" && each.streamed !== true) expect(seen).toEqual([]);
}

const TABLES: Record<string, Record<string, Row>> = {
  "body framing": FRAMING,
  "chunked coding": CHUNKS,
  "lines, methods and hosts": LINES,
  "targets and versions": TARGETS,
  sizes: SIZES,
};

describe.each(ENGINES)("%s", (engine) => {
  for (const [name, table] of Object.entries(TABLES)) {
    describe.concurrent(name, () => {
      it.each(Object.entries(table))("%s", (_, each) => alone(engine, each));
    });
  }

  describe.concurrent("with a second request in the same segment", () => {
    const all = Object.values(TABLES).flatMap((table) => Object.entries(table));
    it.each(all)("%s", (_, each) => pipelined(engine, each));
  });

  it("never sent anything upstream that is no HTTP/1.1 request", () => {
    rig.report();
    expect(rig.upstream.faults).toEqual([]);
    expect(rig.upstream.unfinished.filter((raw) => !/^POST \/p-\d+ /.test(raw))).toEqual([]);
  });
});
