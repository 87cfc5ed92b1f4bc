// What frames do to a connection and its streams, each row one rule with its section of RFC 9113, as h2spec has them and beyond: bytes in, frames out, no socket.
import { describe, expect, it } from "vitest";
import { ERROR_CODE, FRAME, PREFACE } from "../../../../src/base/http2/protocol.ts";
import {
  Bench,
  block,
  data,
  frame,
  goAway,
  headers,
  ping,
  REQUEST,
  rst,
  settings,
  settingsAck,
  u32,
  windowUpdate,
} from "../../../support/raw-http2.ts";

const {
  protocolError: PROTOCOL,
  flowControlError: FLOW,
  streamClosed: CLOSED,
  frameSizeError: SIZE,
  compressionError: COMPRESSION,
  refusedStream: REFUSED,
  enhanceYourCalm: CALM,
  cancel: CANCEL,
  noError: NO_ERROR,
} = ERROR_CODE;

const POST = REQUEST.map(([name, value]) => [name, name === ":method" ? "POST" : value] as const);
const open = (id = 1): Buffer => headers(id, POST, { end: false });
const with_ = (...fields: readonly (readonly [string, string])[]): (readonly [string, string])[] => [...REQUEST, ...fields];
const without = (name: string): (readonly [string, string])[] => REQUEST.filter((field) => field[0] !== name);
const padded = (type: number, flags: number, pad: number, payload: Buffer, given = pad): Buffer =>
  frame(type, flags | 8, 1, Buffer.concat([Buffer.from([given]), payload, Buffer.alloc(pad)]));

describe("errors of the connection, as a server has them", () => {
  it.each<readonly [section: string, what: string, bytes: readonly Buffer[], code: number]>([
    ["4.1", "a frame beyond our frame size", [frame(0x50, 0, 0, Buffer.alloc(16_385))], SIZE],
    ["4.3", "a block that cannot be decoded", [frame(FRAME.headers, 5, 1, Buffer.from([0x80]))], COMPRESSION],
    ["4.3", "a block in trailers that cannot be decoded", [open(), frame(FRAME.headers, 5, 1, Buffer.from([0xff, 0xff]))], COMPRESSION],
    ["5.1", "DATA on an idle stream", [data(1, "x")], PROTOCOL],
    ["5.1", "RST_STREAM on an idle stream", [rst(1, CANCEL)], PROTOCOL],
    ["5.1", "WINDOW_UPDATE on an idle stream", [windowUpdate(1, 1)], PROTOCOL],
    ["5.1", "CONTINUATION on an idle stream", [frame(FRAME.continuation, 4, 1, block(REQUEST))], PROTOCOL],
    ["5.1.1", "an even stream opened by a client", [headers(2, REQUEST)], PROTOCOL],
    ["6.1", "DATA on stream 0", [data(0, "x")], PROTOCOL],
    ["6.1", "padding longer than DATA", [open(), padded(FRAME.data, 0, 0, Buffer.from("ab"), 3)], PROTOCOL],
    ["6.1", "padded DATA without the length of its padding", [open(), frame(FRAME.data, 8, 1)], SIZE],
    ["6.2", "HEADERS on stream 0", [headers(0, REQUEST)], PROTOCOL],
    ["6.2", "padding longer than HEADERS", [padded(FRAME.headers, 5, 0, block(REQUEST), 255)], PROTOCOL],
    ["6.2", "HEADERS with priority, cut", [frame(FRAME.headers, 0x25, 1, "abc")], SIZE],
    ["6.2", "DATA between HEADERS and CONTINUATION", [open(), headers(3, REQUEST, { endHeaders: false }), data(1, "x")], PROTOCOL],
    ["6.2", "PING between HEADERS and CONTINUATION", [headers(1, REQUEST, { endHeaders: false }), ping()], PROTOCOL],
    ["6.2", "CONTINUATION of another stream", [headers(1, REQUEST, { endHeaders: false }), frame(FRAME.continuation, 4, 3)], PROTOCOL],
    ["6.2", "an unknown frame between HEADERS and CONTINUATION", [headers(1, REQUEST, { endHeaders: false }), frame(0x99, 0, 0)], PROTOCOL],
    ["6.3", "PRIORITY on stream 0", [frame(FRAME.priority, 0, 0, "12345")], PROTOCOL],
    ["6.4", "RST_STREAM on stream 0", [rst(0, CANCEL)], PROTOCOL],
    ["6.4", "RST_STREAM of 3 bytes", [open(), frame(FRAME.rstStream, 0, 1, "123")], SIZE],
    ["6.5", "SETTINGS on a stream", [frame(FRAME.settings, 0, 1)], PROTOCOL],
    ["6.5", "an acknowledgement that is not empty", [frame(FRAME.settings, 1, 0, "123456")], SIZE],
    ["6.5", "SETTINGS that are cut", [frame(FRAME.settings, 0, 0, "12345")], SIZE],
    ["6.5.2", "ENABLE_PUSH of 2", [settings([2, 2])], PROTOCOL],
    ["6.5.2", "INITIAL_WINDOW_SIZE beyond 2^31-1", [settings([4, 0x80000000])], FLOW],
    ["6.5.2", "MAX_FRAME_SIZE below 16,384", [settings([5, 16_383])], PROTOCOL],
    ["6.5.2", "MAX_FRAME_SIZE beyond 2^24-1", [settings([5, 16_777_216])], PROTOCOL],
    ["8441 3", "ENABLE_CONNECT_PROTOCOL of 2", [settings([8, 2])], PROTOCOL],
    ["8441 3", "ENABLE_CONNECT_PROTOCOL taken back", [settings([8, 1]), settings([8, 0])], PROTOCOL],
    ["6.6", "PUSH_PROMISE of a client", [open(), frame(FRAME.pushPromise, 4, 1, u32(2))], PROTOCOL],
    ["6.7", "PING on a stream", [frame(FRAME.ping, 0, 1, "12345678")], PROTOCOL],
    ["6.7", "PING of 7 bytes", [frame(FRAME.ping, 0, 0, "1234567")], SIZE],
    ["6.8", "GOAWAY on a stream", [frame(FRAME.goAway, 0, 1, Buffer.alloc(8))], PROTOCOL],
    ["6.8", "GOAWAY of 7 bytes", [frame(FRAME.goAway, 0, 0, Buffer.alloc(7))], SIZE],
    ["6.9", "WINDOW_UPDATE of 0 on the connection", [windowUpdate(0, 0)], PROTOCOL],
    ["6.9", "WINDOW_UPDATE of 3 bytes", [frame(FRAME.windowUpdate, 0, 0, "123")], SIZE],
    ["6.9.1", "the connection's window beyond 2^31-1", [windowUpdate(0, 0x7fffffff)], FLOW],
    ["6.9.2", "a stream's window beyond 2^31-1 by SETTINGS", [open(), windowUpdate(1, 0x7fff0000), settings([4, 0x7fffffff])], FLOW],
    ["6.10", "CONTINUATION behind END_HEADERS", [open(), frame(FRAME.continuation, 4, 1, block([["a", "b"]]))], PROTOCOL],
  ])("%s: %s", (_, __, bytes, code) => {
    const bench = Bench.server().feed(...bytes);
    expect(bench.error).toBe(code);
    const last = bench.frames().at(-1);
    expect([last?.type, last?.payload.readUInt32BE(4), bench.wire.ended]).toEqual([FRAME.goAway, code, true]);
    bench.feed(headers(101, REQUEST), ping());
    expect(bench.frames()).toEqual([]); // nothing is read any more
  });

  it.each<readonly [what: string, bytes: readonly Buffer[]]>([
    ["another preface", [Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")]],
    ["a frame that is not SETTINGS first", [PREFACE, ping()]],
    ["DATA first", [PREFACE, data(1, "x")]],
    ["an acknowledgement first", [PREFACE, settingsAck()]],
  ])("3.4: %s", (_, bytes) => {
    const bench = Bench.server({}, false).feed(...bytes);
    expect(bench.error).toBe(PROTOCOL);
  });

  it("6.9.1: more DATA than the connection's window", () => {
    const bench = Bench.server({ connectionWindowBytes: 65_535, streamWindowBytes: 1_000_000, heldBytesMax: 0 }).feed(open(), open(3));
    for (const stream of bench.streams) stream.pause();
    bench.feed(...Array.from({ length: 4 }, (_, i) => data(i < 2 ? 1 : 3, Buffer.alloc(16_384))));
    expect(bench.error).toBe(FLOW);
  });
});

describe("errors of a stream, as a server has them, and the connection goes on", () => {
  it.each<readonly [section: string, what: string, bytes: readonly Buffer[], code: number]>([
    ["5.1", "DATA behind END_STREAM", [headers(1, POST), data(1, "x")], CLOSED],
    ["5.1", "HEADERS behind END_STREAM", [headers(1, POST), headers(1, REQUEST)], CLOSED],
    ["5.1", "DATA behind the peer's RST_STREAM", [open(), rst(1, CANCEL), data(1, "x")], CLOSED],
    ["5.1", "HEADERS behind the peer's RST_STREAM", [open(), rst(1, CANCEL), headers(1, REQUEST)], CLOSED],
    ["5.1.1", "a stream below one that was opened", [headers(5, REQUEST), headers(1, REQUEST)], CLOSED],
    ["6.3", "PRIORITY of 4 bytes", [open(), frame(FRAME.priority, 0, 1, "1234")], SIZE],
    ["6.9", "WINDOW_UPDATE of 0", [open(), windowUpdate(1, 0)], PROTOCOL],
    ["6.9.1", "a window beyond 2^31-1", [open(), windowUpdate(1, 0x7fffffff)], FLOW],
    ["8.1", "HEADERS in the middle of a body", [open(), headers(1, [["a", "b"]], { end: false })], PROTOCOL],
    ["8.1", "a pseudo-header field in trailers", [open(), headers(1, [[":path", "/"]])], PROTOCOL],
    [
      "8.1.1",
      "content-length that DATA exceeds",
      [headers(1, [...POST, ["content-length", "1"]], { end: false }), data(1, "ab")],
      PROTOCOL,
    ],
    [
      "8.1.1",
      "content-length that DATA falls short of",
      [headers(1, [...POST, ["content-length", "3"]], { end: false }), data(1, "ab", true)],
      PROTOCOL,
    ],
    ["8.1.1", "content-length with END_STREAM", [headers(1, [...POST, ["content-length", "3"]])], PROTOCOL],
    [
      "8.1.1",
      "content-length with trailers only",
      [headers(1, [...POST, ["content-length", "3"]], { end: false }), headers(1, [["a", "b"]])],
      PROTOCOL,
    ],
    ["8.2.1", "an uppercase name", [headers(1, with_(["X-A", "1"]))], PROTOCOL],
    ["8.2.1", "a value with LF", [headers(1, with_(["x-a", "1\n2"]))], PROTOCOL],
    ["8.2.2", "connection", [headers(1, with_(["connection", "keep-alive"]))], PROTOCOL],
    ["8.2.2", "te with another value", [headers(1, with_(["te", "gzip"]))], PROTOCOL],
    ["8.3", "an unknown pseudo-header field", [headers(1, with_([":test", "1"]))], PROTOCOL],
    ["8.3", "a pseudo-header field of responses", [headers(1, with_([":status", "200"]))], PROTOCOL],
    ["8.3", "a pseudo-header field behind a regular one", [headers(1, [["x-a", "1"], ...REQUEST])], PROTOCOL], // biome-ignore format: a row
    ["8.3.1", "no :method", [headers(1, without(":method"))], PROTOCOL],
    ["8.3.1", "no :scheme", [headers(1, without(":scheme"))], PROTOCOL],
    ["8.3.1", "no :path", [headers(1, without(":path"))], PROTOCOL],
    ["8.3.1", "an empty :path", [headers(1, [...without(":path"), [":path", ""]])], PROTOCOL],
    ["8.3.1", ":path twice", [headers(1, [...REQUEST, [":path", "/"]])], PROTOCOL],
    ["8.5", "CONNECT with :path", [headers(1, [[":method", "CONNECT"], [":authority", "a:1"], [":path", "/"]])], PROTOCOL], // biome-ignore format: a row
    ["8.5", "CONNECT without :authority", [headers(1, [[":method", "CONNECT"]])], PROTOCOL],
    [
      "8441 4",
      ":protocol that was not allowed",
      [headers(1, [...REQUEST.slice(1), [":method", "CONNECT"], [":protocol", "websocket"]])],
      PROTOCOL,
    ],
  ])("%s: %s", (_, __, bytes, code) => {
    const bench = Bench.server().feed(...bytes);
    expect(bench.resets()).toEqual({ 1: code });
    expect(bench.error).toBeNull();
    bench.feed(headers(101, REQUEST));
    expect(bench.streams.at(-1)?.head?.path).toBe("/");
  });

  it("6.9.1: more DATA than a stream's window", () => {
    const bench = Bench.server({ streamWindowBytes: 65_535 }).feed(open());
    bench.streams[0]?.pause();
    bench.feed(...Array.from({ length: 4 }, () => data(1, Buffer.alloc(16_384))));
    expect([bench.error, bench.resets()]).toEqual([null, { 1: FLOW }]);
  });

  it("5.1.2: a stream beyond those that may be open is refused, and counts until its handler has ended, reset or not", () => {
    const bench = Bench.server({ peerStreamsMax: 2 }).feed(open(1), open(3), open(5));
    expect(bench.resets()).toEqual({ 5: REFUSED });
    bench.feed(rst(1, CANCEL), rst(3, CANCEL), open(7));
    expect(bench.resets()).toEqual({ 7: REFUSED });
    bench.connection.release();
    bench.feed(open(9));
    expect([bench.resets(), bench.streams.length]).toEqual([{}, 3]);
  });

  it("a stream that its owner refuses gets REFUSED_STREAM", () => {
    const bench = Bench.server();
    bench.refuses = true;
    bench.feed(headers(1, REQUEST));
    expect(bench.resets()).toEqual({ 1: REFUSED });
  });
});

describe("what a server takes", () => {
  it.each<readonly [section: string, what: string, bytes: readonly Buffer[]]>([
    ["4.1", "unknown frames, on streams and without", [frame(0x99, 0xff, 0, "x"), open(), frame(0x99, 0xff, 1, "x")]],
    ["4.1", "the reserved bit of an identifier", [frame(FRAME.ping, 0, 0x80000000, "12345678"), open()]],
    ["5.1", "PRIORITY on an idle stream", [frame(FRAME.priority, 0, 9, Buffer.concat([u32(1), Buffer.from([1])])), open()]],
    ["5.1", "WINDOW_UPDATE behind the end", [headers(1, POST), windowUpdate(1, 100)]],
    ["5.1", "RST_STREAM twice", [open(), open(3), rst(3, CANCEL), rst(3, CANCEL)]],
    [
      "5.3",
      "HEADERS with a priority, of itself too",
      [frame(FRAME.headers, 0x24, 1, Buffer.concat([u32(1), Buffer.from([1]), block(POST)]))],
    ],
    ["6.1", "padded DATA", [open(), padded(FRAME.data, 0, 3, Buffer.from("x"))]],
    ["6.2", "padded HEADERS", [padded(FRAME.headers, 4, 9, block(POST))]],
    ["6.5.2", "unknown settings", [settings([0x99, 1], [0x6, 100]), open()]],
    ["6.8", "GOAWAY", [open(), goAway(0, NO_ERROR)]],
    ["6.10", "a block in many frames, one of them empty", [
      frame(FRAME.headers, 0, 1, block(POST).subarray(0, 5)),
      frame(FRAME.continuation, 0, 1),
      frame(FRAME.continuation, 0, 1, block(POST).subarray(5, 9)),
      frame(FRAME.continuation, 4, 1, block(POST).subarray(9)),
    ]], // biome-ignore format: a row
    ["8.5", "CONNECT", [headers(1, [[":method", "CONNECT"], [":authority", "a:1"]], { end: false })]], // biome-ignore format: a row
  ])("%s: %s", (_, __, bytes) => {
    const bench = Bench.server().feed(...bytes);
    expect([bench.error, bench.resets(), bench.streams.length]).toEqual([null, {}, bench.streams.length]);
    expect(bench.streams[0]?.head?.method).toMatch(/POST|CONNECT/);
  });

  it("extended CONNECT where it was allowed (RFC 8441)", () => {
    const bench = Bench.server({ extendedConnect: true });
    bench.feed(headers(1, [...REQUEST.slice(1), [":method", "CONNECT"], [":protocol", "websocket"]], { end: false }));
    expect([bench.resets(), bench.streams[0]?.head?.protocol]).toEqual([{}, "websocket"]);
  });

  it("PING and SETTINGS are acknowledged", () => {
    const bench = Bench.server().feed(ping("abcdefgh"), settings());
    expect(bench.frames().map(({ type, flags, payload }) => [type, flags, payload.toString()])).toEqual([
      [FRAME.ping, 1, "abcdefgh"],
      [FRAME.settings, 1, ""],
    ]);
  });

  it("a head beyond its bound comes with nothing but that it is too large, and the next block is understood", () => {
    const bench = Bench.server({ headerBytesMax: 300 }).feed(headers(1, with_(["x-a", "v".repeat(400)])), headers(3, REQUEST));
    expect(bench.streams.map(({ head }) => [head?.tooLarge, head?.path])).toEqual([
      [true, expect.anything()],
      [false, "/"],
    ]);
  });

  it("8.1: what a client sends on behind an early answer is dropped and given back, and NO_ERROR tells it to stop", async () => {
    const bench = Bench.server({ connectionWindowBytes: 65_535 }).feed(open());
    const [stream] = bench.streams;
    const head = bench.connection.head();
    head.named(8, "413");
    if (stream === undefined) throw new Error("no stream");
    bench.connection.respond(stream, false);
    stream.ignoreRest();
    bench.feed(...Array.from({ length: 3 }, () => data(1, Buffer.alloc(12_000))));
    stream.end(null);
    const frames = bench.frames();
    expect(frames.filter(({ id }) => id === 1).map(({ type, flags }) => [type, flags])).toEqual([
      [FRAME.headers, 4],
      [FRAME.windowUpdate, 0],
      [FRAME.data, 1],
      [FRAME.rstStream, 0],
    ]);
    expect(frames.find(({ type }) => type === FRAME.rstStream)?.payload.readUInt32BE(0)).toBe(NO_ERROR);
    bench.feed(...Array.from({ length: 3 }, () => data(1, Buffer.alloc(12_000))));
    expect([bench.error, bench.resets(), stream.bodyBytes]).toEqual([null, {}, 0]);
  });

  it("6.9: DATA for streams that are gone never starves the others", () => {
    const bench = Bench.server({ connectionWindowBytes: 65_535, streamWindowBytes: 65_535 });
    for (let id = 1; id < 60; id += 2) {
      bench.feed(open(id));
      bench.streams.at(-1)?.reset(CANCEL);
      bench.feed(data(id, Buffer.alloc(16_000)), data(id, Buffer.alloc(16_000), true));
      bench.connection.release();
    }
    expect(bench.error).toBeNull();
  });

  it("6.8: draining says so twice, with a round trip between: what is under way is taken, what comes later is not looked at", () => {
    const bench = Bench.server().feed(open(1));
    bench.connection.drain();
    const [first, probe] = bench.frames();
    expect([first?.type, first?.payload.readUInt32BE(0), probe?.type]).toEqual([FRAME.goAway, 0x7fffffff, FRAME.ping]);
    bench.feed(open(3));
    bench.feed(frame(FRAME.ping, 1, 0, probe?.payload));
    const [second] = bench.frames();
    expect([second?.type, second?.payload.readUInt32BE(0), second?.payload.readUInt32BE(4)]).toEqual([FRAME.goAway, 3, NO_ERROR]);
    bench.feed(open(5), data(5, "x"));
    expect([bench.frames(), bench.streams.length, bench.wire.ended, bench.error]).toEqual([[], 2, false, null]);
    for (const stream of bench.streams) stream.reset(CANCEL);
    expect(bench.wire.ended).toBe(false);
    bench.connection.release();
    bench.connection.release();
    expect(bench.wire.ended).toBe(true);
  });
});

describe("as a client has them", () => {
  const OK = block([[":status", "200"]]);
  const response = (flags: number, fields = OK): Buffer => frame(FRAME.headers, flags, 1, fields);

  it.each<readonly [section: string, what: string, bytes: readonly Buffer[], code: number]>([
    ["3.4", "a first frame that is not SETTINGS", [ping()], PROTOCOL],
    ["5.1.1", "a stream that a server opens", [settings(), frame(FRAME.headers, 5, 2, OK)], PROTOCOL],
    ["5.1", "HEADERS on an idle stream", [settings(), frame(FRAME.headers, 5, 7, OK)], PROTOCOL],
    ["6.5.2", "ENABLE_PUSH of 1", [settings([2, 1])], PROTOCOL],
    ["8.4", "PUSH_PROMISE", [settings(), frame(FRAME.pushPromise, 4, 1, u32(2))], PROTOCOL],
  ])("%s: %s ends the connection, and every stream learns of it", async (_, __, bytes, code) => {
    const bench = Bench.client({}, false);
    const stream = bench.request();
    bench.feed(...bytes);
    expect([bench.error, await stream.reset$.promise]).toMatchObject([code, { kind: "lost" }]);
  });

  it.each<readonly [section: string, what: string, bytes: readonly Buffer[], code: number]>([
    ["8.1", "DATA before a head", [data(1, "x")], PROTOCOL],
    ["8.1", "an informational response at the end", [response(5, block([[":status", "103"]]))], PROTOCOL],
    ["8.3.2", "no :status", [response(5, block([["x-a", "1"]]))], PROTOCOL],
    ["8.3.2", "a status that is none", [response(5, block([[":status", "20"]]))], PROTOCOL],
    ["8.3.2", "a pseudo-header field of requests", [response(5, block([[":status", "200"], [":path", "/"]]))], PROTOCOL], // biome-ignore format: a row
    ["8.6", "status 101", [response(4, block([[":status", "101"]]))], PROTOCOL],
    ["8.1.1", "less DATA than content-length", [response(4, block([[":status", "200"], ["content-length", "2"]])), data(1, "x", true)], PROTOCOL], // biome-ignore format: a row
    ["8.2.2", "transfer-encoding", [response(5, block([[":status", "200"], ["transfer-encoding", "chunked"]]))], PROTOCOL], // biome-ignore format: a row
    ["10.5.1", "a head beyond its bound", [response(5, block([[":status", "200"], ["x-a", "v".repeat(20_000)]]).subarray(0, 16_000))], COMPRESSION], // biome-ignore format: a row
  ])("%s: %s fails its stream", async (_, __, bytes, code) => {
    const bench = Bench.client();
    const stream = bench.request();
    bench.feed(...bytes);
    if (code === COMPRESSION) return expect(bench.error).toBe(code);
    expect([bench.error, bench.resets(), await stream.reset$.promise]).toMatchObject([null, { 1: code }, { kind: "fault", code }]);
  });

  it("10.5: more informational responses than anybody needs fail their stream", async () => {
    const bench = Bench.client();
    const stream = bench.request();
    for (let i = 0; i < 17; i++) bench.feed(response(4, block([[":status", "103"]])));
    expect([stream.informational.length, bench.resets()]).toEqual([16, { 1: CALM }]);
  });

  it("6.8: GOAWAY tells the streams beyond its last one that they were not looked at; the others go on", async () => {
    const bench = Bench.client();
    const streams = [bench.request(), bench.request(), bench.request()];
    bench.feed(goAway(3, NO_ERROR));
    expect(await streams[2]?.reset$.promise).toMatchObject({ kind: "unprocessed" });
    bench.feed(frame(FRAME.headers, 5, 1, OK), frame(FRAME.headers, 5, 3, OK));
    expect([streams[0]?.head?.status, streams[1]?.head?.status, bench.connection.room]).toEqual([200, 200, 0]);
  });

  it("8.1: a whole response stays although RST_STREAM follows it, also for a reader that is paused", async () => {
    const bench = Bench.client();
    const stream = bench.request(false);
    stream.pause();
    bench.feed(response(4), data(1, "all", true), rst(1, NO_ERROR));
    expect(stream.bodyBytes).toBe(0);
    stream.resume();
    expect([await stream.over$.promise, stream.body.toString(), bench.connection.streams.size]).toEqual([null, "all", 0]);
  });

  it("6.9: content goes out as windows allow, in turns, and trailers behind it", () => {
    const bench = Bench.client({}, false).feed(settings([4, 10]));
    const [one, two] = [bench.request(false), bench.request(false)];
    expect([one.write(Buffer.from("1".repeat(15)), true), two.write(Buffer.from("2".repeat(15)), true)]).toEqual([false, false]);
    one.end(["x-sum", "1"]);
    two.end(null);
    bench.frames();
    bench.feed(windowUpdate(1, 3), windowUpdate(3, 100), windowUpdate(1, 100));
    const shown = bench.frames().map(({ type, flags, id, payload }) => [type, flags, id, type === FRAME.data ? payload.toString() : ""]);
    expect(shown).toEqual([
      [FRAME.data, 0, 1, "111"],
      [FRAME.data, 1, 3, "22222"],
      [FRAME.data, 0, 1, "11"],
      [FRAME.headers, 5, 1, ""],
    ]);
  });

  it("6.9.2: a window made smaller goes below 0, and opens by what exceeds that", () => {
    const bench = Bench.client({}, false).feed(settings([4, 10]));
    const stream = bench.request(false);
    stream.write(Buffer.alloc(20), true);
    bench.frames();
    bench.feed(settings([4, 2]), windowUpdate(1, 8));
    expect(bench.frames().filter(({ type }) => type === FRAME.data)).toEqual([]);
    bench.feed(windowUpdate(1, 1));
    expect(bench.frames().map(({ payload }) => payload.length)).toEqual([1]);
  });
});
