// Owns the demo's WebSocket service: greets, then echoes every message (RFC 6455). Just enough of the protocol for a well-behaved peer;
// must never be used for anything but the demo.
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

/** RFC 6455 section 1.3. */
const HANDSHAKE_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** Longest frame accepted; a longer one ends the connection. */
const PAYLOAD_BYTES_MAX = 64 * 1024;

const OPCODE_TEXT = 0x1;
const OPCODE_CLOSE = 0x8;
const OPCODE_PING = 0x9;
const OPCODE_PONG = 0xa;

/** To be used as the `upgrade` listener of a node:http server. */
export function echoWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const key = request.headers["sec-websocket-key"];
  if (key === undefined || request.headers.upgrade?.toLowerCase() !== "websocket")
    return void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  const accept = createHash("sha1").update(`${key}${HANDSHAKE_GUID}`).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.write(frame(OPCODE_TEXT, Buffer.from("hello from the echo service")));

  let buffered = head;
  const read = (): void => {
    for (let next = parse(buffered); next !== null; next = parse(buffered)) {
      if (next === "invalid") return void socket.destroy();
      buffered = buffered.subarray(next.bytes);
      answer(socket, next);
    }
  };
  socket.on("data", (chunk: Buffer) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
    read();
  });
  socket.on("error", () => socket.destroy());
  read();
}

interface Frame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly payload: Buffer;
  /** Length of the whole frame. */
  readonly bytes: number;
}

function answer(socket: Duplex, { opcode, fin, payload }: Frame): void {
  if (opcode === OPCODE_PING) socket.write(frame(OPCODE_PONG, payload));
  else if (opcode === OPCODE_CLOSE) socket.end(frame(OPCODE_CLOSE, payload.subarray(0, 2)));
  else if (opcode !== OPCODE_PONG) socket.write(frame(opcode, payload, fin)); // text, binary and their continuations, as they came
}

/** @returns the first frame, null when it is not all there yet. Client frames are masked (RFC 6455 section 5.3). */
function parse(data: Buffer): Frame | "invalid" | null {
  if (data.length < 6) return null;
  const [first = 0, second = 0] = data;
  if ((second & 0x80) === 0) return "invalid";
  let length = second & 0x7f;
  let at = 2;
  if (length === 126) {
    length = data.readUInt16BE(2);
    at = 4;
  } else if (length === 127) return "invalid"; // above 64 KiB
  if (length > PAYLOAD_BYTES_MAX) return "invalid";
  const bytes = at + 4 + length;
  if (data.length < bytes) return null;
  const payload = Buffer.from(data.subarray(at + 4, bytes));
  for (let i = 0; i < length; i++) payload[i] = (payload[i] ?? 0) ^ (data[at + (i & 3)] ?? 0);
  return { opcode: first & 0x0f, fin: (first & 0x80) !== 0, payload, bytes };
}

function frame(opcode: number, payload: Buffer, fin = true): Buffer {
  const first = (fin ? 0x80 : 0) | opcode;
  const head = payload.length < 126 ? [first, payload.length] : [first, 126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from(head), payload]);
}
