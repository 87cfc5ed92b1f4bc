// Which sockets are used below their streams: those whose inner parts are as this Node's are known to be, and no others.
import net, { Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { nativeStreamOf } from "../../../src/base/native-stream.ts";

const accepted = async (where: net.ListenOptions): Promise<Socket> => {
  const server = net.createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(where, resolve));
  const address = server.address() as net.AddressInfo | string; // it listens
  const socket = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const client = typeof address === "string" ? net.connect(address) : net.connect(address.port, "127.0.0.1");
  onTestFinished(async () => {
    client.destroy();
    (await socket).destroy();
    server.close();
  });
  return socket;
};

it("TCP and Unix sockets are known in this Node", async () => {
  const unix = path.join(os.tmpdir(), `sluice-native-${process.pid}.sock`);
  for (const where of [{ port: 0, host: "127.0.0.1" }, { path: unix }]) expect(nativeStreamOf(await accepted(where))).not.toBeNull();
});

it("a socket that is closed, or not connected, has none", async () => {
  const socket = await accepted({ port: 0, host: "127.0.0.1" });
  socket.destroy();
  expect([nativeStreamOf(socket), nativeStreamOf(new Socket())]).toEqual([null, null]);
});

it.each(["useUserBuffer", "readStart", "readStop", "writeBuffer", "writeLatin1String", "writev", "onread", "writeQueueSize"])(
  "a stream without %s is not known, and is used as everybody may",
  async (missing) => {
    const handle: unknown = Reflect.get(await accepted({ port: 0, host: "127.0.0.1" }), "_handle");
    const names = ["useUserBuffer", "readStart", "readStop", "writeBuffer", "writeLatin1String", "writev"];
    class Changed {
      onread: unknown = null;
      writeQueueSize = 0;
    }
    for (const name of names) Reflect.set(Changed.prototype, name, Reflect.get(handle as object, name)); // a socket that is open has one
    const changed = new Changed();
    expect(
      nativeStreamOf(Object.assign(Object.create(Socket.prototype), { _handle: new (class extends Changed {})() }) as Socket),
    ).not.toBeNull();
    Reflect.deleteProperty(changed, missing);
    Reflect.deleteProperty(Changed.prototype, missing);
    expect(nativeStreamOf(Object.assign(Object.create(Socket.prototype), { _handle: changed }) as Socket)).toBeNull();
  },
);
