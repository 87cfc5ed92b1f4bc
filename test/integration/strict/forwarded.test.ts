// What goes upstream, byte by byte, for requests that are accepted: hop-by-hop fields gone, framing made anew, targets normalised,
// forged forwarding fields replaced.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES, type Engine } from "../../support/both-engines.ts";
import { OK } from "../../support/raw-upstream.ts";
import { until } from "../../support/until.ts";

const HOST = "Host: a.example\r\n";

/** What the gateway adds to every request, in this order. */
const ADDED = [
  "x-forwarded-for: 127.0.0.1",
  "x-forwarded-proto: http",
  "x-forwarded-host: a.example",
  "x-forwarded-port: 80",
  "forwarded: for=127.0.0.1;proto=http;host=a.example",
  "via: 1.1 sluice",
  "x-request-id: ID",
  "x-request-deadline-ms: MS",
];

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
routes: [ { name: all, match: { path: "/**" }, to: u } ]
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;

/** Sends a request for `/p` (under a path of its own) and gives back what arrived upstream, with what differs each time replaced. */
async function forwarded(engine: Engine, bytes: string): Promise<string> {
  rig.report();
  const path = `/p-${++runs}`;
  await using client = await rig.connect(engine);
  client.send(bytes.replace("/p", path));
  let response = await client.response();
  if (response.status === 100) response = await client.response();
  expect(response.status).toBe(200);
  const { raw } = await rig.upstream.received(path);
  return raw
    .replace(path, "/p")
    .replace(`127.0.0.1:${rig.upstream.port}`, "UPSTREAM")
    .replace(/x-request-id: [\w-]+/, "x-request-id: ID")
    .replace(/deadline-ms: \d+/, "deadline-ms: MS");
}

interface Expected {
  readonly line?: string;
  /** The client's fields, as they go on. */
  readonly fields?: readonly string[];
  readonly added?: readonly string[];
  /** Behind them, with the body. */
  readonly framing?: string;
}

const wire = ({ line = "GET /p HTTP/1.1", fields = [], added = ADDED, framing = "\r\n" }: Expected): string =>
  [line, "host: UPSTREAM", ...fields, ...added, ""].join("\r\n") + framing;

const get = (fields: string): string => `GET /p HTTP/1.1\r\n${HOST}${fields}\r\n\r\n`;
const post = (fields: string, body: string): string => `POST /p HTTP/1.1\r\n${HOST}${fields}\r\n\r\n${body}`;

const BOTH: Record<string, readonly [bytes: string, expected: Expected]> = {
  "end-to-end fields in their order, names in lower case, twice when sent twice": [
    get("Accept: */*\r\nX-A: 1\r\nx-B:  two words \r\nX-A: 2"),
    { fields: ["accept: */*", "x-a: 1", "x-b: two words", "x-a: 2"] },
  ],
  "UTF-8 in a value, byte by byte": [get("x-a: caf\xc3\xa9!"), { fields: ["x-a: caf\xc3\xa9!"] }],
  "a header section of 12 KB": [get(`x-a: ${"a".repeat(12_000)}`), { fields: [`x-a: ${"a".repeat(12_000)}`] }],
  "`Connection: ,`": [get("Connection: ,\r\nx-a: b"), { fields: ["x-a: b"] }],
  "a field that Connection names": [get("Connection: keep-alive, X-Secret\r\nX-Secret: s\r\nx-a: b"), { fields: ["x-a: b"] }],
  "fields that two lines of Connection name, beside hop-by-hop ones": [
    get(
      "Connection: TE, x-one\r\nTE: trailers\r\nConnection: X-Two, accept-language\r\nx-one: 1\r\nx-two: 2\r\nAccept-Language: de\r\nx-a: b",
    ),
    { fields: ["x-a: b"] },
  ],
  "a Host with an empty port": ["GET /p HTTP/1.1\r\nHost: a.example:\r\nx-a: b\r\n\r\n", { fields: ["x-a: b"] }],
  "a Host with a port": [
    "GET /p HTTP/1.1\r\nHost: a.example:8080\r\nx-a: b\r\n\r\n",
    {
      fields: ["x-a: b"],
      added: ADDED.map((line) =>
        line
          .replace("port: 80", "port: 8080")
          .replace("host: a.example", "host: a.example:8080")
          .replace("host=a.example", 'host="a.example:8080"'),
      ),
    },
  ],
  "OPTIONS with Max-Forwards, which is counted": [
    `OPTIONS /p HTTP/1.1\r\n${HOST}Max-Forwards: 010\r\n\r\n`,
    { line: "OPTIONS /p HTTP/1.1", fields: ["max-forwards: 9"] },
  ],
  "Max-Forwards of other methods, which is not": [get("Max-Forwards: 0"), { fields: ["max-forwards: 0"] }],
  "hop-by-hop fields": [
    get("Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: x\r\nProxy-Authorization: Basic x\r\nx-a: b"),
    { fields: ["x-a: b"] },
  ],
  "Upgrade: h2c": [
    get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nx-a: b"),
    { fields: ["x-a: b"] },
  ],
  "forged forwarding fields": [
    get(
      "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nForwarded: for=10.0.0.1\r\nX-Request-Deadline-Ms: 9\r\nx-a: b",
    ),
    { fields: ["x-a: b"] },
  ],
  "a Via of another proxy": [
    get("Via: 1.0 fred"),
    { added: ADDED.map((line) => (line.startsWith("via") ? "via: 1.0 fred, 1.1 sluice" : line)) },
  ],
  "a target with dot segments": ["GET /a/./b/../../p HTTP/1.1\r\nHost: a.example\r\n\r\n", {}],
  "encoded dot segments and unreserved characters": [
    "GET /a/%2E%2e/p?q=%2e HTTP/1.1\r\nHost: a.example\r\n\r\n",
    { line: "GET /p?q=%2e HTTP/1.1" },
  ],
  "a fixed body": [post("Content-Length: 5", "hello"), { line: "POST /p HTTP/1.1", framing: "content-length: 5\r\n\r\nhello" }],
  "an empty fixed body": [post("Content-Length: 0", ""), { line: "POST /p HTTP/1.1", framing: "content-length: 0\r\n\r\n" }],
  "Content-Length with leading zeros": [
    post("Content-Length: 0005", "hello"),
    { line: "POST /p HTTP/1.1", framing: "content-length: 5\r\n\r\nhello" },
  ],
  "Expect: 100-continue": [
    post("Expect: 100-continue\r\nContent-Length: 5", "hello"),
    { line: "POST /p HTTP/1.1", framing: "content-length: 5\r\n\r\nhello" },
  ],
};

// uws trims bytes above 0x7f at the ends of a value, as if they were blanks, and can't tell what is not UTF-8.
const NODE: Record<string, readonly [bytes: string, expected: Expected]> = {
  "latin1 in a value, byte by byte": [get("x-a: caf\xe9!"), { fields: ["x-a: caf\xe9!"] }],
  "bytes above 0x7f at the ends of a value": [get("x-a: \x80admin\xa0"), { fields: ["x-a: \x80admin\xa0"] }],
  "an absolute URI: its authority wins": [
    "GET http://b.example/p?x=1 HTTP/1.1\r\nHost: a.example\r\nx-a: b\r\n\r\n",
    {
      line: "GET /p?x=1 HTTP/1.1",
      fields: ["x-a: b"],
      added: ADDED.map((line) => line.replace("a.example", "b.example")),
    },
  ],
};

describe.each(ENGINES)("%s", (engine) => {
  const table = engine === "net" ? { ...BOTH, ...NODE } : BOTH;
  it.each(Object.entries(table))("%s", async (_, [bytes, expected]) => {
    expect(await forwarded(engine, bytes)).toBe(wire(expected));
  });

  it("makes the chunks of a chunked body anew", async () => {
    rig.report();
    const path = `/chunks-${++runs}`;
    let heads = 0;
    rig.upstream.on(path, (connection) => connection.write(OK));
    rig.upstream.onHead(path, () => heads++);
    await using client = await rig.connect(engine);
    client.send(`POST ${path} HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n`);
    await until("the upstream has the head", () => heads === 1);
    client.send("0000A\r\n0123456789\r\n00\r\n\r\n");
    expect((await client.response()).status).toBe(200);
    const { raw } = await rig.upstream.received(path);
    const [head = ""] = raw.split("\r\n\r\n", 1);
    const body = raw.slice(head.length + 4);
    expect(head).toMatch(/\r\ntransfer-encoding: chunked$/);
    expect(head).not.toContain("content-length");
    expect(body).toMatch(/^([1-9a-f][0-9a-f]*\r\n[a-z0-9]+\r\n)+0\r\n\r\n$/);
    expect(body.replace(/[0-9a-f]+\r\n([a-z0-9]*)\r\n/g, "$1").trim()).toBe("abc0123456789");
  });

  // uws refuses or cuts them: refused.test.ts
  it.runIf(engine === "net")(
    "drops extensions of a chunked body, and trailers that decide something, and forwards the others",
    async () => {
      const trailers = "x-t: 1\r\nX-Consumer-Id: root\r\nX_T: 2\r\nCookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\nif-match: x\r\nVia: a\r\n";
      const raw = await forwarded(engine, post("Transfer-Encoding: chunked\r\nTrailer: x-t", `3;a=b\r\nabc\r\n0\r\n${trailers}\r\n`));
      expect(raw).toMatch(/\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n$/);
    },
  );

  it("answers OPTIONS itself that may go no further", async () => {
    rig.report();
    const from = rig.upstream.requests.length;
    await using client = await rig.connect(engine);
    client.send(`OPTIONS /last HTTP/1.1\r\n${HOST}Max-Forwards: 0\r\n\r\n`);
    const response = await client.response();
    expect([response.status, response.fields.find(([name]) => name.toLowerCase() === "allow")?.[1]]).toEqual([
      204,
      "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    ]);
    expect(await rig.targetsSince(from, engine)).toEqual([]);
  });

  it("passes an X-Request-Id on that is safe, and replaces one that is not", async () => {
    rig.report();
    for (const [sent, kept] of [
      ["abc-123", true],
      ["a b", false],
      ["x".repeat(200), false],
      ["abc-123\r\nX-Request-Id: abc-124", false],
    ] as const) {
      const path = `/id-${++runs}`;
      await using client = await rig.connect(engine);
      client.send(`GET ${path} HTTP/1.1\r\n${HOST}X-Request-Id: ${sent}\r\n\r\n`);
      await client.response();
      const { fields } = await rig.upstream.received(path);
      const ids = fields.filter(([name]) => name === "x-request-id").map(([, value]) => value);
      expect(ids).toHaveLength(1);
      expect(ids[0] === sent).toBe(kept);
    }
  });
});
