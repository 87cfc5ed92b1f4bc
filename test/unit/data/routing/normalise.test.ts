// Normal form of paths: RFC 3986 examples, attacks, and the properties that everything behind it relies on.
import { describe, expect, test } from "vitest";
import { isQuery, normalisePath, segmentKey, splitTarget } from "../../../../src/data/routing/normalise.ts";

describe("normalisePath", () => {
  test.each<[string, string]>([
    // plain
    ["/", "/"],
    ["/users/42", "/users/42"],
    ["/users/", "/users/"],
    ["/a.b/c..d/...", "/a.b/c..d/..."],
    ["/a;v=1/b,c/d=e&f+g!$'()*@:~-_", "/a;v=1/b,c/d=e&f+g!$'()*@:~-_"],
    ["/.well-known/x", "/.well-known/x"],
    // RFC 3986 section 5.2.4
    ["/a/b/c/./../../g", "/a/g"],
    // RFC 3986 section 5.4.1, base http://a/b/c/d;p?q, relative parts merged with /b/c/
    ["/b/c/g", "/b/c/g"],
    ["/b/c/./g", "/b/c/g"],
    ["/b/c/g/", "/b/c/g/"],
    ["/b/c/g;x=1/./y", "/b/c/g;x=1/y"],
    ["/b/c/g;x=1/../y", "/b/c/y"],
    ["/b/c/.", "/b/c/"],
    ["/b/c/./", "/b/c/"],
    ["/b/c/..", "/b/"],
    ["/b/c/../", "/b/"],
    ["/b/c/../g", "/b/g"],
    ["/b/c/../..", "/"],
    ["/b/c/../../", "/"],
    ["/b/c/../../g", "/g"],
    // 5.4.2 abnormal, those that stay inside
    ["/b/c/g.", "/b/c/g."],
    ["/b/c/.g", "/b/c/.g"],
    ["/b/c/g..", "/b/c/g.."],
    ["/b/c/..g", "/b/c/..g"],
    ["/b/c/./../g", "/b/g"],
    ["/b/c/./g/.", "/b/c/g/"],
    ["/b/c/g/./h", "/b/c/g/h"],
    ["/b/c/g/../h", "/b/c/h"],
    // percent-encoding (RFC 3986 section 6.2.2)
    ["/%75sers/%7Eme", "/users/~me"],
    ["/caf%c3%a9", "/caf%C3%A9"],
    ["/a%2cb%40c", "/a%2Cb%40c"],
    ["/a%20b", "/a%20b"],
    ["/a/%2e/b", "/a/b"],
    ["/a/%2e%2E/b", "/b"],
    ["/a/.%2e/b", "/b"],
    ["/50%25", "/50%25"],
    ["/50%25/off", "/50%25/off"],
    ["/100%25x", "/100%25x"],
    ["/latin%e9", "/latin%E9"],
    // what browsers leave raw
    ['/a|b^c[0]"<>`{x}', "/a%7Cb%5Ec%5B0%5D%22%3C%3E%60%7Bx%7D"],
  ])("%j -> %j", (raw, expected) => {
    expect(normalisePath(raw)).toBe(expected);
  });

  test.each([
    // not origin-form
    "",
    "users",
    "*",
    "http://evil/",
    "?x",
    // out of the root (RFC 3986 section 5.4.2: ../../../g and /../g)
    "/..",
    "/../g",
    "/b/c/../../../g",
    "/a/../../b",
    "/%2e%2e/b",
    "/a/.%2e/%2e./b",
    // empty segments
    "//",
    "//evil",
    "//evil/x",
    "/a//b",
    "/a//",
    "/a/..//b",
    "/.//evil",
    "/a/%2e//b",
    // encoded separators and control bytes
    "/a%2fb",
    "/a%2Fb",
    "/a%5cb",
    "/a%5Cb",
    "/a%00",
    "/a%0d%0aX:%20y",
    "/a%09",
    "/a%1f",
    "/a%7f",
    // raw
    "/a\\b",
    "/a\\..\\b",
    "/a b",
    "/a\u0000",
    "/a\r\nb",
    "/a\u007f",
    "/é",
    "/\ud83d\ude00",
    "/a#b",
    "/a?b",
    // malformed percent
    "/%",
    "/a%",
    "/a%4",
    "/a%zz",
    "/a%4g",
    "/a%%41",
    "/a%u002f",
    // double encoding, also in two steps
    "/a%252fb",
    "/a%252e%252e/b",
    "/%25%32%66",
    "/%25%32f",
    "/%2%35%32f",
    "/a%25ab",
    // disguised dot segments
    "/a/..;/b",
    "/a/..;x=y/b",
    "/a/.;/b",
    "/a/..%3b/b",
    "/a/%2e%2e%3B/b",
    "/a/%2e%2e;/b",
    // overlong UTF-8
    "/%c0%af",
    "/%c0%ae%c0%ae/",
    "/%c1%9c",
    "/%e0%80%af",
    "/%e0%9F%80",
    "/%f0%80%80%af",
    "/%f0%8f%80%80",
  ])("%j is refused", (raw) => {
    expect(normalisePath(raw)).toBeNull();
  });

  test("a plain path is returned itself, so the fast path was taken", () => {
    for (const raw of ["/", "/a/b.c/d", "/users/42/orders;v=1"]) expect(normalisePath(raw)).toBe(raw);
  });

  test("every output is a fixed point, has no dot or empty segment, and only characters that may be forwarded", () => {
    const pieces = [
      "/",
      "/",
      "/",
      ".",
      "..",
      "a",
      "%2e",
      "%2E",
      "%2f",
      "%25",
      "32",
      "66",
      "%41",
      "%c3",
      "%a9",
      ";",
      "%3b",
      "{",
      "|",
      "@",
      "%40",
      "%",
      "~",
    ];
    const random = seeded(20);
    let accepted = 0;
    const wrong: string[] = [];
    for (let i = 0; i < 30_000; i++) {
      let raw = "/";
      for (let n = random(10); n > 0; n--) raw += pieces[random(pieces.length)];
      const path = normalisePath(raw);
      if (path === null) continue;
      accepted++;
      const segments = path.slice(1).split("/");
      const faults = [
        normalisePath(path) !== path && "is no fixed point",
        segments.slice(0, -1).includes("") && "has an empty segment",
        segments.some((segment) => /^\.{1,2}($|;|%3B)/.test(segment)) && "has a dot segment",
        !/^\/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-F]{2})*$/.test(path) && "has characters that may not be forwarded",
        /%2F|%5C|%[01][0-9A-F]|%7F|%25[0-9A-Fa-f]{2}/.test(path) && "has what must not be encoded",
        // One decoding more must not uncover another path than ours: no separator, no dot segment.
        decodeOnce(path).split("/").length !== segments.length + 1 && "decodes to another path",
      ].filter((fault) => fault !== false);
      if (faults.length > 0) wrong.push(`${raw} became ${path}, which ${faults.join(", ")}`);
    }
    // Judged once: an expectation for each property of each path would take longer than everything else here.
    expect(wrong).toEqual([]);
    expect(accepted).toBeGreaterThan(3000);
  });
});

const decodeOnce = (path: string): string => path.replace(/%[0-9A-F]{2}/g, (hex) => String.fromCharCode(Number.parseInt(hex.slice(1), 16)));

test.each<[string, { path: string; query: string } | null]>([
  ["/a", { path: "/a", query: "" }],
  ["/a?", { path: "/a", query: "" }],
  ["/a?b=1?c", { path: "/a", query: "b=1?c" }],
  ["/a?%zz&'\"<>{}|\\^`", { path: "/a", query: "%zz&'\"<>{}|\\^`" }],
  ["/a?b#c", null],
  ["/a?b c", null],
  ["/a?é", null],
  ["/a?\u0000", null],
  ["/a?b\r\nX: y", null],
  ["/a?\u007f", null],
])("splitTarget(%j)", (target, expected) => {
  expect(splitTarget(target)).toEqual(expected);
});

test("isQuery takes visible ASCII but '#'", () => {
  for (let c = 0; c < 300; c++) expect(isQuery(String.fromCharCode(c)), String(c)).toBe(c > 32 && c < 127 && c !== 35);
});

test.each<[string, string]>([
  ["@me", "@me"],
  ["%40me", "@me"],
  ["a%3Bb%3Dc", "a;b=c"],
  ["a%20b", "a%20b"],
  ["%25", "%25"],
  ["%2A", "*"],
])("segmentKey(%j) is %j", (segment, key) => {
  expect(segmentKey(segment)).toBe(key);
});

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
