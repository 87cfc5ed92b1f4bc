// What clients may hold open, and for how long: connections of the whole instance, slow heads, idle connections; on both engines.
import fs from "node:fs";
import https from "node:https";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { makeCertificate } from "../../support/certificates.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { until } from "../../support/until.ts";

/** What uWebSockets.js rounds to. */
const STEP_MS = 4000;
const LIMIT = 6;

let folder: string;
let secure: string;
/** With short timeouts. */
let gateway: Gateway;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-limits-"));
  const { cert, key } = makeCertificate(folder, "server", ["one.test"]);
  secure = `tls: { certificates: [ { cert: ${cert}, key: ${key} } ] }`;
  gateway = await start("headerTimeout: 1s, idleTimeout: 3s");
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

function start(timeouts: string): Promise<Gateway> {
  return Gateway.start({
    config: `version: 1
workers: 1
admin: { address: "127.0.0.1:0" }
limits: { connections: ${LIMIT}, ${timeouts}, uriBytes: 256, headerBytes: 4KiB, headerCount: 20 }
listeners:
  - { address: "127.0.0.1:0" }
  - { address: "127.0.0.1:0", engine: net }
  - { address: "127.0.0.1:0", engine: uws, ${secure} }
  - { address: "127.0.0.1:0", engine: net, ${secure} }
routes: [ { name: all, match: {}, respond: { body: here } } ]
`,
  });
}

const portOf = (engine: Engine, secure = false, of = gateway): number =>
  Number(new URL(of.urls[ENGINES.indexOf(engine) + (secure ? ENGINES.length : 0)] ?? "").port);
const GET = "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n";

/** Waits until no connection of an earlier test is counted any more. */
async function nobody(of = gateway): Promise<void> {
  onTestFailed(() => console.error(of.report()));
  const open = async (): Promise<unknown> => {
    const { body } = await of.admin("GET", "/workers");
    return Array.isArray(body) ? body[0]?.connections : body;
  };
  await expect.poll(open, { timeout: 10_000 }).toBe(0);
}

describe("limits.connections", () => {
  /** Its timeouts close nothing while these tests run, however slow the machine. */
  let patient: Gateway;
  beforeAll(async () => {
    patient = await start("headerTimeout: 60s, idleTimeout: 60s");
  });
  afterAll(() => patient[Symbol.asyncDispose]());

  /** @returns connections, each of which was answered or closed */
  async function connectTo(ports: readonly number[]): Promise<RawClient[]> {
    const clients: RawClient[] = [];
    for (const port of ports) {
      const client = await RawClient.connect(port);
      client.send(GET);
      await until("it is answered or closed", () => client.bytes > 0 || client.closed);
      clients.push(client);
    }
    return clients;
  }
  const served = (clients: readonly RawClient[]): number => clients.filter((client) => client.bytes > 0).length;

  it.each(ENGINES)("closes what is too much, and counts out what is gone: %s", async (engine) => {
    await nobody(patient);
    for (let round = 0; round < 3; round++) {
      const clients = await connectTo(Array(LIMIT + 4).fill(portOf(engine, false, patient)));
      expect(clients.map((client) => client.closed)).toEqual([...Array(LIMIT).fill(false), ...Array(4).fill(true)]);
      expect(served(clients)).toBe(LIMIT);
      for (const client of clients) client.destroy();
      await nobody(patient);
    }
  });

  it("is one for all listeners together", async () => {
    await nobody(patient);
    const ports = Array.from({ length: 2 * LIMIT }, (_, i) => portOf(ENGINES[i % 2] ?? "uws", false, patient));
    const clients = await connectTo(ports);
    expect(served(clients)).toBe(LIMIT);
    for (const client of clients) client.destroy();
  });

  it.each(ENGINES)("counts connections over TLS once: %s", async (engine) => {
    await nobody(patient);
    for (let round = 0; round < 2; round++) {
      const sockets: tls.TLSSocket[] = [];
      let opened = 0;
      let refused = 0;
      for (let i = 0; i < LIMIT + 2; i++) {
        const socket = tls.connect({ host: "127.0.0.1", port: portOf(engine, true, patient), rejectUnauthorized: false });
        socket.on("secureConnect", () => opened++);
        socket.on("error", () => {});
        socket.on("close", () => refused++);
        sockets.push(socket);
        await until("it is open or closed", () => opened + refused > i);
      }
      // The handshake may be over before the connection is seen to be one too many.
      await until("those too many are closed", () => refused === 2);
      expect(sockets.filter((socket) => !socket.destroyed)).toHaveLength(LIMIT);
      for (const socket of sockets) socket.destroy();
      await nobody(patient);
    }
  });
});

describe.each(ENGINES)("%s", (engine) => {
  /** uws counts in steps and looks only at their borders. */
  const bound = (ms: number): number => (engine === "uws" ? (Math.ceil(ms / STEP_MS) + 1) * STEP_MS : ms + 2000) + 2000;

  it.each([
    ["says nothing", ""],
    ["begins a head and goes on with it for ever", "GET /x HTTP/1.1\r\nHost: a.test\r\n"],
  ])("closes a connection that %s", async (_, first) => {
    await nobody();
    await using client = await RawClient.connect(portOf(engine));
    client.send(first);
    let n = 0;
    // Each of these would start a naive timer anew.
    const drip = first === "" ? null : setInterval(() => client.send(`x-${n++}: a\r\n`), 500);
    await client.closes(bound(1000));
    if (drip !== null) clearInterval(drip);
    expect(client.pending.toString()).not.toMatch(/^HTTP\/1\.1 200/);
  });

  it("closes a connection that is idle after an answer, and not before its time", async () => {
    await nobody();
    await using client = await RawClient.connect(portOf(engine));
    client.send(GET);
    await client.response();
    // Within the time it can be used again.
    client.send(GET);
    expect((await client.response()).status).toBe(200);
    await client.closes(bound(3000));
  });

  it("closes an idle connection over TLS, and one that never finishes its handshake", async () => {
    await nobody();
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    let closed = false;
    const options = { agent, host: "127.0.0.1", port: portOf(engine, true), path: "/x", headers: { host: "a.test" } };
    https.get(options, (response) => response.resume()).once("socket", (socket) => socket.once("close", () => (closed = true)));
    await using silent = await RawClient.connect(portOf(engine, true));
    silent.send(Buffer.from("160301", "hex"));
    await silent.closes(bound(1000));
    await until("the idle one is closed", () => closed, bound(3000));
    agent.destroy();
  });

  it.each([
    ["a target at the limit", `/${"a".repeat(255)}`, "", 200],
    ["a target beyond it", `/${"a".repeat(256)}`, "", 414],
    ["a query beyond it", `/?${"a".repeat(256)}`, "", 414],
    ["headers at their number", "/x", "x-a: b\r\n".repeat(19), 200],
    ["headers beyond it", "/x", "x-a: b\r\n".repeat(20), 431],
    ["headers beyond their size", "/x", `x-a: ${"a".repeat(4096)}\r\n`, 431],
  ])("answers %s", async (_, target, fields, status) => {
    await nobody();
    await using client = await RawClient.connect(portOf(engine));
    client.send(`GET ${target} HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`);
    const response = await client.response();
    expect(response.status).toBe(status);
    if (status === 200) return;
    await client.closes();
    if (response.body.length > 0) expect(JSON.parse(response.body.toString())).toMatchObject({ status });
  });
});

it("takes new limits by reload, for connections that are open too", async () => {
  await nobody();
  onTestFailed(() => console.error(gateway.report()));
  const clients = await Promise.all(ENGINES.map((engine) => RawClient.connect(portOf(engine))));
  gateway.writeConfig(
    fs.readFileSync(gateway.configFile, "utf8").replace("connections: 6", "connections: 20").replace("headerCount: 20", "headerCount: 2"),
  );
  await gateway.said("reloaded");
  for (const client of clients) {
    client.send("GET /x HTTP/1.1\r\nHost: a.test\r\nX-A: b\r\nX-C: d\r\n\r\n");
    expect((await client.response()).status).toBe(431);
    client.destroy();
  }
});

describe("how long a connection of the net engine serves", () => {
  const config = (limits: string, more = ""): string => `version: 1
workers: 1
admin: false
limits: ${limits}
listeners: [ { address: "127.0.0.1:0", engine: net${more} } ]
routes: [ { name: all, match: {}, respond: { body: here } } ]
`;
  const GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

  it("requestsPerConnection: the last answer says close, and what is behind it is not served", async () => {
    await using alone = await Gateway.start({ config: config("{ requestsPerConnection: 3 }") });
    for (const atOnce of [false, true]) {
      await using client = await RawClient.connect(alone.port);
      if (atOnce) client.send(GET.repeat(5));
      const said: unknown[] = [];
      for (let n = 0; n < 3; n++) {
        if (!atOnce) client.send(GET);
        const response = await client.response();
        said.push([response.status, valuesOf(response, "connection")[0]]);
      }
      expect(said).toEqual([
        [200, undefined],
        [200, undefined],
        [200, "close"],
      ]);
      await client.closes();
      expect(client.pending.length).toBe(0);
    }
  });

  it("connectionAge: an old connection ends with the answer to a request, and not before one", async () => {
    await using alone = await Gateway.start({ config: config("{ connectionAge: 300ms }") });
    await using quiet = await RawClient.connect(alone.port);
    await using busy = await RawClient.connect(alone.port);
    quiet.send(GET);
    expect((await quiet.response()).status).toBe(200);
    for (let last = false; !last; ) {
      busy.send(GET);
      const response = await busy.response();
      expect(response.status).toBe(200);
      last = valuesOf(response, "connection").includes("close");
    }
    await busy.closes();
    expect(quiet.closed).toBe(false);
    quiet.send(GET);
    const late = await quiet.response();
    expect([late.status, valuesOf(late, "connection")[0]]).toEqual([200, "close"]);
    await quiet.closes();
  });
});
