import { expect, test } from "vitest";
import { parseStrictObject, strictUtf8 } from "../../../src/base/strict-json.ts";

const nested = (levels: number): string => `{"a":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`;

test.each<[string, unknown]>([
  ["{}", {}],
  [' \n{"a" : 1,\t"b":[true,null,"x"]}\r', { a: 1, b: [true, null, "x"] }],
  ['{"a":"\\"b\\":1","c":"\\\\"}', { a: '"b":1', c: "\\" }],
  ['{"a":{"b":1},"c":{"b":1}}', { a: { b: 1 }, c: { b: 1 } }],
  ['{"a":[{"b":1},{"b":1}]}', { a: [{ b: 1 }, { b: 1 }] }],
  ['{"a":["x" , "y"]}', { a: ["x", "y"] }],
  ['{"":1}', { "": 1 }],
  ['{"a":"\\ud83d\\ude00"}', { a: "😀" }],
  ['{"0":1,"1":2}', { 0: 1, 1: 2 }],
])("%s is read", (text, value) => expect(parseStrictObject(text)).toEqual({ value }));

test("a member named __proto__ is an own member and changes nothing else", () => {
  const parsed = parseStrictObject('{"__proto__":{"admin":true}}');
  expect("value" in parsed && Object.hasOwn(parsed.value, "__proto__") && !("admin" in parsed.value)).toBe(true);
});

test.each([
  ['{"a":1,"a":2}', "has a member twice"],
  ['{"a":1,"\\u0061":2}', "has a member twice"],
  ['{"x":[{"a":1,"a":1}]}', "has a member twice"],
  ['{"__proto__":1,"__proto__":1}', "has a member twice"],
  ['{"0":1,"0":1}', "has a member twice"],
  ["[]", "is not a JSON object"],
  ["null", "is not a JSON object"],
  ['"{}"', "is not a JSON object"],
  ["", "is not JSON"],
  ["{", "is not JSON"],
  ['{"a"', "is not JSON"],
  ['{"a', "is not JSON"],
  ['{"a":1}}', "is not JSON"],
  ["{a:1}", "is not JSON"],
  ['{"a":01}', "is not JSON"],
  ['{"a":1e999}', "has a number or a text that cannot be carried exactly"],
  ['{"a":[-1e999]}', "has a number or a text that cannot be carried exactly"],
  ['{"a":"\\udc00"}', "has a number or a text that cannot be carried exactly"],
  ['{"\\udc00":1}', "has a number or a text that cannot be carried exactly"],
  [nested(33), "is nested too deeply"],
  [`${"[".repeat(100_000)}`, "is nested too deeply"],
])("%s is refused", (text, problem) => expect(parseStrictObject(text)).toEqual({ problem }));

test("nesting up to the bound is read", () => expect(parseStrictObject(nested(32))).toHaveProperty("value"));

test("braces in texts do not count as nesting", () => expect(parseStrictObject(`{"a":"${"{[".repeat(100)}"}`)).toHaveProperty("value"));

test("UTF-8 is read strictly", () => {
  expect(strictUtf8(Buffer.from("é😀"))).toBe("é😀");
  expect(strictUtf8(Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d]))).toBe("\ufeff{}");
  for (const bytes of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) expect(strictUtf8(Buffer.from(bytes))).toBeNull();
});
