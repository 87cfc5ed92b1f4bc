// Reads a PROXY protocol header, version 1 or 2 (HAProxy, "The PROXY protocol", section 2), off the beginning of a connection. Exactly one: bytes behind it are
// the client's own, and whoever may send a header chooses the client's address. Must never guess: what is no header in order closes the connection.
import { canonicalIp, formatIpBytes } from "../../../base/ip.ts";

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
/** Of version 2: signature, version and command, family and protocol, length of the rest. */
const FIXED_BYTES = 16;
/** Addresses take 36 bytes at most; what else a balancer adds (TLVs) some hundred. Beyond it the connection is closed. */
const REST_BYTES_MAX = 2048;
const VERSION_2 = 2;
const LOCAL = 0;
const PROXY = 1;
const INET = 1;
const INET6 = 2;

/** Of version 1, its line end included (section 2.1). */
const LINE_BYTES_MAX = 107;
const LINE_BEGIN = "PROXY ";
const PORT = "(?:0|[1-9]\\d{0,4})";
const LINE = new RegExp(
  `^PROXY (?:UNKNOWN(?: [\\x20-\\x7e]*)?|TCP4 ([\\d.]+) ([\\d.]+) (${PORT}) (${PORT})|TCP6 ([\\da-fA-F:.]+) ([\\da-fA-F:.]+) (${PORT}) (${PORT}))\\r\\n$`,
);
const PORT_MAX = 65_535;

/** The address that the header names; null when it names none (LOCAL and UNKNOWN, as balancers' own checks are, or another family). */
export type ProxiedSource = string | null;

export interface ProxyHeader {
  readonly source: ProxiedSource;
  /** What stands behind it is the client's. */
  readonly bytes: number;
}

/** @returns null: more has to come; "bad": there is no header, or not one in order */
export function parseProxyHeader(data: Buffer): ProxyHeader | null | "bad" {
  if (begins(data, SIGNATURE)) return data.length < FIXED_BYTES ? null : parseBinary(data);
  return parseLine(data);
}

/** Equal as far as there is any of it. */
const begins = (data: Buffer, with_: Buffer): boolean => {
  const length = Math.min(data.length, with_.length);
  return data.subarray(0, length).equals(with_.subarray(0, length));
};

function parseLine(data: Buffer): ProxyHeader | null | "bad" {
  const text = data.toString("latin1", 0, LINE_BYTES_MAX);
  if (!text.startsWith(LINE_BEGIN.slice(0, text.length))) return "bad";
  const end = text.indexOf("\n") + 1;
  if (end === 0) return text.length < LINE_BYTES_MAX ? null : "bad";
  const found = LINE.exec(text.slice(0, end));
  if (found === null) return "bad";
  const [, from4, to4, fromPort4 = "0", toPort4 = "0", from6, to6, fromPort6 = "0", toPort6 = "0"] = found;
  if ([fromPort4, toPort4, fromPort6, toPort6].some((port) => Number(port) > PORT_MAX)) return "bad";
  const [from, to] = [from4 ?? from6, to4 ?? to6];
  if (from === undefined || to === undefined) return { source: null, bytes: end };
  const source = canonicalIp(from);
  return source === null || canonicalIp(to) === null ? "bad" : { source, bytes: end };
}

function parseBinary(data: Buffer): ProxyHeader | null | "bad" {
  const command = data.readUInt8(12) & 0xf;
  if (data.readUInt8(12) >> 4 !== VERSION_2 || (command !== LOCAL && command !== PROXY)) return "bad";
  const restBytes = data.readUInt16BE(14);
  if (restBytes > REST_BYTES_MAX) return "bad";
  const bytes = FIXED_BYTES + restBytes;
  if (data.length < bytes) return null;
  if (command === LOCAL) return { source: null, bytes };
  const rest = data.subarray(FIXED_BYTES, bytes);
  switch (data.readUInt8(13) >> 4) {
    case INET:
      return rest.length < 12 ? "bad" : { source: formatIpBytes(rest.subarray(0, 4)), bytes };
    case INET6:
      return rest.length < 36 ? "bad" : { source: formatIpBytes(rest.subarray(0, 16)), bytes };
    default:
      return { source: null, bytes };
  }
}
