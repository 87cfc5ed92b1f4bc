// WebSockets with a peer that breaks the rules: raw bytes from the client, raw bytes from the upstream, limits on messages.
import net, { type AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFailed } from "vitest";
import { bothListeners, ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { field, RawClient } from "../../support/raw-client.ts";
import { RawUpstream, type UpstreamConnection } from "../../support/raw-upstream.ts";
import { accept, closeFrom, closePayload, codeOf, frame, frames, handshake, KEY, openRaw } from "../../support/raw-web-socket.ts";
import { until } from "../../support/until.ts";
import { WebSocketClient, WebSocketOrigin } from "../../support/web-socket-origin.ts";

const LIMIT_BYTES = 16 * 1024;

let origin: WebSocketOrigin;
let raw: RawUpstream;
let gateway: Gateway;
let dead = 0;
let counter = 0;

const config = (): string => `${bothListeners}
limits: { webSocket: { messageBytes: ${LIMIT_BYTES} } }
upstreams:
  origin: { targets: [ { url: "http://127.0.0.1:${origin.port}" } ] }
  raw: { targets: [ { url: "http://127.0.0.1:${raw.port}" } ], timeouts: { response: 300ms }, retry: { attempts: 0 } }
  dead: { targets: [ { url: "http://127.0.0.1:${dead}" } ], retry: { attempts: 0 } }
  half: { targets: [ { url: "http://127.0.0.1:${dead}" }, { url: "http://127.0.0.1:${origin.port}" } ], balance: round-robin }
routes:
  - { name: all, match: { path: /** }, to: origin }
  - { name: raw, match: { path: /raw/** }, to: raw }
  - { name: dead, match: { path: /dead }, to: dead }
  - { name: half, match: { path: /half/** }, to: half }
`;

beforeAll(async () => {
  origin = await WebSocketOrigin.start();
  raw = await RawUpstream.start();
  dead = await closedPort();
  gateway = await Gateway.start({ config: config() });
});
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await origin?.[Symbol.asyncDispose]();
  await raw?.[Symbol.asyncDispose]();
});
beforeEach(() => onTestFailed(() => console.error(gateway.report(), raw.faults)));

/** A port where nobody listens: one that was free a moment ago. */
async function closedPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const portOf = (engine: Engine): number => Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port);
const urlOf = (engine: Engine, target: string): string => `ws://127.0.0.1:${portOf(engine)}${target}`;

describe.each(ENGINES)("%s: the handshake", (engine) => {
  it.each<[string, Record<string, string | null>, number, string]>([
    ["another version", { "Sec-WebSocket-Version": "8" }, 426, "upgrade_unsupported"],
    ["no version", { "Sec-WebSocket-Version": null }, 426, "upgrade_unsupported"],
    ["two versions", { "sec-websocket-version": "13" }, 426, "upgrade_unsupported"],
    ["no key", { "Sec-WebSocket-Key": null }, 400, "bad_request"],
    ["a short key", { "Sec-WebSocket-Key": "c2hvcnQ=" }, 400, "bad_request"],
    ["a long key", { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZSE=" }, 400, "bad_request"],
    ["a key that is no base64", { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j!Q==" }, 400, "bad_request"],
    ["two keys", { "sec-websocket-key": KEY }, 400, "bad_request"],
  ])("with %s is refused", async (_, changes, status, code) => {
    await using client = await RawClient.connect(portOf(engine));
    client.send(handshake("/echo", changes));
    const response = await client.response();
    expect(response.status).toBe(status);
    expect(JSON.parse(response.body.toString())).toMatchObject({ code });
    if (status !== 426) return;
    expect(field(response, "sec-websocket-version")).toBe("13");
    expect(field(response, "upgrade")).toBe("websocket");
  });

  it("with a body is no handshake that goes upstream", async () => {
    await using client = await RawClient.connect(portOf(engine));
    const target = `/echo?n=${++counter}`;
    client.send(`${handshake(target, { "Content-Length": "4" })}body`);
    expect([200, 400]).toContain((await client.response()).status);
    expect(origin.served.some((one) => one.request.url === target)).toBe(false);
  });

  const good = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept(KEY)}\r\n`;
  it.each<[string, string, string]>([
    ["a wrong accept", good.replace(accept(KEY), accept("another")), "upstream_upgrade_refused"],
    ["no accept", good.replace(/Sec-WebSocket-Accept.*\r\n/, ""), "upstream_upgrade_refused"],
    ["two accepts", `${good}Sec-WebSocket-Accept: ${accept(KEY)}\r\n`, "upstream_upgrade_refused"],
    ["another protocol", good.replace("Upgrade: websocket", "Upgrade: h2c"), "upstream_upgrade_refused"],
    ["no Upgrade", good.replace("Upgrade: websocket\r\n", ""), "upstream_upgrade_refused"],
    ["no Connection", good.replace("Connection: Upgrade\r\n", ""), "upstream_upgrade_refused"],
    ["a subprotocol that was not offered", `${good}Sec-WebSocket-Protocol: other\r\n`, "upstream_upgrade_refused"],
    ["an extension that was not offered", `${good}Sec-WebSocket-Extensions: x-own\r\n`, "upstream_upgrade_refused"],
    ["no HTTP", "hello\r\n", "upstream_invalid"],
  ])("answered by the upstream with %s is a 502", async (_, answer, code) => {
    const path = `/raw/${++counter}`;
    raw.answer(path, `${answer}\r\n`);
    await using client = await RawClient.connect(portOf(engine));
    client.send(handshake(path));
    const response = await client.response();
    expect(response.status).toBe(502);
    expect(JSON.parse(response.body.toString())).toMatchObject({ code });
  });

  it("answered with silence is a 504", async () => {
    const path = `/raw/${++counter}`;
    raw.on(path, () => {});
    await using client = await RawClient.connect(portOf(engine));
    client.send(handshake(path));
    const response = await client.response();
    expect(response.status).toBe(504);
    expect(JSON.parse(response.body.toString())).toMatchObject({ code: "response_timeout" });
  });

  it("answered with a closed connection is a 502", async () => {
    const path = `/raw/${++counter}`;
    raw.on(path, (connection) => connection.reset());
    await using client = await RawClient.connect(portOf(engine));
    client.send(handshake(path));
    expect(JSON.parse((await client.response()).body.toString())).toMatchObject({ status: 502, code: "upstream_reset" });
  });

  it("to a dead upstream is a 502, and goes to another target when there is one", async () => {
    await using client = await RawClient.connect(portOf(engine));
    client.send(handshake("/dead"));
    expect(JSON.parse((await client.response()).body.toString())).toMatchObject({ status: 502, code: "connect_failed" });
    for (let i = 0; i < 2; i++) {
      await using other = await WebSocketClient.open(urlOf(engine, `/half/${++counter}`));
      other.ws.send("here");
      expect(await other.received(1)).toEqual(["here"]);
    }
  });

  it("given up by the client is cancelled upstream", async () => {
    const path = `/raw/${++counter}`;
    let held: UpstreamConnection | null = null;
    raw.on(path, (connection) => {
      held = connection;
    });
    await using client = await RawClient.connect(portOf(engine));
    client.send(handshake(path));
    await raw.received(path);
    client.destroy();
    await until("the upstream connection is closed", () => held?.closed === true);
  });
});

describe.each(ENGINES)("%s: an upstream that breaks the protocol", (engine) => {
  const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept(KEY)}\r\n\r\n`;

  // What the net engine refuses by a frame's head alone; the rest it passes on: judging that is the client's part.
  it.runIf(engine === "net").each<[string, Buffer, number]>([
    ["a masked frame", frame(0x81, "a"), 1002],
    ["a reserved bit, as of a compressed message", frame(0xc1, "a", false), 1002],
    ["a control frame that is too long", frame(0x89, Buffer.alloc(126), false), 1002],
    ["a fragmented control frame", frame(0x09, "a", false), 1002],
    ["a message that is too big", frame(0x82, Buffer.alloc(LIMIT_BYTES + 1), false), 1009],
  ])("%s closes both sides", async (_, bytes, code) => {
    const path = `/raw/${++counter}`;
    let sent = Buffer.alloc(0);
    raw.onHead(path, (connection) => {
      connection.socket.removeAllListeners("data"); // from here on these are frames
      connection.socket.on("data", (chunk: Buffer) => {
        sent = Buffer.concat([sent, chunk]);
      });
      connection.write(Buffer.concat([Buffer.from(head), bytes]));
    });
    await using client = await openRaw(portOf(engine), path);
    expect(codeOf(await closeFrom(client))).toBe(code);
    expect(frames(client.pending).map(({ opcode }) => opcode)).toEqual([8]);
    await until("the upstream is told", () => frames(sent).length > 0);
    expect(frames(sent)).toMatchObject([{ opcode: 8, masked: true }]);
    expect(codeOf(frames(sent)[0])).toBe(code);
  });

  it("says Content-Length: 0 with its 101, which means nothing there", async () => {
    const path = `/raw/${++counter}`;
    raw.onHead(path, (connection) => {
      connection.socket.removeAllListeners("data");
      connection.write(Buffer.concat([Buffer.from(head.replace(/\r\n$/, "Content-Length: 0\r\n\r\n")), frame(0x81, "hello", false)]));
    });
    await using client = await openRaw(portOf(engine), path);
    await until("the message arrives", () => frames(client.pending).length > 0);
    expect(frames(client.pending)[0]?.payload.toString()).toBe("hello");
  });

  it.runIf(engine === "uws").each<[string, Buffer, number, number]>([
    ["a masked frame", frame(0x81, "a"), 1002, 1014],
    ["a reserved bit", frame(0xc1, "a", false), 1002, 1014],
    ["a reserved opcode", frame(0x83, "a", false), 1002, 1014],
    ["invalid UTF-8", frame(0x81, Buffer.from([0xff]), false), 1007, 1014],
    ["a control frame that is too long", frame(0x89, Buffer.alloc(126), false), 1002, 1014],
    ["a fragmented control frame", frame(0x09, "a", false), 1002, 1014],
    ["a continuation of nothing", frame(0x80, "a", false), 1002, 1014],
    ["a close code that must not be sent", frame(0x88, closePayload(1005), false), 1002, 1014],
    ["a message that is too big", frame(0x82, Buffer.alloc(LIMIT_BYTES + 1), false), 1009, 1009],
  ])("%s", async (_, bytes, toUpstream, toClient) => {
    const path = `/raw/${++counter}`;
    let sent = Buffer.alloc(0);
    raw.onHead(path, (connection) => {
      connection.socket.removeAllListeners("data"); // from here on these are frames
      connection.socket.on("data", (chunk: Buffer) => {
        sent = Buffer.concat([sent, chunk]);
      });
      connection.write(Buffer.concat([Buffer.from(head), bytes]));
    });
    await using client = await openRaw(portOf(engine), path);
    expect(codeOf(await closeFrom(client))).toBe(toClient);
    await until("the upstream is told", () => frames(sent).length > 0);
    expect(frames(sent)).toMatchObject([{ opcode: 8, masked: true }]);
    expect(codeOf(frames(sent)[0])).toBe(toUpstream);
    await client.closes();
  });
});

describe("net: a client that breaks the protocol", () => {
  it.each<[string, Buffer]>([
    ["a reserved bit, as of a compressed message", frame(0xc1, "a")],
    ["a frame that is not masked", frame(0x81, "a", false)],
    ["a control frame that is too long", frame(0x89, Buffer.alloc(126))],
    ["a fragmented control frame", frame(0x09, "a")],
  ])("%s closes both sides with 1002, and nothing of it goes on", async (_, bytes) => {
    const target = `/echo?n=${++counter}`;
    await using client = await openRaw(portOf("net"), target);
    const served = await origin.connection(target);
    client.send(Buffer.concat([frame(0x81, "before"), bytes]));
    expect(codeOf(await closeFrom(client))).toBe(1002);
    await until("the service is closed", () => served.closed !== null);
    expect(served.closed?.code).toBe(1002);
    expect(served.messages.map(String)).toEqual(["before"]);
  });
});

describe("uws: a client that breaks the protocol", () => {
  // This engine cuts it without a Close frame; what the upstream is told is ours.
  it.each<[string, Buffer, number]>([
    ["a reserved bit", frame(0xc1, "a"), 1002],
    ["a reserved opcode", frame(0x83, "a"), 1002],
    ["invalid UTF-8", frame(0x81, Buffer.from([0xff])), 1007],
    ["a control frame that is too long", frame(0x89, Buffer.alloc(126)), 1002],
    ["a fragmented control frame", frame(0x09, "a"), 1002],
    ["a continuation of nothing", frame(0x80, "a"), 1002],
    ["a text inside a fragmented text", Buffer.concat([frame(0x01, "a"), frame(0x81, "b")]), 1002],
    ["a close code that must not be sent", frame(0x88, closePayload(1006)), 1005],
    ["a close reason that is no UTF-8", frame(0x88, Buffer.from([0x03, 0xe8, 0xff])), 1005],
  ])("%s", async (_, bytes, toUpstream) => {
    const target = `/echo?n=${++counter}`;
    await using client = await openRaw(portOf("uws"), target);
    const served = await origin.connection(target);
    client.send(bytes);
    await client.closes();
    await until("the service is closed", () => served.closed !== null);
    expect(served.closed?.code).toBe(toUpstream);
    expect(served.messages).toEqual([]);
  });
});

describe.each(ENGINES)("%s: the message limit", (engine) => {
  it.each([LIMIT_BYTES, LIMIT_BYTES + 1])("holds for the client: %i bytes", async (bytes) => {
    const target = `/echo?n=${++counter}`;
    await using client = await WebSocketClient.open(urlOf(engine, target));
    const served = await origin.connection(target);
    client.ws.send(Buffer.alloc(bytes));
    if (bytes <= LIMIT_BYTES) return void expect((await client.received(1))[0]).toHaveLength(bytes);
    expect((await client.ended()).code).toBe(1009);
    await until("the service is closed", () => served.closed !== null);
    expect(served.closed?.code).toBe(1009);
    expect(served.messages).toEqual([]);
  });

  it("holds for the client's fragments", async () => {
    const target = `/echo?n=${++counter}`;
    await using client = await WebSocketClient.open(urlOf(engine, target));
    const served = await origin.connection(target);
    client.ws.send(Buffer.alloc(LIMIT_BYTES / 2), { fin: false });
    client.ws.send(Buffer.alloc(LIMIT_BYTES / 2), { fin: false });
    client.ws.send(Buffer.alloc(1), { fin: true });
    expect((await client.ended()).code).toBe(1009);
    await until("the service is closed", () => served.closed !== null);
    expect(served.messages).toEqual([]);
  });

  it("holds far beyond: the connection ends", async () => {
    const target = `/echo?n=${++counter}`;
    await using client = await WebSocketClient.open(urlOf(engine, target));
    const served = await origin.connection(target);
    client.ws.send(Buffer.alloc(8 * LIMIT_BYTES));
    expect([1006, 1009]).toContain((await client.ended()).code);
    await until("the service is closed", () => served.closed !== null);
    expect(served.closed?.code).toBe(1009);
    expect(served.messages).toEqual([]);
  });

  it.each([LIMIT_BYTES, LIMIT_BYTES + 1])("holds for the service: %i bytes", async (bytes) => {
    const target = `/quiet?n=${++counter}`;
    await using client = await WebSocketClient.open(urlOf(engine, target));
    const served = await origin.connection(target);
    served.ws.send(Buffer.alloc(bytes));
    if (bytes <= LIMIT_BYTES) return void expect((await client.received(1))[0]).toHaveLength(bytes);
    expect((await client.ended()).code).toBe(1009);
    await until("the service is closed", () => served.closed !== null);
    expect(served.closed?.code).toBe(1009);
    expect(client.messages).toEqual([]);
  });
});
