// How the net engine accepts, counts and closes connections, and whom a PROXY header makes of their clients.
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { OperatorError } from "../../../../../src/base/errors.ts";
import { makeCertificate } from "../../../../support/certificates.ts";
import { NetRig } from "../../../../support/net-rig.ts";
import { until } from "../../../../support/until.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-accept-"));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
const { cert, key } = makeCertificate(folder, "server", ["one.test"]);
const TLS = `tls: { certificates: [{ cert: ${cert}, key: ${key} }] }`;

const started = async (listener: string, limits?: string): Promise<NetRig> => {
  const rig = await NetRig.start(`[{ ${listener}, engine: net }]`, limits);
  onTestFinished(() => rig[Symbol.asyncDispose]());
  return rig;
};

const client = (where: number | string): net.Socket => {
  const socket = typeof where === "string" ? net.connect(where) : net.connect(where, "127.0.0.1");
  socket.on("error", () => {});
  onTestFinished(() => void socket.destroy());
  return socket;
};

const closed = async (socket: net.Socket): Promise<void> => {
  socket.resume();
  if (!socket.closed) await once(socket, "close");
};

describe("connections", () => {
  it("are counted from accepting to closing", async () => {
    const rig = await started("address: 127.0.0.1:0");
    const { port, listener } = await rig.open();
    const [one, two] = [client(port), client(port)];
    await rig.connection(1);
    expect([listener.connections, rig.peers]).toEqual([2, ["127.0.0.1", "127.0.0.1"]]);
    one.end();
    (await rig.connection(0)).onEnded();
    rig.served[0]?.channel.end();
    rig.served[1]?.channel.destroy();
    await closed(two);
    await until("both are closed", () => listener.connections === 0);
  });

  it("those that are too many are closed at once, unread", async () => {
    const rig = await started("address: 127.0.0.1:0");
    const { port, listener } = await rig.open();
    rig.admits = () => listener.connections <= 1;
    const first = client(port);
    await rig.connection(0);
    const second = client(port);
    second.write("GET / HTTP/1.1\r\n\r\n");
    await closed(second);
    expect(rig.served).toHaveLength(1);
    first.destroy();
    rig.served[0]?.channel.destroy();
    await until("there is room again", () => listener.connections === 0);
    client(port);
    await rig.connection(1);
  });

  it("those that are open go on when nothing new is accepted, until they are cut", async () => {
    const rig = await started("address: 127.0.0.1:0");
    const { port, listener } = await rig.open();
    const socket = client(port);
    const { channel, calls } = await rig.connection(0);
    listener.stopAccepting();
    listener.stopAccepting();
    await expect(once(client(port), "connect")).rejects.toThrow("ECONNREFUSED");
    channel.write("still here");
    expect(String((await once(socket, "data"))[0])).toBe("still here");
    listener.drain();
    listener.endWebSockets();
    expect(calls).toEqual(["drain", "endWebSocket"]);
    listener.close();
    listener.close();
    await closed(socket);
    await until("it is closed", () => calls.includes("closed"));
  });

  it("a port is shared by several listeners, as workers share it", async () => {
    const rig = await started("address: 127.0.0.1:0");
    const { port, listener } = await rig.open();
    const [plan] = rig.plans;
    if (plan === undefined) throw new Error("there is no plan");
    const { listener: second } = await rig.open({ ...plan, port, address: `127.0.0.1:${port}` });
    for (let n = 0; n < 64; n++) client(port);
    await rig.connection(63);
    expect(listener.connections + second.connections).toBe(64);
    expect(Math.min(listener.connections, second.connections)).toBeGreaterThan(0);
  });

  it("an address that is taken is named, with what to do", async () => {
    const taken = net.createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as net.AddressInfo; // it listens on TCP
    const rig = await started(`address: 127.0.0.1:${port}`);
    const opening = rig.open();
    await expect(opening).rejects.toThrow(OperatorError);
    await expect(opening).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}: the address is in use; stop the other process, or start with --takeover`,
    );
  });

  it.each(["", TLS])("clients on a Unix socket have no address (%.3s)", async (more) => {
    const at = path.join(folder, `${more === "" ? "plain" : "tls"}.sock`);
    const rig = await started(`address: "unix:${at}"${more === "" ? "" : `, ${more}`}`);
    await rig.open();
    const socket = client(at);
    if (more !== "") tls.connect({ socket, rejectUnauthorized: false }).on("error", () => {});
    const { channel } = await rig.connection(0);
    expect([channel.peer, channel.secure, rig.peers]).toEqual(["", more !== "", [""]]);
    channel.reset();
    await closed(socket);
  });
});

describe("a PROXY header", () => {
  const V1 = "PROXY TCP4 203.0.113.7 127.0.0.1 49152 80\r\n";
  const V2 = Buffer.from("0d0a0d0a000d0a515549540a2111000ccb0071077f000001c0000050", "hex");
  const HEADERS = [
    ["version 1", Buffer.from(V1)],
    ["version 2", V2],
  ] as const;

  it.each(HEADERS)("of %s names the client, and what stands behind it is read, its end too", async (_, header) => {
    const rig = await started("address: 127.0.0.1:0, proxyProtocol: true");
    const { port } = await rig.open();
    const socket = client(port);
    socket.end(Buffer.concat([header, Buffer.from("GET / HTTP/1.1\r\n\r\n")]));
    const connection = await rig.connection(0);
    await until("the end is read", () => connection.calls.includes("ended"));
    expect([connection.channel.peer, connection.text, rig.peers]).toEqual(["203.0.113.7", "GET / HTTP/1.1\r\n\r\n", ["", "203.0.113.7"]]);
    connection.channel.write("answered");
    connection.channel.end();
    expect(String((await once(socket, "data"))[0])).toBe("answered");
    await closed(socket);
    await until("the address is given back", () => rig.peers.includes("203.0.113.7 left"));
  });

  it.each(HEADERS)("of %s is taken byte by byte, with a long body behind it", async (_, header) => {
    const rig = await started("address: 127.0.0.1:0, proxyProtocol: true");
    const { port } = await rig.open();
    const socket = client(port);
    socket.setNoDelay(true);
    for (const byte of header) await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
    const body = "0123456789".repeat(50_000);
    socket.end(body);
    const connection = await rig.connection(0);
    await until("the end is read", () => connection.calls.includes("ended"));
    expect([connection.channel.peer, connection.text === body]).toEqual(["203.0.113.7", true]);
    connection.channel.destroy();
  });

  it.each(HEADERS)("of %s stands before TLS", async (_, header) => {
    const rig = await started(`address: 127.0.0.1:0, proxyProtocol: true, ${TLS}`);
    const { port } = await rig.open();
    const socket = client(port);
    socket.write(header);
    const secured = tls.connect({ socket, rejectUnauthorized: false });
    secured.on("error", () => {});
    secured.write("inside");
    const connection = await rig.connection(0);
    await until("it is read", () => connection.text === "inside");
    expect([connection.channel.peer, connection.channel.secure]).toEqual(["203.0.113.7", true]);
  });

  it("on a Unix socket too, under TLS as well", async () => {
    const at = path.join(folder, "proxied.sock");
    const rig = await started(`address: "unix:${at}", proxyProtocol: true, ${TLS}`);
    await rig.open();
    const socket = client(at);
    socket.write(V2);
    tls.connect({ socket, rejectUnauthorized: false }).on("error", () => {});
    expect((await rig.connection(0)).channel.peer).toBe("203.0.113.7");
  });

  it.each(["PROXY UNKNOWN\r\n", "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"])(
    "that names nobody leaves the client what it is (%j)",
    async (header) => {
      const rig = await started("address: 127.0.0.1:0, proxyProtocol: true");
      const { port } = await rig.open();
      client(port).write(Buffer.from(`${header}hello`, "latin1"));
      const connection = await rig.connection(0);
      await until("it is read", () => connection.text === "hello");
      expect([connection.channel.peer, rig.peers]).toEqual(["127.0.0.1", [""]]);
    },
  );

  it("is taken once: another one behind it is the client's own", async () => {
    const rig = await started("address: 127.0.0.1:0, proxyProtocol: true");
    const { port } = await rig.open();
    client(port).write(`${V1}PROXY TCP4 198.51.100.9 127.0.0.1 1 2\r\n`);
    const connection = await rig.connection(0);
    await until("it is read", () => connection.text.startsWith("PROXY TCP4 198.51.100.9"));
    expect(connection.channel.peer).toBe("203.0.113.7");
  });

  it("is not taken where it is not configured", async () => {
    const rig = await started("address: 127.0.0.1:0");
    const { port } = await rig.open();
    client(port).write(V1);
    const connection = await rig.connection(0);
    await until("it is read", () => connection.text === V1);
    expect(connection.channel.peer).toBe("127.0.0.1");
  });

  it.each([
    ["no header", "GET / HTTP/1.1\r\n\r\n"],
    ["a broken one", "PROXY TCP4 203.0.113.7 127.0.0.1 49152\r\n"],
  ])("with %s the connection is closed", async (_, bytes) => {
    const rig = await started("address: 127.0.0.1:0, proxyProtocol: true");
    const { port, listener } = await rig.open();
    const socket = client(port);
    socket.write(bytes);
    await closed(socket);
    await until("it is closed", () => listener.connections === 0);
    expect(rig.served).toEqual([]);
  });

  it.each([
    ["nothing", ""],
    ["half of one", "PROXY TCP4"],
  ])("a balancer that sends %s is closed after the time for a head, and when it leaves", async (_, bytes) => {
    const rig = await started("address: 127.0.0.1:0, proxyProtocol: true", "{ headerTimeout: 200ms }");
    const { port, listener } = await rig.open();
    const [stays, leaves] = [client(port), client(port)];
    stays.write(bytes);
    leaves.end(bytes);
    await Promise.all([closed(stays), closed(leaves)]);
    await until("both are closed", () => listener.connections === 0);
    expect(rig.served).toEqual([]);
  });

  it("a client that it names, and that has too many connections, is closed", async () => {
    const rig = await started("address: 127.0.0.1:0, proxyProtocol: true");
    const { port } = await rig.open();
    rig.admits = (peer) => peer === "";
    const socket = client(port);
    socket.write(V1);
    await closed(socket);
    expect([rig.peers, rig.served]).toEqual([["", "203.0.113.7"], []]);
  });
});

describe("HTTP/2 by prior knowledge", () => {
  const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const opened = async (limits?: string, h2 = true) => {
    const rig = await started("address: 127.0.0.1:0, h2c: true", limits);
    return { rig, ...(await rig.open(rig.plans[0], h2 ? {} : { h2: null })) };
  };

  it.each([
    [PREFACE, "h2"],
    [`${PREFACE}\0\0\0\x04\0\0\0\0\0`, "h2"],
    ["GET / HTTP/1.1\r\n\r\n", "http/1.1"],
    ["POST / HTTP/1.1\r\n\r\n", "http/1.1"],
    ["PRI * HTTP/1.1\r\n\r\n", "http/1.1"],
    ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "http/1.1"],
    ["\r\n", "http/1.1"],
  ])("%j is %s, in one piece and byte by byte, and nothing of it is lost", async (bytes, protocol) => {
    const { rig, port } = await opened();
    const [whole, pieces] = [client(port), client(port)];
    whole.end(Buffer.from(bytes, "latin1"));
    pieces.setNoDelay(true);
    for (const byte of Buffer.from(bytes, "latin1")) await new Promise((resolve) => pieces.write(Buffer.of(byte), resolve));
    pieces.end();
    await rig.connection(1);
    await until("both ends are read", () => rig.served.every(({ calls }) => calls.includes("ended")));
    expect(rig.served.map((each) => [each.protocol, each.text])).toEqual([
      [protocol, bytes],
      [protocol, bytes],
    ]);
    for (const { channel } of rig.served) channel.destroy();
    await until("both are closed", () => rig.served.every(({ calls }) => calls.includes("closed")));
  });

  it("a client that does not say which is closed after the time for a head, and when it leaves", async () => {
    const { rig, port, listener } = await opened("{ headerTimeout: 200ms }");
    const [silent, half, leaves] = [client(port), client(port), client(port)];
    half.write(PREFACE.slice(0, 20));
    leaves.end(PREFACE.slice(0, 3));
    await Promise.all([silent, half, leaves].map(closed));
    await until("all are closed", () => listener.connections === 0);
    expect(rig.served).toEqual([]);
  });

  it("is not looked for where it is not spoken", async () => {
    const { rig, port } = await opened("{}", false);
    client(port).write(PREFACE);
    const connection = await rig.connection(0);
    await until("it is read", () => connection.text === PREFACE);
    expect(connection.protocol).toBe("http/1.1");
  });
});
