// Requests to upstreams that speak HTTP/2, through the gateway's listeners: bodies both ways byte for byte, many at once, ends before the end, refusals, TLS.
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import http, { type IncomingMessage } from "node:http";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { Authority } from "../../support/authority.ts";
import { bothListeners, ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { Http2Origin } from "../../support/http2-origin.ts";
import { TlsOrigin } from "../../support/tls-origin.ts";
import { until } from "../../support/until.ts";
import { WebSocketClient } from "../../support/web-socket-origin.ts";

let folder: string;
let plain: Http2Origin;
let secure: Http2Origin;
let older: TlsOrigin;
let probed: Http2Origin;
let gateway: Gateway;
const agent = new http.Agent({ keepAlive: true, maxSockets: 128 });

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-upstream-h2-"));
  const authority = new Authority(folder);
  const certificate = authority.issue("server", ["api.test"]);
  plain = await Http2Origin.start();
  secure = await Http2Origin.start(certificate);
  older = await TlsOrigin.start(certificate);
  probed = await Http2Origin.start();
  const tls = `tls: { ca: ${authority.ca}, serverName: api.test }`;
  const active = "health: { active: { path: /healthz, interval: 100ms } }";
  gateway = await Gateway.start({
    config: `${bothListeners}limits: { bodyBytes: 16MiB }
upstreams:
  plain: { targets: [ { url: "http://127.0.0.1:${plain.port}" } ], protocol: h2c, retry: { budget: 100% } }
  probed: { targets: [ { url: "http://127.0.0.1:${probed.port}" } ], protocol: h2c, ${active} }
  secure: { targets: [ { url: "https://127.0.0.1:${secure.port}" } ], protocol: h2, ${tls} }
  older: { targets: [ { url: "https://127.0.0.1:${older.port}" } ], protocol: h2, ${tls}, health: { passive: false } }
routes:
${["plain", "probed", "secure", "older"].map((name) => `  - { name: ${name}, match: { path: "/${name}/**" }, to: ${name} }`).join("\n")}
`,
  });
});
afterAll(async () => {
  agent.destroy();
  await gateway[Symbol.asyncDispose]();
  for (const each of [plain, secure, older, probed]) await each[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

const digest = (body: Buffer): string => createHash("sha256").update(body).digest("hex").slice(0, 16);
const port = (engine: Engine): number => Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port);

interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
  readonly chunked?: boolean;
}

function send(engine: Engine, target: string, { method = "GET", headers = {}, body, chunked = false }: Ask = {}): Promise<IncomingMessage> {
  onTestFailed(() => console.error(gateway.report()));
  const framing = body === undefined || chunked ? {} : { "content-length": String(body.length) };
  return new Promise((resolve, reject) => {
    const request = http.request(
      { host: "127.0.0.1", port: port(engine), path: target, method, agent, headers: { host: "api.test", ...framing, ...headers } },
      resolve,
    );
    request.on("error", reject);
    if (chunked && body !== undefined) {
      request.write(body.subarray(0, body.length >> 1));
      request.end(body.subarray(body.length >> 1));
    } else request.end(body);
  });
}

async function whole(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe.each(ENGINES)("on %s", (engine) => {
  it.each([0, 1, 1000, 65_535, 65_536, 1_000_000, 8 * 1024 * 1024])(
    "a body of %i bytes goes there and back, by length and in chunks",
    async (length) => {
      const body = randomBytes(length);
      for (const upstream of ["plain", "secure"]) {
        for (const chunked of [false, true]) {
          const response = await send(engine, `/${upstream}/echo`, { method: "POST", body, chunked });
          const back = await whole(response);
          expect([upstream, chunked, response.statusCode, back.length, digest(back)]).toEqual([
            upstream,
            chunked,
            200,
            length,
            digest(body),
          ]);
        }
      }
    },
  );

  it("64 requests at once, with bodies of their own, share one session", async () => {
    const bodies = Array.from({ length: 64 }, (_, i) => randomBytes(1 + i * 777));
    const answers = await Promise.all(bodies.map(async (body) => whole(await send(engine, "/plain/many", { method: "PUT", body }))));
    expect(answers.map(digest)).toEqual(bodies.map(digest));
    expect(new Set(plain.of("/plain/many").map(({ stream }) => stream.session)).size).toBe(1);
  });

  it("the service gets :authority, TE: trailers, cookies and no field of a connection", async () => {
    const headers = { te: "trailers, deflate;q=0.5", cookie: "a=1; b=2", connection: "te, keep-alive", "x-a": "1" };
    const response = await send(engine, "/secure/fields", { headers });
    await whole(response);
    const got = secure.of("/secure/fields").at(-1)?.headers ?? {};
    expect(got).toMatchObject({
      ":method": "GET",
      ":scheme": "https",
      ":authority": `127.0.0.1:${secure.port}`,
      te: "trailers",
      cookie: "a=1; b=2",
      "x-a": "1",
    });
    for (const name of ["host", "connection", "keep-alive", "transfer-encoding"]) expect(got).not.toHaveProperty(name);
  });

  it("a client that asks for no trailers causes no TE", async () => {
    await whole(await send(engine, "/secure/no-te"));
    expect(secure.of("/secure/no-te").at(-1)?.headers).not.toHaveProperty("te");
  });

  it.each([204, 304])("%i has no content", async (status) => {
    plain.atOnce.set(`/plain/${status}`, ({ stream }) => stream.respond({ ":status": status, etag: '"a"' }, { endStream: true }));
    const response = await send(engine, `/plain/${status}`);
    expect([response.statusCode, (await whole(response)).length, response.headers.etag]).toEqual([status, 0, '"a"']);
  });

  it("HEAD has the length and no content", async () => {
    plain.atOnce.set("/plain/head", ({ stream }) => stream.respond({ ":status": 200, "content-length": 7 }, { endStream: true }));
    const response = await send(engine, "/plain/head", { method: "HEAD" });
    expect([response.statusCode, response.headers["content-length"], (await whole(response)).length]).toEqual([200, "7", 0]);
  });

  it("a client that goes away has its stream reset with CANCEL, also while it uploads", async () => {
    plain.atOnce.set(`/plain/hold-${engine}`, () => {});
    const down = http.get({ host: "127.0.0.1", port: port(engine), path: `/plain/hold-${engine}` });
    down.on("error", () => {});
    const up = http.request({ host: "127.0.0.1", port: port(engine), path: `/plain/hold-${engine}`, method: "POST" });
    up.on("error", () => {});
    up.write(Buffer.alloc(100_000));
    const held = () => plain.of(`/plain/hold-${engine}`);
    await until("both are there", () => held().length === 2 && held().some(({ received }) => received > 0));
    down.destroy();
    up.destroy();
    await until("both are reset", () => held().every(({ stream }) => stream.closed));
    expect(held().map(({ stream }) => stream.rstCode)).toEqual([8, 8]);
  });

  it("a client that reads slowly holds the service back, and others go on", async () => {
    const body = randomBytes(24 * 1024 * 1024);
    let over = false;
    plain.atOnce.set(`/plain/big-${engine}`, ({ stream }) => {
      stream.respond({ ":status": 200 });
      stream.end(body, () => (over = true));
    });
    const response = await send(engine, `/plain/big-${engine}`);
    response.pause();
    for (let i = 0; i < 50; i++)
      expect((await whole(await send(engine, "/plain/echo", { method: "POST", body: body.subarray(0, 1000) }))).length).toBe(1000);
    expect(over).toBe(false);
    expect(digest(await whole(response))).toBe(digest(body));
  });

  it("an answer that comes before the upload's end reaches the client", async () => {
    plain.atOnce.set("/plain/early", ({ stream }) => {
      stream.respond({ ":status": 403 });
      stream.end("no");
    });
    const response = await send(engine, "/plain/early", { method: "POST", body: randomBytes(2_000_000) });
    expect([response.statusCode, (await whole(response)).toString()]).toEqual([403, "no"]);
  });

  it("a stream that is refused is sent again, whatever the method, and processed once", async () => {
    let refused = 0;
    plain.atOnce.set(`/plain/refused-${engine}`, ({ stream }, chunks) => {
      if (refused++ < 1) return void stream.close(7);
      stream.on("end", () => {
        stream.respond({ ":status": 200 });
        stream.end(Buffer.concat(chunks));
      });
    });
    const response = await send(engine, `/plain/refused-${engine}`, { method: "POST", body: Buffer.from("once") });
    expect([response.statusCode, (await whole(response)).toString(), refused]).toEqual([200, "once", 2]);
  });

  it("a stream that breaks off is sent again only where the method allows it", async () => {
    let tries = 0;
    plain.atOnce.set(`/plain/broken-${engine}`, ({ stream, headers }) => {
      if (tries++ % 2 === 0) return void stream.close(2);
      stream.respond({ ":status": 200, "x-method": String(headers[":method"]) }, { endStream: true });
    });
    expect((await send(engine, `/plain/broken-${engine}`)).statusCode).toBe(200);
    expect(tries).toBe(2);
    const post = await send(engine, `/plain/broken-${engine}`, { method: "POST", body: Buffer.from("x") });
    expect([post.statusCode, JSON.parse((await whole(post)).toString()).code, tries]).toEqual([502, "upstream_reset", 3]);
  });

  it("GOAWAY: what is under way ends, what comes later takes another session", async () => {
    plain.atOnce.set(`/plain/slow-${engine}`, ({ stream }) => {
      stream.respond({ ":status": 200 });
      stream.write("not ");
    });
    const slow = await send(engine, `/plain/slow-${engine}`);
    const held = plain.of(`/plain/slow-${engine}`)[0];
    held?.stream.session?.goaway(0);
    const sessions = plain.sessions.length;
    for (let i = 0; i < 100 && plain.sessions.length === sessions; i++) await whole(await send(engine, "/plain/echo"));
    expect(plain.sessions.length).toBe(sessions + 1);
    held?.stream.end("late");
    expect((await whole(slow)).toString()).toBe("not late");
  });

  it("over TLS a service that does not choose h2 is not spoken to", async () => {
    const response = await send(engine, "/older/x");
    expect([response.statusCode, JSON.parse((await whole(response)).toString()).code, older.requests]).toEqual([502, "upstream_tls", 0]);
  });

  it("a WebSocket is opened by HTTP/1.1", async () => {
    const client = await WebSocketClient.open(`ws://127.0.0.1:${port(engine)}/secure/ws`);
    client.ws.send("ping");
    await until("it comes back", () => client.messages.length === 1);
    expect(String(client.messages[0])).toBe("ping");
    client.ws.terminate();
  });
});

it("health checks ask by HTTP/2", async () => {
  await until("a probe came", () => probed.of("/healthz").length > 2);
  expect(probed.of("/healthz")[0]?.headers).toMatchObject({
    ":method": "GET",
    ":authority": `127.0.0.1:${probed.port}`,
    "user-agent": "sluice-health",
  });
  expect((await send("uws", "/probed/echo")).statusCode).toBe(200);
});

it("trailers of the service reach clients that take them, where the engine can send them", async () => {
  const response = await send("net", "/plain/echo", {
    method: "POST",
    body: Buffer.from("12345"),
    headers: { te: "trailers", connection: "te" },
  });
  await whole(response);
  expect(response.trailers).toEqual({ "x-sum": "5" });
});
