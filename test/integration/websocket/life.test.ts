// What happens to WebSockets over time: slow peers, silence, drain, reload, many of them one after the other.
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import https from "node:https";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { bothListeners, ENGINES, type Engine } from "../../support/both-engines.ts";
import { makeCertificate } from "../../support/certificates.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";
import { accept, closeFrom, codeOf, KEY, openRaw } from "../../support/raw-web-socket.ts";
import { until } from "../../support/until.ts";
import { WebSocketClient, WebSocketOrigin } from "../../support/web-socket-origin.ts";

const MIB = 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;

const config = (port: number, more = "", rest = ""): string => `${bothListeners}${more}
upstreams:
  origin: { targets: [ { url: "http://127.0.0.1:${port}" } ] }
routes:
  - { name: all, match: { path: /** }, to: origin }
${rest}`;

const urlOf = (gateway: Gateway, engine: Engine, target: string): string =>
  (gateway.urls[ENGINES.indexOf(engine)] ?? "").replace("http", "ws") + target;

/** Resident memory of the gateway's process. */
function residentBytes(gateway: Gateway): number {
  const [, resident = 0] = fs.readFileSync(`/proc/${gateway.primaryPid}/statm`, "utf8").split(" ").map(Number);
  return resident * 4096;
}

/** Waits until a number stays the same over several looks. */
async function settles(what: string, read: () => number): Promise<void> {
  let last = Number.NaN;
  let same = 0;
  await until(`${what} settles`, () => {
    const now = read();
    same = now === last ? same + 1 : 0;
    last = now;
    return same >= 20;
  });
}

describe.each(ENGINES)("%s: slow peers", (engine) => {
  it("a client that does not read stops the service, and nothing is lost", async () => {
    await using origin = await WebSocketOrigin.start();
    await using gateway = await Gateway.start({ config: config(origin.port) });
    await using client = await WebSocketClient.open(urlOf(gateway, engine, "/quiet"));
    const served = await origin.connection("/quiet");
    client.ws.pause();
    const beforeBytes = residentBytes(gateway);
    const count = (64 * MIB) / CHUNK_BYTES;
    for (let i = 0; i < count; i++) served.ws.send(Buffer.alloc(CHUNK_BYTES, i));
    await settles("what waits at the service", () => served.ws.bufferedAmount);
    expect(served.ws.bufferedAmount).toBeGreaterThan(32 * MIB);
    expect(residentBytes(gateway) - beforeBytes).toBeLessThan(24 * MIB);
    client.ws.resume();
    const messages = await client.received(count, 20_000);
    expect(messages.every((message, i) => Buffer.isBuffer(message) && message.length === CHUNK_BYTES && message[0] === (i & 0xff))).toBe(
      true,
    );
  });

  it("what the service said before it closed reaches a client that reads late", async () => {
    await using origin = await WebSocketOrigin.start();
    await using gateway = await Gateway.start({ config: config(origin.port) });
    await using client = await WebSocketClient.open(urlOf(gateway, engine, "/quiet"));
    const served = await origin.connection("/quiet");
    client.ws.pause();
    const count = (16 * MIB) / CHUNK_BYTES;
    for (let i = 0; i < count; i++) served.ws.send(Buffer.alloc(CHUNK_BYTES, i));
    served.ws.close(4000, "that was all");
    await settles("what waits at the service", () => served.ws.bufferedAmount);
    client.ws.resume();
    expect(await client.received(count, 20_000)).toHaveLength(count);
    expect(await client.ended()).toEqual({ code: 4000, reason: "that was all" });
  });

  it("a service that does not read: the client waits, or is closed with 1013 where the engine cannot make it wait", async () => {
    await using origin = await WebSocketOrigin.start();
    await using gateway = await Gateway.start({ config: config(origin.port) });
    await using client = await WebSocketClient.open(urlOf(gateway, engine, "/quiet"));
    const served = await origin.connection("/quiet");
    served.ws.pause();
    const beforeBytes = residentBytes(gateway);
    const count = (64 * MIB) / CHUNK_BYTES;
    for (let i = 0; i < count && client.ws.readyState === client.ws.OPEN; i++) {
      client.ws.send(Buffer.alloc(CHUNK_BYTES, i));
      if (i % 16 === 0) await setImmediate(); // a client that reads nothing for 4 s after the Close frame is cut by the engine
    }
    if (engine === "uws") expect(await client.ended()).toMatchObject({ code: 1013 });
    else {
      await settles("what waits at the client", () => client.ws.bufferedAmount);
      expect(client.ws.bufferedAmount).toBeGreaterThan(32 * MIB);
    }
    expect(residentBytes(gateway) - beforeBytes).toBeLessThan(24 * MIB);
    served.ws.resume();
    if (engine === "uws") {
      await until("the service is closed", () => served.closed !== null);
      expect(served.closed?.code).toBe(1013);
    } else await until("everything arrives", () => served.messages.length === count, 20_000);
  });
});

describe.each(ENGINES)("%s: silence", (engine) => {
  it("closes both sides with 1001, but not while there are pings", async () => {
    await using origin = await WebSocketOrigin.start();
    const limits = "limits: { webSocket: { idleTimeout: 400ms } }";
    await using gateway = await Gateway.start({ config: config(origin.port, limits) });
    await using silent = await WebSocketClient.open(urlOf(gateway, engine, "/silent"));
    await using pinging = await WebSocketClient.open(urlOf(gateway, engine, "/pinging"));
    const beat = setInterval(() => pinging.ws.ping(), 50);
    try {
      expect((await silent.ended()).code).toBe(1001);
      const served = await origin.connection("/silent");
      await until("the service is closed", () => served.closed !== null);
      expect(served.closed?.code).toBe(1001);
      pinging.ws.send("still here");
      expect(await pinging.received(1)).toEqual(["still here"]);
    } finally {
      clearInterval(beat);
    }
  });
});

describe.each(ENGINES)("%s: a client that only listens", (engine) => {
  it("is not idle while the service speaks", async () => {
    await using origin = await WebSocketOrigin.start();
    await using gateway = await Gateway.start({ config: config(origin.port, "limits: { webSocket: { idleTimeout: 400ms } }") });
    await using silent = await WebSocketClient.open(urlOf(gateway, engine, "/quiet?silent"));
    await using client = await WebSocketClient.open(urlOf(gateway, engine, "/quiet"));
    const served = await origin.connection("/quiet");
    const beat = setInterval(() => served.ws.send("news"), 50);
    try {
      await silent.ended(); // as long as that
      expect(await client.received(client.messages.length + 3)).toContain("news");
      expect(client.closed).toBeNull();
    } finally {
      clearInterval(beat);
    }
  });
});

describe.each(ENGINES)("%s: drain", (engine) => {
  it("lets WebSockets go on, then closes them with 1001, and the gateway exits cleanly", async () => {
    await using origin = await WebSocketOrigin.start();
    await using gateway = await Gateway.start({ config: config(origin.port, "drainTimeout: 2s") });
    await using staying = await WebSocketClient.open(urlOf(gateway, engine, "/staying"));
    await using leaving = await WebSocketClient.open(urlOf(gateway, engine, "/leaving"));
    gateway.signal("SIGTERM");
    await gateway.said("stopping");
    leaving.ws.send("during the drain");
    expect(await leaving.received(1)).toEqual(["during the drain"]);
    leaving.ws.close(1000);
    expect((await leaving.ended()).code).toBe(1000);
    expect((await staying.ended()).code).toBe(1001);
    const served = await origin.connection("/staying");
    await until("the service is closed", () => served.closed !== null);
    expect(served.closed?.code).toBe(1001);
    expect(await gateway.stop()).toBe(0);
  });
});

describe.each(ENGINES)("%s: drain with peers that do not answer", (engine) => {
  it("ends all the same", async () => {
    await using raw = await RawUpstream.start();
    raw.onHead("/deaf", (connection) => {
      connection.socket.removeAllListeners("data"); // from here on these are frames
      connection.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept(KEY)}\r\n\r\n`,
      );
    });
    await using gateway = await Gateway.start({ config: config(raw.port, "drainTimeout: 1s") });
    const port = Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port);
    await using client = await openRaw(port, "/deaf");
    gateway.signal("SIGTERM");
    expect(codeOf(await closeFrom(client))).toBe(1001);
    expect(await gateway.stop()).toBe(0);
  });
});

describe.each(ENGINES)("%s: over TLS", (engine) => {
  it("to the client and to the service", async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-wss-"));
    const files = makeCertificate(folder, "local", ["127.0.0.1"]);
    const server = https.createServer({ cert: fs.readFileSync(files.cert), key: fs.readFileSync(files.key) });
    const sockets = new WebSocketServer({ server });
    sockets.on("connection", (ws) => ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary })));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo; // a TCP server that listens has one
    const tls = `tls: { certificates: [ { cert: ${files.cert}, key: ${files.key} } ] }`;
    try {
      await using gateway = await Gateway.start({
        config: `version: 1
workers: 1
admin: false
listeners: [ { address: "127.0.0.1:0", engine: ${engine}, ${tls} } ]
upstreams: { origin: { targets: [ { url: "https://127.0.0.1:${port}" } ], tls: { ca: "file:${files.cert}" } } }
routes: [ { name: all, match: { path: /** }, to: origin } ]
`,
      });
      const ca = fs.readFileSync(files.cert);
      await using client = await WebSocketClient.open(gateway.url.replace("http", "ws"), { ca });
      const message = randomBytes(MIB - 1);
      client.ws.send(message);
      expect((await client.received(1, 10_000))[0]).toEqual(message);
      client.ws.close(4001, "enough");
      expect(await client.ended()).toEqual({ code: 4001, reason: "enough" });
    } finally {
      for (const ws of sockets.clients) ws.terminate();
      await new Promise((resolve) => server.close(resolve));
      fs.rmSync(folder, { recursive: true });
    }
  });
});

describe.each(ENGINES)("%s: reload", (engine) => {
  it("leaves open WebSockets alone", async () => {
    await using origin = await WebSocketOrigin.start();
    await using gateway = await Gateway.start({ config: config(origin.port) });
    await using client = await WebSocketClient.open(urlOf(gateway, engine, "/echo"));
    gateway.writeConfig(config(origin.port, "", "  - { name: more, match: { path: /more }, to: origin }\n"));
    gateway.signal("SIGHUP");
    await gateway.said("reloaded");
    client.ws.send("still here");
    expect(await client.received(1)).toEqual(["still here"]);
  });
});

describe.each(ENGINES)("%s: many", (engine) => {
  it("connections are counted out when they are over", async () => {
    await using origin = await WebSocketOrigin.start();
    await using gateway = await Gateway.start({ config: config(origin.port, "limits: { connections: 10 }") });
    for (let i = 0; i < 30; i++) {
      const client = await WebSocketClient.open(urlOf(gateway, engine, `/echo?n=${i}`));
      if (i % 3 === 0) client.ws.close();
      else if (i % 3 === 1) client.ws.terminate();
      else (await origin.connection(`/echo?n=${i}`)).ws.terminate();
      await client.ended();
      const served = await origin.connection(`/echo?n=${i}`);
      await until("the service is closed", () => served.closed !== null);
    }
  });
});

describe.each(ENGINES)("%s: compression", (engine) => {
  it("is agreed on with neither end: the limit holds of what they get to see", async () => {
    await using origin = await WebSocketOrigin.start({ perMessageDeflate: true });
    await using gateway = await Gateway.start({ config: config(origin.port) });
    await using client = await WebSocketClient.open(urlOf(gateway, engine, "/echo"), { deflate: true });
    expect(client.ws.extensions).toBe("");
    client.ws.send("a".repeat(100_000));
    expect(await client.received(1)).toEqual(["a".repeat(100_000)]);
  });
});
