// Bodies of every size go both ways unchanged, in both framings, at the pace of the slower side and within the limits.
import { createHash } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BodyUpstream, digestOf, pour } from "../../support/body-upstream.ts";
import { bothListeners, ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";
import { until } from "../../support/until.ts";

const MIB = 1024 * 1024;
const SIZES = [0, 1, 64 * 1024, 64 * 1024 + 1, MIB, 20 * MIB];
/** What a slow peer is sent. */
const LARGE_BYTES = 256 * MIB;
/**
 * Socket buffers of the kernel on both hops (32 MiB for a reader, 4 MiB for a writer, at most), and once more what a reader holds:
 * uws empties it before it minds a pause. Far less than {@link LARGE_BYTES}.
 */
const BUFFERED_BYTES_MAX = 144 * MIB;
/** How much more memory than before a stalled peer may cost, garbage included. */
const GROWTH_BYTES_MAX = 96 * MIB;

let gateway: Gateway;
let upstream: BodyUpstream;
beforeAll(async () => {
  upstream = await BodyUpstream.start();
  gateway = await Gateway.start({
    config: `${bothListeners}limits: { bodyBytes: 400MiB, bodyTimeout: 1s, headerTimeout: 1s }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${upstream.port}" } ], timeouts: { response: 20s, total: 60s, idle: 20s } } }
routes:
  - { name: all, match: { path: "/**" }, to: u }
  - { name: small, match: { path: "/small/**" }, to: u, rewrite: { path: /sink }, limits: { bodyBytes: 1000 } }
  - { name: any, match: { path: "/any/**" }, to: u, rewrite: { path: /sink }, limits: { bodyBytes: none } }
  - { name: asked, match: { path: "/asked/**" }, to: u, rewrite: { path: /sink }, limits: { bodyBytes: none }, forwardAuth: { url: "http://127.0.0.1:${upstream.port}/sink", body: { maxBytes: 10B } } }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

const portOf = (engine: Engine): number => Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port);

async function upload(engine: Engine, bytes: number, chunked: boolean): Promise<string> {
  const request = http.request({ port: portOf(engine), method: "POST", path: "/sink", agent: false });
  if (!chunked) request.setHeader("content-length", bytes);
  const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", reject);
  });
  if (chunked) request.flushHeaders();
  await pour(bytes, request);
  request.end();
  let text = "";
  for await (const chunk of await answered) text += chunk;
  return text;
}

async function download(engine: Engine, bytes: number, chunked: boolean): Promise<string> {
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    http
      .get({ port: portOf(engine), path: `/source?bytes=${bytes}${chunked ? "&chunked" : ""}`, agent: false }, resolve)
      .once("error", reject);
  });
  const hash = createHash("sha256");
  let length = 0;
  for await (const chunk of response) {
    hash.update(chunk);
    length += chunk.length;
  }
  return `${length} ${hash.digest("hex")}`;
}

/** Resident memory of the process that holds the workers. */
function residentBytes(): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${gateway.primaryPid}/status`, "utf8"));
  return Number(match?.[1]) * 1024;
}

/** Waits until a count stands still. */
async function settles(what: string, count: () => number): Promise<number> {
  let last = -1;
  let still = 0;
  await until(
    `${what} stands still`,
    () => {
      still = count() === last ? still + 1 : 0;
      last = count();
      return last > 0 && still > 40;
    },
    20_000,
  );
  return last;
}

describe.each(ENGINES)("%s", (engine) => {
  for (const chunked of [false, true]) {
    it.each(SIZES)(`carries ${chunked ? "chunked" : "fixed"} request bodies of %d bytes`, async (bytes) => {
      const [length, hash] = (await upload(engine, bytes, chunked)).split(" ");
      expect(`${length} ${hash}`).toBe(digestOf(bytes));
    });

    it.each(SIZES)(`carries ${chunked ? "chunked" : "fixed"} response bodies of %d bytes`, async (bytes) => {
      expect(await download(engine, bytes, chunked)).toBe(digestOf(bytes));
    });
  }

  it("sends a fixed body on with its length", async () => {
    expect(await upload(engine, MIB, false)).toMatch(new RegExp(` ${MIB}$`));
  });

  it.each([true, false])("waits for a slow reader without holding the response (chunked: %s)", async (chunked) => {
    await download(engine, MIB, chunked);
    const before = residentBytes();
    const from = upstream.sockets.length;
    await using client = await RawClient.connect(portOf(engine));
    client.socket.pause();
    client.send(`GET /source?bytes=${LARGE_BYTES}${chunked ? "&chunked" : ""} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    // A pooled connection may be used, so all of them count.
    const written = (): number => upstream.sockets.reduce((sum, socket) => sum + socket.bytesWritten - socket.writableLength, 0);
    const start = written();
    await settles("what the upstream could send", () => written() - start);
    expect(written() - start).toBeLessThan(BUFFERED_BYTES_MAX);
    expect(residentBytes() - before).toBeLessThan(GROWTH_BYTES_MAX);
    expect(upstream.sockets.length).toBeLessThanOrEqual(from + 1);
    let bytes = 0;
    client.socket.removeAllListeners("data");
    client.socket.on("data", (chunk) => {
      bytes += chunk.length;
    });
    client.socket.resume();
    await until("the whole response arrives", () => client.closed, 30_000);
    expect(bytes).toBeGreaterThan(LARGE_BYTES);
  });

  it("waits for a slow upstream without holding the request", async () => {
    await upload(engine, MIB, false);
    const before = residentBytes();
    let read = (): void => {};
    upstream.reading = new Promise((resolve) => {
      read = resolve;
    });
    const request = http.request({ port: portOf(engine), method: "POST", path: "/sink", agent: false });
    request.setHeader("content-length", LARGE_BYTES);
    const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      request.once("error", reject);
    });
    // At the pace of a fast network: as fast as loopback allows, uws would read on and on without looking up.
    const poured = pour(LARGE_BYTES, request, () => setTimeout(1));
    await settles("what the client could send", () => (request.socket?.bytesWritten ?? 0) - (request.socket?.writableLength ?? 0));
    const [taken, grown] = [request.socket?.bytesWritten, residentBytes() - before];
    read();
    upstream.reading = Promise.resolve();
    expect(taken).toBeLessThan(BUFFERED_BYTES_MAX);
    expect(grown).toBeLessThan(GROWTH_BYTES_MAX);
    await poured;
    request.end();
    let text = "";
    for await (const chunk of await answered) text += chunk;
    expect(text.startsWith(digestOf(LARGE_BYTES))).toBe(true);
  });

  describe("limits", () => {
    const small = "POST /small/x HTTP/1.1\r\nHost: a\r\n";

    it("413 by Content-Length, without having read the body", async () => {
      await using client = await RawClient.connect(portOf(engine));
      client.send(`${small}Content-Length: 1001\r\n\r\n${"x".repeat(1001)}`);
      const response = await client.response();
      expect(response.status).toBe(413);
      expect(JSON.parse(response.body.toString())).toMatchObject({ code: "body_too_large" });
      await client.closes();
    });

    it("413 for a chunked body, as soon as it is too large", async () => {
      await using client = await RawClient.connect(portOf(engine));
      client.send(`${small}Transfer-Encoding: chunked\r\n\r\n1f4\r\n${"x".repeat(500)}\r\n`);
      client.send(`1f5\r\n${"x".repeat(501)}\r\n`);
      expect((await client.response()).status).toBe(413);
      await client.closes();
    });

    it("takes a body of exactly the limit", async () => {
      await using client = await RawClient.connect(portOf(engine));
      client.send(`${small}Content-Length: 1000\r\n\r\n${"x".repeat(1000)}`);
      expect((await client.response()).status).toBe(200);
    });

    it.each(["Content-Length: 10\r\n\r\nhello", "Content-Length: 500000\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"])(
      "408 when the body does not go on: %j",
      async (rest) => {
        await using client = await RawClient.connect(portOf(engine));
        client.send(`POST /sink HTTP/1.1\r\nHost: a\r\n${rest}`);
        const response = await client.response();
        expect(response.status).toBe(408);
        expect(JSON.parse(response.body.toString())).toMatchObject({ code: "request_timeout" });
        await client.closes();
      },
    );
  });

  describe("bodyBytes: none", () => {
    it("takes bodies beyond the instance's limit, as they come, and keeps their framing", async () => {
      await using client = await RawClient.connect(portOf(engine));
      client.send(`POST /any/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${500 * 1024 ** 3}\r\n\r\n`);
      const arrived = (): number => upstream.sockets.reduce((sum, socket) => sum + socket.bytesRead, 0);
      const before = arrived();
      client.send(Buffer.alloc(MIB));
      await until("the body goes on to the service", () => arrived() - before > MIB / 2);
      expect(client.pending.length).toBe(0);
    });

    it("leaves the bound of a policy that reads whole bodies in force", async () => {
      await using client = await RawClient.connect(portOf(engine));
      client.send(`POST /asked/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n${"x".repeat(11)}\r\n0\r\n\r\n`);
      const response = await client.response();
      expect([response.status, JSON.parse(response.body.toString()).code]).toEqual([413, "body_too_large"]);
    });

    it("leaves a body that does not come refused, and its connection closed", async () => {
      await using client = await RawClient.connect(portOf(engine));
      client.send("POST /any/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\nGET /any/y HTTP/1.1\r\nHost: a\r\n\r\n");
      expect((await client.response()).status).toBe(408);
      await client.closes();
    });

    it.each(["9999999999999999", "1e9", "-1", "0x10", "+5"])("a Content-Length of %s is still none", async (length) => {
      await using client = await RawClient.connect(portOf(engine));
      client.send(`POST /any/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`);
      expect((await client.response()).status).toBe(400);
      await client.closes();
    });
  });

  describe("Expect: 100-continue", () => {
    const expecting = (path: string, length: number): string =>
      `POST ${path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;

    it("is answered with 100, then the body is read", async () => {
      await using client = await RawClient.connect(portOf(engine));
      client.send(expecting("/sink", 5));
      expect((await client.response()).status).toBe(100);
      client.send("hello");
      const response = await client.response();
      expect([response.status, response.body.toString().split(" ")[0]]).toEqual([200, "5"]);
    });

    it("is not needed when the body comes anyway", async () => {
      await using client = await RawClient.connect(portOf(engine));
      client.send(`${expecting("/sink", 5)}hello`);
      // RFC 9110 section 10.1.1: who has begun to send has not waited.
      if (engine === "uws") expect((await client.response()).status).toBe(100);
      expect((await client.response()).status).toBe(200);
    });

    it("is refused at once when the request is, and the connection closed", async () => {
      await using client = await RawClient.connect(portOf(engine));
      client.send(expecting("/small/x", 1001));
      let response = await client.response();
      if (engine === "uws") {
        // It sends 100 before it asks anybody.
        expect(response.status).toBe(100);
        client.send("x".repeat(1001));
        response = await client.response();
      }
      expect(response.status).toBe(413);
      await client.closes();
    });
  });
});

it("takes a body, and waits for an answer, for longer than the head may take", { timeout: 30_000 }, async () => {
  const connect = (): Promise<RawClient[]> => Promise.all(ENGINES.map((engine) => RawClient.connect(portOf(engine))));
  const [slow, waiting] = [await connect(), await connect()]; // on both engines at once: it takes a while
  for (const each of slow) each.send("POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const arrivals = upstream.reading;
  let read = (): void => {};
  upstream.reading = new Promise((resolve) => {
    read = resolve;
  });
  for (const each of waiting) each.send("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
  const startMs = performance.now();
  let sent = 0;
  // uws knows only multiples of 4 s, so that is how long the head may take there.
  while (performance.now() - startMs < 5000) {
    for (const each of slow) each.send("1\r\nx\r\n");
    sent++;
    const next = performance.now() + 250;
    await until("a quarter of a second is over", () => performance.now() >= next);
  }
  upstream.reading = arrivals;
  read();
  for (const each of slow) each.send("0\r\n\r\n");
  for (const each of slow) expect((await each.response()).body.toString()).toMatch(new RegExp(`^${sent} `));
  for (const each of waiting) expect((await each.response()).body.toString()).toMatch(/^2 /);
  for (const each of [...slow, ...waiting]) await each[Symbol.asyncDispose]();
});
