import { expect, test } from "vitest";
import { DEPRECATED_OTHERS, DEPRECATED_SERIES_MAX, DeprecatedTotals } from "../../../src/shared/deprecated-totals.ts";

test("calls are summed by route and consumer, and forgotten when they are taken", () => {
  const totals = new DeprecatedTotals();
  expect(totals.take()).toBeNull();
  totals.add("a", "x", 1);
  totals.add("a", "x", 2);
  totals.add("a", "", 1);
  totals.add("b", "x", 1);
  const expected = [
    { route: "a", consumer: "x", count: 3 },
    { route: "a", consumer: "", count: 1 },
    { route: "b", consumer: "x", count: 1 },
  ];
  expect(totals.all()).toEqual(expected);
  expect(totals.take()).toEqual(expected);
  expect(totals.take()).toBeNull();
});

test("beyond the bound callers are counted together, by route while there are not too many routes, and nothing is lost", () => {
  const totals = new DeprecatedTotals();
  for (let i = 0; i < DEPRECATED_SERIES_MAX; i++) totals.add("a", `c${i}`, 1);
  for (let i = 0; i < 5000; i++) totals.add(i % 2 === 0 ? "a" : `r${i}`, `new${i}`, 1);
  totals.add("a", "c7", 10);
  const all = totals.all();
  const of = (route: string, consumer: string) => all.find((each) => each.route === route && each.consumer === consumer)?.count;
  expect(of("a", "c7")).toBe(11);
  expect(of("a", DEPRECATED_OTHERS)).toBe(2500);
  expect(of("r1", DEPRECATED_OTHERS)).toBe(1);
  expect(of(DEPRECATED_OTHERS, DEPRECATED_OTHERS)).toBe(2500 - 999);
  expect(all).toHaveLength(DEPRECATED_SERIES_MAX + 1 + 999 + 1);
  expect(all.reduce((sum, { count }) => sum + count, 0)).toBe(DEPRECATED_SERIES_MAX + 5000 + 10);
});
