// Peers that mean harm (RFC 9113 section 10.5), by frames written by hand and a clock that is moved: each flood meets its bound, and honest peers do not.
import net, { type AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import type { Http2Connection } from "../../../../src/base/http2/connection.ts";
import { ERROR_CODE, FRAME, PREFACE } from "../../../../src/base/http2/protocol.ts";
import { serverOn, wireOf } from "../../../support/http2-core.ts";
import {
  Bench,
  block,
  data,
  frame,
  headers,
  ping,
  REQUEST,
  rst,
  settings,
  settingsAck,
  u32,
  windowUpdate,
} from "../../../support/raw-http2.ts";
import { until } from "../../../support/until.ts";

const { enhanceYourCalm: CALM, cancel: CANCEL, noError: NO_ERROR } = ERROR_CODE;
const POST = REQUEST.map(([name, value]) => [name, name === ":method" ? "POST" : value] as const);
const open = (id: number): Buffer => headers(id, POST, { end: false });

/** Sends what `make` gives until the connection fails. @returns how often, and the code; the whole number when it does not fail */
function flood(bench: Bench, count: number, make: (i: number) => Buffer): { readonly sent: number; readonly error: number | null } {
  for (let i = 0; i < count; i++) {
    bench.feed(make(i));
    if (bench.error !== null) return { sent: i + 1, error: bench.error };
  }
  return { sent: count, error: null };
}

describe("by rate", () => {
  it("streams that are opened and reset at once (rapid reset)", () => {
    const bench = Bench.server({ resetsBurst: 50, resetsPerSecond: 10, peerStreamsMax: 1_000_000 });
    const { sent, error } = flood(bench, 10_000, (i) => Buffer.concat([open(2 * i + 1), rst(2 * i + 1, CANCEL)]));
    expect([sent, error]).toEqual([51, CALM]);
  });

  it.each<readonly [what: string, bad: (id: number) => Buffer]>([
    ["WINDOW_UPDATE of 0", (id) => windowUpdate(id, 0)],
    ["a window beyond its bound", (id) => windowUpdate(id, 0x7fffffff)],
    ["PRIORITY of a wrong length", (id) => frame(FRAME.priority, 0, id, "1234")],
    ["DATA beyond content-length", (id) => data(id, "xx")],
    ["HEADERS in the middle", (id) => headers(id, [["a", "b"]], { end: false })],
  ])("streams that we are made to reset, by %s (MadeYouReset)", (_, bad) => {
    const bench = Bench.server({ resetsBurst: 50, resetsPerSecond: 10, peerStreamsMax: 1_000_000 });
    const made = (id: number): Buffer => headers(id, [...POST, ["content-length", "1"]], { end: false });
    const { sent, error } = flood(bench, 10_000, (i) => Buffer.concat([made(2 * i + 1), bad(2 * i + 1)]));
    expect([sent, error]).toEqual([51, CALM]);
  });

  it("requests that are refused, and frames for streams that are gone", () => {
    const refused = Bench.server({ resetsBurst: 50, resetsPerSecond: 10, peerStreamsMax: 0 });
    expect(flood(refused, 10_000, (i) => headers(2 * i + 1, REQUEST))).toEqual({ sent: 51, error: CALM });
    const gone = Bench.server({ resetsBurst: 50, resetsPerSecond: 10 }).feed(headers(999, REQUEST));
    expect(flood(gone, 10_000, (i) => data(2 * i + 1, "x")).error).toBe(CALM);
  });

  it.each<readonly [what: string, make: (i: number) => Buffer]>([
    ["PING", () => ping()],
    ["acknowledgements of pings that nobody sent", () => ping("12345678", true)],
    ["SETTINGS", () => settings([4, 70_000])],
    ["acknowledgements of SETTINGS", () => settingsAck()],
    ["PRIORITY", (i) => frame(FRAME.priority, 0, 2 * i + 3, Buffer.alloc(5))],
    ["empty DATA", () => data(1, "")],
    ["unknown frames", () => frame(0x77, 0, 0, "x")],
    ["WINDOW_UPDATE", () => windowUpdate(0, 1)],
    ["WINDOW_UPDATE of a stream", () => windowUpdate(1, 1)],
    ["GOAWAY", () => frame(FRAME.goAway, 0, 0, Buffer.alloc(8))],
  ])("frames that carry nothing: %s", (_, make) => {
    const bench = Bench.server({ controlFramesBurst: 100, controlFramesPerSecond: 10 }).feed(open(1));
    const { sent, error } = flood(bench, 10_000, make);
    expect(error).toBe(CALM);
    expect(sent).toBeLessThanOrEqual(101);
  });

  it("an honest connection may live for days: what it does at its rate never adds up", () => {
    const bench = Bench.server({ controlFramesBurst: 100, controlFramesPerSecond: 10, resetsBurst: 50, resetsPerSecond: 5 });
    for (let i = 0; i < 20_000; i++) {
      bench.nowMs += 250;
      bench.feed(ping(), open(2 * i + 1), rst(2 * i + 1, CANCEL));
      bench.connection.release();
    }
    expect(bench.error).toBeNull();
  });

  it("a client that reads much may say so often: each DATA frame that it gets is a reason", () => {
    const bench = Bench.server({ controlFramesBurst: 100, controlFramesPerSecond: 0, connectionWindowBytes: 65_535 }).feed(
      headers(1, REQUEST),
    );
    const [stream] = bench.streams;
    bench.connection.head().indexed(8);
    if (stream !== undefined) bench.connection.respond(stream, false);
    for (let i = 0; i < 2000; i++) {
      stream?.write(Buffer.alloc(100), true);
      for (let n = 0; n < 5; n++) bench.feed(windowUpdate(n % 2, 20));
    }
    expect(bench.error).toBeNull();
  });
});

describe("by size", () => {
  it("CONTINUATION without an end: by frames", () => {
    const bench = Bench.server().feed(headers(1, REQUEST, { endHeaders: false }));
    const { sent, error } = flood(bench, 1000, () => frame(FRAME.continuation, 0, 1));
    expect([sent, error]).toEqual([17, CALM]);
  });

  it("CONTINUATION without an end: by bytes", () => {
    const bench = Bench.server({ headerBytesMax: 16_384 }).feed(headers(1, REQUEST, { endHeaders: false }));
    const { sent, error } = flood(bench, 1000, () => frame(FRAME.continuation, 0, 1, Buffer.alloc(16_384)));
    expect([sent, error]).toEqual([2, CALM]);
  });

  it("a block that grows a hundredfold when it is decoded: its section is dropped, and the table stays in step", () => {
    const bench = Bench.server({ headerBytesMax: 16_384 });
    const literal = Buffer.concat([Buffer.from([0x40, 3]), Buffer.from("x-b"), Buffer.from([127, 0x81, 0x1e]), Buffer.alloc(3968, "v")]);
    const indexed = Buffer.alloc(10_000, 0xbe);
    bench.feed(frame(FRAME.headers, 5, 1, Buffer.concat([block(REQUEST), literal, indexed])));
    expect([bench.error, bench.streams[0]?.head?.tooLarge, bench.streams[0]?.head?.fields]).toEqual([null, true, []]);
    bench.feed(frame(FRAME.headers, 5, 3, Buffer.concat([block(REQUEST), Buffer.from([0xbe])])));
    expect(bench.streams[1]?.head?.fields[1]?.length).toBe(3968);
  });

  it("replies that nobody reads: reading stops until they are gone", () => {
    const bench = Bench.server({ controlFramesBurst: 1e9 });
    bench.wire.stuck = 1;
    let sent = 0;
    while (!bench.wire.paused && sent < 10_000) {
      bench.feed(...Array.from({ length: 100 }, () => ping()));
      sent += 100;
    }
    expect(sent).toBe(1000); // 17 bytes each: 16 KiB are reached
    bench.wire.stuck = 0;
    bench.connection.drained();
    expect([bench.wire.paused, bench.error]).toEqual([false, null]);
  });

  it("readers that stall hold no more than their bound, and the others go on", () => {
    const bench = Bench.server({ streamWindowBytes: 65_535, connectionWindowBytes: 131_072, heldBytesMax: 200_000 });
    for (let id = 1; id < 7; id += 2) {
      bench.feed(open(id));
      bench.streams.at(-1)?.pause();
      bench.feed(...Array.from({ length: 4 }, () => data(id, Buffer.alloc(16_000))));
    }
    expect(bench.error).toBeNull();
    bench.feed(open(7));
    for (let i = 0; i < 50; i++) bench.feed(data(7, Buffer.alloc(1000)));
    expect([bench.error, bench.streams.at(-1)?.bodyBytes]).toEqual([null, 50_000]);
    const given = bench.frames().filter(({ type, id }) => type === FRAME.windowUpdate && id === 0);
    const total = given.reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
    expect(total).toBeLessThanOrEqual(200_000 + 50_000);
    for (const stream of bench.streams) stream.resume();
    expect(bench.streams.map(({ bodyBytes }) => bodyBytes)).toEqual([64_000, 64_000, 64_000, 50_000]);
  });

  it("content that a peer's window does not let out is held as whoever wrote it was told, and dropped with its stream", () => {
    const bench = Bench.server().feed(settings([4, 0]), headers(1, REQUEST));
    const [stream] = bench.streams;
    bench.connection.head().indexed(8);
    if (stream === undefined) throw new Error("no stream");
    bench.connection.respond(stream, false);
    expect(stream.write(Buffer.alloc(1000), true)).toBe(false);
    expect(bench.frames().filter(({ type }) => type === FRAME.data)).toEqual([]);
    bench.feed(rst(1, CANCEL), windowUpdate(0, 1000));
    expect([bench.error, stream.waits, bench.frames()]).toEqual([null, false, []]);
  });

  it("nothing more goes to a wire that takes nothing, until it has taken what waits", () => {
    const bench = Bench.server().feed(headers(1, REQUEST));
    const [stream] = bench.streams;
    bench.connection.head().indexed(8);
    if (stream === undefined) throw new Error("no stream");
    bench.connection.respond(stream, false);
    bench.frames();
    bench.wire.stuck = 64 * 1024;
    expect(stream.write(Buffer.alloc(1000), true)).toBe(false);
    expect(bench.frames()).toEqual([]);
    bench.wire.stuck = 0;
    bench.connection.drained();
    expect(bench.frames().map(({ type, payload }) => [type, payload.length])).toEqual([[FRAME.data, 1000]]);
  });
});

describe("a server that means harm", () => {
  it("meets the same bounds", () => {
    const bench = Bench.client({ controlFramesBurst: 100, controlFramesPerSecond: 10 });
    bench.request();
    expect(flood(bench, 1000, () => ping())).toMatchObject({ error: CALM });
    const resetting = Bench.client({ resetsBurst: 50, resetsPerSecond: 1 });
    const openAndReset = (i: number): Buffer => {
      resetting.request();
      return rst(2 * i + 1, NO_ERROR);
    };
    expect(flood(resetting, 1000, openAndReset)).toEqual({ sent: 51, error: CALM });
  });

  it("may take SETTINGS back to no streams at all: nothing is opened, and nothing hangs for those that are", () => {
    const bench = Bench.client().feed(settings([3, 2]));
    const stream = bench.request();
    expect(bench.connection.room).toBe(1);
    bench.feed(settings([3, 0]));
    expect(bench.connection.room).toBeLessThanOrEqual(0);
    bench.feed(frame(FRAME.headers, 5, 1, block([[":status", "200"]])), frame(FRAME.windowUpdate, 0, 0, u32(5)));
    expect([stream.head?.status, bench.error]).toEqual([200, null]);
  });
});

it("over a real socket: whoever sends pings and does not read is not read either, and gets every answer when it reads", async () => {
  const PINGS = 1_000_000; // more than the kernel holds in both directions
  const served = Promise.withResolvers<Http2Connection>();
  const server = net.createServer((socket) => served.resolve(serverOn(socket, () => {}, { controlFramesBurst: 1e9 })));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.pause();
  const all = Buffer.concat([PREFACE, settings(), Buffer.alloc(PINGS * 17, ping())]);
  client.write(all);
  const wire = wireOf(await served.promise);
  await until("reading is paused", () => wire.paused > 0);
  let bytes = 0;
  client.on("data", (chunk: Buffer) => (bytes += chunk.length));
  client.resume();
  await until("all have been answered", () => bytes >= PINGS * 17, 20_000);
  expect(wire.connection?.over).toBe(false);
  client.destroy();
  server.close();
});
