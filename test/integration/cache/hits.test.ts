// Hits on the wire, on both engines: whole and in order however they are asked for, as the plan in force wants them, and of bytes that stay while a slow client
// reads them.
import { once } from "node:events";
import http from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { type Answering, CountingOrigin } from "../../support/counting-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient, type RawResponse } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { until } from "../../support/until.ts";

const TIMEOUT_MS = 60_000;
const MIB = 1024 * 1024;
/** More than the kernel takes of one response that nobody reads. */
const LARGE = 8 * MIB;
/** So many are twice the store's small ring, a tenth of its memory. */
const FLOOD = 10;

/** `/.../N/...`: N bytes that are nobody else's. */
function bodyOf(path: string): Buffer {
  const [size = "10"] = /\d+/.exec(path) ?? [];
  const body = Buffer.alloc(Number(size), `${path};`);
  return body;
}

function answer({ request, response }: Answering): void {
  const { url = "" } = request;
  const body = bodyOf(url);
  response.writeHead(200, { "cache-control": "max-age=3600", "x-origin": "a", etag: '"1"', "content-length": body.length }).end(body);
}

const config = (port: number, extra: string): string => `version: 1
workers: 1
admin: { address: 127.0.0.1:0 }
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
cache: { memory: 401MiB, maxObject: 8MiB }
defaults: { accessLog: false }
upstreams: { o: { targets: [{ url: "http://127.0.0.1:${port}" }] } }
routes:
  - name: plain
    match: { path: /plain/** }
    to: o
    cache: {}
  - name: told
    match: { path: /told/** }
    to: o
    cache: {}
    headers: { response: { set: { x-plan: "${extra}" } } }
    cors: { origins: ["https://one.example", "https://two.example"] }
  - name: logged
    match: { path: /logged/** }
    to: o
    cache: {}
    accessLog: true
  - name: counted
    match: { path: /counted/** }
    to: o
    cache: {}
    rateLimit: [{ per: ip, rate: 100/d, burst: 100 }]
  - name: known
    match: { path: /known/** }
    to: o
    cache: {}
    ip: { allow: [127.0.0.1/32] }
`;

let origin: CountingOrigin;
let gateway: Gateway;
beforeAll(async () => {
  origin = await CountingOrigin.start(answer);
  gateway = await Gateway.start({ config: config(origin.port, "first") });
}, TIMEOUT_MS);
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

let paths = 0;
/** Whatever becomes of the test, nobody may wait for them. */
const open: RawClient[] = [];
afterEach(() => {
  for (const client of open.splice(0)) client.destroy();
});
const field = (response: RawResponse, name: string): string | null => valuesOf(response, name).join("|") || null;

describe.each(ENGINES)("%s", { timeout: TIMEOUT_MS }, (engine: Engine) => {
  const url = (): string => gateway.urls[ENGINES.indexOf(engine)] ?? "";
  const connect = (): Promise<RawClient> => RawClient.connect(Number(new URL(url()).port));
  const get = (path: string, fields = ""): string => `GET ${path} HTTP/1.1\r\nHost: shop.test\r\n${fields}\r\n`;
  const fresh = (prefix: string, bytes = 10): string => `${prefix}/${bytes}/${engine}-${++paths}`;

  async function ask(client: RawClient, path: string, fields = ""): Promise<RawResponse> {
    client.send(get(path, fields));
    return client.response();
  }

  /** A path that is stored, and asked for twice more. */
  async function stored(path: string): Promise<string> {
    await using client = await connect();
    for (let i = 0; i < 3; i++) expect((await ask(client, path)).status).toBe(200);
    expect(origin.asked.get(path)).toBe(1);
    return path;
  }

  it.each([10, 2048, 2049, 8192, 8193, 20_000, 300_000, MIB])("hits of %i bytes are whole, each with its own id", async (bytes) => {
    const path = await stored(fresh("/plain", bytes));
    const body = bodyOf(path);
    await using client = await connect();
    const ids = ["", "", "", "mine", "a".repeat(128), "", "b", ""];
    const seen = new Set<string>();
    for (const id of ids) {
      const got = await ask(client, path, id === "" ? "" : `X-Request-Id: ${id}\r\n`);
      expect([got.status, got.body.equals(body), field(got, "x-origin"), field(got, "content-length")]).toEqual([
        200,
        true,
        "a",
        String(bytes),
      ]);
      expect(field(got, "age")).toMatch(/^\d+$/);
      expect(field(got, "cache-status")).toMatch(/^sluice; hit; ttl=\d+$/);
      expect(valuesOf(got, "date")).toHaveLength(1);
      if (id !== "") expect(field(got, "x-request-id")).toBe(id);
      seen.add(field(got, "x-request-id") ?? "");
    }
    expect(seen.size).toBe(ids.length);
    expect(origin.asked.get(path)).toBe(1);
  });

  it("requests that come together are answered in their order", async () => {
    const [one, two] = [await stored(fresh("/plain", 10)), await stored(fresh("/plain", 5000))];
    await using client = await connect();
    const order = [one, two, one, one, two, one];
    client.send(order.map((path) => get(path)).join(""));
    for (const path of order) expect((await client.response()).body.toString()).toBe(bodyOf(path).toString());
  });

  it("HEAD, conditions and ranges are answered beside them", async () => {
    const path = await stored(fresh("/plain", 5000));
    await using client = await connect();
    for (let i = 0; i < 2; i++) {
      client.send(get(path).replace("GET", "HEAD"));
      const head = await client.response(true);
      expect([head.status, field(head, "content-length")]).toEqual([200, "5000"]);
      expect((await ask(client, path, 'If-None-Match: "1"\r\n')).status).toBe(304);
      expect((await ask(client, path, "Range: bytes=1-3\r\n")).body.toString()).toBe(bodyOf(path).subarray(1, 4).toString());
      expect((await ask(client, path)).body.length).toBe(5000);
    }
  });

  it("a client that closes, or speaks HTTP/1.0, is told that it ends", async () => {
    const path = await stored(fresh("/plain", 100));
    for (const request of [get(path, "Connection: close\r\n"), get(path).replace("HTTP/1.1", "HTTP/1.0")]) {
      await using client = await connect();
      client.send(request);
      if (engine === "uws" && request.includes("HTTP/1.0")) continue; // does not speak it
      const got = await client.response();
      expect([got.status, got.body.length, field(got, "connection")?.toLowerCase()]).toEqual([200, 100, "close"]);
      await client.closes();
    }
  });

  it("origins are told apart by CORS, each with what it may", async () => {
    const path = await stored(fresh("/told"));
    await using client = await connect();
    for (let i = 0; i < 3; i++)
      for (const name of ["one", "two", "evil"]) {
        const got = await ask(client, path, `Origin: https://${name}.example\r\n`);
        expect([field(got, "access-control-allow-origin"), field(got, "vary")]).toEqual([
          name === "evil" ? null : `https://${name}.example`,
          "origin",
        ]);
      }
  });

  it.each([10, 5000, 30_000])("limits are told with each hit of %i bytes", async (bytes) => {
    const path = await stored(fresh("/counted", bytes));
    await using client = await connect();
    const left: number[] = [];
    for (let i = 0; i < 4; i++) {
      const got = await ask(client, path, `X-Request-Id: id-${i}\r\n`);
      expect([got.body.equals(bodyOf(path)), field(got, "x-request-id"), valuesOf(got, "ratelimit-policy").length]).toEqual([
        true,
        `id-${i}`,
        1,
      ]);
      left.push(Number(/r=(\d+)/.exec(field(got, "ratelimit") ?? "")?.[1]));
    }
    const [first = 0] = left;
    expect(left).toEqual([first, first - 1, first - 2, first - 3]);
  });

  it("a plan that takes the place of another changes what is sent, and nothing is asked anew", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const path = await stored(fresh("/told"));
    await using client = await connect();
    for (const name of ["second", "third", "first"]) {
      const reloads = gateway.lines("reloaded").length;
      gateway.writeConfig(config(origin.port, name));
      await gateway.said("reloaded", reloads + 1);
      for (let i = 0; i < 4; i++) expect(field(await ask(client, path), "x-plan")).toBe(name);
    }
    expect(origin.asked.get(path)).toBe(1);
  });

  it("a purge is obeyed by the next request, on a connection that has had hits", async () => {
    const path = await stored(fresh("/plain"));
    await using client = await connect();
    await ask(client, path);
    expect((await gateway.admin("POST", `/cache/purge?url=${encodeURIComponent(`http://shop.test${path}`)}`)).status).toBe(200);
    expect(field(await ask(client, path), "cache-status")).toContain("fwd=");
    expect(origin.asked.get(path)).toBe(2);
  });

  it("the access log and lists of addresses know the client", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const [logged, known] = [await stored(fresh("/logged")), await stored(fresh("/known"))];
    await using client = await connect();
    expect((await ask(client, known)).status).toBe(200);
    expect((await ask(client, logged)).status).toBe(200);
    const lines = () => gateway.lines().filter((line) => line["path"] === logged);
    await until("all are logged", () => lines().length === 4);
    expect(lines().map((line) => [line["client"], line["cache"], line["bytesOut"]])).toEqual([
      ["127.0.0.1", "miss", 10],
      ["127.0.0.1", "hit", 10],
      ["127.0.0.1", "hit", 10],
      ["127.0.0.1", "hit", 10],
    ]);
  });

  it("a client that reads late gets what was stored, although the memory is wanted by others meanwhile", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const path = await storedLarge();
    const [first] = await slowReaders([path]);
    const readers = await slowReaders([path, path, path]);
    first?.cut(); // the first one of a second holds the bytes by another way
    await purgeAll();
    await flood();
    await inFlightAre(readers.length);
    const body = bodyOf(path);
    for (const reader of readers) {
      reader.socket.resume();
      expect((await reader.response()).body.equals(body)).toBe(true);
      reader.destroy();
    }
    expect(origin.asked.get(path)).toBe(1);
  });

  it("clients that go in the middle give the memory back", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const names: string[] = [];
    for (let i = 0; i < 4; i++) names.push(await storedLarge());
    const readers = await slowReaders(names);
    await purgeAll();
    await inFlightAre(readers.length);
    for (const [i, reader] of readers.entries()) {
      if (i % 2 === 0) reader.cut();
      else reader.destroy();
    }
    await inFlightAre(0);
    await storedLarge(); // else there is no room
  });

  async function storedLarge(): Promise<string> {
    const path = fresh("/plain", LARGE);
    for (let i = 0; i < 3; i++) await take(path);
    expect(origin.asked.get(path)).toBe(1);
    return path;
  }

  /** As fast as it comes. */
  const take = (path: string): Promise<void> =>
    new Promise((resolve, reject) => {
      http
        .get(new URL(path, url()), { headers: { host: "shop.test" }, agent: false }, (response) => response.resume().on("end", resolve))
        .on("error", reject);
    });

  /** One for each path, who has asked for it, taken some of it, and reads no more. */
  async function slowReaders(names: readonly string[]): Promise<readonly RawClient[]> {
    const readers = await Promise.all(names.map(connect));
    open.push(...readers);
    const begun = readers.map((reader) => once(reader.socket, "data").then(() => reader.socket.pause()));
    for (const [i, reader] of readers.entries()) reader.send(get(names[i] ?? ""));
    await Promise.all(begun);
    return readers;
  }

  /** Asks until so many requests are not answered to their end. */
  async function inFlightAre(count: number): Promise<void> {
    for (let seen = -1; seen !== count; ) {
      const { body } = await gateway.admin("GET", "/metrics");
      seen = Number(/^sluice_worker_in_flight\{[^}]*\} (\d+)$/m.exec(String(body))?.[1]);
    }
  }

  /** Nothing of it can be found any more, so that its place is free but for who reads it. */
  async function purgeAll(): Promise<void> {
    expect((await gateway.admin("POST", "/cache/purge?everything=true")).status).toBe(200);
  }

  /** Others take all of the ring in which responses begin. */
  async function flood(): Promise<void> {
    for (let i = 0; i < FLOOD; i++) await take(fresh("/plain", LARGE));
  }
});
