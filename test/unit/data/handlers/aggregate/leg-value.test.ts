// What becomes of a leg's answer: which bytes are JSON, and what selecting, picking, renaming and flattening leave of it.
import { describe, expect, test } from "vitest";
import { parseExact } from "../../../../../src/base/exact-json.ts";
import type { LegConfig } from "../../../../../src/data/handlers/aggregate/config-plan.ts";
import { readJson, shapeOf } from "../../../../../src/data/handlers/aggregate/leg-value.ts";

describe("reading an answer", () => {
  const read = (body: string | Buffer, status = 200, head = false) => readJson(status, Buffer.from(body as string), head);
  const MARK = "\ufeff";

  test.each<[string, unknown]>([
    ['{"a":1}', { a: 1 }],
    [" [1]\n", [1]],
    ['"é"', "é"],
    ["null", null],
    [`${MARK}{"a":1}`, { a: 1 }],
  ])("%j is JSON", (text, value) => {
    expect(read(text)).toMatchObject({ value });
  });

  test("a byte order mark is skipped once, and is not in the bytes that go on", () => {
    const read1 = read(`${MARK}[1]`);
    expect("raw" in read1 && Buffer.from(read1.raw).toString()).toBe("[1]");
    expect(read(`${MARK}${MARK}[1]`)).toEqual({ fault: "is not JSON" });
  });

  test.each<[string | Buffer, string]>([
    ["", "is empty"],
    ["<html>", "is not JSON"],
    ["{} {}", "is not JSON"],
    [Buffer.from('"\xe9"', "latin1"), "is not UTF-8"],
    [Buffer.from([0xff, 0xfe, 0x31, 0x00]), "is not UTF-8"],
    ["[".repeat(200) + "]".repeat(200), "nests deeper than 100"],
  ])("%j is unusable: it %s", (body, fault) => {
    expect(readJson(200, Buffer.from(body as string), false)).toEqual({ fault });
  });

  test("an answer that can have no body is null", () => {
    for (const [status, head] of [
      [204, false],
      [205, false],
      [200, true],
    ] as const)
      expect(read("", status, head)).toMatchObject({ value: null });
    const none = read("", 204);
    expect("raw" in none && Buffer.from(none.raw).toString()).toBe("null");
  });
});

const PLAIN = { select: "", pick: null, rename: [], lift: [], flattenLists: false } satisfies Partial<LegConfig>;
type Given = Partial<Pick<LegConfig, "select" | "pick" | "rename" | "lift" | "flattenLists">>;

function shaped(given: Given, value: unknown): unknown {
  const shape = shapeOf({ ...PLAIN, ...given });
  if (shape === null) return value;
  const out = shape(value);
  return "fault" in out ? out.fault : JSON.parse(JSON.stringify(out.value));
}

test("a leg that takes the whole as it is changes nothing", () => {
  expect(shapeOf(PLAIN)).toBeNull();
});

const USER = { id: 1, secret: "s", address: { city: "Bern", id: 9 }, tags: [["a"], ["b", ["c"]]] };

test.each<[string, Given, unknown, unknown]>([
  ["a pointer selects", { select: "/address/city" }, USER, "Bern"],
  ["a dotted path selects", { select: "tags.1.0" }, USER, "b"],
  ["nothing at the place is a fault", { select: "address.zip" }, USER, "has nothing at address.zip"],
  ["null is something", { select: "a" }, { a: null }, null],
  ["what an object inherits is nothing", { select: "constructor" }, USER, "has nothing at constructor"],
  ["picked members stay, in the order of the list", { pick: ["address", "id", "none"] }, USER, { address: USER.address, id: 1 }],
  ["each object of a list is picked from", { pick: ["id"] }, [USER, null, { x: 1 }], [{ id: 1 }, null, {}]],
  ["null has nothing to pick from and stays null", { pick: ["id"] }, null, null],
  ["a text has no members", { pick: ["id"] }, "secret", "has no members to take: it is neither an object nor a list of objects"],
  ["a list that holds a text has none either", { pick: ["id"] }, [{ id: 1 }, "secret"], expect.stringContaining("no members")],
  [
    "nor has a number that no double holds",
    { pick: ["rawJSON"] },
    parseExact("12345678901234567890"),
    expect.stringContaining("no members"),
  ],
  ["renamed members keep their place", { rename: [{ from: "id", to: "user" }] }, { id: 1, a: 2 }, { user: 1, a: 2 }],
  ["a renamed member wins over one that has the name", { rename: [{ from: "a", to: "b" }] }, { a: 1, b: 2 }, { b: 1 }],
  [
    "names can be swapped",
    {
      rename: [
        { from: "a", to: "b" },
        { from: "b", to: "a" },
      ],
    },
    { a: 1, b: 2 },
    { b: 1, a: 2 },
  ],
  ["what is lifted stands outside", { pick: ["address"], lift: ["address"] }, USER, { city: "Bern", id: 9 }],
  ["what is outside wins over what is lifted", { pick: ["id", "address"], lift: ["address"] }, USER, { id: 1, city: "Bern" }],
  ["what is no object is not lifted", { lift: ["id", "tags"], pick: ["id"] }, USER, { id: 1 }],
  ["lists of lists become one list", { select: "tags", flattenLists: true }, USER, ["a", "b", ["c"]]],
  [
    "a member named __proto__ is one like others",
    { pick: ["__proto__"] },
    JSON.parse('{"__proto__":{"a":1}}'),
    JSON.parse('{"__proto__":{"a":1}}'),
  ],
  ["and can be lifted", { lift: ["__proto__"] }, JSON.parse('{"__proto__":{"a":1}}'), { a: 1 }],
])("%s", (_name, given, value, expected) => {
  expect(shaped(given, value)).toEqual(expected);
});
