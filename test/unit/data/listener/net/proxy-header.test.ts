// Which bytes are a PROXY header, and whom it names. Every header is also given byte by byte: it must be waited for, and never taken early.
import { describe, expect, it } from "vitest";
import { parseProxyHeader } from "../../../../../src/data/listener/net/proxy-header.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");
const binary = (command: number, family: number, rest: Buffer, announced = rest.length): Buffer => {
  const fixed = bytes("\r\n\r\n\0\r\nQUIT\n\0\0\0\0");
  fixed[12] = command;
  fixed[13] = family;
  fixed.writeUInt16BE(announced, 14);
  return Buffer.concat([fixed, rest]);
};
const v4 = Buffer.from([203, 0, 113, 7, 127, 0, 0, 1, 0xc0, 0, 0, 80]);
const v6 = Buffer.from(`20010db8${"00".repeat(11)}09${"00".repeat(15)}01c0000050`, "hex");
const LONGEST = `PROXY UNKNOWN ${"f".repeat(91)}\r\n`;

describe("a header in order", () => {
  it.each<[string, Buffer, string | null]>([
    ["version 1, IPv4", bytes("PROXY TCP4 203.0.113.7 127.0.0.1 49152 80\r\n"), "203.0.113.7"],
    ["version 1, IPv6", bytes("PROXY TCP6 2001:DB8:0::9 ::1 49152 80\r\n"), "2001:db8::9"],
    ["version 1, IPv4 written as IPv6", bytes("PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2\r\n"), "203.0.113.7"],
    ["version 1, the highest port", bytes("PROXY TCP4 203.0.113.7 127.0.0.1 65535 0\r\n"), "203.0.113.7"],
    ["version 1, nobody", bytes("PROXY UNKNOWN\r\n"), null],
    ["version 1, nobody with something behind it", bytes("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), null],
    ["version 1, the longest line there may be", bytes(LONGEST), null],
    ["version 2, IPv4", binary(0x21, 0x11, v4), "203.0.113.7"],
    ["version 2, IPv6", binary(0x21, 0x21, v6), "2001:db8::9"],
    ["version 2, IPv4 with more behind it", binary(0x21, 0x11, Buffer.concat([v4, Buffer.alloc(2036)])), "203.0.113.7"],
    ["version 2, the balancer's own check", binary(0x20, 0x11, v4), null],
    ["version 2, a Unix socket", binary(0x21, 0x31, Buffer.alloc(216)), null],
    ["version 2, no family", binary(0x21, 0, Buffer.alloc(0)), null],
  ])("is taken: %s", (_, header, source) => {
    for (let length = 0; length < header.length; length++) expect(parseProxyHeader(header.subarray(0, length))).toBeNull();
    expect(parseProxyHeader(header)).toEqual({ source, bytes: header.length });
    const followed = Buffer.concat([header, bytes("GET / HTTP/1.1\r\n")]);
    expect(parseProxyHeader(followed)).toEqual({ source, bytes: header.length });
  });
});

describe("what is no header in order", () => {
  it.each<[string, Buffer]>([
    ["a request", bytes("GET / HTTP/1.1\r\n")],
    ["a request with a method that begins as the header does", bytes("PROX / HTTP/1.1\r\n")],
    ["a TLS handshake", bytes("\x16\x03\x01\x02")],
    ["lower case", bytes("proxy TCP4 203.0.113.7 127.0.0.1 1 2\r\n")],
    ["another family", bytes("PROXY UDP4 203.0.113.7 127.0.0.1 1 2\r\n")],
    ["a line feed alone", bytes("PROXY TCP4 203.0.113.7 127.0.0.1 1 2\n")],
    ["two spaces", bytes("PROXY TCP4  203.0.113.7 127.0.0.1 1 2\r\n")],
    ["a space at the end", bytes("PROXY TCP4 203.0.113.7 127.0.0.1 1 2 \r\n")],
    ["an address that is none", bytes("PROXY TCP4 203.0.113.256 127.0.0.1 1 2\r\n")],
    ["a leading zero in an address", bytes("PROXY TCP4 203.0.113.07 127.0.0.1 1 2\r\n")],
    ["a destination that is none", bytes("PROXY TCP4 203.0.113.7 127.0.0 1 2\r\n")],
    ["an IPv6 address where IPv4 is announced", bytes("PROXY TCP4 ::1 ::1 1 2\r\n")],
    ["a port beyond the last", bytes("PROXY TCP4 203.0.113.7 127.0.0.1 65536 2\r\n")],
    ["a port with a leading zero", bytes("PROXY TCP4 203.0.113.7 127.0.0.1 01 2\r\n")],
    ["no ports", bytes("PROXY TCP4 203.0.113.7 127.0.0.1\r\n")],
    ["a line that is too long", bytes(`PROXY UNKNOWN ${"f".repeat(92)}\r\n`)],
    ["a line without an end", bytes(`PROXY UNKNOWN ${"f".repeat(100)}`)],
    ["a control character", bytes("PROXY UNKNOWN a\rb\r\n")],
    ["version 1 in the binary form", binary(0x11, 0x11, v4)],
    ["version 3", binary(0x31, 0x11, v4)],
    ["an unknown command", binary(0x22, 0x11, v4)],
    ["IPv4 addresses cut short", binary(0x21, 0x11, v4.subarray(0, 11))],
    ["IPv6 addresses cut short", binary(0x21, 0x21, v6.subarray(0, 35))],
    ["more than is taken", binary(0x21, 0x11, Buffer.alloc(2049))],
    ["another signature", bytes("\r\n\r\n\0\r\nQUIX\n\x21\x11\0\0")],
  ])("is refused: %s", (_, data) => {
    expect(parseProxyHeader(data)).toBe("bad");
  });
});
