// The PROXY protocol: who the client is behind a balancer that passes connections on, and who can pretend to be.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { makeCertificate } from "../../support/certificates.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";
import { until } from "../../support/until.ts";

let folder: string;
let upstream: RawUpstream;
let gateway: Gateway;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-proxy-"));
  const { cert, key } = makeCertificate(folder, "server", ["one.test"]);
  upstream = await RawUpstream.start();
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
admin: false
trustedProxies: [ 192.0.2.0/24, unix ]
limits: { headerTimeout: 1s }
listeners:
  - { address: "127.0.0.1:0", proxyProtocol: true }
  - { address: "127.0.0.1:0", proxyProtocol: true, tls: { certificates: [ { cert: ${cert}, key: ${key} } ] } }
  - { address: "unix:${folder}/proxied.sock", proxyProtocol: true }
  - { address: "127.0.0.1:0" }
  - { address: "127.0.0.1:0", engine: net }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${upstream.port}" } ] } }
routes:
  - { name: all, match: { path: /** }, to: u }
  - { name: guarded, match: { path: /guarded/** }, ip: { allow: [ 203.0.113.0/24, "2001:db8::/32" ] }, to: u }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

const port = (index: number): number => Number(new URL(gateway.urls[index] ?? "").port);
const [PROXIED, PROXIED_TLS, UWS, STRICT] = [0, 1, 3, 4];

interface Header {
  readonly command?: number;
  readonly family?: number;
  readonly address?: Buffer;
  readonly more?: Buffer;
}

function header({ command = 0x21, family = 0x11, address = v4("203.0.113.7"), more = Buffer.alloc(0) }: Header = {}): Buffer {
  const fixed = Buffer.from("0d0a0d0a000d0a515549540a00000000", "hex");
  fixed[12] = command;
  fixed[13] = family;
  fixed.writeUInt16BE(address.length + more.length, 14);
  return Buffer.concat([fixed, address, more]);
}

/** Source, destination and ports. */
const v4 = (source: string): Buffer => Buffer.from([...source.split(".").map(Number), 127, 0, 0, 1, 0xc0, 0, 0, 80]);
/** 2001:db8::9 */
const v6 = Buffer.from(`20010db8${"00".repeat(11)}09${"00".repeat(15)}01c0000050`, "hex");

let runs = 0;
const fresh = (prefix = ""): string => `${prefix}/p-${++runs}`;
const get = (target: string, fields = ""): string => `GET ${target} HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`;

/** @returns X-Forwarded-For as the service got it */
async function clientOf(target: string): Promise<string> {
  return valuesOf(await upstream.received(target), "x-forwarded-for").join(" | ");
}

describe("where it is configured", () => {
  it.each([
    ["IPv4", header(), "203.0.113.7"],
    ["version 1, IPv4", Buffer.from("PROXY TCP4 203.0.113.7 127.0.0.1 49152 80\r\n"), "203.0.113.7"],
    ["version 1, IPv6", Buffer.from("PROXY TCP6 2001:db8::9 ::1 49152 80\r\n"), "2001:db8::9"],
    ["version 1, a check by the balancer itself", Buffer.from("PROXY UNKNOWN\r\n"), "127.0.0.1"],
    ["IPv6", header({ family: 0x21, address: v6 }), "2001:db8::9"],
    ["with further fields behind the addresses", header({ more: Buffer.alloc(300, 4) }), "203.0.113.7"],
    ["LOCAL, a check by the balancer itself", header({ command: 0x20, family: 0, address: Buffer.alloc(0) }), "127.0.0.1"],
    ["LOCAL with addresses, which count for nothing", header({ command: 0x20 }), "127.0.0.1"],
    ["a family without addresses", header({ family: 0, address: Buffer.alloc(0) }), "127.0.0.1"],
  ])("names the client, for the whole connection: %s", async (_, bytes, client) => {
    onTestFailed(() => console.error(gateway.report()));
    await using connection = await RawClient.connect(port(PROXIED));
    const [first, second] = [fresh(), fresh()];
    for (const target of [first, second]) {
      connection.send(Buffer.concat([target === first ? bytes : Buffer.alloc(0), Buffer.from(get(target))]));
      expect((await connection.response()).status).toBe(200);
      expect(await clientOf(target)).toBe(client);
    }
  });

  it("comes in pieces, alone, or with a whole body behind it", async () => {
    const bytes = header();
    for (const cut of [1, 12, 15, 16, 17, bytes.length - 1, bytes.length]) {
      const target = fresh();
      await using connection = await RawClient.connect(port(PROXIED));
      connection.send(bytes.subarray(0, cut));
      // Not a wait for the gateway: the pieces must not leave in one packet.
      await new Promise((resolve) => setImmediate(resolve));
      const body = "x".repeat(100_000);
      const head = `POST ${target} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n`;
      connection.send(Buffer.concat([bytes.subarray(cut), Buffer.from(head + body)]));
      expect((await connection.response()).status).toBe(200);
      expect((await upstream.received(target)).body.length).toBe(body.length);
      expect(await clientOf(target)).toBe("203.0.113.7");
    }
  });

  it("goes in front of TLS", async () => {
    const target = fresh();
    await using below = await RawClient.connect(port(PROXIED_TLS));
    below.socket.removeAllListeners("data");
    below.send(header());
    const socket = tls.connect({ socket: below.socket, servername: "one.test", rejectUnauthorized: false });
    socket.write(get(target));
    let text = "";
    socket.on("data", (chunk) => (text += chunk));
    await until("the answer comes", () => text.endsWith("ok"));
    expect(await clientOf(target)).toBe("203.0.113.7");
    expect(valuesOf(await upstream.received(target), "x-forwarded-proto")).toEqual(["https"]);
    socket.destroy();
  });

  it("tells connections on a Unix socket apart", async () => {
    const connections: { connection: RawClient; target: string; client: string }[] = [];
    for (const client of ["203.0.113.7", "203.0.113.8", "203.0.113.9"]) {
      const connection = await RawClient.connect(path.join(folder, "proxied.sock"));
      connection.send(header({ address: v4(client) }));
      connections.push({ connection, target: fresh(), client });
    }
    for (const { connection, target, client } of connections) {
      connection.send(get(target));
      expect((await connection.response()).status).toBe(200);
      expect(await clientOf(target)).toBe(client);
      connection.destroy();
    }
  });

  it("decides who may pass", async () => {
    for (const [client, status] of [
      ["203.0.113.7", 200],
      ["198.51.100.1", 403],
    ] as const) {
      await using connection = await RawClient.connect(port(PROXIED));
      connection.send(header({ address: v4(client) }));
      connection.send(get(fresh("/guarded")));
      expect((await connection.response()).status).toBe(status);
    }
  });

  it("decides whose X-Forwarded-For is believed", async () => {
    for (const [peer, client] of [
      ["192.0.2.1", "198.51.100.9, 192.0.2.1"],
      ["203.0.113.7", "203.0.113.7"],
    ] as const) {
      const target = fresh();
      await using connection = await RawClient.connect(port(PROXIED));
      connection.send(header({ address: v4(peer) }));
      connection.send(get(target, "X-Forwarded-For: 198.51.100.9\r\n"));
      expect((await connection.response()).status).toBe(200);
      expect(await clientOf(target)).toBe(client);
    }
  });

  it("is taken once: a client cannot add one of its own, neither at once nor later", async () => {
    const own = header({ address: v4("203.0.113.66") });
    const atOnce = fresh("/guarded");
    await using first = await RawClient.connect(port(PROXIED));
    first.send(Buffer.concat([header({ address: v4("198.51.100.1") }), own, Buffer.from(get(atOnce))]));
    await first.closes();
    const later = fresh("/guarded");
    await using second = await RawClient.connect(port(PROXIED));
    second.send(Buffer.concat([header({ address: v4("198.51.100.1") }), Buffer.from(get(fresh()))]));
    expect((await second.response()).status).toBe(200);
    second.send(Buffer.concat([own, Buffer.from(get(later))]));
    await second.closes();
    for (const target of [atOnce, later]) expect(upstream.to(target)).toEqual([]);
  });

  it.each([
    ["nothing", Buffer.from(get("/no-header"))],
    ["version 1 without its line end", Buffer.from(`PROXY TCP4 203.0.113.7 127.0.0.1 1 2 ${get("/no-header")}`)],
    ["an unknown command", Buffer.concat([header({ command: 0x22 }), Buffer.from(get("/no-header"))])],
    ["another version", Buffer.concat([header({ command: 0x31 }), Buffer.from(get("/no-header"))])],
    ["a broken signature", Buffer.concat([Buffer.from("0d0a0d0a000d0a515549540b21110000", "hex"), Buffer.from(get("/no-header"))])],
    ["addresses that are too short", Buffer.concat([header({ address: Buffer.alloc(11) }), Buffer.from(get("/no-header"))])],
    ["more than is sensible", header({ more: Buffer.alloc(60_000) })],
  ])("closes a connection that begins with something else: %s", async (_, bytes) => {
    await using connection = await RawClient.connect(port(PROXIED));
    connection.send(bytes);
    await connection.closes();
    expect(connection.bytes).toBe(0);
    expect(upstream.to("/no-header")).toEqual([]);
  });

  it("must come within the time for a head", async () => {
    await using silent = await RawClient.connect(port(PROXIED));
    await using slow = await RawClient.connect(port(PROXIED));
    slow.send(header().subarray(0, 20));
    await Promise.all([silent.closes(), slow.closes()]);
  });
});

it.each([
  ["uws", UWS],
  ["net", STRICT],
])("is not believed where it is not configured: %s", async (_, index) => {
  const target = fresh();
  await using connection = await RawClient.connect(port(index));
  connection.send(Buffer.concat([header(), Buffer.from(get(target))]));
  await until("it is answered or closed", () => connection.closed || connection.bytes > 0);
  for (const request of upstream.to(target)) expect(valuesOf(request, "x-forwarded-for")).toEqual(["127.0.0.1"]);
  const guarded = fresh("/guarded");
  await using other = await RawClient.connect(port(index));
  other.send(Buffer.concat([header(), Buffer.from(get(guarded))]));
  await until("it is answered or closed", () => other.closed || other.bytes > 0);
  expect(upstream.to(guarded)).toEqual([]);
});

it("limits.connectionsPerAddress counts the client that the header names, over both workers, until its connection is closed", async () => {
  await using limited = await Gateway.start({
    config: `version: 1
workers: 2
admin: false
drainTimeout: 100ms
trustedProxies: [ 192.0.2.0/24 ]
limits: { connectionsPerAddress: 2 }
listeners: [ { address: "127.0.0.1:0", proxyProtocol: true } ]
routes: [ { name: all, match: {}, respond: { body: here } } ]
`,
  });
  onTestFailed(() => console.error(limited.report()));
  const clients: RawClient[] = [];
  /** @returns whether it was answered; else it was closed */
  const asks = async (address: string): Promise<boolean> => {
    const client = await RawClient.connect(limited.port);
    clients.push(client);
    client.send(header({ address: v4(address) }));
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await until("it is answered or closed", () => client.bytes > 0 || client.closed);
    return client.bytes > 0;
  };
  const one = "203.0.113.9";
  expect([await asks(one), await asks(one), await asks(one), await asks(one)]).toEqual([true, true, false, false]);
  expect(await asks("203.0.113.10")).toBe(true);
  expect([await asks("192.0.2.1"), await asks("192.0.2.1"), await asks("192.0.2.1")]).toEqual([true, true, true]);
  clients[0]?.destroy();
  await expect.poll(() => asks(one)).toBe(true);
  expect(await asks(one)).toBe(false);
  for (const client of clients) client.destroy();
});
