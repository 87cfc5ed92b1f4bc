// How connections of HTTP/2 begin and end: what tells the protocol, reloads, drains and takeovers under traffic, limits of a connection's life, the wrong host.
import fs from "node:fs";
import http2, { type ClientHttp2Session } from "node:http2";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ERROR_CODE, FRAME, PREFACE } from "../../../src/base/http2/protocol.ts";
import { Authority } from "../../support/authority.ts";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { RawClient } from "../../support/raw-client.ts";
import { RawH2Client, request } from "../../support/raw-h2-client.ts";
import { headers, ping, settings, settingsAck } from "../../support/raw-http2.ts";
import { codeOf, frames } from "../../support/raw-web-socket.ts";
import { until } from "../../support/until.ts";
import { WebSocketOrigin } from "../../support/web-socket-origin.ts";

let folder: string;
let authority: Authority;
let origin: Origin;
beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-http2-life-"));
  authority = new Authority(folder);
  origin = await Origin.start("origin");
});
afterAll(async () => {
  await origin[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

/** @param more lines of a limits map @param note changes what the plan says, and nothing else */
const config = (more = "", note = "one"): string => `version: 1
workers: 2
admin: { address: 127.0.0.1:0 }
limits: { headerTimeout: 2s${more} }
listeners:
  - { address: "127.0.0.1:0", h2c: true }
upstreams: { u: { targets: [ { url: "${origin.url}" } ] } }
routes:
  - { name: own, match: { path: /own }, respond: { body: "${note}" } }
  - { name: all, match: { path: /** }, to: u }
`;

describe("on a cleartext listener", () => {
  it("the preface decides, however it is cut", async () => {
    await using gateway = await Gateway.start({ config: config() });
    for (const cut of [1, 3, 4, 16, 23]) {
      await using client = await RawH2Client.silent(gateway.port);
      client.send(PREFACE.subarray(0, cut));
      await new Promise((resolve) => setImmediate(resolve));
      client.send(PREFACE.subarray(cut), settings());
      client.ask(1, request("/own"));
      expect(await client.status(1)).toBe(200);
    }
    for (const method of ["PUT", "POST", "PROPFIND", "PR"]) {
      await using client = await RawClient.connect(gateway.port);
      client.send(method.slice(0, 2));
      await new Promise((resolve) => setImmediate(resolve));
      client.send(`${method.slice(2)} /own HTTP/1.1\r\nHost: a\r\n\r\n`);
      expect((await client.response()).status).toBe(200);
    }
    await using odd = await RawClient.connect(gateway.port);
    odd.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    expect((await odd.response()).status).toBe(505);
  });

  it("without h2c, the preface is a request of a version that is not spoken", async () => {
    await using gateway = await Gateway.start({ config: config().replace("h2c: true", "engine: net") });
    await using client = await RawClient.connect(gateway.port);
    client.socket.write(PREFACE);
    expect((await client.response()).status).toBe(505);
    await until("it is closed", () => client.closed);
  });
});

describe("limits of a connection's life", () => {
  it("limits.requestsPerConnection: GOAWAY, and what is under way is answered", async () => {
    await using gateway = await Gateway.start({ config: config(", requestsPerConnection: 3") });
    await using client = await RawH2Client.connect(gateway.port);
    client.send(settingsAck());
    for (const id of [1, 3, 5]) client.ask(id, request("/later?ms=200"));
    await until("GOAWAY has come", () => client.goAways.length === 1);
    expect(client.goAways[0]).toMatchObject({ lastId: 0x7fffffff, code: ERROR_CODE.noError });
    // On its way before the client heard of that: still served.
    client.ask(7, request("/own"));
    expect(await client.status(7)).toBe(200);
    answerDrainPing(client);
    for (const id of [1, 3, 5]) expect(await client.status(id)).toBe(200);
    expect(await client.end()).toBe(ERROR_CODE.noError);
    expect(client.goAways.at(-1)?.lastId).toBe(7);
  });

  it("limits.connectionAge: the same", async () => {
    await using gateway = await Gateway.start({ config: config(", connectionAge: 1s") });
    await using client = await RawH2Client.connect(gateway.port);
    client.send(settingsAck());
    let id = 1;
    for (; client.goAways.length === 0 && id < 400; id += 2) {
      client.ask(id, request("/later?ms=20"));
      expect(await client.status(id)).toBe(200);
    }
    expect(client.goAways).toHaveLength(1);
    answerDrainPing(client);
    expect(await client.end()).toBe(ERROR_CODE.noError);
  });
});

/** Answers the PING between the two GOAWAYs. */
function answerDrainPing(client: RawH2Client): void {
  const asked = client.frames.find(({ type, flags }) => type === FRAME.ping && flags === 0);
  if (asked === undefined) throw new Error("no PING came behind the GOAWAY");
  client.send(ping(asked.payload.toString("latin1"), true));
}

describe("draining", () => {
  it("GOAWAY 2^31-1, a round trip, then GOAWAY with the last stream; later requests are not looked at", async () => {
    await using gateway = await Gateway.start({ config: config() });
    await using client = await RawH2Client.connect(gateway.port);
    client.send(settingsAck());
    client.ask(1, request("/later?ms=1500"));
    await until("it is under way", () => origin.requests > 0);
    gateway.signal("SIGTERM");
    await until("GOAWAY has come", () => client.goAways.length === 1);
    client.ask(3, request("/own"));
    answerDrainPing(client);
    expect(await client.status(3)).toBe(200);
    await until("the second GOAWAY has come", () => client.goAways.length === 2);
    client.send(headers(5, request("/own")));
    expect((await client.answer(1)).ended).toBe(true);
    expect(await client.end()).toBe(ERROR_CODE.noError);
    expect(client.goAways.map(({ lastId }) => lastId)).toEqual([0x7fffffff, 3]);
    expect(client.on(5).heads).toEqual([]);
    expect(await gateway.stop()).toBe(0);
  });

  it("a client that does not answer the PING is let go when nothing of it is under way", async () => {
    await using gateway = await Gateway.start({ config: config() });
    await using client = await RawH2Client.connect(gateway.port);
    client.send(settingsAck());
    client.ask(1, request("/own"));
    expect(await client.status(1)).toBe(200);
    gateway.signal("SIGTERM");
    expect(await client.end()).toBe(ERROR_CODE.noError);
    expect(await gateway.stop()).toBe(0);
  });
});

/** Asks without a pause on one session after another, each until it is told to go. */
class Traffic {
  answered = 0;
  sessions = 0;
  readonly failures: string[] = [];
  #over = false;
  readonly #url: string;
  readonly #done: Promise<unknown>;

  constructor(url: string, width: number) {
    this.#url = url;
    this.#done = Promise.all(Array.from({ length: width }, () => this.#run()));
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    let session = await this.#session();
    while (!this.#over) {
      if (session.goesAway || session.client.destroyed || session.client.closed) session = await this.#session();
      if (!session.connected) continue; // nobody listens any more
      const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => this.#ask(session.client, `/later?ms=${i}`)));
      for (const answer of answers) {
        if (answer === "origin") this.answered++;
        else if (answer !== "again") this.failures.push(answer);
      }
    }
    session.client.close();
  }

  async #session(): Promise<{ readonly client: ClientHttp2Session; goesAway: boolean; connected: boolean }> {
    const client = http2.connect(this.#url);
    this.sessions++;
    const session = { client, goesAway: false, connected: false };
    client.on("goaway", () => (session.goesAway = true));
    client.on("error", () => {});
    client.on("connect", () => (session.connected = true));
    await new Promise((resolve) => client.once("connect", resolve).once("close", resolve));
    return session;
  }

  /** @returns the body; "again" for what the gateway says it has not looked at */
  #ask(client: ClientHttp2Session, target: string): Promise<string> {
    return new Promise((resolve) => {
      try {
        const stream = client.request({ ":path": target });
        let body = "";
        stream.setEncoding("utf8").on("data", (text: string) => (body += text));
        stream.on("error", (error: NodeJS.ErrnoException) =>
          resolve(stream.rstCode === ERROR_CODE.refusedStream ? "again" : String(error)),
        );
        stream.on("close", () => resolve(body === "" ? `closed ${stream.rstCode}` : body));
      } catch (error) {
        // The session is closing: nothing was sent.
        resolve(
          (error as NodeJS.ErrnoException).code === "ERR_HTTP2_GOAWAY_SESSION" || client.destroyed || client.closed
            ? "again"
            : String(error),
        );
      }
    });
  }
}

describe("under traffic", () => {
  it("a hundred reloads lose nothing, and new requests take the new plan", async () => {
    await using gateway = await Gateway.start({ config: config() });
    const traffic = new Traffic(gateway.url, 4);
    await until("there is traffic", () => traffic.answered > 100);
    for (let i = 1; i <= 100; i++) {
      gateway.writeConfig(config("", `plan ${i}`));
      expect((await gateway.admin("POST", "/reload")).status).toBe(200);
    }
    await using client = await RawH2Client.connect(gateway.port);
    client.ask(1, request("/own"));
    expect(String((await client.answer(1)).body)).toBe("plan 100");
    await traffic.stop();
    expect(traffic.failures).toEqual([]);
    expect(traffic.answered).toBeGreaterThan(1000);
  }, 120_000);

  it("a drain loses nothing", async () => {
    const gateway = await Gateway.start({ config: config() });
    const traffic = new Traffic(gateway.url, 4);
    await until("there is traffic", () => traffic.answered > 200);
    const stopped = gateway.stop();
    await until("the clients are told", () => traffic.sessions > 4 || gateway.gone);
    const stop = traffic.stop();
    expect(await stopped).toBe(0);
    await stop;
    expect(traffic.failures).toEqual([]);
    await gateway[Symbol.asyncDispose]();
  }, 60_000);
});

it("a takeover loses nothing, and an open WebSocket is told to go", async () => {
  await using sockets = await WebSocketOrigin.start();
  const withSockets = (port: number, adminPort: number): string =>
    config()
      .replace('"127.0.0.1:0", h2c', `"127.0.0.1:${port}", h2c`)
      .replace("admin: { address: 127.0.0.1:0 }", `admin: { address: "127.0.0.1:${adminPort}" }`)
      .replace("workers: 2", "workers: 2\ndrainTimeout: 6s")
      .replace("upstreams: {", `upstreams: { ws: { targets: [ { url: "http://127.0.0.1:${sockets.port}" } ] },`)
      .concat("  - { name: ws, match: { path: /ws }, to: ws }\n");
  const old = await Gateway.start({ config: withSockets(0, 0) });
  const traffic = new Traffic(old.url, 4);
  const session = http2.connect(old.url);
  session.on("error", () => {});
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  const webSocket = session.request(
    { ":method": "CONNECT", ":protocol": "websocket", ":path": "/ws", "sec-websocket-version": "13" },
    { endStream: false },
  );
  let received = Buffer.alloc(0);
  webSocket.on("data", (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
  webSocket.on("end", () => webSocket.end());
  await new Promise((resolve) => webSocket.once("response", resolve));
  await until("there is traffic", () => traffic.answered > 200);
  const next = withSockets(old.port, Number(new URL(old.adminUrl).port));
  await using successor = await Gateway.start({ config: next, runDirectory: old.runDirectory, args: ["--takeover"] });
  const before = traffic.answered;
  await until("the successor serves", () => traffic.answered > before + 200, 20_000);
  await until("the WebSocket is told", () => frames(received).length > 0, 40_000);
  expect(codeOf(frames(received)[0])).toBe(1001);
  await until("the old one is gone", () => old.gone, 40_000);
  expect((await old.exited).code).toBe(0);
  await traffic.stop();
  session.destroy();
  expect(traffic.failures).toEqual([]);
  expect(successor.gone).toBe(false);
}, 120_000);

describe("a host that is not the connection's", () => {
  it("is 421, and the connection goes on", async () => {
    const first = authority.issue("first", ["one.test"]);
    const second = authority.issue("second", ["two.test"]);
    await using gateway = await Gateway.start({
      config: config().replace(
        "h2c: true",
        `engine: net, tls: { certificates: [ { cert: ${first.cert}, key: ${first.key}, hosts: [ one.test ] }, { cert: ${second.cert}, key: ${second.key}, hosts: [ two.test ] } ] }`,
      ),
    });
    const socket = tls.connect({
      host: "127.0.0.1",
      port: gateway.port,
      servername: "one.test",
      ALPNProtocols: ["h2"],
      ca: fs.readFileSync(authority.ca),
    });
    await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
    expect(socket.alpnProtocol).toBe("h2");
    await using client = new RawH2Client(socket);
    const to = (host: string): (readonly [string, string])[] => [
      [":method", "GET"],
      [":scheme", "https"],
      [":authority", host],
      [":path", "/own"],
    ];
    client.send(PREFACE, settings());
    client.ask(1, to("one.test"));
    client.ask(3, to("two.test"));
    client.ask(5, to("one.test:443"));
    expect([await client.status(1), await client.status(3), await client.status(5)]).toEqual([200, 421, 200]);
  });
});

it("http2: false takes it out of the handshake", async () => {
  const { cert, key } = authority.issue("server", ["localhost"]);
  await using gateway = await Gateway.start({
    config: config().replace("h2c: true", `engine: net, http2: false, tls: { certificates: [ { cert: ${cert}, key: ${key} } ] }`),
  });
  const socket = tls.connect({
    host: "127.0.0.1",
    port: gateway.port,
    servername: "localhost",
    ALPNProtocols: ["h2", "http/1.1"],
    ca: fs.readFileSync(authority.ca),
  });
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  expect(socket.alpnProtocol).toBe("http/1.1");
  socket.destroy();
});
