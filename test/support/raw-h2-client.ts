// Owns an HTTP/2 client over a bare socket: sends exactly the bytes it is given and reads frames with a reader of its own.
// Must never acknowledge, answer or repair anything that it is not told to.
import net from "node:net";
import type { Duplex } from "node:stream";
import type { HeaderSection } from "../../src/base/http2/header-section.ts";
import { HpackDecoder } from "../../src/base/http2/hpack-decoder.ts";
import { FRAME, PREFACE } from "../../src/base/http2/protocol.ts";
import { headers as headersFrame, type RawFrame, settings } from "./raw-http2.ts";
import { until } from "./until.ts";

const WITHIN_MS = 10_000;

export type Field = readonly [name: string, value: string];

/** A request's pseudo-header fields, then others. */
export const request = (path: string, method = "GET", ...more: readonly Field[]): Field[] => [
  [":method", method],
  [":scheme", "http"],
  [":authority", "api.example.com"],
  [":path", path],
  ...more,
];

/** What came on one stream. */
export interface RawAnswer {
  readonly heads: HeaderSection[];
  readonly body: Buffer;
  readonly ended: boolean;
  /** Code of an RST_STREAM; -1 for none. */
  readonly reset: number;
}

export class RawH2Client implements AsyncDisposable {
  readonly socket: Duplex;
  readonly frames: RawFrame[] = [];
  closed = false;
  #pending: Buffer = Buffer.alloc(0);
  readonly #decoder = new HpackDecoder(4096, 1024 * 1024);
  readonly #heads = new Map<RawFrame, HeaderSection>();

  /** @param socket is connected */
  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
    });
    socket.on("end", () => {
      this.closed = true;
    });
  }

  /** Sends the preface and SETTINGS. @param pairs of a setting and its value */
  static async connect(port: number, ...pairs: readonly (readonly [id: number, value: number])[]): Promise<RawH2Client> {
    const client = await RawH2Client.silent(port);
    client.send(PREFACE, settings(...pairs));
    return client;
  }

  /** Sends nothing. */
  static async silent(port: number): Promise<RawH2Client> {
    const socket = net.connect({ host: "127.0.0.1", port, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new RawH2Client(socket);
  }

  send(...parts: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  ask(id: number, fields: readonly Field[], end = true): void {
    this.send(headersFrame(id, fields, { end }));
  }

  /** What has come on a stream, so far. */
  on(id: number): RawAnswer {
    const own = this.frames.filter((frame) => frame.id === id);
    const heads = own.flatMap((frame) => this.#heads.get(frame) ?? []);
    const body = Buffer.concat(own.filter(({ type }) => type === FRAME.data).map(({ payload }) => payload));
    const ended = own.some(({ type, flags }) => (type === FRAME.data || type === FRAME.headers) && (flags & 1) !== 0);
    return { heads, body, ended, reset: own.find(({ type }) => type === FRAME.rstStream)?.payload.readUInt32BE(0) ?? -1 };
  }

  /** Waits for the end of a stream, by END_STREAM or a reset. */
  async answer(id: number): Promise<RawAnswer> {
    await until(`stream ${id} ends`, () => this.on(id).ended || this.on(id).reset >= 0 || this.closed, WITHIN_MS);
    return this.on(id);
  }

  /** Status of the final head on a stream. */
  async status(id: number): Promise<number> {
    const last = (): number => this.on(id).heads.find(({ status }) => status >= 200)?.status ?? 0;
    await until(`stream ${id} has a head`, () => last() > 0 || this.closed || this.on(id).reset >= 0, WITHIN_MS);
    return last();
  }

  /** Codes of the GOAWAYs that have come, and the last stream that each names. */
  get goAways(): { readonly lastId: number; readonly code: number; readonly reason: string }[] {
    return this.frames
      .filter(({ type }) => type === FRAME.goAway)
      .map(({ payload }) => ({ lastId: payload.readUInt32BE(0), code: payload.readUInt32BE(4), reason: payload.toString("latin1", 8) }));
  }

  /** Waits for the end of the connection. @returns the code of the last GOAWAY; -1 for none */
  async end(): Promise<number> {
    await until("the connection ends", () => this.closed, WITHIN_MS);
    return this.goAways.at(-1)?.code ?? -1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await until("the client's socket is closed", () => this.socket.closed);
  }

  #read(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= 9) {
      const length = this.#pending.readUIntBE(0, 3);
      if (this.#pending.length < 9 + length) return;
      const frame: RawFrame = {
        type: this.#pending[3] as number, // the header is there
        flags: this.#pending[4] as number, // the same
        id: this.#pending.readUInt32BE(5),
        payload: Buffer.from(this.#pending.subarray(9, 9 + length)),
      };
      this.#pending = this.#pending.subarray(9 + length);
      this.frames.push(frame);
      if (frame.type !== FRAME.headers) continue;
      if ((frame.flags & 0x2c) !== 4) throw new Error("these tests read HEADERS that are whole, without padding and priority");
      const section = this.#decoder.decode(frame.payload, 0, length);
      if (section === null) throw new Error("a field block cannot be decoded");
      this.#heads.set(frame, section);
    }
  }
}
