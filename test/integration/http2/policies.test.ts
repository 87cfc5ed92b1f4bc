// What routes have besides services, over HTTP/2: callers, limits, redirects, preflights, compression, event streams. On one connection, each of its own stream.
import { createHash } from "node:crypto";
import http from "node:http";
import http2, { type ClientHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { until } from "../../support/until.ts";

const KEY = "a-key-that-is-long-enough-0123456789";
const LONG = "all work and no play ".repeat(1000);

let service: http.Server;
let gateway: Gateway;
const held: http.ServerResponse[] = [];
const seen: http.IncomingMessage[] = [];

beforeAll(async () => {
  service = http.createServer((request, response) => {
    seen.push(request);
    if (request.url === "/places") return void held.push(response);
    response.setHeader("content-type", request.url === "/events" ? "text/event-stream" : "text/plain");
    if (request.url !== "/events") return void response.end(LONG);
    response.write("data: 1\n\n");
    held.push(response);
  });
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  const { port } = service.address() as AddressInfo; // a TCP server that listens has one
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
admin: false
listeners:
  - { address: 127.0.0.1:0, h2c: true }
  - { address: 127.0.0.1:0, h2c: true, redirectToHttps: 443 }
auth: { keys: { apiKey: { in: header, name: x-api-key } } }
consumers: [ { id: acme, keys: ["sha256:${createHash("sha256").update(KEY).digest("hex")}"] } ]
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
routes:
  - { name: guarded, match: { path: /guarded }, auth: keys, to: u }
  - { name: limited, match: { path: /limited }, auth: none, rateLimit: [ { per: ip, rate: 1/h, burst: 2 } ], respond: { body: ok } }
  - { name: places, match: { path: /places }, auth: none, rateLimit: [ { per: gateway, concurrency: 2 } ], to: u }
  - { name: packed, match: { path: /packed }, auth: none, compress: {}, to: u }
  - { name: shared, match: { path: /shared }, auth: none, cors: { origins: [ "https://a.example" ] }, to: u }
  - { name: all, match: { path: /** }, auth: none, to: u }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  service.closeAllConnections();
  await new Promise((resolve) => service.close(resolve));
});

let session: ClientHttp2Session;
beforeEach(() => {
  session = http2.connect(gateway.url);
  session.on("error", () => {});
  return () => session.destroy();
});

interface Answer {
  readonly headers: http2.IncomingHttpHeaders & { ":status"?: number | undefined };
  readonly body: Buffer;
}

function ask(target: string, headers: http2.OutgoingHttpHeaders = {}, on = session): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = on.request({ ":path": target, ":authority": "api.example.com", ...headers });
    const chunks: Buffer[] = [];
    let head: Answer["headers"] = {};
    stream.on("response", (own) => (head = own));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => resolve({ headers: head, body: Buffer.concat(chunks) }));
    stream.on("error", reject);
  });
}

it("who is calling is asked for on each stream, and the service learns it", async () => {
  const [none, wrong, right] = await Promise.all([
    ask("/guarded"),
    ask("/guarded", { "x-api-key": `${KEY}x` }),
    ask("/guarded", { "x-api-key": KEY, "x-consumer-id": "root" }),
  ]);
  expect([none, wrong, right].map(({ headers }) => headers[":status"])).toEqual([401, 401, 200]);
  const { headers } = seen.at(-1) as http.IncomingMessage; // there is one
  expect(headers).toMatchObject({ "x-consumer-id": "acme" });
  expect(headers).not.toHaveProperty("x-api-key");
});

it("a limit counts streams of one connection as requests of one address", async () => {
  const answers = await Promise.all(Array.from({ length: 5 }, () => ask("/limited")));
  expect(answers.map(({ headers }) => headers[":status"])).toEqual([200, 200, 429, 429, 429]);
  expect(answers[4]?.headers["retry-after"]).toBeDefined();
});

it("a place that a stream holds is free when it is reset", async () => {
  const streams = [1, 2].map(() => session.request({ ":path": "/places", ":authority": "api.example.com" }));
  for (const each of streams) each.on("error", () => {});
  await until("both are under way", () => held.length === 2);
  expect((await ask("/places")).headers[":status"]).toBe(429);
  const gone = new Promise((resolve) => held[0]?.once("close", resolve));
  streams[0]?.close(http2.constants.NGHTTP2_CANCEL);
  await gone;
  const third = ask("/places");
  await until("another one is under way", () => held.length === 3);
  for (const response of held.splice(0)) response.end("ok");
  expect(String((await third).body)).toBe("ok");
});

it("responses are compressed", async () => {
  const { headers, body } = await ask("/packed", { "accept-encoding": "gzip" });
  expect(headers).toMatchObject({ ":status": 200, "content-encoding": "gzip" });
  expect(headers).not.toHaveProperty("content-length");
  expect(String(gunzipSync(body))).toBe(LONG);
});

it("preflights are answered", async () => {
  const { headers } = await ask("/shared", { ":method": "OPTIONS", origin: "https://a.example", "access-control-request-method": "PUT" });
  expect(headers).toMatchObject({ ":status": 204, "access-control-allow-origin": "https://a.example" });
});

it("`OPTIONS *` asks the gateway itself", async () => {
  const { headers } = await ask("*", { ":method": "OPTIONS" });
  expect(headers).toMatchObject({ ":status": 204, allow: expect.stringContaining("GET") });
});

it("an event goes out at once", async () => {
  const stream = session.request({ ":path": "/events", ":authority": "api.example.com" });
  const first = await new Promise((resolve) => stream.once("data", (chunk: Buffer) => resolve(String(chunk))));
  expect(first).toBe("data: 1\n\n");
  stream.close();
  held.pop()?.destroy();
});

it("plain HTTP/2 is redirected to https like plain HTTP/1.1", async () => {
  const other = http2.connect(gateway.urls[1] ?? "");
  const { headers } = await ask("/a?b=c", {}, other);
  expect(headers).toMatchObject({ ":status": 308, location: "https://api.example.com/a?b=c" });
  other.destroy();
});
