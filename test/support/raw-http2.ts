// Frames of HTTP/2 written and read byte by byte, and our connection on a wire that is memory: for tests that break rules.
import { type Http2Bounds, Http2Connection, type Http2Host } from "../../src/base/http2/connection.ts";
import type { Http2Wire } from "../../src/base/http2/frame-writer.ts";
import type { HpackEncoder } from "../../src/base/http2/hpack-encoder.ts";
import { FRAME, PREFACE } from "../../src/base/http2/protocol.ts";
import { BOUNDS, CollectingStream, HOST } from "./http2-core.ts";

export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, id: number, payload: Buffer | string = ""): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;
  const header = Buffer.alloc(9);
  header.writeUIntBE(body.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, body]);
}

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export const settings = (...pairs: readonly (readonly [id: number, value: number])[]): Buffer =>
  frame(FRAME.settings, 0, 0, Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.from([id >> 8, id & 255]), u32(value)]))));
export const settingsAck = (): Buffer => frame(FRAME.settings, 1, 0);
export const ping = (payload = "12345678", ack = false): Buffer => frame(FRAME.ping, ack ? 1 : 0, 0, payload);
export const rst = (id: number, code: number): Buffer => frame(FRAME.rstStream, 0, id, u32(code));
export const windowUpdate = (id: number, bytes: number): Buffer => frame(FRAME.windowUpdate, 0, id, u32(bytes));
export const goAway = (lastId: number, code: number, reason = ""): Buffer =>
  frame(FRAME.goAway, 0, 0, Buffer.concat([u32(lastId), u32(code), Buffer.from(reason)]));
export const data = (id: number, payload: Buffer | string, end = false): Buffer => frame(FRAME.data, end ? 1 : 0, id, payload);

/** A field block of literals without indexing; names and values are not checked. */
export function block(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value, "latin1");
    if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
    const prefix = [127];
    let rest = bytes.length - 127;
    for (; rest >= 128; rest >>>= 7) prefix.push(128 | (rest & 127));
    return Buffer.concat([Buffer.from([...prefix, rest]), bytes]);
  };
  return Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.from([0]), text(name), text(value)])));
}

export const REQUEST: readonly (readonly [string, string])[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "a.example"],
  [":path", "/"],
];

export const headers = (
  id: number,
  fields: readonly (readonly [string, string])[],
  { end = true, endHeaders = true }: { readonly end?: boolean; readonly endHeaders?: boolean } = {},
): Buffer => frame(FRAME.headers, (end ? 1 : 0) | (endHeaders ? 4 : 0), id, block(fields));

/** A wire that takes as much as it is told. */
export class MemoryWire implements Http2Wire {
  connection: Http2Connection | null = null;
  readonly written: Buffer[] = [];
  /** What of it the kernel does not take. */
  stuck = 0;
  paused = false;
  ended = false;
  due = false;

  get pending(): number {
    return this.stuck;
  }

  send(bytes: Buffer): boolean {
    this.written.push(Buffer.from(bytes));
    return true;
  }

  flushLater(): void {
    this.due = true;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.ended = true;
  }
}

/** Our connection, and what a test does to it and sees of it. */
export class Bench {
  nowMs = 1000;
  readonly wire = new MemoryWire();
  readonly connection: Http2Connection;
  readonly failures: { readonly code: number; readonly reason: string }[] = [];
  readonly goneAway: { readonly lastId: number; readonly code: number }[] = [];
  readonly streams: CollectingStream[] = [];
  pongs = 0;
  /** Of a server: refuses what is opened. */
  refuses = false;
  #read = 0;

  private constructor(isServer: boolean, bounds: Partial<Http2Bounds>) {
    const host: Http2Host = {
      ...HOST,
      opened: () => {
        if (this.refuses) return null;
        const stream = new CollectingStream();
        this.streams.push(stream);
        return stream;
      },
      goneAway: (lastId, code) => this.goneAway.push({ lastId, code }),
      ponged: () => this.pongs++,
      failed: (code, reason) => this.failures.push({ code, reason }),
    };
    const all = { ...BOUNDS, ...(isServer ? {} : { peerStreamsMax: 0 }), ...bounds };
    this.connection = new Http2Connection(host, this.wire, { isServer, bounds: all });
    this.wire.connection = this.connection;
    this.connection.start(this.nowMs);
  }

  /** A server that a client has greeted. */
  static server(bounds: Partial<Http2Bounds> = {}, greeted = true): Bench {
    const bench = new Bench(true, bounds);
    if (greeted) bench.feed(PREFACE, settings());
    bench.frames();
    return bench;
  }

  /** A client that a server has greeted. */
  static client(bounds: Partial<Http2Bounds> = {}, greeted = true): Bench {
    const bench = new Bench(false, bounds);
    if (greeted) bench.feed(settings());
    bench.frames();
    return bench;
  }

  /** The peer sends these. */
  feed(...parts: readonly Buffer[]): this {
    const bytes = Buffer.concat(parts);
    this.connection.receive(bytes, bytes.length, this.nowMs);
    return this;
  }

  /** What we have sent since the last look, a client's preface left out. */
  frames(): RawFrame[] {
    this.connection.flush();
    let bytes = Buffer.concat(this.wire.written).subarray(this.#read);
    this.#read += bytes.length;
    if (bytes.subarray(0, PREFACE.length).equals(PREFACE)) bytes = bytes.subarray(PREFACE.length);
    return readFrames(bytes);
  }

  /** The code of the connection's end; null while it goes on. */
  get error(): number | null {
    return this.failures[0]?.code ?? null;
  }

  /** Codes of the streams that were reset since the last look, by identifier. */
  resets(): Record<number, number> {
    const list = this.frames().filter(({ type }) => type === FRAME.rstStream);
    return Object.fromEntries(list.map(({ id, payload }) => [id, payload.readUInt32BE(0)]));
  }

  /** Of a client: opens a request. */
  request(ended = true): CollectingStream {
    const head: HpackEncoder = this.connection.head();
    head.request("GET", false, { authority: "a.example", path: "/" });
    const stream = new CollectingStream();
    this.connection.open(stream, ended);
    return stream;
  }
}

export function readFrames(bytes: Buffer): RawFrame[] {
  const frames: RawFrame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUIntBE(at, 3);
    const payload = bytes.subarray(at + 9, at + 9 + length);
    if (payload.length < length) throw new Error("a frame is cut");
    frames.push({ type: bytes[at + 3] as number, flags: bytes[at + 4] as number, id: bytes.readUInt32BE(at + 5), payload });
    at += 9 + length;
  }
  return frames;
}
