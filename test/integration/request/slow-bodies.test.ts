// Bodies that come too slowly, and too many at once from one address: on both engines, over two workers, and only while the gateway reads.
import http from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { BodyUpstream, digestOf, pour } from "../../support/body-upstream.ts";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";
import { until } from "../../support/until.ts";

const MIB = 1024 ** 2;
/** More than the kernel holds on both hops. */
const LARGE_BYTES = 96 * MIB;
const RATE_BYTES = 1000;
const AFTER_MS = 300;
const GRACE_MS = 700;
const DRIP_MS = 100;

let gateway: Gateway;
let upstream: RawUpstream;
let reader: BodyUpstream;
const clients: RawClient[] = [];
const drips: NodeJS.Timeout[] = [];

beforeAll(async () => {
  upstream = await RawUpstream.start();
  reader = await BodyUpstream.start();
  gateway = await Gateway.start({
    config: `version: 1
workers: 2
admin: false
drainTimeout: 100ms
trustedProxies: [ 127.0.0.1 ]
limits:
  bodyBytes: 128MiB
  bodyRate: { bytes: ${RATE_BYTES}, after: ${AFTER_MS}ms, grace: ${GRACE_MS}ms }
  bodiesPerAddress: 2
listeners: [ { address: "127.0.0.1:0" }, { address: "127.0.0.1:0", engine: net } ]
upstreams:
  u: { targets: [ { url: "http://127.0.0.1:${upstream.port}" } ] }
  reader: { targets: [ { url: "http://127.0.0.1:${reader.port}" } ], timeouts: { response: 20s, total: 60s } }
  stuck: { targets: [ { url: "http://127.0.0.1:${reader.port}" } ], timeouts: { response: 500ms }, retry: { attempts: 0 } }
routes:
  - { name: stuck, match: { path: /sink, query: { stuck: { present: true } } }, to: stuck }
  - { name: all, match: { path: /** }, to: u }
  - { name: sink, match: { path: /sink }, to: reader }
  - { name: patient, match: { path: /patient }, to: u, limits: { bodyRate: none } }
  - { name: lenient, match: { path: /lenient }, to: u, limits: { bodyRate: { bytes: 1, after: 0s, grace: 2s } } }
`,
  });
});
afterEach(() => {
  for (const timer of drips.splice(0)) clearInterval(timer);
  for (const client of clients.splice(0)) client.destroy();
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  await reader[Symbol.asyncDispose]();
});

const portOf = (engine: Engine): number => Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port);

async function begin(engine: Engine, path: string, rest: string): Promise<RawClient> {
  onTestFailed(() => console.error(gateway.report()));
  const client = await RawClient.connect(portOf(engine));
  clients.push(client);
  client.send(`POST ${path} HTTP/1.1\r\nHost: a\r\n${rest}`);
  return client;
}

const codeOf = ({ body }: { readonly body: Buffer }): unknown => JSON.parse(body.toString()).code;

function drip(client: RawClient, bytes: string): void {
  drips.push(setInterval(() => client.closed || client.send(bytes), DRIP_MS));
}

describe.each(ENGINES)("%s", (engine) => {
  describe("limits.bodyRate", () => {
    it.each([
      ["kept for another attempt", "Content-Length: 10000", "x"],
      ["streamed", "Content-Length: 1000000", "x"],
      ["chunked", "Transfer-Encoding: chunked", "1\r\nx\r\n"],
    ])("408 for a body that drips: %s", async (_, framing, piece) => {
      const client = await begin(engine, "/drip", `${framing}\r\n\r\n${piece}`);
      drip(client, piece);
      const answer = await client.response();
      expect([answer.status, codeOf(answer)]).toEqual([408, "request_timeout"]);
      expect(answer.body.toString()).toContain("limits.bodyRate");
      await client.closes();
    });

    it("408 for a body that comes fast at first and then drips: what was ahead is not saved up", async () => {
      const client = await begin(engine, "/drip", `Content-Length: 1000000\r\n\r\n${"x".repeat(500_000)}`);
      drip(client, "x");
      expect((await client.response()).status).toBe(408);
    });

    it("a body that drips is cut off although the answer has begun", async () => {
      upstream.onHead("/early", (connection) => connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello"));
      const client = await begin(engine, "/early", "Content-Length: 1000000\r\n\r\nx");
      drip(client, "x");
      await client.receives("hello");
      await client.closes();
      await until("it is logged", () => gateway.lines().some((line) => line["path"] === "/early" && line["code"] === "request_timeout"));
    });

    it.each(["/patient", "/lenient"])("a route may say otherwise: %s", async (path) => {
      const pieces = Math.ceil((2 * (AFTER_MS + GRACE_MS)) / DRIP_MS);
      const client = await begin(engine, path, `Content-Length: ${pieces}\r\n\r\n`);
      drip(client, "x");
      expect((await client.response()).status).toBe(200);
    });

    it("504 for a body that a service does not take: it is the service that is slow", async () => {
      onTestFailed(() => console.error(gateway.report()));
      let read = (): void => {};
      reader.reading = new Promise((resolve) => {
        read = resolve;
      });
      const timedOut = (): number =>
        gateway.lines().filter((line) => line["route"] === "stuck" && line["code"] === "response_timeout").length;
      const before = timedOut();
      const request = http.request({ port: portOf(engine), method: "POST", path: "/sink?stuck=1", agent: false });
      request.setHeader("content-length", LARGE_BYTES);
      request.on("error", () => {}); // the answer comes while it is writing: it may not get to read it
      void pour(LARGE_BYTES, request);
      await until("it is logged", () => timedOut() === before + 1);
      request.destroy();
      read();
      reader.reading = Promise.resolve();
    });

    it("time in which a slow service holds the client back does not count", async () => {
      onTestFailed(() => console.error(gateway.report()));
      let read = (): void => {};
      reader.reading = new Promise((resolve) => {
        read = resolve;
      });
      const request = http.request({ port: portOf(engine), method: "POST", path: "/sink", agent: false });
      request.setHeader("content-length", LARGE_BYTES);
      const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
        request.once("response", resolve);
        request.once("error", reject);
      });
      const poured = pour(LARGE_BYTES, request);
      const taken = (): number => (request.socket?.bytesWritten ?? 0) - (request.socket?.writableLength ?? 0);
      let last = -1;
      let sinceMs = performance.now();
      await until(
        "nothing has moved for several times the patience",
        () => {
          if (taken() !== last) sinceMs = performance.now();
          last = taken();
          return performance.now() - sinceMs > 3 * (AFTER_MS + GRACE_MS);
        },
        20_000,
      );
      read();
      reader.reading = Promise.resolve();
      await poured;
      request.end();
      let text = "";
      for await (const chunk of await answered) text += chunk;
      expect(text.startsWith(digestOf(LARGE_BYTES))).toBe(true);
    }, 40_000);
  });

  describe("limits.bodiesPerAddress", () => {
    const BYTES = 100_000;
    const FIRST = "x".repeat(1000);
    const from = (address: string, body: string): string => `X-Forwarded-For: ${address}\r\nContent-Length: ${BYTES}\r\n\r\n${body}`;

    /** An upload whose first part has arrived at the service. */
    async function uploading(address: string): Promise<RawClient> {
      const bytes = (): number => upstream.connections.reduce((sum, connection) => sum + connection.bytes, 0);
      const before = bytes();
      const client = await begin(engine, "/patient", from(address, FIRST));
      await until("its first part is there", () => bytes() >= before + FIRST.length);
      return client;
    }
    async function finish(client: RawClient | undefined): Promise<void> {
      client?.send("x".repeat(BYTES - FIRST.length));
      expect((await client?.response())?.status).toBe(200);
    }

    it.each([
      ["an IPv4 address", "203.0.113.1", "203.0.113.1", "203.0.113.2"],
      ["an IPv6 network of 64 bits", "2001:db8:1:2::1", "2001:db8:1:2:ffff::3", "2001:db8:1:3::1"],
    ])("429 for one body more that is arriving from %s, whichever worker has it", async (_, address, same, other) => {
      const two = [await uploading(address), await uploading(same)];
      const refused = await begin(engine, "/patient", from(same, FIRST));
      const answer = await refused.response();
      expect([answer.status, codeOf(answer)]).toEqual([429, "concurrency_limited"]);
      await refused.closes();
      // Bodies that come at once do not count, nor do those of others.
      const whole = await begin(engine, "/patient", `X-Forwarded-For: ${address}\r\nContent-Length: 5\r\n\r\nhello`);
      expect((await whole.response()).status).toBe(200);
      await finish(await uploading(other));
      // A place is free again when its body is there, and when its client has gone.
      await finish(two[0]);
      await finish(await uploading(address));
      two[1]?.destroy();
      await expect
        .poll(async () => {
          const again = await Promise.all([
            begin(engine, "/patient", from(address, FIRST)),
            begin(engine, "/patient", from(address, FIRST)),
          ]);
          for (const client of again) client.send("x".repeat(BYTES - FIRST.length));
          return Promise.all(again.map(async (client) => (await client.response()).status));
        })
        .toEqual([200, 200]);
    });
  });
});
