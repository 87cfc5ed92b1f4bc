import { expect, test } from "vitest";
import { ROUTE_SLOT_OVERFLOW } from "../../../src/shared/metric-layout.ts";
import { SlotNames } from "../../../src/shared/slot-names.ts";

const CAPACITY = 4; // slots 2 and 3 can be named

test("a name keeps its slot, and two names never share one", () => {
  const names = new SlotNames();
  const [a, b] = [names.slot("a"), names.slot("b")];
  names.keepOnly(["b"]);
  names.keepOnly(["a", "b"]);
  expect([names.slot("a"), names.slot("b"), a === b]).toEqual([a, b, false]);
  expect(Math.min(a, b)).toBe(ROUTE_SLOT_OVERFLOW + 1);
});

test("beyond capacity living names share the overflow, counted", () => {
  const recycled: number[] = [];
  const names = new SlotNames((slot) => recycled.push(slot), CAPACITY);
  expect(["a", "b", "c", "d"].map((name) => names.slot(name))).toEqual([2, 3, ROUTE_SLOT_OVERFLOW, ROUTE_SLOT_OVERFLOW]);
  expect([names.overflowed, recycled]).toEqual([2, []]);
  names.keepOnly(["a", "b", "c"]);
  expect(names.overflowed).toBe(1);
});

test("slots of removed routes are reused, longest gone first, after telling", () => {
  const recycled: number[] = [];
  const names = new SlotNames((slot) => recycled.push(slot), CAPACITY);
  names.slot("a");
  names.slot("b");
  names.keepOnly(["a"]); // b is gone
  names.keepOnly([]); // now a too
  expect([names.slot("c"), recycled]).toEqual([3, [3]]);
  expect([...names.entries()]).toEqual([
    ["a", 2],
    ["c", 3],
  ]);
});

test("a name that a refused plan introduced can lose its slot; one that is compiled again cannot", () => {
  const names = new SlotNames(() => {}, CAPACITY);
  names.slot("a");
  names.keepOnly(["a"]);
  names.slot("refused");
  names.keepOnly(["a"]);
  expect(names.slot("next")).toBe(3);
  names.keepOnly([]);
  names.slot("a"); // compiled for the coming plan: no longer up for reuse
  expect(names.slot("other")).toBe(3);
  expect(names.slot("a")).toBe(2);
});

test("an overflowed name gets its own slot once there is room", () => {
  const names = new SlotNames(() => {}, CAPACITY);
  for (const name of ["a", "b", "c"]) names.slot(name);
  names.keepOnly(["a", "c"]);
  expect(names.slot("c")).toBe(3);
  expect(names.overflowed).toBe(0);
});
