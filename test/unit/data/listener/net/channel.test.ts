// The bytes of client connections, over the stream below a socket and the way that is everybody's, plain and TLS: real sockets, real TLS peers.
import fs from "node:fs";
import net, { type Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import tls, { type TLSSocket } from "node:tls";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { nativeStreamOf } from "../../../../../src/base/native-stream.ts";
import type { Channel } from "../../../../../src/data/listener/net/channel.ts";
import { NativeChannel } from "../../../../../src/data/listener/net/native-channel.ts";
import { StreamChannel } from "../../../../../src/data/listener/net/stream-channel.ts";
import { makeCertificate } from "../../../../support/certificates.ts";
import { KeptConnection } from "../../../../support/net-rig.ts";
import { until } from "../../../../support/until.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-channel-"));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
const files = makeCertificate(folder, "server", ["localhost"]);
const [cert, key] = [fs.readFileSync(files.cert), fs.readFileSync(files.key)];

const terms = { nextIsLast: () => false, answersFor: () => true };

interface Way {
  readonly kind: "native" | "stream";
  readonly secure: boolean;
}

function open(socket: Socket, bottom: Socket, { kind, secure }: Way): Channel {
  const facts = { peer: "127.0.0.1", secure, certificate: null, serverName: "", protocol: "http/1.1" } as const;
  if (kind === "stream") return new StreamChannel(socket, bottom, facts);
  const [stream, kernel] = [nativeStreamOf(socket), nativeStreamOf(bottom)];
  if (stream === null || kernel === null) throw new Error("this Node's streams are not as native-stream.ts knows them");
  return new NativeChannel(socket, { stream, kernel, bottom }, facts);
}

interface Stage {
  readonly port: number;
  connect(): Promise<Socket>;
}

/** @param served called with each connection */
async function stage(way: Way, served: (connection: KeptConnection) => void): Promise<Stage> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
  const take = (socket: Socket, bottom: Socket): void => served(new KeptConnection(open(socket, bottom, way), terms));
  if (way.secure) {
    const secured = tls.createServer({ cert, key });
    secured.on("secureConnection", (socket) => take(socket, (socket as TLSSocket & { _parent: Socket })._parent));
    server.on("connection", (socket) => secured.emit("connection", socket));
  } else server.on("connection", (socket) => take(socket, socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo; // it listens on TCP
  const clients: Socket[] = [];
  onTestFinished(async () => {
    for (const each of clients) each.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const connect = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const client = way.secure
        ? tls.connect({ socket: net.connect({ port, host: "127.0.0.1", allowHalfOpen: true }), rejectUnauthorized: false }, () =>
            resolve(client),
          )
        : net.connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => resolve(client));
      client.on("error", reject);
      clients.push(client);
    });
  return { port, connect };
}

const collected = async (client: Socket): Promise<Buffer> => {
  const parts: Buffer[] = [];
  for await (const part of client) parts.push(part as Buffer);
  return Buffer.concat(parts);
};

/** A byte that depends on the client, the direction and the place. */
const byteAt = (seed: number, at: number): number => (seed * 31 + at * 7 + (at >>> 8) * 13 + (at >>> 16)) & 0xff;

const pattern = (seed: number, from: number, length: number): Buffer => {
  const data = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) data[i] = byteAt(seed, from + i);
  return data;
};

/** Numbers from 0 up to 1, the same in each run. */
function* chances(seed: number): Generator<number, never> {
  for (let state = seed + 1; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

const WAYS: readonly Way[] = [
  { kind: "native", secure: false },
  { kind: "native", secure: true },
  { kind: "stream", secure: false },
  { kind: "stream", secure: true },
];

describe.each(WAYS)("$kind, TLS $secure", (way) => {
  it("bytes of 64 clients never mix, in both directions at once, whoever is slow", async () => {
    const TOTAL = 300_000;
    // The first byte says who it is; what comes is given back, as it is lent, and each client reads and writes at its own pace.
    const { connect } = await stage(way, (connection) => {
      const { channel } = connection;
      connection.onReceived = (buffer, length) => {
        const half = length >> 1;
        channel.cork();
        channel.write(buffer.subarray(0, half));
        channel.write(buffer.subarray(half, length));
        if (!channel.uncork()) channel.pause();
      };
      connection.onDrained = () => channel.resume();
      connection.onEnded = () => channel.end();
    });
    const exchange = async (seed: number): Promise<number> => {
      const client = await connect();
      const chance = chances(seed);
      const slow = seed % 3 === 0;
      let [sent, got, wrong] = [0, 0, 0];
      const writing = async (): Promise<void> => {
        while (sent < TOTAL) {
          const length = Math.min(TOTAL - sent, 1 + Math.floor(chance.next().value * 50_000));
          const more = client.write(pattern(seed, sent, length));
          sent += length;
          if (!more) await new Promise((resolve) => client.once("drain", resolve));
        }
        client.end();
      };
      const reading = async (): Promise<void> => {
        for await (const part of client) {
          for (const byte of part as Buffer) if (byte !== byteAt(seed, got++)) wrong++;
          if (slow && chance.next().value < 0.3) await new Promise((resolve) => setTimeout(resolve, 2));
        }
      };
      await Promise.all([writing(), reading()]);
      expect(got).toBe(TOTAL);
      return wrong;
    };
    const wrong = await Promise.all(Array.from({ length: 64 }, (_, seed) => exchange(seed)));
    expect(wrong).toEqual(new Array(64).fill(0));
  }, 30_000);

  it("what was lent may change as soon as write() has returned, also when nobody reads", async () => {
    const SIZES = [1, 100, 16_384, 16_385, 65_536, 300_000];
    const served: KeptConnection[] = [];
    const { connect } = await stage(way, (connection) => served.push(connection));
    const client = await connect();
    client.pause();
    await until("it is served", () => served.length === 1);
    const { channel } = served[0] as KeptConnection; // it is there
    let total = 0;
    let waits = false;
    for (let round = 0; round < 8 || !waits; round++) {
      for (const size of SIZES) {
        const lent = pattern(9, total, size);
        total += size;
        if (!channel.write(lent)) waits = true;
        lent.fill(0);
      }
    }
    expect(channel.pending).toBeGreaterThan(0);
    channel.end();
    const all = await collected(client);
    expect(all.length).toBe(total);
    expect(all.equals(pattern(9, 0, total))).toBe(true);
    expect(channel.pending).toBe(0);
  });

  it("text goes out as latin1, and what is kept is not copied but sent as it stands", async () => {
    const { connect } = await stage(way, ({ channel }) => {
      channel.write("é\xff\0");
      channel.write(Buffer.alloc(40_000, "k"), true);
      channel.cork();
      channel.cork();
      channel.write("head");
      channel.write(Buffer.from("body"));
      channel.uncork();
      channel.write("!");
      channel.uncork();
      channel.write("");
      channel.end();
      channel.write("too late");
    });
    expect((await collected(await connect())).toString("latin1")).toBe(`é\xff\0${"k".repeat(40_000)}headbody!`);
  });

  it("a client that has ended is still answered, and then both sides are closed", async () => {
    const served: KeptConnection[] = [];
    const { connect } = await stage(way, (connection) => {
      served.push(connection);
      connection.onEnded = () => {
        connection.channel.write(Buffer.alloc(1_000_000, "a"));
        connection.channel.end();
      };
    });
    const client = await connect();
    client.end("all I have");
    expect((await collected(client)).length).toBe(1_000_000);
    await until("it is closed", () => served[0]?.calls.includes("closed") === true);
    expect(served[0]?.text).toBe("all I have");
    expect(served[0]?.calls.filter((call) => call !== "drained")).toEqual(["ended", "closed"]);
  });

  it("a connection that we have ended is read on until the client ends it", async () => {
    const served: KeptConnection[] = [];
    const { connect } = await stage(way, (connection) => {
      served.push(connection);
      connection.channel.write("bye");
      connection.channel.end();
    });
    const client = await connect();
    expect((await collected(client)).toString()).toBe("bye");
    client.write("one more thing");
    await until("it is read", () => served[0]?.text === "one more thing");
    expect(served[0]?.channel.closed).toBe(false);
    client.end();
    await until("it is closed", () => served[0]?.calls.includes("closed") === true);
    expect(served[0]?.calls.filter((call) => call !== "drained")).toEqual(["ended", "closed"]);
  });

  it("while it is paused, nothing is read and the client has to wait; then all of it comes", async () => {
    const served: KeptConnection[] = [];
    const { connect } = await stage(way, (connection) => {
      served.push(connection);
      connection.channel.pause();
    });
    const client = await connect();
    const data = pattern(3, 0, 8_000_000);
    client.end(data);
    await until("it is served", () => served.length === 1);
    const connection = served[0] as KeptConnection; // it is there
    await until("the client has to wait", () => client.writableLength > 1_000_000);
    expect(connection.text.length).toBeLessThanOrEqual(131_072);
    connection.channel.resume();
    await until("it has ended", () => connection.calls.includes("ended"));
    expect(Buffer.from(connection.text, "latin1").equals(data)).toBe(true);
    connection.channel.end();
  });

  it("a reader that is exchanged while it is called hears no more of the connection", async () => {
    const late: string[] = [];
    const served: KeptConnection[] = [];
    const { connect } = await stage(way, (connection) => {
      served.push(connection);
      connection.onReceived = (buffer, length) => {
        connection.text += buffer.toString("latin1", 0, length);
        connection.channel.reader = {
          received: (bytes, count) => late.push(bytes.toString("latin1", 0, count)),
          ended: () => late.push("ended"),
          drained() {},
          closed: () => late.push("closed"),
        };
        connection.channel.write("go on");
      };
    });
    const client = await connect();
    client.write("first");
    client.once("data", () => client.end("second"));
    await until("the end is read", () => late.includes("ended"));
    served[0]?.channel.destroy();
    await until("it is closed", () => late.includes("closed"));
    expect([served[0]?.text, ...late]).toEqual(["first", "second", "ended", "closed"]);
    expect(served[0]?.calls).toEqual([]);
  });

  it("a reset reaches the client as one, and closes once", async () => {
    const served: KeptConnection[] = [];
    const { connect } = await stage(way, (connection) => served.push(connection));
    const client = await connect();
    const broken = new Promise<NodeJS.ErrnoException>((resolve) => client.on("error", resolve));
    await until("it is served", () => served.length === 1);
    const { channel, calls } = served[0] as KeptConnection; // it is there
    channel.write("half of it");
    channel.reset();
    channel.reset();
    channel.destroy();
    channel.write("too late");
    channel.resume();
    channel.pause();
    channel.end();
    expect(channel.closed).toBe(true);
    client.resume();
    expect((await broken).code).toBe("ECONNRESET");
    await until("it is closed", () => calls.includes("closed"));
    expect(calls).toEqual(["closed"]);
  });

  it("a client that breaks off is noticed, while it is written to as well", async () => {
    const served: KeptConnection[] = [];
    const { connect } = await stage(way, (connection) => served.push(connection));
    const client = await connect();
    client.pause();
    await until("it is served", () => served.length === 1);
    const { channel, calls } = served[0] as KeptConnection; // it is there
    while (channel.write(Buffer.alloc(500_000)));
    client.destroy();
    await until("it is closed", () => calls.includes("closed"));
    expect(calls).toEqual(["closed"]);
    expect(channel.pending).toBe(0);
  });
});

it.each(["native", "stream"] as const)("what is written while corked is one record of TLS (%s)", async (kind) => {
  const { port } = await stage({ kind, secure: true }, ({ channel }) => {
    channel.cork();
    channel.write("head of the answer\r\n\r\n");
    channel.write(Buffer.from("its body"));
    channel.uncork();
    channel.write("behind it");
    channel.end();
  });
  // Counts records of application data on the way: type 23, two bytes of version, two of length (RFC 8446 section 5.1).
  const records: number[] = [];
  let rest = Buffer.alloc(0);
  const count = (chunk: Buffer): void => {
    for (rest = Buffer.concat([rest, chunk]); rest.length >= 5; rest = rest.subarray(5 + rest.readUInt16BE(3))) {
      if (rest.length < 5 + rest.readUInt16BE(3)) return;
      if (rest[0] === 23) records.push(rest.readUInt16BE(3));
    }
  };
  const relay = net.createServer((near) => {
    const far = net.connect(port, "127.0.0.1");
    far.on("data", count);
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void relay.close());
  // TLS 1.2: under 1.3 the handshake and its tickets are records of the same type.
  const client = tls.connect({ port: (relay.address() as net.AddressInfo).port, rejectUnauthorized: false, maxVersion: "TLSv1.2" });
  expect((await collected(client)).toString()).toBe("head of the answer\r\n\r\nits bodybehind it");
  expect(records).toHaveLength(2);
});
