// HTTP/2 by a client that is not ours (node:http2, and curl): bodies both ways at once, trailers, interim responses, early answers, HEAD, what the log says.
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from "node:http2";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { Authority, type IssuedCertificate } from "../../support/authority.ts";
import { BodyUpstream, digestOf, pour } from "../../support/body-upstream.ts";
import { Gateway } from "../../support/gateway.ts";
import { until } from "../../support/until.ts";

const MiB = 1024 * 1024;
/** Of the gateway's output, when a test fails. */
const LOG_LINES_SHOWN = 8;

let folder: string;
let authority: Authority;
let certificate: IssuedCertificate;
let origin: http.Server;
let bodies: BodyUpstream;
let gateway: Gateway;
/** Requests whose heads the origin has, by path; for tests that answer by hand. */
const held = new Map<string, { readonly request: http.IncomingMessage; readonly response: http.ServerResponse }>();

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-http2-"));
  authority = new Authority(folder);
  certificate = authority.issue("server", ["localhost"]);
  bodies = await BodyUpstream.start();
  origin = http.createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://origin");
    if (url.pathname.startsWith("/held")) return void held.set(url.pathname, { request, response });
    if (url.pathname === "/echo") return void request.pipe(response);
    request.resume().once("end", () => response.end(`${request.method} ${request.url}`));
  });
  await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
  const { port } = origin.address() as AddressInfo; // a TCP server that listens has one
  const tls = `{ certificates: [ { cert: ${certificate.cert}, key: ${certificate.key} } ] }`;
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
admin: false
limits: { bodyBytes: 20MiB }
listeners:
  - { address: 127.0.0.1:0, h2c: true }
  - { address: 127.0.0.1:0, engine: net, tls: ${tls} }
upstreams:
  origin: { targets: [ { url: "http://127.0.0.1:${port}" } ] }
  bodies: { targets: [ { url: "http://127.0.0.1:${bodies.port}" } ], pool: { connections: 128 } }
routes:
  - { name: bodies, match: { path: /bodies/** }, to: bodies, rewrite: { stripPrefix: /bodies } }
  - { name: small, match: { path: /small }, to: origin, limits: { bodyBytes: 1KiB } }
  - { name: own, match: { path: /own }, respond: { body: own } }
  - { name: all, match: { path: /** }, to: origin }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await bodies[Symbol.asyncDispose]();
  origin.closeAllConnections();
  await new Promise((resolve) => origin.close(resolve));
  fs.rmSync(folder, { recursive: true });
});

const WAYS = ["cleartext", "TLS"] as const;
type Way = (typeof WAYS)[number];

async function session(way: Way, options: http2.ClientSessionOptions = {}): Promise<ClientHttp2Session & AsyncDisposable> {
  onTestFailed(() => console.error(gateway.output.split("\n").slice(-LOG_LINES_SHOWN).join("\n")));
  const url = new URL(gateway.urls[WAYS.indexOf(way)] ?? "");
  const tls = way === "TLS" ? { ca: fs.readFileSync(authority.ca), servername: "localhost" } : {};
  const opened = http2.connect(`${url.protocol}//localhost:${url.port}`, {
    ...options,
    ...tls,
    lookup: loopback,
  } as http2.SecureClientSessionOptions);
  opened.on("error", () => {});
  await new Promise((resolve, reject) => opened.once("connect", resolve).once("error", reject));
  return Object.assign(opened, {
    [Symbol.asyncDispose]: async () => {
      opened.destroy();
    },
  });
}

type Loopback = (host: string, options: object, done: (error: null, address: string | object[], family?: number) => void) => void;
const loopback: Loopback = (_host, options, done) =>
  "all" in options && options.all === true ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: IncomingHttpHeaders;
  readonly interim: readonly number[];
}

function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let headers: IncomingHttpHeaders & { ":status"?: number | undefined } = {};
    let trailers: IncomingHttpHeaders = {};
    const interim: number[] = [];
    const chunks: Buffer[] = [];
    stream.on("headers", (own) => interim.push(own[":status"] ?? 0));
    stream.on("response", (own) => (headers = own));
    stream.on("trailers", (own) => (trailers = own));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => resolve({ status: headers[":status"] ?? 0, headers, body: Buffer.concat(chunks), trailers, interim }));
    stream.on("error", reject);
  });
}

const get = (client: ClientHttp2Session, target: string, headers: http2.OutgoingHttpHeaders = {}): Promise<Answer> =>
  answerOf(client.request({ ":path": target, ...headers }));

const heldRequest = async (target: string) => {
  await until(`the origin has the head of ${target}`, () => held.has(target));
  const found = held.get(target) as NonNullable<ReturnType<typeof held.get>>; // it is there
  held.delete(target);
  return found;
};

describe.each(WAYS)("by %s", (way) => {
  it("requests of one connection are answered each by its own, whatever comes first", async () => {
    await using client = await session(way);
    const targets = Array.from({ length: 200 }, (_, i) => `/a/${i}`);
    const answers = await Promise.all(targets.map((target) => get(client, target)));
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(targets.map((target) => `200 GET ${target}`));
  });

  it.each([0, 1, 8192, 16_384, 16_385, 65_535, 65_536, MiB + 1, 8 * MiB])(
    "a body of %i bytes arrives as it was sent, both ways",
    async (bytes) => {
      await using client = await session(way);
      const body = randomBytes(bytes);
      for (const headers of [{}, { "content-length": bytes }]) {
        const stream = client.request({ ":path": "/echo", ":method": "POST", ...headers });
        stream.end(body);
        const answer = await answerOf(stream);
        expect(answer.status).toBe(200);
        expect(createHash("sha256").update(answer.body).digest("hex")).toBe(createHash("sha256").update(body).digest("hex"));
      }
    },
  );

  it("64 uploads and 64 downloads at once are each complete", async () => {
    await using client = await session(way);
    const sizes = Array.from({ length: 64 }, (_, i) => 50_000 + i * 4099);
    const uploads = sizes.map(async (bytes) => {
      const stream = client.request({ ":path": "/bodies/sink", ":method": "POST" });
      const answer = answerOf(stream);
      await pour(bytes, stream);
      stream.end();
      return String((await answer).body);
    });
    expect(await Promise.all(uploads)).toEqual(sizes.map((bytes) => `${digestOf(bytes)} chunked`));
    const downloads = sizes.map(async (bytes) => {
      const { body } = await get(client, `/bodies/source?bytes=${bytes}`);
      return `${body.length} ${createHash("sha256").update(body).digest("hex")}`;
    });
    expect(await Promise.all(downloads)).toEqual(sizes.map(digestOf));
  });

  it("a response that nobody reads holds up no other one on its connection, and is complete when it is read", async () => {
    await using client = await session(way);
    const stalled = client.request({ ":path": `/bodies/source?bytes=${4 * MiB}` });
    await new Promise((resolve) => stalled.once("response", resolve));
    for (let i = 0; i < 5; i++) expect((await get(client, `/bodies/source?bytes=${MiB}`)).body.length).toBe(MiB);
    let bytes = 0;
    const hash = createHash("sha256");
    for await (const chunk of stalled as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      hash.update(chunk);
    }
    expect(`${bytes} ${hash.digest("hex")}`).toBe(digestOf(4 * MiB));
  });

  it("an upload that its service does not read is held back, holds up no other one, and is complete when it is read", async () => {
    await using client = await session(way);
    const target = `/held/upload-${way}`;
    const stream = client.request({ ":path": target, ":method": "POST" });
    const answer = answerOf(stream);
    const body = randomBytes(4 * MiB);
    stream.end(body);
    const { request, response } = await heldRequest(target);
    for (let i = 0; i < 3; i++) {
      const other = client.request({ ":path": "/echo", ":method": "POST" });
      other.end(body.subarray(0, 300_000));
      expect((await answerOf(other)).body.equals(body.subarray(0, 300_000))).toBe(true);
    }
    expect(request.readableLength).toBeLessThan(MiB);
    const got: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) got.push(chunk);
    response.end("taken");
    expect(String((await answer).body)).toBe("taken");
    expect(Buffer.concat(got).equals(body)).toBe(true);
  });

  it("trailers go both ways", async () => {
    await using client = await session(way);
    const target = `/held/trailers-${way}`;
    const stream = client.request({ ":path": target, ":method": "POST", te: "trailers" }, { waitForTrailers: true } as object);
    stream.once("wantTrailers", () => stream.sendTrailers({ "x-sum": "1" }));
    const answer = answerOf(stream);
    stream.end("body");
    const { request, response } = await heldRequest(target);
    request.resume();
    await new Promise((resolve) => request.once("end", resolve));
    expect(request.trailers).toEqual({ "x-sum": "1" });
    response.writeHead(200, { trailer: "x-result" });
    response.write("some");
    response.addTrailers({ "x-result": "2", "content-length": "7" });
    response.end();
    const { body, trailers } = await answer;
    expect(String(body)).toBe("some");
    expect(Object.entries(trailers)).toEqual([["x-result", "2"]]);
  });

  it("interim responses of the service arrive before its answer", async () => {
    await using client = await session(way);
    const target = `/held/hints-${way}`;
    const answer = get(client, target);
    const { response } = await heldRequest(target);
    response.writeEarlyHints({ link: "</a.css>; rel=preload" });
    response.end("late");
    const { interim, status, body } = await answer;
    expect(interim).toEqual([103]);
    expect(`${status} ${body}`).toBe("200 late");
  });

  it("a head goes out before its body comes", async () => {
    await using client = await session(way);
    const target = `/held/head-${way}`;
    const stream = client.request({ ":path": target });
    const { response } = await heldRequest(target);
    response.writeHead(200, { "x-early": "1" });
    response.flushHeaders();
    await new Promise((resolve) => stream.once("response", resolve));
    const answer = answerOf(stream);
    response.end("body");
    expect(String((await answer).body)).toBe("body");
  });

  it("100 is sent to who waits for it, once the body is wanted", async () => {
    await using client = await session(way);
    const stream = client.request({ ":path": "/echo", ":method": "POST", expect: "100-continue" });
    const answer = answerOf(stream);
    await new Promise((resolve) => stream.once("continue", resolve));
    stream.end("body");
    expect(String((await answer).body)).toBe("body");
  });

  it("HEAD has the length of what a GET would have, and no body; 204 has neither", async () => {
    await using client = await session(way);
    const head = await get(client, "/own", { ":method": "HEAD" });
    expect(head).toMatchObject({ status: 200, headers: { "content-length": "3" } });
    expect(head.body.length).toBe(0);
    const target = `/held/204-${way}`;
    const answer = get(client, target);
    (await heldRequest(target)).response.writeHead(204).end();
    expect((await answer).headers).not.toHaveProperty("content-length");
  });

  it("a refusal reaches a client whose upload is still coming, its upload is stopped without an error, and the connection goes on", async () => {
    await using client = await session(way);
    const stream = client.request({ ":path": "/small", ":method": "POST" });
    const code = new Promise<number>((resolve) => stream.once("close", () => resolve(stream.rstCode)));
    const answer = answerOf(stream);
    void pour(16 * MiB, stream);
    expect((await answer).status).toBe(413);
    stream.destroy();
    expect(await code).toBe(http2.constants.NGHTTP2_NO_ERROR);
    expect((await get(client, "/own")).status).toBe(200);
  });

  it("nothing of HTTP/1.1's connection is in a response", async () => {
    await using client = await session(way);
    const target = `/held/hop-${way}`;
    const answer = get(client, target);
    const { response } = await heldRequest(target);
    response.writeHead(200, {
      connection: "x-hop",
      "keep-alive": "timeout=5",
      "x-hop": "1",
      upgrade: "h2c",
      "x-end": "2",
      "transfer-encoding": "chunked",
    });
    response.end("body");
    const { headers } = await answer;
    expect(Object.keys(headers).sort()).toEqual([":status", "date", "x-end", "x-request-id"]);
  });

  it("a response that breaks off is reset, not ended", async () => {
    await using client = await session(way);
    const target = `/held/broken-${way}`;
    const stream = client.request({ ":path": target });
    const code = new Promise<number>((resolve) => stream.once("close", () => resolve(stream.rstCode)));
    stream.on("error", () => {});
    stream.resume();
    const { response } = await heldRequest(target);
    response.writeHead(200, { "content-length": "1000" });
    response.write("some");
    await new Promise((resolve) => stream.once("data", resolve));
    response.destroy();
    expect(await code).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR);
    expect((await get(client, "/own")).status).toBe(200);
  });

  it("a request that its client gives up is given up upstream", async () => {
    await using client = await session(way);
    const target = `/held/gone-${way}`;
    const stream = client.request({ ":path": target });
    stream.on("error", () => {});
    const { response } = await heldRequest(target);
    const gone = new Promise((resolve) => response.once("close", resolve));
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await gone;
    expect(response.writableFinished).toBe(false);
  });

  it("curl is served by it", async () => {
    const url = new URL(gateway.urls[WAYS.indexOf(way)] ?? "");
    const how = way === "TLS" ? ["--http2", "--cacert", authority.ca] : ["--http2-prior-knowledge"];
    const at = ["--resolve", `localhost:${url.port}:127.0.0.1`, `${url.protocol}//localhost:${url.port}/own`];
    const { stdout } = await promisify(execFile)("curl", ["-sS", "-w", " %{http_version} %{http_code}", ...how, ...at]);
    expect(stdout).toBe("own 2 200");
  });
});

it("the access log names the protocol, scheme, host and bytes", async () => {
  await using client = await session("TLS");
  const stream = client.request({ ":path": "/echo?logged", ":method": "POST" });
  stream.end("12345");
  await answerOf(stream);
  const line = () => gateway.lines().find((each) => each["query"] === "logged" || String(each["path"]) === "/echo");
  await until("the request is in the log", () => gateway.lines().some((each) => each["protocol"] === "http/2" && each["bytesIn"] === 5));
  expect(line()).toMatchObject({ protocol: "http/2", scheme: expect.stringMatching(/^https?$/), host: "localhost" });
});

it("a client that offers HTTP/1.1 alone gets that on the same listeners", async () => {
  for (const way of WAYS) {
    const url = new URL(gateway.urls[WAYS.indexOf(way)] ?? "");
    const how = way === "TLS" ? ["--http1.1", "--cacert", authority.ca] : ["--http1.1"];
    const at = ["--resolve", `localhost:${url.port}:127.0.0.1`, `${url.protocol}//localhost:${url.port}/own`];
    const { stdout } = await promisify(execFile)("curl", ["-sS", "-w", " %{http_version} %{http_code}", ...how, ...at]);
    expect(stdout).toBe("own 1.1 200");
  }
});
