// Addresses: strict parsing, RFC 5952 text, CIDR membership against a bit-by-bit reference.
import { describe, expect, test } from "vitest";
import { CidrSet, canonicalIp, formatIpBytes, ipFamily, maskIp, parseCidr, parseIpv4 } from "../../../src/base/ip.ts";

test.each<[string, string | null]>([
  ["1.2.3.4", "1.2.3.4"],
  ["0.0.0.0", "0.0.0.0"],
  ["255.255.255.255", "255.255.255.255"],
  ["256.1.1.1", null],
  ["1.2.3", null],
  ["1.2.3.4.5", null],
  ["01.2.3.4", null],
  ["1..2.3", null],
  [".1.2.3", null],
  ["1.2.3.", null],
  ["1.2.3.4 ", null],
  ["1.2.3.+4", null],
  ["0x7f.0.0.1", null],
  ["127.1", null],
  ["", null],
  ["::", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["2001:DB8::1", "2001:db8::1"],
  ["2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
  ["::ffff:10.0.0.1", "10.0.0.1"],
  ["::FFFF:0a00:0001", "10.0.0.1"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
  ["1:2:3:4:5:6:7:1.2.3.4", null],
  ["1:2:3:4:5:6:7", null],
  ["1:2:3:4:5:6:7:8:9", null],
  ["1::2::3", null],
  ["1:2:3:4::5:6:7:8", null],
  [":::", null],
  ["::1:", null],
  [":1::", null],
  ["12345::", null],
  ["g::", null],
  ["fe80::1%eth0", null],
  ["[::1]", null],
  ["::1.2.3.256", null],
  [":", null],
  ["1:", null],
])("canonicalIp(%j) is %j", (text, expected) => {
  expect(canonicalIp(text)).toBe(expected);
});

test("binary addresses of the listener become the same text", () => {
  expect(formatIpBytes(Uint8Array.of(10, 0, 0, 1))).toBe("10.0.0.1");
  expect(formatIpBytes(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1))).toBe("10.0.0.1");
  expect(formatIpBytes(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1))).toBe("2001:db8::1");
  expect(formatIpBytes(new Uint8Array(0))).toBe("");
});

test("families, mapped addresses counting as IPv4", () => {
  expect(["10.0.0.1", "::ffff:10.0.0.1", "::1", "x"].map(ipFamily)).toEqual([4, 4, 6, 0]);
});

test.each(["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "::/129", "::/1x", "10.0.0/8", "/8", "", "10.0.0.0/8/8"])(
  "parseCidr(%j) is refused",
  (text) => {
    expect(parseCidr(text)).toBeNull();
    expect(() => new CidrSet([text])).toThrow(RangeError);
  },
);

describe("CidrSet", () => {
  test.each<[readonly string[], string, boolean]>([
    [["10.0.0.0/8"], "10.255.255.255", true],
    [["10.0.0.0/8"], "11.0.0.0", false],
    [["10.0.0.0/8"], "9.255.255.255", false],
    [["10.0.0.0/8"], "::ffff:10.1.2.3", true],
    [["10.9.9.9/8"], "10.0.0.0", true],
    [["::ffff:10.0.0.0/104"], "10.1.2.3", true],
    [["::ffff:0:0/96"], "1.2.3.4", true],
    [["0.0.0.0/0"], "255.255.255.255", true],
    [["0.0.0.0/0"], "::1", false],
    [["::/0"], "::1", true],
    [["::/0"], "10.0.0.1", false],
    [["::/0", "10.0.0.0/8"], "10.0.0.1", true],
    [["127.0.0.1"], "127.0.0.1", true],
    [["127.0.0.1"], "127.0.0.2", false],
    [["2001:db8::/33"], "2001:db8:7fff::1", true],
    [["2001:db8::/33"], "2001:db8:8000::1", false],
    [["fe80::/10"], "febf::1", true],
    [["fe80::/10"], "fec0::1", false],
    [["10.0.0.0/8", "10.1.0.0/16", "12.0.0.0/8"], "10.200.0.1", true],
    [["10.0.0.0/8"], "", false],
    [["10.0.0.0/8"], "10.0.0.1:80", false],
    [[], "10.0.0.1", false],
  ])("%j holds %s: %s", (cidrs, ip, expected) => {
    expect(new CidrSet(cidrs).contains(ip)).toBe(expected);
  });

  test("agrees with a linear scan of bit prefixes", () => {
    const random = seeded(7);
    const cidrs = Array.from({ length: 200 }, () => `${[0, 0, 0, 0].map(() => random(4) * 64).join(".")}/${random(33)}`);
    for (let round = 0; round < 40; round++) {
      const some = cidrs.slice(round * 5, round * 5 + 5).filter((cidr) => !cidr.endsWith("/0"));
      const set = new CidrSet(some);
      for (let i = 0; i < 50; i++) {
        const ip = [0, 0, 0, 0].map(() => random(8) * 32).join(".");
        const expected = some.some((cidr) => {
          const [address = "", bits = ""] = cidr.split("/");
          return bitsOf(ip).startsWith(bitsOf(address).slice(0, Number(bits)));
        });
        expect(set.contains(ip), `${some.join(" ")} ? ${ip}`).toBe(expected);
      }
    }
  });
});

const bitsOf = (ip: string): string => parseIpv4(ip).toString(2).padStart(32, "0");

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test.each<[string, string, number, number, boolean]>([
  ["10.1.2.3", "10.1.2.3", 32, 64, true],
  ["10.1.2.3", "10.1.2.4", 32, 64, false],
  ["10.1.2.3", "10.1.2.250", 24, 64, true],
  ["10.1.2.3", "10.1.3.3", 24, 64, false],
  ["10.1.2.3", "10.1.3.3", 23, 64, true],
  ["10.1.2.3", "::ffff:10.1.2.3", 32, 64, true],
  ["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", 32, 64, true],
  ["2001:db8:1:2::1", "2001:db8:1:3::1", 32, 64, false],
  ["2001:db8:1:200::1", "2001:db8:1:2ff::1", 32, 56, true],
  ["2001:db8:1:2::1", "2001:db8:1:2::2", 32, 128, false],
  // Never an IPv4 address like an IPv6 one that has the same bits.
  ["0.0.0.0", "::", 8, 16, false],
  ["", "0.0.0.0", 32, 64, false],
])("%s and %s count as one with /%i and /%i: %s", (a, b, bits4, bits6, same) => {
  expect(maskIp(a, bits4, bits6) === maskIp(b, bits4, bits6)).toBe(same);
});
