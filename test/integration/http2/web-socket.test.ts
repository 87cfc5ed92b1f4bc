// WebSockets that are carried by a stream of HTTP/2 (RFC 8441): the handshake on both sides, messages, limits, every way to end.
import { randomBytes } from "node:crypto";
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFailed } from "vitest";
import { WebSocket } from "ws";
import { ERROR_CODE } from "../../../src/base/http2/protocol.ts";
import { Gateway } from "../../support/gateway.ts";
import { type Field, RawH2Client } from "../../support/raw-h2-client.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";
import { accept, closePayload, codeOf, type Frame, frame, frames, KEY } from "../../support/raw-web-socket.ts";
import { until, untilAsync } from "../../support/until.ts";
import { WebSocketOrigin } from "../../support/web-socket-origin.ts";

const LOG_LINES_SHOWN = 10;
const [TEXT, BINARY, CLOSE, PING, PONG] = [0x81, 0x82, 0x88, 0x89, 0x8a] as const;

let origin: WebSocketOrigin;
let raw: RawUpstream;
let gateway: Gateway;
beforeAll(async () => {
  origin = await WebSocketOrigin.start();
  raw = await RawUpstream.start();
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
admin: { address: 127.0.0.1:0 }
limits: { webSocket: { messageBytes: 100KiB, idleTimeout: 3s } }
listeners:
  - { address: 127.0.0.1:0, h2c: true }
upstreams:
  ws: { targets: [ { url: "http://127.0.0.1:${origin.port}" } ] }
  raw: { targets: [ { url: "http://127.0.0.1:${raw.port}" } ] }
routes:
  - { name: raw, match: { path: /raw/** }, to: raw }
  - { name: all, match: { path: /** }, to: ws }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
  await raw[Symbol.asyncDispose]();
});

let session: ClientHttp2Session;
beforeEach(async () => {
  onTestFailed(() => console.error(gateway.output.split("\n").slice(-LOG_LINES_SHOWN).join("\n")));
  session = http2.connect(gateway.url);
  session.on("error", () => {});
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  return () => session.destroy();
});

class Client {
  readonly stream: ClientHttp2Stream;
  headers: http2.IncomingHttpHeaders & { ":status"?: number | undefined } = {};
  received = Buffer.alloc(0);
  ended = false;
  closed = false;

  constructor(target: string, headers: http2.OutgoingHttpHeaders = {}) {
    this.stream = session.request(
      { ":method": "CONNECT", ":protocol": "websocket", ":path": target, "sec-websocket-version": "13", ...headers },
      { endStream: false },
    );
    this.stream.on("response", (own) => (this.headers = own));
    this.stream.on("data", (chunk: Buffer) => (this.received = Buffer.concat([this.received, chunk])));
    this.stream.on("end", () => (this.ended = true));
    this.stream.on("error", () => {});
    this.stream.on("close", () => (this.closed = true));
  }

  async status(): Promise<number> {
    await until("the answer's head has come", () => this.headers[":status"] !== undefined || this.closed);
    return this.headers[":status"] ?? 0;
  }

  get frames(): Frame[] {
    return frames(this.received);
  }

  async frame(index: number): Promise<Frame> {
    await until(`frame ${index} has come`, () => this.frames.length > index);
    return this.frames[index] as Frame; // it is there
  }
}

async function opened(target: string, headers: http2.OutgoingHttpHeaders = {}): Promise<Client> {
  const client = new Client(target, headers);
  expect(await client.status()).toBe(200);
  return client;
}

describe("the handshake", () => {
  it("is one of HTTP/1.1 to the service, with a key of the gateway's own, and has no key and no 101 to the client", async () => {
    const client = await opened("/a?b=c", {
      origin: "http://a.example",
      cookie: "x=1",
      "sec-websocket-key": KEY,
      "sec-websocket-protocol": "chat, v2",
    });
    const { request } = await origin.connection("/a?b=c");
    expect(request.method).toBe("GET");
    expect(request.headers).toMatchObject({ upgrade: "websocket", connection: "Upgrade", origin: "http://a.example", cookie: "x=1" });
    expect(request.headers["sec-websocket-key"]).not.toBe(KEY);
    expect(client.headers["sec-websocket-protocol"]).toBe("v2");
    expect(client.headers["x-origin"]).toBe(Buffer.from("caf\u00e9").toString("latin1"));
    expect(client.headers).not.toHaveProperty("sec-websocket-accept");
    expect(client.headers).not.toHaveProperty("upgrade");
    expect(client.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
  });

  it("that the service answers with a wrong Accept is refused", async () => {
    raw.on("/raw/wrong", (connection) =>
      connection.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept(KEY)}\r\n\r\n`,
      ),
    );
    expect(await new Client("/raw/wrong").status()).toBe(502);
  });

  it("that the service refuses is refused with its answer", async () => {
    origin.refusals.set("/no", { status: 403, body: "no" });
    const client = new Client("/no");
    expect(await client.status()).toBe(403);
    await until("its body has come", () => client.ended);
    expect(String(client.received)).toBe("no");
  });

  it.each<readonly [what: string, headers: http2.OutgoingHttpHeaders, status: number]>([
    ["another version", { "sec-websocket-version": "8" }, 426],
    ["an empty version", { "sec-websocket-version": "" }, 426],
    ["protocols that are no tokens", { "sec-websocket-protocol": "a b" }, 400],
  ])("with %s is refused", async (_what, headers, status) => {
    expect(await new Client("/refused", headers).status()).toBe(status);
  });

  it("of a request that ends at once is refused", async () => {
    const fields: Field[] = [
      [":method", "CONNECT"],
      [":protocol", "websocket"],
      [":scheme", "http"],
      [":authority", "a.example"],
      [":path", "/ended"],
      ["sec-websocket-version", "13"],
    ];
    await using client = await RawH2Client.connect(gateway.port);
    client.ask(1, fields);
    expect(await client.status(1)).toBe(400);
  });
});

describe("messages", () => {
  it.each([0, 1, 125, 126, 4000, 65_535])("of %i bytes come back as they were sent", async (bytes) => {
    const client = await opened(`/echo-${bytes}`);
    const payload = randomBytes(bytes);
    client.stream.write(frame(BINARY, payload));
    expect((await client.frame(0)).payload.equals(payload)).toBe(true);
  });

  it("sent before the answer has come are not lost", async () => {
    const client = new Client("/early");
    client.stream.write(frame(TEXT, "early"));
    expect(String((await client.frame(0)).payload)).toBe("early");
  });

  it("of many WebSockets on one connection do not mix, and do not hold up requests", async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, (_, i) => opened(`/many-${i}`)));
    for (let round = 0; round < 20; round++) for (const [i, client] of clients.entries()) client.stream.write(frame(TEXT, `${i}:${round}`));
    for (const [i, client] of clients.entries()) {
      await client.frame(19);
      expect(client.frames.map(({ payload }) => String(payload))).toEqual(Array.from({ length: 20 }, (_, round) => `${i}:${round}`));
    }
    for (const client of clients) client.stream.close();
  });

  it("go through pauses on either side, complete", async () => {
    const client = await opened("/pauses");
    const served = await origin.connection("/pauses");
    client.stream.pause();
    const payload = randomBytes(60_000);
    for (let i = 0; i < 40; i++) client.stream.write(frame(BINARY, payload));
    await until("the service has some", () => served.messages.length > 0);
    client.stream.resume();
    await until("all of it has come back", () => client.frames.length === 40, 10_000);
    expect(client.frames.every((each) => each.payload.equals(payload))).toBe(true);
  });

  it("pings and pongs pass", async () => {
    const client = await opened("/pings");
    client.stream.write(frame(PING, "hi"));
    expect(await client.frame(0)).toMatchObject({ opcode: PONG & 15, payload: Buffer.from("hi") });
  });

  it("beyond the limit end it with 1009, both ways", async () => {
    const client = await opened("/big");
    const served = await origin.connection("/big");
    const half = randomBytes(60_000);
    client.stream.write(frame(0x02, half));
    client.stream.write(frame(0x80, half));
    await until("the client is told", () => client.frames.some(({ opcode }) => opcode === 8));
    expect(codeOf(client.frames.at(-1))).toBe(1009);
    await until("the service is told", () => served.closed !== null);
    expect(served.closed?.code).toBe(1009);
  });

  it("that are not masked end it with 1002", async () => {
    const client = await opened("/unmasked");
    client.stream.write(frame(TEXT, "x", false));
    await until("the client is told", () => client.frames.some(({ opcode }) => opcode === 8));
    expect(codeOf(client.frames.at(-1))).toBe(1002);
  });
});

describe("the end", () => {
  it("by the client's Close, and END_STREAM", async () => {
    const client = await opened("/close");
    const served = await origin.connection("/close");
    client.stream.write(frame(CLOSE, closePayload(1000, "bye")));
    await until("the service has it", () => served.closed !== null);
    expect(served.closed).toEqual({ code: 1000, reason: "bye" });
    expect(codeOf(await client.frame(0))).toBe(1000);
    await until("the stream ends", () => client.ended);
    client.stream.end();
    await until("it is over", () => client.closed);
    expect(client.stream.rstCode).toBe(ERROR_CODE.noError);
    await until("it is in the log", () => gateway.lines().some((line) => line["path"] === "/close"));
    expect(gateway.lines().find((line) => line["path"] === "/close")).toMatchObject({ protocol: "websocket", status: 101, code: null });
  });

  it("by the service's Close", async () => {
    const client = await opened("/their-close");
    const served = await origin.connection("/their-close");
    served.ws.close(4001, "enough");
    expect(codeOf(await client.frame(0))).toBe(4001);
    client.stream.write(frame(CLOSE, closePayload(4001)));
    client.stream.end();
    await until("it is over", () => client.closed);
  });

  it("by a reset of the stream: the service's connection is broken off, the session goes on", async () => {
    const client = await opened("/reset");
    const served = await origin.connection("/reset");
    client.stream.close(http2.constants.NGHTTP2_CANCEL);
    await until("the service sees it", () => served.closed !== null);
    expect(served.closed?.code).toBe(1006);
    (await opened("/reset-next")).stream.close();
  });

  it("by a break of the service's connection: CANCEL (RFC 8441 section 5)", async () => {
    const client = await opened("/broken");
    const served = await origin.connection("/broken");
    served.ws.terminate();
    await until("it is over", () => client.closed);
    expect(client.stream.rstCode).toBe(ERROR_CODE.cancel);
    expect(served.ws.readyState).toBe(WebSocket.CLOSED);
  });

  it("by the client's connection: all of its WebSockets end upstream", async () => {
    await opened("/gone-1");
    await opened("/gone-2");
    const served = [await origin.connection("/gone-1"), await origin.connection("/gone-2")];
    session.destroy();
    await until("the service sees it", () => served.every(({ closed }) => closed !== null));
  });

  it("by silence: 1001 after limits.webSocket.idleTimeout", async () => {
    const client = await opened("/quiet");
    await until("the client is told", () => client.frames.some(({ opcode }) => opcode === 8), 10_000);
    expect(codeOf(client.frames.at(-1))).toBe(1001);
  });
});

it("none is counted any more once all are over", async () => {
  session.destroy();
  await untilAsync("the gauge is 0", async () => expect((await gateway.admin("GET", "/metrics")).body).toMatch(/^sluice_websockets 0$/m));
});
