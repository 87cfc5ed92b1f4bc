// Takes a PROXY protocol v2 header (HAProxy, "The PROXY protocol", section 2.2) off a connection before anybody else reads from it.
// Exactly one: bytes behind it are the client's own, and whoever may send a header chooses the client's address.
import type { Socket } from "node:net";
import { formatIpBytes } from "../../base/ip.ts";

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
/** Signature, version and command, family and protocol, length of the rest. */
const FIXED_BYTES = 16;
/** Addresses take 36 bytes at most; what else a balancer adds (TLVs) some hundred. Beyond it the connection is closed. */
const REST_BYTES_MAX = 2048;
const VERSION_2 = 2;
const LOCAL = 0;
const PROXY = 1;
const INET = 1;
const INET6 = 2;

/** The address that the header names; null when it names none (LOCAL, as balancers' own checks are, or another family). */
export type ProxiedSource = string | null;

/**
 * Hands the connection on when the header has come, with what stands behind it unread. Without a proper header it is destroyed: the
 * specification wants that no receiver guesses.
 * @param withinMs time for the header to arrive
 */
export function takeProxyHeader(socket: Socket, withinMs: number, taken: (source: ProxiedSource) => void): void {
  let fixed: Buffer | null = null;
  const timer = setTimeout(() => socket.destroy(), withinMs);
  const over = (): void => {
    clearTimeout(timer);
    socket.off("readable", read);
    socket.off("error", ignore);
    socket.off("close", over);
  };
  const read = (): void => {
    fixed ??= socket.read(FIXED_BYTES);
    if (fixed === null) return;
    const restBytes = restLength(fixed);
    if (restBytes < 0) return void socket.destroy();
    const rest: Buffer | null = restBytes === 0 ? Buffer.alloc(0) : socket.read(restBytes);
    if (rest === null) return;
    const source = rest.length < restBytes ? undefined : sourceOf(fixed, rest);
    if (source === undefined) return void socket.destroy();
    over();
    taken(source);
  };
  socket.on("readable", read);
  socket.on("error", ignore); // 'close' follows
  socket.on("close", over);
}

const ignore = (): void => {};

/** @returns bytes that follow; -1 when this begins no header that is taken */
function restLength(fixed: Buffer): number {
  if (fixed.length < FIXED_BYTES || !fixed.subarray(0, SIGNATURE.length).equals(SIGNATURE)) return -1;
  const command = fixed.readUInt8(12) & 0xf;
  if (fixed.readUInt8(12) >> 4 !== VERSION_2 || (command !== LOCAL && command !== PROXY)) return -1;
  const bytes = fixed.readUInt16BE(14);
  return bytes <= REST_BYTES_MAX ? bytes : -1;
}

/** @returns undefined for addresses that are cut short */
function sourceOf(fixed: Buffer, rest: Buffer): ProxiedSource | undefined {
  if ((fixed.readUInt8(12) & 0xf) === LOCAL) return null;
  switch (fixed.readUInt8(13) >> 4) {
    case INET:
      return rest.length < 12 ? undefined : formatIpBytes(rest.subarray(0, 4));
    case INET6:
      return rest.length < 36 ? undefined : formatIpBytes(rest.subarray(0, 16));
    default:
      return null;
  }
}
