// The numbers that reports quote: medians, spreads, ratios within rounds, and whose turn it is.
import { describe, expect, it } from "vitest";
import { median, ratioSpread, rotated, spreadOf } from "../../../native-bench/measure/statistics.ts";

describe("median", () => {
  it.each<[readonly number[], number]>([
    [[3, 1, 2], 2],
    [[4, 1, 3, 2], 2.5],
    [[7], 7],
    [[10, 9, 100], 10], // by number, not by text
  ])("%j", (values, expected) => {
    expect(median(values)).toBe(expected);
  });
  it("of nothing is no number", () => {
    expect(median([])).toBeNaN();
  });
});

describe("spreadOf", () => {
  it("has the middle and the ends", () => {
    expect(spreadOf([5, 1, 9])).toEqual({ median: 5, min: 1, max: 9, count: 3 });
  });
  it("leaves out what is no number: a server that answered nothing cost infinitely much a request", () => {
    expect(spreadOf([Number.POSITIVE_INFINITY, 2, Number.NaN])).toEqual({ median: 2, min: 2, max: 2, count: 1 });
    expect(spreadOf([Number.NaN])).toBeNull();
  });
});

describe("ratioSpread", () => {
  const series = (...values: number[]) => values.map((value, round) => ({ round, value }));
  it("compares only what was measured in the same round", () => {
    // The machine was twice as slow in the second round: that must not show.
    expect(ratioSpread(series(10, 20, 10), series(5, 10, 5))).toEqual({ median: 2, min: 2, max: 2, count: 3 });
  });
  it("leaves out rounds that the baseline does not have", () => {
    expect(ratioSpread(series(10, 40), series(5))).toMatchObject({ median: 2, count: 1 });
    expect(ratioSpread(series(10), [])).toBeNull();
  });
});

describe("rotated", () => {
  it("lets everybody begin once in as many rounds as there are", () => {
    const list = ["a", "b", "c"];
    expect([0, 1, 2, 3].map((round) => rotated(list, round).join(""))).toEqual(["abc", "bca", "cab", "abc"]);
    expect(rotated([], 3)).toEqual([]);
  });
});
