// Owns WebSocket frames as bytes, for tests of what a well-behaved library would never send. Must never repair anything.
import { createHash } from "node:crypto";
import { RawClient } from "./raw-client.ts";
import { until } from "./until.ts";

/** RFC 6455 section 1.3: the sample key. */
export const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
export const accept = (key: string): string => createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");

/** A handshake. @param changes replace, add or (null) leave out header lines */
export function handshake(target: string, changes: Readonly<Record<string, string | null>> = {}): string {
  const lines = {
    Host: "api.example.com",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    ...changes,
  };
  const text = Object.entries(lines).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}\r\n`]));
  return `GET ${target} HTTP/1.1\r\n${text.join("")}\r\n`;
}

export interface Frame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly masked: boolean;
  readonly payload: Buffer;
}

const MASK = Buffer.from([0x5a, 0x01, 0xfe, 0x33]);

/** @param first FIN, RSV and opcode as on the wire */
export function frame(first: number, payload: Buffer | string, masked = true): Buffer {
  const body = Buffer.from(payload);
  const { length } = body;
  const bit = masked ? 0x80 : 0;
  const head = length < 126 ? [first, bit | length] : [first, bit | 126, length >> 8, length & 0xff];
  if (length > 0xffff) throw new Error("longer than these tests need");
  if (!masked) return Buffer.concat([Buffer.from(head), body]);
  for (let i = 0; i < length; i++) body[i] = (body[i] ?? 0) ^ (MASK[i & 3] ?? 0);
  return Buffer.concat([Buffer.from(head), MASK, body]);
}

export const closePayload = (code: number, reason = ""): Buffer =>
  Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);

/** @returns all whole frames in the bytes, unmasked */
export function frames(bytes: Buffer): Frame[] {
  const found: Frame[] = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const [first = 0, second = 0] = bytes.subarray(at);
    let length = second & 0x7f;
    let start = at + 2;
    if (length === 126) length = bytes.readUInt16BE(start);
    if (length === 127) length = Number(bytes.readBigUInt64BE(start));
    start += (second & 0x7f) === 126 ? 2 : (second & 0x7f) === 127 ? 8 : 0;
    const masked = (second & 0x80) !== 0;
    const mask = masked ? bytes.subarray(start, start + 4) : null;
    start += masked ? 4 : 0;
    if (start + length > bytes.length) break;
    const payload = Buffer.from(bytes.subarray(start, start + length));
    if (mask !== null) for (let i = 0; i < length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i & 3] ?? 0);
    found.push({ opcode: first & 0x0f, fin: (first & 0x80) !== 0, masked, payload });
    at = start + length;
  }
  return found;
}

/** The code of a Close frame; 1005 when it has none. */
export const codeOf = (close: Frame | undefined): number =>
  close === undefined || close.payload.length < 2 ? 1005 : close.payload.readUInt16BE(0);

/** A client past its handshake. */
export async function openRaw(port: number, target: string): Promise<RawClient> {
  const client = await RawClient.connect(port);
  client.send(handshake(target));
  const { status } = await client.head();
  if (status !== 101) throw new Error(`answered with ${status}`);
  return client;
}

/** Waits for a Close frame. */
export async function closeFrom(client: RawClient): Promise<Frame> {
  const find = (): Frame | undefined => frames(client.pending).find((each) => each.opcode === 8);
  await until("a Close frame arrives", () => find() !== undefined);
  return find() as Frame; // just found
}
