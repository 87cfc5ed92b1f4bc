// What only the net engine does: HTTP/1.0, absolute-form, `OPTIONS *`, pipelining in order; and what an engine owes its listener:
// timeouts, TLS by SNI, Unix sockets, the connection limit, a drain.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { makeCertificate } from "../../support/certificates.ts";
import { Gateway } from "../../support/gateway.ts";
import { field, RawClient, type RawResponse } from "../../support/raw-client.ts";
import { OK, RawUpstream, type UpstreamConnection } from "../../support/raw-upstream.ts";
import { until } from "../../support/until.ts";

const HOST = "Host: a.example\r\n";
const MIB = 1024 * 1024;

let folder: string;
let upstream: RawUpstream;
let gateway: Gateway;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-net-"));
  upstream = await RawUpstream.start();
  const one = makeCertificate(folder, "one", ["one.example"]);
  const two = makeCertificate(folder, "two", ["two.example", "*.two.example"]);
  gateway = await Gateway.start({
    config: `version: 1
workers: 2
admin: false
listeners:
  - { address: 127.0.0.1:0, engine: net }
  - address: 127.0.0.1:0
    engine: net
    tls: { certificates: [ { cert: ${one.cert}, key: ${one.key} }, { cert: ${two.cert}, key: ${two.key}, hosts: [two.example, "*.two.example"] } ] }
  - { address: "unix:${folder}/sluice.sock", engine: net }
limits: { headerTimeout: 1s, idleTimeout: 1s, bodyTimeout: 5s }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${upstream.port}" } ], health: { passive: false } } }
routes:
  - { name: all, match: { path: "/**" }, to: u }
  - { name: blue, match: { hosts: [blue.example], path: /by-host }, respond: { status: 200, body: blue } }
  - { name: green, match: { hosts: [green.example], path: /by-host }, respond: { status: 200, body: green } }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

let runs = 0;
const fresh = (): string => `/node-${++runs}`;
const connect = (): Promise<RawClient> => RawClient.connect(gateway.port);

async function ask(bytes: string, toHead = false): Promise<{ readonly response: RawResponse; readonly client: RawClient }> {
  onTestFailed(() => console.error(gateway.output.split("\n").slice(-20).join("\n")));
  const client = await connect();
  client.send(bytes);
  return { response: await client.response(toHead), client };
}

describe("HTTP/1.0", () => {
  it("closes, unless both sides want it otherwise", async () => {
    const { response, client } = await ask(`GET ${fresh()} HTTP/1.0\r\n${HOST}\r\n`);
    expect([response.status, response.body.toString(), field(response, "connection")]).toEqual([200, "ok", "close"]);
    await client.closes();
    await until("the log has it", () => gateway.lines().some((each) => each["protocol"] === "http/1.0"));
  });

  it("keeps the connection when the client asks and the length is known", async () => {
    const { response, client } = await ask(`GET ${fresh()} HTTP/1.0\r\n${HOST}Connection: Keep-Alive\r\n\r\n`);
    expect([response.status, field(response, "connection"), field(response, "content-length")]).toEqual([200, "keep-alive", "2"]);
    client.send(`HEAD ${fresh()} HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`);
    expect(field(await client.response(true), "connection")).toBe("keep-alive");
    client.send(`GET ${fresh()} HTTP/1.1\r\n${HOST}\r\n`);
    expect(field(await client.response(), "connection")).toBeUndefined();
    client.destroy();
  });

  it("never gets a chunked body: its end is the end of the connection", async () => {
    const target = fresh();
    upstream.answer(target, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\nx-t: 1\r\n\r\n");
    const { response, client } = await ask(`GET ${target} HTTP/1.0\r\n${HOST}Connection: keep-alive\r\nTE: trailers\r\n\r\n`);
    expect([response.body.toString(), field(response, "connection"), field(response, "transfer-encoding")]).toEqual([
      "abcd",
      "close",
      undefined,
    ]);
    expect(client.closed).toBe(true);
  });

  it("is told by a reset when such a body breaks off", async () => {
    const target = fresh();
    upstream.on(target, (connection) => connection.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"));
    const client = await connect();
    client.send(`GET ${target} HTTP/1.0\r\n${HOST}\r\n`);
    await client.closes();
    expect(client.reset).toBe(true);
  });

  it("needs no Host", async () => {
    const target = fresh();
    const { response } = await ask(`GET ${target} HTTP/1.0\r\n\r\n`);
    expect(response.status).toBe(200);
    const { fields } = await upstream.received(target);
    expect(fields.filter(([name]) => /^(host|x-forwarded-host)$/.test(name))).toEqual([["host", `127.0.0.1:${upstream.port}`]]);
  });

  it("is never sent 100", async () => {
    const { response } = await ask(`POST ${fresh()} HTTP/1.0\r\n${HOST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi`);
    expect(response.status).toBe(200);
  });
});

describe("targets", () => {
  it("goes by the authority of an absolute URI, not by Host", async () => {
    const { response } = await ask("GET http://green.example/by-host HTTP/1.1\r\nHost: blue.example\r\n\r\n");
    expect(response.body.toString()).toBe("green");
  });

  it.each(["OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.0"])("answers %s itself", async (line) => {
    const before = upstream.requests.length;
    const { response, client } = await ask(`${line}\r\n${HOST}Connection: keep-alive\r\n\r\n`);
    expect([response.status, field(response, "allow"), field(response, "content-length")]).toEqual([
      204,
      "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
      undefined,
    ]);
    expect(upstream.requests.length).toBe(before);
    client.send(`GET ${fresh()} HTTP/1.1\r\n${HOST}\r\n`);
    expect((await client.response()).status).toBe(200);
  });
});

describe("pipelining", () => {
  it("answers in order, one request at a time", async () => {
    const [first, second, third] = [fresh(), fresh(), fresh()];
    let held: UpstreamConnection | null = null;
    upstream.on(first, (connection) => {
      held = connection;
    });
    const client = await connect();
    client.send(`GET ${first} HTTP/1.1\r\n${HOST}\r\nPOST ${second} HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`);
    client.send(`PUT ${third} HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`);
    await upstream.received(first);
    expect(upstream.to(second)).toHaveLength(0);
    (held as UpstreamConnection | null)?.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
    const bodies = [await client.response(), await client.response(), await client.response()].map((response) => response.body.toString());
    expect(bodies).toEqual(["first", "ok", "ok"]);
    expect([(await upstream.received(second)).body.toString(), (await upstream.received(third)).body.toString()]).toEqual(["hello", "hi"]);
  });

  it("ends with the first answer that closes", async () => {
    const [first, second] = [fresh(), fresh()];
    const client = await connect();
    client.send(`GET ${first} HTTP/1.1\r\n${HOST}Connection: close\r\n\r\nGET ${second} HTTP/1.1\r\n${HOST}\r\n`);
    expect((await client.response()).status).toBe(200);
    await client.closes();
    expect([client.pending.length, upstream.to(second).length]).toEqual([0, 0]);
  });

  it("answers what came before a malformed request, then the malformed one", async () => {
    const [first, second, third] = [fresh(), fresh(), fresh()];
    const client = await connect();
    client.send(`GET ${first} HTTP/1.1\r\n${HOST}\r\nPOST ${second} HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`);
    client.send(`GET ${third} HTTP/1.1\r\n${HOST}\r\n`);
    expect([(await client.response()).status, (await client.response()).status]).toEqual([200, 400]);
    await client.closes();
    expect([client.pending.length, upstream.to(second).length, upstream.to(third).length]).toEqual([0, 0, 0]);
  });

  it("serves any number in order, and reads no more of them than fit into one read while the first is answered", async () => {
    const [slow, target] = [fresh(), fresh()];
    let held: UpstreamConnection | null = null;
    upstream.on(slow, (connection) => {
      held = connection;
    });
    const client = await connect();
    client.send(`GET ${slow} HTTP/1.1\r\n${HOST}\r\n`);
    await upstream.received(slow);
    const count = 400;
    for (let i = 0; i < count; i++) client.send(`GET ${target}?n=${i} HTTP/1.1\r\n${HOST}\r\n`);
    (held as UpstreamConnection | null)?.write(OK);
    for (let i = 0; i <= count; i++) expect((await client.response()).status).toBe(200);
    const numbers = upstream.requests
      .filter((request) => request.target.startsWith(`${target}?`))
      .map((each) => Number(each.target.split("=")[1]));
    expect(numbers).toEqual(Array.from({ length: count }, (_, i) => i));
  });

  it("goes on behind an upgrade that it ignores", async () => {
    const target = fresh();
    const { response, client } = await ask(`GET ${target} HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`);
    expect([response.status, field(response, "connection")]).toEqual([200, undefined]);
    client.send(`GET ${fresh()} HTTP/1.1\r\n${HOST}\r\n`);
    expect((await client.response()).status).toBe(200);
  });
});

describe("bodies", () => {
  it("400 for a chunk that breaks after the upstream has got the beginning; the upstream request is broken off", async () => {
    const target = fresh();
    let held: UpstreamConnection | null = null;
    upstream.onHead(target, (connection) => {
      held = connection;
    });
    const client = await connect();
    client.send(`POST ${target} HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`);
    await until("the upstream has the head", () => held !== null);
    client.send(`zz\r\nGET /smuggled HTTP/1.1\r\n${HOST}\r\n`);
    const response = await client.response();
    expect([response.status, field(response, "content-type")]).toEqual([400, "application/problem+json"]);
    await client.closes();
    await until("the upstream request is broken off", () => held?.closed === true);
    expect([upstream.to(target).length, upstream.to("/smuggled").length]).toEqual([0, 0]);
  });

  it("cuts a client that does not read", async () => {
    const target = fresh();
    let held: UpstreamConnection | null = null;
    upstream.on(target, (connection) => {
      held = connection;
      connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${64 * MIB}\r\n\r\n`);
      connection.write(Buffer.alloc(64 * MIB));
    });
    const client = await connect();
    client.socket.pause();
    client.send(`GET ${target} HTTP/1.1\r\n${HOST}\r\n`);
    await until("the gateway gives up and cancels the upstream request", () => held?.closed === true, 20_000);
    client.destroy();
  });
});

describe("timeouts", () => {
  it("408 for a header section that does not come to its end", async () => {
    const { response, client } = await ask(`GET ${fresh()} HTTP/1.1\r\nHost: a.exa`);
    expect([response.status, field(response, "connection")]).toEqual([408, "close"]);
    expect(JSON.parse(response.body.toString())).toMatchObject({ code: "request_timeout" });
    await client.closes();
  });

  it.each(["", `GET /node-idle HTTP/1.1\r\n${HOST}\r\n`])("closes an idle connection without a word, after %j", async (bytes) => {
    const client = await connect();
    client.send(bytes);
    if (bytes !== "") await client.response();
    await client.closes();
    expect(client.pending.length).toBe(0);
  });
});

describe("TLS", () => {
  it.each([
    ["two.example", "two.example"],
    ["a.two.example", "two.example"],
    ["TWO.example", "two.example"],
    ["a.b.two.example", "one.example"],
    ["one.example", "one.example"],
    ["other.example", "one.example"],
  ])("chooses the certificate by SNI: %s -> %s", async (servername, subject) => {
    const socket = await secure(servername);
    expect(socket.getPeerCertificate().subject.CN).toBe(subject);
    socket.destroy();
  });

  it("serves over it, and says https upstream", async () => {
    const target = fresh();
    const socket = await secure("two.example");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.write(`GET https://two.example${target} HTTP/1.1\r\nHost: two.example\r\n\r\n`);
    await until("the answer comes", () => text.endsWith("ok"));
    expect(field(await upstream.received(target), "x-forwarded-proto")).toBe("https");
    socket.destroy();
  });

  it("closes on what is no TLS", async () => {
    await using client = await RawClient.connect(Number(new URL(gateway.urls[1] ?? "").port));
    client.send(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    await client.closes();
    expect(client.pending.toString("latin1")).not.toContain("HTTP/1.1 200");
  });

  async function secure(servername: string): Promise<tls.TLSSocket> {
    const port = Number(new URL(gateway.urls[1] ?? "").port);
    const socket = tls.connect({ port, host: "127.0.0.1", servername, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
    await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
    return socket;
  }
});

it("serves a Unix socket", async () => {
  const target = fresh();
  await using client = await RawClient.connect(path.join(folder, "sluice.sock"));
  client.send(`GET ${target} HTTP/1.1\r\n${HOST}\r\n`);
  expect((await client.response()).status).toBe(200);
  const request = await upstream.received(target);
  expect(field(request, "x-forwarded-for")).toBeUndefined();
  expect(field(request, "forwarded")).toBe("for=unknown;proto=http;host=a.example");
});

describe("a gateway of its own", () => {
  const start = (limits: string): Promise<Gateway> =>
    Gateway.start({
      config: `version: 1
workers: 1
admin: false
listeners: [ { address: 127.0.0.1:0, engine: net } ]
limits: ${limits}
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${upstream.port}" } ] } }
routes: [ { name: all, match: { path: "/**" }, to: u } ]
`,
    });

  it("takes no more connections than its limit", async () => {
    await using own = await start("{ connections: 2 }");
    const clients = [await RawClient.connect(own.port), await RawClient.connect(own.port)];
    for (const client of clients) {
      client.send(`GET ${fresh()} HTTP/1.1\r\n${HOST}\r\n`);
      expect((await client.response()).status).toBe(200);
    }
    await using third = await RawClient.connect(own.port);
    await third.closes();
    clients[0]?.destroy();
    await expect
      .poll(async () => {
        await using again = await RawClient.connect(own.port);
        again.send(`GET ${fresh()} HTTP/1.1\r\n${HOST}\r\n`);
        return await again.response().then(
          ({ status }) => status,
          () => "closed",
        );
      })
      .toBe(200);
    clients[1]?.destroy();
  });

  it("drains: what is under way is finished, idle connections get one more answer, which says close", async () => {
    const own = await start("{ connections: 100 }");
    const target = fresh();
    let held: UpstreamConnection | null = null;
    upstream.on(target, (connection) => {
      held = connection;
    });
    const idle = await RawClient.connect(own.port);
    idle.send(`GET ${fresh()} HTTP/1.1\r\n${HOST}\r\n`);
    expect(field(await idle.response(), "connection")).toBeUndefined();
    const busy = await RawClient.connect(own.port);
    busy.send(`GET ${target} HTTP/1.1\r\n${HOST}\r\n`);
    await upstream.received(target);
    own.signal("SIGTERM");
    const accepted = (): Promise<boolean> =>
      RawClient.connect(own.port).then(
        (client) => {
          client.destroy();
          return true;
        },
        () => false,
      );
    await expect.poll(accepted, { timeout: 5000 }).toBe(false);
    idle.send(`GET ${fresh()} HTTP/1.1\r\n${HOST}\r\n`);
    const last = await idle.response();
    expect([last.status, field(last, "connection")]).toEqual([200, "close"]);
    (held as UpstreamConnection | null)?.write(OK);
    const finished = await busy.response();
    expect([finished.status, field(finished, "connection")]).toEqual([200, "close"]);
    expect(await own.stop()).toBe(0);
  });
});
