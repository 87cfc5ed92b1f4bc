// What a comparison of two builds says, and when it may stop.
import { describe, expect, it } from "vitest";
import type { Sample } from "../../../native-bench/cases/case.ts";
import { CASES } from "../../../native-bench/cases/catalog.ts";
import { isSettled, medianInterval, pairOf, ROUNDS_MIN, verdictsOf, verdictText } from "../../../native-bench/compare/verdict.ts";
import { seededRandom } from "../../support/upstreams.ts";

const pair = pairOf({ ...CASES[0]!, contenders: CASES[0]!.contenders.filter(({ label }) => label === "sluice") }); // the list is not empty

/** Rounds in which the machine itself is slower or faster by up to a half, and each measurement by up to `noise`. */
function rounds(count: number, cost: number, noise: number): Sample[] {
  return Array.from({ length: count }, (_, round) => {
    const machine = 1 + ((round * 7) % 11) / 22;
    const wobble = (seed: number): number => 1 + noise * Math.sin(round * 12.9898 + seed * 78.233);
    const sample = (label: string, micros: number, seed: number): Sample => ({
      label,
      round,
      values: { micros: micros * machine * wobble(seed) },
    });
    return [sample("old", 40, 1), sample("old again", 40, 2), sample("new", 40 * cost, 3)];
  }).flat();
}

describe("a verdict", () => {
  it("finds a difference of 2 % though rounds differ by half, with its interval on the right side of one", () => {
    const [verdict] = verdictsOf(pair, rounds(40, 1.02, 0.005));
    expect(verdict?.ratio.median).toBeCloseTo(1.02, 2);
    expect(verdict?.ratio.low).toBeGreaterThan(1);
    expect(verdict?.same.median).toBeCloseTo(1, 2);
  });
  it.each([
    [1.0, "holds"],
    [1.2, "BROKEN"],
    [1.03, "not shown"],
  ])("of a ratio of %d against a bar of 3 %% says: %s", (cost, word) => {
    const [verdict] = verdictsOf(pair, rounds(40, cost, 0.02));
    expect(verdictText(verdict!, 0.03)).toContain(`at most 3.0 % more: ${word}`);
  });
  it("is missing while a contender is", () =>
    expect(
      verdictsOf(
        pair,
        rounds(5, 1, 0).filter(({ label }) => label !== "new"),
      ),
    ).toEqual([]));
});

describe("a comparison", () => {
  it(`goes on for ${ROUNDS_MIN} rounds at least, and until the interval is narrower than half the bar`, () => {
    expect(isSettled(verdictsOf(pair, rounds(ROUNDS_MIN - 1, 1, 0.0001)), 0.03)).toBe(false);
    expect(isSettled(verdictsOf(pair, rounds(ROUNDS_MIN, 1, 0.0001)), 0.03)).toBe(true);
    expect(isSettled(verdictsOf(pair, rounds(ROUNDS_MIN, 1, 0.2)), 0.03)).toBe(false);
    expect(isSettled([], 0.03)).toBe(false);
  });
});

describe("the interval of a median", () => {
  it("covers the true median of skewed values about 95 times of 100", () => {
    const random = seededRandom(7);
    const covered = Array.from({ length: 60 }, () => {
      const { low, high } = medianInterval(Array.from({ length: 31 }, () => -Math.log(1 - random())));
      return low <= Math.LN2 && Math.LN2 <= high;
    }).filter(Boolean).length;
    expect(covered).toBeGreaterThan(50);
    expect(covered).toBeLessThan(60);
  });
});
