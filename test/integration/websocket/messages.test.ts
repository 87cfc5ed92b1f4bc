// Proxied WebSockets end to end on both engines, with the `ws` package at both ends: messages, control frames, ends, the handshake's headers.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFailed } from "vitest";
import { bothListeners, ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { until } from "../../support/until.ts";
import { WebSocketClient, WebSocketOrigin } from "../../support/web-socket-origin.ts";

const MIB = 1024 * 1024;

let origin: WebSocketOrigin;
let gateway: Gateway;
let counter = 0;

const config = (port: number): string => `${bothListeners}
limits: { webSocket: { messageBytes: 2MiB, bufferBytes: 1MiB } }
upstreams:
  origin: { targets: [ { url: "http://127.0.0.1:${port}" } ] }
routes:
  - { name: all, match: { path: /** }, to: origin }
  - { name: denied, match: { path: /denied }, ip: { deny: [127.0.0.0/8] }, to: origin }
  - { name: pages, match: { path: /pages }, cors: { origins: ["https://app.example.com"] }, to: origin }
  - { name: plain, match: { path: /plain }, webSocket: false, to: origin }
  - name: headers
    match: { path: /headers/{id} }
    headers: { request: { set: { x-tenant: "{path.id}" } }, response: { set: { x-added: here }, remove: [x-origin] } }
    rewrite: { path: "/rewritten/{id}" }
    to: origin
`;

beforeAll(async () => {
  origin = await WebSocketOrigin.start();
  gateway = await Gateway.start({ config: config(origin.port) });
});
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await origin?.[Symbol.asyncDispose]();
});
beforeEach(() => onTestFailed(() => console.error(gateway.report())));

const urlOf = (engine: Engine, target: string): string => (gateway.urls[ENGINES.indexOf(engine)] ?? "").replace("http", "ws") + target;

/** A client and what the service sees of it. @param path of the service */
async function pair(engine: Engine, path: string, options?: ConstructorParameters<typeof WebSocketClient>[1]) {
  const target = `${path}?n=${++counter}`;
  const client = await WebSocketClient.open(urlOf(engine, target), options);
  const served = await origin.connection(target);
  return { client, served, target };
}

describe.each(ENGINES)("%s: messages", (engine) => {
  it.each<[string, string | Buffer]>([
    ["text", "hello, wörld \u{1f600}"],
    ["binary", Buffer.from([0, 1, 2, 255])],
    ["empty text", ""],
    ["empty binary", Buffer.alloc(0)],
    ["125 bytes", Buffer.alloc(125, 1)],
    ["126 bytes", Buffer.alloc(126, 2)],
    ["65535 bytes", randomBytes(65_535)],
    ["65536 bytes", randomBytes(65_536)],
    ["1 MiB of text", "ä".repeat(MIB / 2)],
    ["1 MiB", randomBytes(MIB)],
  ])("%s comes back as it went", async (_, message) => {
    const { client } = await pair(engine, "/echo");
    await using _client = client;
    client.ws.send(message);
    expect(await client.received(1)).toEqual([message]);
  });

  it("fragments make one message, with a ping between them", async () => {
    const { client, served } = await pair(engine, "/echo");
    await using _client = client;
    client.ws.send("one, ", { fin: false });
    client.ws.ping("between");
    client.ws.send("two, ", { fin: false });
    client.ws.send("three", { fin: true });
    expect(await client.received(1)).toEqual(["one, two, three"]);
    served.ws.send(Buffer.from([1]), { fin: false });
    served.ws.ping("between");
    served.ws.send(Buffer.from([2]), { fin: true });
    expect((await client.received(2))[1]).toEqual(Buffer.from([1, 2]));
    await until("the ping arrives", () => client.pings.length === 1);
  });

  it("many keep their order", async () => {
    const { client } = await pair(engine, "/echo");
    await using _client = client;
    const sent = Array.from({ length: 500 }, (_, i) => `message ${i} ${"x".repeat(i * 7)}`);
    for (const each of sent) client.ws.send(each);
    expect(await client.received(sent.length, 10_000)).toEqual(sent);
  });

  it("what the service says at once is not lost", async () => {
    const target = `/quiet?n=${++counter}`;
    const opened = WebSocketClient.open(urlOf(engine, target));
    const served = await origin.connection(target);
    served.ws.send("first");
    await using client = await opened;
    expect(await client.received(1)).toEqual(["first"]);
  });
});

describe.each(ENGINES)("%s: pings", (engine) => {
  it("of the client are answered, and the service sees them", async () => {
    const { client, served } = await pair(engine, "/echo");
    await using _client = client;
    client.ws.ping("are you there");
    await until("the pong arrives", () => client.pongs.length > 0);
    await until("the service saw the ping", () => served.pings.length > 0);
    expect(client.pongs).toEqual(["are you there"]);
    expect(served.pings).toEqual(["are you there"]);
  });

  it("of the service are answered by the client", async () => {
    const { client, served } = await pair(engine, "/echo");
    await using _client = client;
    served.ws.ping("and you");
    await until("the pong arrives", () => served.pongs.length > 0);
    expect(client.pings).toEqual(["and you"]);
    expect(served.pongs).toEqual(["and you"]);
  });
});

describe.each(ENGINES)("%s: ends", (engine) => {
  const codes: [number | undefined, string, number][] = [
    [1000, "done", 1000],
    [1001, "leaving", 1001],
    [1011, "", 1011],
    [3000, "registered", 3000],
    [4999, "x".repeat(123), 4999],
    [undefined, "", 1005],
  ];
  it.each(codes)("the service closes with %s %s", async (code, reason, seen) => {
    const { client, served } = await pair(engine, "/echo");
    if (code === undefined) served.ws.close();
    else served.ws.close(code, reason);
    expect(await client.ended()).toEqual({ code: seen, reason });
    await until("the service is closed", () => served.closed !== null);
    expect(served.closed).toEqual({ code: seen, reason });
  });

  // The parser of uWebSockets.js takes the codes 3000 to 3999 for mistakes: they are lost.
  it.each(engine === "uws" ? codes.filter(([code]) => code !== 3000) : codes)(
    "the client closes with %s %s",
    async (code, reason, seen) => {
      const { client, served } = await pair(engine, "/echo");
      if (code === undefined) client.ws.close();
      else client.ws.close(code, reason);
      await until("the service is closed", () => served.closed !== null);
      expect(served.closed).toEqual({ code: seen, reason });
      expect(await client.ended()).toEqual({ code: seen, reason });
    },
  );

  it.runIf(engine === "uws")("a code the engine does not know becomes none", async () => {
    const { client, served } = await pair(engine, "/echo");
    client.ws.close(3000, "registered");
    await until("the service is closed", () => served.closed !== null);
    expect(served.closed).toEqual({ code: 1005, reason: "" });
    expect(await client.ended()).toEqual({ code: 1005, reason: "" });
  });

  it("the service drops: the client is dropped", async () => {
    const { client, served } = await pair(engine, "/echo");
    served.ws.terminate();
    expect(await client.ended()).toEqual({ code: 1006, reason: "" });
  });

  it("the client drops: the service is dropped", async () => {
    const { client, served } = await pair(engine, "/echo");
    client.ws.terminate();
    await until("the service is closed", () => served.closed !== null);
    expect(served.closed).toEqual({ code: 1006, reason: "" });
  });
});

describe.each(ENGINES)("%s: the handshake", (engine) => {
  it("offers the client's subprotocols and takes the chosen one", async () => {
    const { client, served } = await pair(engine, "/echo", { protocols: ["v1.chat", "v2.chat"] });
    await using _client = client;
    expect(client.ws.protocol).toBe("v2.chat");
    expect(served.request.headers["sec-websocket-protocol"]).toBe("v1.chat, v2.chat");
  });

  it("has no subprotocol when none is offered", async () => {
    const { client, served } = await pair(engine, "/echo");
    await using _client = client;
    expect(client.ws.protocol).toBe("");
    expect(served.request.headers["sec-websocket-protocol"]).toBeUndefined();
  });

  it("carries end-to-end headers both ways, the gateway's own among them", async () => {
    const { client, served } = await pair(engine, "/echo", { headers: { cookie: "session=1", "x-forwarded-for": "6.6.6.6" } });
    await using _client = client;
    expect(served.request.headers).toMatchObject({
      cookie: "session=1",
      host: `127.0.0.1:${origin.port}`,
      "x-forwarded-for": "127.0.0.1",
      connection: "Upgrade",
      upgrade: "websocket",
    });
    expect(served.request.headers["x-request-id"]).toBe(client.headers["x-request-id"]);
    expect(client.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
    expect(Buffer.from(String(client.headers["x-origin"]), "latin1").toString()).toBe("café");
    const names = client.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
    for (const once of ["sec-websocket-accept", "upgrade", "connection", "x-request-id"])
      expect(names.filter((name) => name === once)).toEqual([once]);
  });

  it("goes through the route's policies", async () => {
    const client = await WebSocketClient.open(urlOf(engine, `/headers/acme`));
    await using _client = client;
    const served = await origin.connection("/rewritten/acme");
    origin.served.splice(origin.served.indexOf(served), 1); // the other engine opens the same
    expect(served.request.headers["x-tenant"]).toBe("acme");
    expect(client.headers["x-added"]).toBe("here");
    expect(client.headers["x-origin"]).toBeUndefined();
  });

  it.each<[string, string, Record<string, string>, number, string]>([
    ["a denied address", "/denied", {}, 403, "ip_denied"],
    ["a page of another origin", "/pages", { origin: "https://evil.example" }, 403, "origin_denied"],
    ["a subprotocol that is no token", "/echo", { "sec-websocket-protocol": "a b" }, 400, "bad_request"],
    ["a subprotocol offered twice", "/echo", { "sec-websocket-protocol": "a, b, a" }, 400, "bad_request"],
  ])("refuses %s", async (_, path, headers, status, code) => {
    await using client = new WebSocketClient(urlOf(engine, path), { headers });
    await until("it is refused", () => client.refusal !== null);
    expect(client.refusal).toMatchObject({ status, headers: { "content-type": "application/problem+json" } });
    expect(JSON.parse(client.refusal?.body ?? "")).toMatchObject({ code });
  });

  it("lets pages of a listed origin in", async () => {
    const { client } = await pair(engine, "/pages", { headers: { origin: "https://app.example.com" } });
    await using _client = client;
    expect(client.headers["access-control-allow-origin"]).toBe("https://app.example.com");
  });

  it("is an ordinary request on a route without WebSockets", async () => {
    await using client = new WebSocketClient(urlOf(engine, "/plain"));
    await until("it is answered", () => client.refusal !== null);
    expect(client.refusal).toMatchObject({ status: 200, body: "plain" });
  });

  it.each([401, 404, 503])("relays the service's refusal %i", async (status) => {
    const target = `/refused?n=${++counter}`;
    origin.refusals.set(target, { status, body: `no: ${status}`, headers: { "www-authenticate": "Bearer", "x-why": "because" } });
    await using client = new WebSocketClient(urlOf(engine, target));
    await until("it is refused", () => client.refusal !== null);
    expect(client.refusal).toMatchObject({ status, body: `no: ${status}`, headers: { "www-authenticate": "Bearer", "x-why": "because" } });
  });

  it("does not relay a refusal without end", async () => {
    const target = `/refused?n=${++counter}`;
    origin.refusals.set(target, { status: 404, body: "x".repeat(300_000) });
    await using client = new WebSocketClient(urlOf(engine, target));
    await until("it is refused", () => client.refusal !== null);
    expect(client.refusal?.status).toBe(502);
    expect(JSON.parse(client.refusal?.body ?? "")).toMatchObject({ code: "upstream_upgrade_refused" });
  });
});

describe.each(ENGINES)("%s: the access log", (engine) => {
  it("has one line for each WebSocket when it is over", async () => {
    const mark = `/log-${engine}`;
    const { client } = await pair(engine, mark);
    client.ws.send("hello");
    await client.received(1);
    client.ws.close(1000);
    await client.ended();
    const lines = () => gateway.lines().filter((line) => line["path"] === mark);
    await until("the line is there", () => lines().length > 0);
    expect(lines()).toMatchObject([{ protocol: "websocket", status: 101, code: null, route: "all", attempts: 1, client: "127.0.0.1" }]);
    const [{ bytesIn = 0, bytesOut = 0 } = {}] = lines();
    expect(Number(bytesIn)).toBeGreaterThanOrEqual(5);
    expect(Number(bytesOut)).toBeGreaterThanOrEqual(5);
  });

  it("names who dropped", async () => {
    const mark = `/dropped-${engine}`;
    const { served } = await pair(engine, mark);
    served.ws.terminate();
    await until("the line is there", () => gateway.lines().some((line) => line["path"] === mark));
    expect(gateway.lines().find((line) => line["path"] === mark)).toMatchObject({ status: 101, code: "upstream_aborted" });
  });
});
