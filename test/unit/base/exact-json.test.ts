// JSON that is read to be written again: nothing changes on the way, and paths find only what an object itself has.
import { expect, test } from "vitest";
import { isObject, isTooDeep, JSON_DEPTH_MAX, jsonAt, parseExact, parseJsonPath, scalarText } from "../../../src/base/exact-json.ts";
import { seededRandom } from "../../support/upstreams.ts";

test.each([
  '{"id":12345678901234567890}',
  "[9007199254740993]",
  "-12345678901234567890",
  "1e400",
  "[0.10000000000000000000000001,1]",
  '{"a":[-0.000000000000000000001E-30]}',
  '{"__proto__":{"polluted":true},"constructor":1}',
  '{"text":"a, 12345678901234567890 and 1e400"}',
  '{"uuid":"3e4e1e9e-0000-4000-8000-1e1e1e1e1e1e"}',
])("%s is written as it was read", (text) => {
  expect(JSON.stringify(parseExact(text))).toBe(text);
});

test("a member named __proto__ changes no prototype", () => {
  const value = parseExact('{"__proto__":{"admin":true},"n":12345678901234567890}');
  expect(jsonAt(value, ["admin"])).toBeUndefined();
  expect(jsonAt(value, ["__proto__", "admin"])).toBe(true);
});

test.each<[unknown, string | null]>([
  ["text", "text"],
  ["", ""],
  [7, "7"],
  [false, "false"],
  [parseExact("12345678901234567890"), "12345678901234567890"],
  [null, null],
  [undefined, null],
  [[1], null],
  [{}, null],
  ["\ud800", null],
])("the text of %j is %j", (value, text) => {
  expect(scalarText(value)).toBe(text);
});

test("a number in disguise is no object", () => {
  expect(isObject(parseExact("12345678901234567890"))).toBe(false);
  expect(jsonAt(parseExact('{"n":12345678901234567890}'), ["n", "rawJSON"])).toBeUndefined();
});

test.each<[string, readonly string[]]>([
  ["", []],
  ["a", ["a"]],
  ["a.0.b", ["a", "0", "b"]],
  ["/a/0/b", ["a", "0", "b"]],
  ["/a~1b/m~0n", ["a/b", "m~n"]],
  ["/~01", ["~1"]],
  ["/", [""]],
  ["/a.b", ["a.b"]],
])("the path %j has the steps %j (RFC 6901)", (text, steps) => {
  expect(parseJsonPath(text)).toEqual(steps);
});

test.each<[string, RegExp]>([
  ["a..b", /empty step/],
  [".", /empty step/],
  ["/a~2", /'~0'/],
  ["/a~", /'~0'/],
  [Array(33).fill("a").join("."), /at most 32 steps/],
])("the path %j is refused", (text, error) => {
  expect(parseJsonPath(text)).toEqual({ error: expect.stringMatching(error) });
});

test.each<[string, unknown]>([
  ["list.1", "b"],
  ["list.01", undefined],
  ["list.-", undefined],
  ["list.length", undefined],
  ["list.9", undefined],
  ["object.constructor", undefined],
  ["object.toString", undefined],
  ["text.length", undefined],
  ["nothing.x", undefined],
  ["nothing", null],
])("at %s stands %j", (text, expected) => {
  const path = parseJsonPath(text);
  if ("error" in path) throw new Error(path.error);
  expect(jsonAt({ list: ["a", "b"], object: {}, text: "abc", nothing: null }, path)).toBe(expected);
});

test("nesting is counted outside of strings only, and bounded where JSON.stringify would recurse", () => {
  const deep = (n: number): string => `${"[".repeat(n)}${"]".repeat(n)}`;
  expect(isTooDeep(deep(JSON_DEPTH_MAX))).toBe(false);
  expect(isTooDeep(deep(JSON_DEPTH_MAX + 1))).toBe(true);
  expect(isTooDeep(deep(1_000_000))).toBe(true);
  expect(isTooDeep(JSON.stringify({ text: deep(200), more: `"\\"${deep(200)}` }))).toBe(false);
  expect(isTooDeep(`[${Array(500).fill("[{}]").join(",")}]`)).toBe(false);
});

test("any JSON that JSON.parse reads is read as the same value", () => {
  const random = seededRandom(11);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T; // the list is not empty
  const make = (depth: number): unknown => {
    const kind = random();
    if (depth > 4 || kind < 0.5)
      return pick([
        null,
        true,
        false,
        0,
        -1.5,
        1e21,
        123456789.123,
        Number.MAX_SAFE_INTEGER,
        5e-324,
        "",
        'a"b\\',
        "é\u2028",
        "[1e9",
        ":-12e4",
      ]);
    const size = Math.floor(random() * 4);
    if (kind < 0.75) return Array.from({ length: size }, () => make(depth + 1));
    return Object.fromEntries(
      Array.from({ length: size }, (_, i) => [pick(["a", "b", "__proto__x", "0", '"'] as const) + i, make(depth + 1)]),
    );
  };
  for (let i = 0; i < 3000; i++) {
    const text = JSON.stringify(make(0));
    expect(JSON.stringify(parseExact(text))).toBe(text);
    expect(isTooDeep(text)).toBe(false);
  }
});
