// Owns one WebSocket connection that sends one message again and again, each when the one before has come back (RFC 6455). Cheap, so that
// the load leaves room for the server: one read buffer for all connections, one frame made once. It believes no answer: what comes back is
// compared byte for byte. Must never have more than one message under way.
import { randomBytes } from "node:crypto";
import net from "node:net";
import { acceptKey } from "../../src/data/handlers/proxy/websocket/handshake.ts";

/** Of a message: its length takes 16 bits at most. */
export const MESSAGE_BYTES_MAX = 65_535;
/** A response to the handshake that is longer is none. */
const HEAD_BYTES_MAX = 16 * 1024;
const READ_BYTES = 64 * 1024;
const HEAD_END = "\r\n\r\n";
/** RFC 6455 section 5.2: FIN with the opcodes that may come. */
const BINARY = 0x82;
const PING = 0x89;
const PONG = 0x8a;
const CLOSE = 0x88;
const LENGTH_16_BITS = 126;
const NONE = Buffer.alloc(0);

/** What lies in it is valid only inside the callback that reads it: what must stay is copied. */
const shared = Buffer.allocUnsafeSlow(READ_BYTES);

export interface EchoEvents {
  /** The message came back whole. */
  echoed(connection: EchoConnection): void;
  /** It is closed; nothing comes any more. Called once. */
  lost(connection: EchoConnection, reason: string): void;
}

/** What all connections send. */
export interface EchoMessage {
  readonly payload: Buffer;
  /** The same, as a client's frame: masked (RFC 6455 section 5.3). */
  readonly frame: Buffer;
}

/** @param bytes 1 to {@link MESSAGE_BYTES_MAX} */
export function echoMessage(bytes: number): EchoMessage {
  if (!Number.isInteger(bytes) || bytes < 1 || bytes > MESSAGE_BYTES_MAX) throw new RangeError(`a message of ${bytes} bytes`);
  const payload = randomBytes(bytes);
  const mask = randomBytes(4);
  const head = bytes < LENGTH_16_BITS ? [BINARY, 0x80 | bytes] : [BINARY, 0x80 | LENGTH_16_BITS, bytes >> 8, bytes & 0xff];
  const masked = payload.map((byte, i) => byte ^ (mask[i & 3] as number)); // a mask has four
  return { payload, frame: Buffer.concat([Buffer.from(head), mask, masked]) };
}

export class EchoConnection {
  /** When its message was sent, ms of performance.now(); for whoever measures. */
  sentMs = 0;
  readonly #key = randomBytes(16).toString("base64");
  readonly #message: EchoMessage;
  readonly #events: EchoEvents;
  readonly #socket: net.Socket;
  readonly #opened = Promise.withResolvers<void>();
  #isOpen = false;
  #isLost = false;
  /** Bytes of a frame, or of the response's head, that has not come whole. */
  #held: Buffer = NONE;

  constructor(target: { readonly host: string; readonly port: number }, message: EchoMessage, events: EchoEvents) {
    this.#message = message;
    this.#events = events;
    const callback = (bytes: number): boolean => {
      this.#received(shared.subarray(0, bytes));
      return true;
    };
    this.#opened.promise.catch(() => {}); // told to whoever awaits it
    this.#socket = net.connect({ ...target, noDelay: true, onread: { buffer: shared, callback } }, () => {
      const lines = ["GET /echo HTTP/1.1", `Host: ${target.host}:${target.port}`, "Connection: Upgrade", "Upgrade: websocket"];
      this.#socket.write([...lines, "Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${this.#key}`, "", ""].join("\r\n"));
    });
    this.#socket.on("error", (error) => this.fail(error.message));
    this.#socket.on("close", () => this.fail("closed by the server"));
  }

  /** @returns when the handshake is done. @throws Error when the server refuses it */
  opened(): Promise<void> {
    return this.#opened.promise;
  }

  send(): void {
    this.#socket.write(this.#message.frame);
  }

  /** Ends it; `lost` is not called. */
  close(): void {
    this.#isLost = true;
    this.#socket.destroy();
  }

  fail(reason: string): void {
    if (this.#isLost) return;
    this.close();
    this.#opened.reject(new Error(reason));
    this.#events.lost(this, reason);
  }

  #received(chunk: Buffer): void {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = NONE;
    const from = this.#isOpen ? 0 : this.#readHead(bytes);
    if (from < 0) return;
    const rest = this.#readFrames(bytes, from);
    if (rest < bytes.length && !this.#isLost) this.#held = Buffer.from(bytes.subarray(rest)); // a copy
  }

  /** @returns where the head ends; -1 when it has not come whole, or is a refusal */
  #readHead(bytes: Buffer): number {
    const end = bytes.indexOf(HEAD_END);
    if (end < 0) {
      if (bytes.length > HEAD_BYTES_MAX) this.fail("the answer to the handshake has no end");
      else this.#held = Buffer.from(bytes); // a copy
      return -1;
    }
    const [status = "", ...fields] = bytes.toString("latin1", 0, end).split("\r\n");
    const accept = fields.find((field) => field.toLowerCase().startsWith("sec-websocket-accept:"));
    if (!status.startsWith("HTTP/1.1 101")) this.fail(`the handshake is refused: ${status}`);
    else if (accept?.slice(accept.indexOf(":") + 1).trim() !== acceptKey(this.#key))
      this.fail("Sec-WebSocket-Accept does not belong to the key");
    else {
      this.#isOpen = true;
      this.#opened.resolve();
    }
    return this.#isOpen ? end + HEAD_END.length : -1;
  }

  /** @returns how far it came: where the first frame begins that has not come whole */
  #readFrames(bytes: Buffer, from: number): number {
    let at = from;
    while (bytes.length - at >= 2) {
      const [opcode, length = 0] = [bytes[at], bytes[at + 1]];
      // A server's frame is not masked, and none that comes here is longer than 16 bits say.
      if (length > LENGTH_16_BITS) return this.#end(bytes, "a frame that no echo has");
      if (length === LENGTH_16_BITS && bytes.length - at < 4) break;
      const begin = at + (length === LENGTH_16_BITS ? 4 : 2);
      const end = begin + (length === LENGTH_16_BITS ? bytes.readUInt16BE(at + 2) : length);
      if (end > bytes.length) break;
      if (opcode === BINARY) {
        if (this.#message.payload.compare(bytes, begin, end) !== 0) return this.#end(bytes, "another message than was sent");
        this.#events.echoed(this);
      } else if (opcode === CLOSE) return this.#end(bytes, `closed with code ${end - begin >= 2 ? bytes.readUInt16BE(begin) : "none"}`);
      else if (opcode !== PING && opcode !== PONG) return this.#end(bytes, "a frame that no echo has");
      at = end;
    }
    return at;
  }

  #end(bytes: Buffer, reason: string): number {
    this.fail(reason);
    return bytes.length;
  }
}
