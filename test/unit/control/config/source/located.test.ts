import { describe, expect, it } from "vitest";
import { readDocument } from "../../../../../src/control/config/source/document.ts";
import { type Located, overlay, positionAt, toPlain } from "../../../../../src/control/config/source/located.ts";

function tree(file: string, text: string): Located {
  const { root } = readDocument({ file, text }, {});
  if (root === null) throw new Error(`not a map: ${text}`);
  return root;
}

describe("overlay", () => {
  const check = (base: string, over: string, expected: unknown) =>
    it(`${base} + ${over}`, () => expect(toPlain(overlay(tree("base", base), tree("over", over)))).toEqual(expected));
  check("a: 1", "b: 2", { a: 1, b: 2 });
  check("a: { b: 1, c: 2 }", "a: { c: 3 }", { a: { b: 1, c: 3 } });
  check("a: [1, 2]", "a: [3]", { a: [3] });
  check("a: { b: 1 }", "a: 5", { a: 5 });
  check("a: { b: 1 }\nc: 2", "a: null", { c: 2 });
  check("a: 1", "b: null", { a: 1, b: null }); // null that removes nothing stays, for the schema to refuse
  check("a: { b: { c: 1 } }", "a: { b: { c: null, d: 2 } }", { a: { b: { d: 2 } } });
});

it("values keep the place they were written at", () => {
  const merged = overlay(tree("base", "a:\n  b: 1\n  c: 2"), tree("over", "\na: { c: 3 }"));
  expect(positionAt(merged, ["a", "b"])).toEqual({ file: "base", line: 2, column: 6 });
  expect(positionAt(merged, ["a", "c"])).toEqual({ file: "over", line: 2, column: 9 });
});
