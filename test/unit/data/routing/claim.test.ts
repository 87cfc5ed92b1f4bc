import { expect, it } from "vitest";
import { claimAt } from "../../../../src/data/routing/claim.ts";

it.each<[unknown, string, unknown]>([
  [{ a: 1 }, "a", 1],
  [{ a: { b: { c: 2 } } }, "a.b.c", 2],
  [{ "a.b": 1, a: { b: 2 } }, "a.b", 1],
  [{ a: { "b.c": 3 } }, "a.b.c", 3],
  [{ "https://x.example/y": 4 }, "https://x.example/y", 4],
  [{ a: [1] }, "a.0", undefined],
  [{ a: "text" }, "a.length", undefined],
  [{}, "constructor", undefined],
  [{}, "__proto__.polluted", undefined],
  [{ a: {} }, "a.", undefined],
  [null, "a", undefined],
  [undefined, "a", undefined],
])("%j: %s is %j", (claims, name, expected) => expect(claimAt(claims, name)).toEqual(expected));
