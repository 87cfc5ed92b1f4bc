// Schemas that are made when somebody writes their key.
import { expect, it } from "vitest";
import * as z from "zod";
import { lazyOptional, resolveLazy } from "../../../src/base/lazy-schema.ts";

function counted() {
  const made = { times: 0 };
  const inner = z.strictObject({ n: z.int().max(9) });
  const make = () => {
    made.times++;
    return inner;
  };
  return { made, inner, whole: z.strictObject({ key: lazyOptional(make).meta({ description: "a key" }), other: z.string().optional() }) };
}

it("is not made while nobody writes the key", () => {
  const { made, whole } = counted();
  expect(whole.parse({ other: "x" })).toEqual({ other: "x" });
  expect(whole.safeParse({ unknown: 1 }).success).toBe(false);
  expect(made.times).toBe(0);
});

it("parses and refuses like the schema itself", () => {
  const { made, whole } = counted();
  expect(whole.parse({ key: { n: 1 } })).toEqual({ key: { n: 1 } });
  const refused = whole.safeParse({ key: { n: 10, m: 1 } });
  expect(refused.error?.issues.map(({ code, path }) => [code, path])).toEqual([
    ["too_big", ["key", "n"]],
    ["unrecognized_keys", ["key"]],
  ]);
  expect(whole.safeParse({ key: null }).success).toBe(false);
  expect(made.times).toBeGreaterThan(0);
});

it("tells describers what it stands for", () => {
  const { inner, whole } = counted();
  expect(resolveLazy(whole.shape.key.def.innerType)).toBe(inner);
  expect(resolveLazy(inner)).toBeNull();
});
