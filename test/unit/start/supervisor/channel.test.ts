// Holds the channel to: every message arrives whole and in order, however the bytes are cut, and its end is told once.
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { Channel } from "../../../../src/start/supervisor/channel.ts";
import { until } from "../../../support/until.ts";

/** A stream whose input a test writes piece by piece. */
function piecewise() {
  const written: string[] = [];
  const stream = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      written.push(chunk.toString());
      done();
    },
  });
  return { stream, written };
}

test("messages arrive whole and in order, wherever the bytes are cut", async () => {
  const { stream } = piecewise();
  const heard: unknown[] = [];
  new Channel<unknown, unknown>(stream, { heard: (message) => heard.push(message), closed: () => {} });
  const messages = [{ kind: "a", text: "line\nfeed" }, { kind: "é€😀" }, [1, 2, 3], "x".repeat(100_000)];
  const bytes = Buffer.from(messages.map((message) => `${JSON.stringify(message)}\n`).join(""));
  for (let at = 0; at < bytes.length; at += 7) stream.push(bytes.subarray(at, at + 7));
  await until("all have arrived", () => heard.length === messages.length);
  expect(heard).toEqual(messages);
});

/** Both ends of a real connection. */
async function pair(): Promise<readonly [Socket, Socket]> {
  const server = createServer();
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const near = connect((server.address() as AddressInfo).port, "127.0.0.1"); // a TCP server that listens has one
  const far = await accepted;
  server.close();
  return [near, far];
}

test.each<[string, (socket: Socket) => void]>([
  ["ends", (socket) => void socket.end()],
  ["is reset", (socket) => void socket.resetAndDestroy()],
])("an other end that %s closes the channel once; what is sent then is dropped", async (_, leave) => {
  const [near, far] = await pair();
  const heard: unknown[] = [];
  let closed = 0;
  const channel = new Channel<unknown, unknown>(near, { heard: (message) => heard.push(message), closed: () => closed++ });
  far.write('{"kind":"last"}\n{"kind":"cut of');
  await until("it has arrived", () => heard.length === 1);
  expect(channel.open).toBe(true);
  leave(far);
  await until("it is closed", () => closed > 0);
  expect(channel.open).toBe(false);
  channel.send({ kind: "late" });
  expect(heard).toEqual([{ kind: "last" }]);
  expect(closed).toBe(1);
});

test("a message is one line", () => {
  const { stream, written } = piecewise();
  const channel = new Channel<unknown, unknown>(stream, { heard: () => {}, closed: () => {} });
  channel.send({ kind: "a", text: "line\nfeed" });
  expect(written).toEqual(['{"kind":"a","text":"line\\nfeed"}\n']);
});
