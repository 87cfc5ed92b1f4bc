// The ordinary life of requests: methods, gateway answers, connections kept and closed, streams, aborts, deadlines, splits and mirrors.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { field } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { OK, RawUpstream, type UpstreamConnection } from "../../support/raw-upstream.ts";
import { until } from "../../support/until.ts";

let rig: BothEngines;
let second: RawUpstream;
beforeAll(async () => {
  second = await RawUpstream.start();
  rig = await BothEngines.start(
    (port) => `upstreams:
  u: { targets: [ { url: "http://127.0.0.1:${port}" } ], health: { passive: false } }
  second: { targets: [ { url: "http://127.0.0.1:${second.port}" } ], health: { passive: false } }
  named: { targets: [ { url: "http://127.0.0.1:${port}" } ], preserveHost: true, deadlineHeader: x-left, timeouts: { total: 7s } }
  endless: { targets: [ { url: "http://127.0.0.1:${port}" } ], deadlineHeader: false, timeouts: { total: 0 } }
routes:
  - { name: all, match: { path: "/r/**" }, to: u }
  - { name: canaries, match: { hosts: [canary.example] }, to: u }
  - { name: only-get, match: { path: /only-get, methods: [GET] }, to: u }
  - { name: get-and-put, match: { path: "/only/{x}", methods: [GET, PUT] }, to: u }
  - { name: delete, match: { path: /only/x, methods: [DELETE] }, to: u }
  - { name: host, match: { hosts: [known.example], path: /by-host }, to: second }
  - { name: split, match: { path: "/split/**" }, weighted: [ { upstream: u, weight: 1 }, { upstream: second, weight: 3 } ] }
  - { name: mirrored, match: { path: "/mirrored/**" }, to: u, mirror: { upstream: second } }
  - { name: named, match: { path: "/named/**" }, to: named }
  - { name: endless, match: { path: "/endless/**" }, to: endless }
`,
  );
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await second[Symbol.asyncDispose]();
});

let runs = 0;
const fresh = (prefix = "/r"): string => `${prefix}/relay-${++runs}`;
const request = (method: string, path: string, fields = ""): string => `${method} ${path} HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n`;

describe.each(ENGINES)("%s", (engine) => {
  it.each(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "M-SEARCH"])("%s goes through", async (method) => {
    rig.report();
    const path = fresh();
    await using client = await rig.connect(engine);
    client.send(request(method, path));
    const response = await client.response(method === "HEAD");
    expect(response.status).toBe(200);
    expect(field(response, "content-length")).toBe("2");
    expect((await rig.upstream.received(path)).method).toBe(method);
  });

  it("keeps the connection for the next request, on both sides", async () => {
    rig.report();
    const path = fresh();
    const connections = new Set<UpstreamConnection>();
    rig.upstream.on(path, (connection, { method }) => {
      connections.add(connection);
      connection.write(method === "HEAD" ? OK.slice(0, -2) : OK);
    });
    await using client = await rig.connect(engine);
    client.send(request("HEAD", path));
    expect((await client.response(true)).status).toBe(200);
    for (let i = 0; i < 5; i++) {
      client.send(`${request("POST", path, "Content-Length: 2\r\n")}hi`);
      const response = await client.response();
      expect([response.status, field(response, "connection")]).toEqual([200, undefined]);
    }
    // After HEAD a connection rests for a moment, so that another one may have been opened; none is given up.
    expect(connections.size).toBeLessThanOrEqual(2);
    expect([...connections].filter((connection) => connection.closed)).toEqual([]);
    expect(client.closed).toBe(false);
  });

  it.each([
    ["GET", "Connection: close", ""],
    ["GET", "Connection: Close", "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    ["GET", "Connection: x-tok, close", ""],
    ["GET", "Connection: x-tok\r\nConnection: close", ""],
    ["GET", "Connection: close\r\nConnection: x-tok", `Content-Length: 300000\r\n\r\n${"x".repeat(300_000)}`],
    ["HEAD", "Connection: close", ""],
    ["HEAD", "Connection: keep-alive, close", ""],
    ["GET", "Connection: close", "Content-Length: 0\r\n\r\n"],
  ])("closes when the client asks for it, and says so once: %s, %j, %.20j", async (method, fields, answer) => {
    const path = fresh();
    if (answer !== "") rig.upstream.answer(path, `HTTP/1.1 200 OK\r\n${answer}`);
    await using client = await rig.connect(engine);
    client.send(request(method, path, `${fields}\r\n`));
    const response = await client.response(method === "HEAD");
    expect([response.status, valuesOf(response, "connection")]).toEqual([200, ["close"]]);
    await client.closes();
  });

  it.each([204, 304])("closes when the client asks for it, and says so once: %d", async (status) => {
    const path = fresh();
    rig.upstream.answer(path, `HTTP/1.1 ${status} X\r\n\r\n`);
    await using client = await rig.connect(engine);
    client.send(request("GET", path, "Connection: close\r\n"));
    const response = await client.response(true);
    expect([response.status, valuesOf(response, "connection")]).toEqual([status, ["close"]]);
    await client.closes();
  });

  it.runIf(engine === "uws").each([
    ["short", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"],
    ["chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"],
    ["long", `HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n${"x".repeat(300_000)}`, "x".repeat(300_000)],
  ])("says that it closes, when it does so on its own account: %s", async (_, answer, body) => {
    const path = fresh();
    rig.upstream.answer(path, answer);
    await using client = await rig.connect(engine);
    client.send(`${request("POST", path, "Transfer-Encoding: chunked\r\n")}0\r\n\r\n`); // after which this engine's parser is not trusted
    const response = await client.response();
    expect([response.status, field(response, "connection")]).toEqual([200, "close"]);
    expect(response.body.toString() === body).toBe(true);
    const later = fresh();
    client.send(request("GET", later)); // what a mis-read body might have left
    await client.closes();
    expect(client.pending.length).toBe(0);
    expect(await rig.targetsSince(0, engine)).not.toContain(later);
  });

  it("names itself on no response, and gives each a request id and one Date", async () => {
    await using client = await rig.connect(engine);
    client.send(request("GET", fresh(), "X-Request-Id: mine-1\r\n"));
    const response = await client.response();
    expect(field(response, "x-request-id")).toBe("mine-1");
    expect(field(response, "date")).toMatch(/ GMT$/);
    expect(response.fields.map(([name]) => name.toLowerCase())).not.toContain("uwebsockets");
    expect(field(response, "server")).toBeUndefined();
  });

  it("goes by host, whatever its case, port and trailing dot", async () => {
    const before = second.to("/by-host").length;
    await using client = await rig.connect(engine);
    client.send("GET /by-host HTTP/1.1\r\nHost: KNOWN.example.:8080\r\n\r\n");
    expect((await client.response()).status).toBe(200);
    expect(second.to("/by-host").length).toBe(before + 1);
  });

  it.each([
    ["404 where no route has the path", "GET", "/unknown", 404, "route_not_found", undefined],
    ["405 where no route has the method", "POST", "/only-get", 405, "method_not_allowed", "GET, HEAD"],
    ["405 naming the methods of all routes there", "POST", "/only/x", 405, "method_not_allowed", "DELETE, GET, HEAD, PUT"],
  ])("%s", async (_, method, path, status, code, allow) => {
    await using client = await rig.connect(engine);
    client.send(request(method, path));
    const response = await client.response();
    expect([response.status, field(response, "allow"), field(response, "content-type")]).toEqual([
      status,
      allow,
      "application/problem+json",
    ]);
    const problem: unknown = JSON.parse(response.body.toString());
    expect(problem).toMatchObject({ status, code, requestId: field(response, "x-request-id") });
    expect(client.closed).toBe(false);
    client.send(request("GET", "/only-get"));
    expect((await client.response()).status).toBe(200);
  });

  it("sends an event stream on as it comes, head first", async () => {
    rig.report();
    const path = fresh();
    let stream: UpstreamConnection | null = null;
    rig.upstream.on(path, (connection) => {
      stream = connection;
      connection.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    });
    await using client = await rig.connect(engine);
    client.send(request("GET", path));
    expect((await client.head()).status).toBe(200); // before the upstream has sent any event
    for (const event of ["data: 1\n\n", "data: 2\n\n"]) {
      (stream as UpstreamConnection | null)?.write(`${event.length.toString(16)}\r\n${event}\r\n`);
      await client.receives(event); // each before the next is sent
    }
    (stream as UpstreamConnection | null)?.write("0\r\n\r\n");
    await client.receives("0\r\n\r\n");
  });

  it("cancels the upstream request when the client goes away before the answer", async () => {
    rig.report();
    const path = fresh();
    let waiting: UpstreamConnection | null = null;
    rig.upstream.on(path, (connection) => {
      waiting = connection;
    });
    const client = await rig.connect(engine);
    client.send(request("GET", path));
    await until("the upstream has it", () => waiting !== null);
    client.destroy();
    await until("the gateway closes the upstream's connection", () => waiting?.closed === true);
    await until("the log has it", () => logged(path, "client_aborted"));
  });

  it("cancels the upstream request when the client goes away in the middle of the answer, or of its body", async () => {
    rig.report();
    const path = fresh();
    let sending: UpstreamConnection | null = null;
    rig.upstream.on(path, (connection) => {
      sending = connection;
      connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome");
    });
    const client = await rig.connect(engine);
    client.send(request("GET", path));
    await client.receives("some");
    client.destroy();
    await until("the gateway closes the upstream's connection", () => sending?.closed === true);

    const upload = fresh();
    let reading: UpstreamConnection | null = null;
    rig.upstream.onHead(upload, (connection) => {
      reading = connection;
    });
    const uploader = await rig.connect(engine);
    uploader.send(request("POST", upload, "Content-Length: 1000000\r\n") + "x".repeat(1000));
    await until("the upstream has the head", () => reading !== null);
    uploader.destroy();
    await until("the gateway closes the upstream's connection", () => reading?.closed === true);
    expect(rig.upstream.to(upload)).toHaveLength(0);
  });

  it("cuts the client off when the upstream resets in the middle of the answer", async () => {
    rig.report();
    const path = fresh();
    rig.upstream.on(path, (connection) => {
      connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome");
      connection.socket.once("drain", () => {});
      setImmediate(() => connection.reset());
    });
    await using client = await rig.connect(engine);
    client.send(request("GET", path));
    await client.closes();
    // The reset may overtake what was sent before it; then it is as if nothing had come.
    expect(client.pending.toString("latin1")).toMatch(/^HTTP\/1\.1 (200|502) /);
    await until("the log has it", () => logged(path, "upstream_aborted") || logged(path, "upstream_reset"));
  });

  it("tells the upstream the time left and, if asked, the host as the client named it", async () => {
    const named = fresh("/named");
    const endless = fresh("/endless");
    await using client = await rig.connect(engine);
    for (const path of [named, endless]) {
      client.send(`GET ${path} HTTP/1.1\r\nHost: Shop.Example:81\r\nX-Left: 999999\r\nX-Request-Deadline-Ms: 5\r\n\r\n`);
      expect((await client.response()).status).toBe(200);
    }
    const first = await rig.upstream.received(named);
    const leftMs = Number(field(first, "x-left"));
    expect(leftMs).toBeGreaterThan(0);
    expect(leftMs).toBeLessThanOrEqual(7000);
    expect(field(first, "host")).toBe("Shop.Example:81");
    const other = await rig.upstream.received(endless);
    expect(field(other, "host")).toBe(`127.0.0.1:${rig.upstream.port}`);
  });

  it("splits by weight", async () => {
    const prefix = fresh("/split");
    await using client = await rig.connect(engine);
    for (let i = 0; i < 200; i++) {
      client.send(request("GET", prefix));
      await client.response();
    }
    // 200 draws with p = 3/4: outside of these bounds once in ten million runs.
    expect(second.to(prefix).length).toBeGreaterThan(110);
    expect(second.to(prefix).length).toBeLessThan(185);
    expect(second.to(prefix).length + rig.upstream.to(prefix).length).toBe(200);
  });

  it("mirrors requests without waiting for the copy or minding its fate", async () => {
    rig.report();
    const path = fresh("/mirrored");
    second.on(path, () => {}); // never answers
    await using client = await rig.connect(engine);
    client.send(`${request("POST", path, "Content-Length: 5\r\nX-A: b\r\n")}hello`);
    expect((await client.response()).status).toBe(200);
    const [original, copy] = [await rig.upstream.received(path), await second.received(path)];
    expect([copy.method, copy.body.toString(), field(copy, "x-a")]).toEqual(["POST", "hello", "b"]);
    expect(original.body.toString()).toBe("hello");
  });
});

/** An access-log line for this path with this code. */
function logged(path: string, code: string): boolean {
  return rig.gateway.lines().some((each) => each["path"] === path && each["code"] === code);
}
