// The shared grammar of HTTP: tokens, values, hop-by-hop names, authorities, content negotiation.
import { describe, expect, test } from "vitest";
import {
  HOP_BY_HOP,
  isAmbiguousFieldName,
  isFieldValue,
  isHopByHop,
  isMethod,
  isToken,
  negotiateEncoding,
  parseAuthority,
  parseConnectionTokens,
  trimWhitespace,
} from "../../../src/base/http.ts";

test.each<[string, boolean]>([
  ["x-request-id", true],
  ["!#$%&'*+-.^_`|~09azAZ", true],
  ["", false],
  ["a b", false],
  ["a:b", false],
  ["a\u007f", false],
  ["a\u0000", false],
  ["ä", false],
  ["\u0141", false],
  ["(x)", false],
])("isToken(%j) is %s", (text, expected) => {
  expect(isToken(text)).toBe(expected);
});

test("a method is a bounded token", () => {
  expect(isMethod("PROPFIND")).toBe(true);
  expect(isMethod("G".repeat(33))).toBe(false);
  expect(isMethod("GET ")).toBe(false);
});

test("field values: every char code from 0 to 256 alone", () => {
  const allowed = Array.from({ length: 257 }, (_, c) => c).filter((c) => isFieldValue(String.fromCharCode(c)));
  const expected = Array.from({ length: 257 }, (_, c) => c).filter((c) => c === 9 || (c >= 32 && c <= 126) || (c >= 128 && c <= 255));
  expect(allowed).toEqual(expected);
  expect(isFieldValue("")).toBe(true);
  expect(isFieldValue("a\r\nx: y")).toBe(false);
});

test("hop-by-hop: the list and the check are the same set", () => {
  expect(HOP_BY_HOP.filter((name) => !isHopByHop(name))).toEqual([]);
  for (const name of [
    "content-length",
    "host",
    "trailers",
    "cookie",
    "keep-alives",
    "via",
    "authorization",
    "upgrade-insecure-requests",
    "ab",
  ]) {
    expect(isHopByHop(name), name).toBe(false);
  }
});

test.each<[string, readonly string[] | null]>([
  ["", []],
  ["keep-alive", ["keep-alive"]],
  ["Keep-Alive, X-Foo", ["keep-alive", "x-foo"]],
  ["close,\tUpgrade", ["close", "upgrade"]],
  [" , ,a,", ["a"]],
  [",", []],
  ["a b", null],
  ["a;q=1", null],
  ["\u00a0close", null],
  ["a,".repeat(31), Array.from({ length: 31 }, () => "a")],
  ["a,".repeat(32), null],
  [",".repeat(31), []],
  [",".repeat(32), null],
])("parseConnectionTokens(%j)", (value, expected) => {
  expect(parseConnectionTokens(value)).toEqual(expected);
});

test("whitespace is space and tab, nothing else", () => {
  expect(trimWhitespace(" \t a b \t")).toBe("a b");
  expect(trimWhitespace("\u00a0a\u00a0")).toBe("\u00a0a\u00a0");
  expect(trimWhitespace(" ")).toBe("");
});

test("a field name is odd with any other mark than a hyphen, wherever it stands", () => {
  for (let c = 0; c <= 0x180; c++) {
    const mark = String.fromCharCode(c);
    const odd = !/[a-z0-9-]/.test(mark);
    for (const name of [mark, `${mark}-id`, `x${mark}id`, `x-id${mark}`])
      expect(isAmbiguousFieldName(name), JSON.stringify(name)).toBe(odd);
  }
  expect(isAmbiguousFieldName("")).toBe(false);
});

describe("parseAuthority", () => {
  test.each<[string, string, number]>([
    ["example.com", "example.com", -1],
    ["Example.COM:8080", "example.com", 8080],
    ["example.com.", "example.com", -1],
    ["example.com.:443", "example.com", 443],
    ["localhost", "localhost", -1],
    ["a_b.example", "a_b.example", -1],
    ["127.0.0.1:80", "127.0.0.1", 80],
    ["[::1]", "[::1]", -1],
    ["[2001:DB8:0::1]:65535", "[2001:db8::1]", 65535],
    ["[::ffff:10.0.0.1]", "10.0.0.1", -1],
    ["1and1.com", "1and1.com", -1],
    ["xn--bcher-kva.example", "xn--bcher-kva.example", -1],
  ])("%j is host %j port %i", (text, host, port) => {
    expect(parseAuthority(text)).toEqual({ host, port });
  });

  test.each([
    "",
    ".",
    ":80",
    "a:",
    "a:0",
    "a:65536",
    "a:+80",
    "a:80:80",
    "a:8 0",
    "a b",
    " a",
    "user@a",
    "user:pw@a",
    "a/b",
    "a?b",
    "a#b",
    "a\\b",
    "a,b",
    "a%2eb",
    "..a",
    "a..b",
    ".a",
    "a..",
    "ä.example",
    "a\u0000",
    "127.1",
    "1.2.3.4.5",
    "2130706433",
    "256.1.1.1",
    "[::1",
    "[::1]x",
    "[::1]:",
    "[1.2.3.4]",
    "[v1.x]",
    "[fe80::1%25eth0]",
    "::1",
    "a".repeat(254),
  ])("%j is refused", (text) => {
    expect(parseAuthority(text)).toBeNull();
  });
});

describe("negotiateEncoding", () => {
  const offered = ["zstd", "br", "gzip"];
  test.each<[string | undefined, string | null]>([
    [undefined, null],
    ["", null],
    ["gzip", "gzip"],
    ["gzip, deflate, br, zstd", "zstd"],
    ["gzip;q=1.0, br;q=0.5", "gzip"],
    ["GZIP", "gzip"],
    ["x-gzip", "gzip"],
    ["gzipx", null],
    ["deflate", null],
    ["*", "zstd"],
    ["*;q=0.1", "zstd"],
    ["zstd;q=0, *", "br"],
    ["*;q=0", null],
    ["*;q=0, br", "br"],
    ["identity", null],
    ["identity;q=1, gzip;q=0.5", null],
    ["identity;q=0.5, gzip;q=1", "gzip"],
    ["identity, gzip", "gzip"],
    ["identity;q=0", null],
    ["gzip;q=0", null],
    ["gzip;q=0.000", null],
    ["gzip;q=0.001", "gzip"],
    ["gzip;q=1.001", null],
    ["gzip;q=2", null],
    ["gzip;q=", null],
    ["gzip;q=0.1234", null],
    ["gzip;q=x, br", "br"],
    ["gzip;q=.5", null],
    ["gzip; q=0.5 , br ;\tq=0.4", "gzip"],
    [",, br ,,", "br"],
    ["gzip;q=0.5;x=1", null],
  ])("%j chooses %j", (header, expected) => {
    expect(negotiateEncoding(header, offered)).toBe(expected);
  });

  test("the server's order decides between equals", () => {
    expect(negotiateEncoding("zstd, gzip", ["gzip", "zstd"])).toBe("gzip");
    expect(negotiateEncoding("gzip", [])).toBeNull();
  });
});
