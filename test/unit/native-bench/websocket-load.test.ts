// The load of the WebSocket case: what comes back is compared, whatever pieces it comes in; whoever breaks the rules is named; it ends in time.
import net, { type AddressInfo, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { EchoConnection, type EchoMessage, echoMessage } from "../../../native-bench/measure/echo-connection.ts";
import { runWebSocketLoad } from "../../../native-bench/measure/websocket-load.ts";
import { acceptKey } from "../../../src/data/handlers/proxy/websocket/handshake.ts";
import { WebSocketOrigin } from "../../support/web-socket-origin.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** What a scripted server does with a connection: head of the response, and what it says to the client's first frame. */
interface Script {
  readonly head?: (key: string) => string;
  readonly say: (socket: Socket, message: EchoMessage) => void;
}

const switching = (accept: string): string => `HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: ${accept}\r\n\r\n`;

/** @returns what became of the first message: "echoed", or why the connection was lost. */
async function outcome(message: EchoMessage, { head = (key) => switching(acceptKey(key)), say }: Script): Promise<string> {
  const server = net.createServer((socket) => {
    let read = "";
    let isOpen = false;
    closing.push(() => socket.destroy());
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      read += chunk.toString("latin1");
      const key = read.endsWith("\r\n\r\n") ? /^sec-websocket-key: (\S+)/im.exec(read)?.[1] : undefined;
      if (!isOpen && key !== undefined) {
        isOpen = true;
        read = "";
        socket.write(head(key), "latin1");
      } else if (isOpen && read.length >= message.frame.length) {
        read = "";
        say(socket, message);
      }
    });
  });
  closing.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  return new Promise((resolve) => {
    const connection = new EchoConnection({ host: "127.0.0.1", port }, message, {
      echoed: () => resolve("echoed"),
      lost: (_connection, reason) => resolve(reason),
    });
    closing.push(() => connection.close());
    connection.opened().then(
      () => connection.send(),
      () => {}, // `lost` says why
    );
  });
}

/** A server's frame. */
const frame = (opcode: number, payload: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(payload.length < 126 ? [opcode, payload.length] : [opcode, 126, payload.length >> 8, payload.length & 0xff]),
    payload,
  ]);
const changed = (payload: Buffer): Buffer => Buffer.concat([payload.subarray(0, -1), Buffer.from([(payload.at(-1) ?? 0) ^ 1])]);

/** One byte a write, each when the one before is on its way. */
function drip(socket: Socket, bytes: Buffer, at = 0): void {
  if (at < bytes.length) socket.write(bytes.subarray(at, at + 1), () => setImmediate(() => drip(socket, bytes, at + 1)));
}

describe("EchoConnection", () => {
  it.each([1, 125, 126, 256, 65_535])("takes a message of %i bytes for an echo when every byte is the same", async (bytes) => {
    const message = echoMessage(bytes);
    const echo = frame(0x82, message.payload);
    expect(await outcome(message, { say: (socket) => socket.write(echo) })).toBe("echoed");
    expect(await outcome(message, { say: (socket) => socket.write(frame(0x82, changed(message.payload))) })).toBe(
      "another message than was sent",
    );
  });
  it("puts an echo together that comes byte by byte, behind pings", async () => {
    const message = echoMessage(256);
    const bytes = Buffer.concat([frame(0x89, Buffer.alloc(0)), frame(0x8a, Buffer.from("x")), frame(0x82, message.payload)]);
    expect(await outcome(message, { say: (socket) => drip(socket, bytes) })).toBe("echoed");
  });
  it("masks what it sends (RFC 6455 section 5.3)", () => {
    const { payload, frame: sent } = echoMessage(256);
    expect([...sent.subarray(0, 4)]).toEqual([0x82, 0x80 | 126, 1, 0]);
    const mask = sent.subarray(4, 8);
    expect(Buffer.from(sent.subarray(8).map((byte, i) => byte ^ (mask[i & 3] ?? 0)))).toEqual(payload);
  });
  it.each<[string, string, Script]>([
    ["a shorter message", "another message than was sent", { say: (socket) => socket.write(frame(0x82, Buffer.from("x"))) }],
    ["a text message", "a frame that no echo has", { say: (socket, { payload }) => socket.write(frame(0x81, payload)) }],
    ["a first fragment", "a frame that no echo has", { say: (socket, { payload }) => socket.write(frame(0x02, payload)) }],
    ["a masked frame", "a frame that no echo has", { say: (socket, { frame: masked }) => socket.write(masked) }],
    ["a close with a code", "closed with code 1011", { say: (socket) => socket.write(frame(0x88, Buffer.from([0x03, 0xf3]))) }],
    ["a close without one", "closed with code none", { say: (socket) => socket.write(frame(0x88, Buffer.alloc(0))) }],
    ["the end of the connection", "closed by the server", { say: (socket) => socket.end() }],
    ["a refusal", "the handshake is refused: HTTP/1.1 403 Forbidden", { head: () => "HTTP/1.1 403 Forbidden\r\n\r\n", say: () => {} }],
    ["another accept", "Sec-WebSocket-Accept does not belong to the key", { head: () => switching(acceptKey("")), say: () => {} }],
  ])("is lost by %s: %s", async (_what, reason, script) => {
    expect(await outcome(echoMessage(256), script)).toBe(reason);
  });
  it("refuses messages that its frames cannot carry", () => {
    for (const bytes of [0, 65_536, 1.5]) expect(() => echoMessage(bytes)).toThrow(RangeError);
  });
});

describe("runWebSocketLoad", () => {
  const options = { connections: 4, messageBytes: 256, seconds: 0.1, pids: [process.pid] };
  it("counts what came back, each connection with one message under way", async () => {
    await using origin = await WebSocketOrigin.start();
    const result = await runWebSocketLoad({ ...options, port: origin.port });
    expect(result).toMatchObject({ failed: 0, reason: "" });
    expect(origin.served).toHaveLength(4);
    expect(result.echoed).toBe(origin.served.reduce((sum, { messages }) => sum + messages.length, 0));
    expect(result.echoed).toBeGreaterThanOrEqual(4);
    expect(result.p50).toBeGreaterThan(0);
    expect(result.p999).toBeGreaterThanOrEqual(result.p50);
  });
  it("fails with the server's words when a handshake is refused", async () => {
    await using origin = await WebSocketOrigin.start();
    origin.refusals.set("/echo", { status: 403, body: "" });
    await expect(runWebSocketLoad({ ...options, port: origin.port })).rejects.toThrow("the handshake is refused: HTTP/1.1 403 No");
  });
  it("gives up messages that do not come back, and connections that do not open", async () => {
    const server = net.createServer((socket) => {
      closing.push(() => socket.destroy());
      socket.on("error", () => {});
      socket.once("data", (chunk) => {
        const key = /^sec-websocket-key: (\S+)/im.exec(chunk.toString("latin1"))?.[1] ?? "";
        if (isOpen) socket.write(switching(acceptKey(key)));
      });
    });
    let isOpen = true;
    closing.push(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo; // a TCP server that listens has one
    const result = await runWebSocketLoad({ ...options, port, timeoutMs: 200 });
    expect(result).toMatchObject({ echoed: 0, failed: 4, reason: "no echo within 200 ms of the end" });
    isOpen = false;
    await expect(runWebSocketLoad({ ...options, port, timeoutMs: 200 })).rejects.toThrow("not open within 200 ms");
  });
});
