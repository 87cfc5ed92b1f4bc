// Owns tests of the retry budget.
import { expect, test } from "vitest";
import { RetryBudget } from "../../../../src/data/upstream/retry-budget.ts";

/** Retries granted out of many asked for after some requests in one window. */
function granted(fraction: number, requests: number): number {
  const budget = new RetryBudget(fraction, () => 0);
  for (let i = 0; i < requests; i += 1) budget.request();
  let count = 0;
  while (count < 100_000 && budget.take()) {
    budget.request();
    count += 1;
  }
  return count;
}

test.each([
  { fraction: 0.2, requests: 0, expected: 100 },
  { fraction: 0.2, requests: 1000, expected: 300 },
  { fraction: 0.5, requests: 10_000, expected: 5100 },
  { fraction: 1, requests: 1000, expected: 1100 },
  { fraction: 0, requests: 1000, expected: 0 },
])("$fraction of $requests requests and the floor: $expected retries, which earn none themselves", ({ fraction, requests, expected }) => {
  expect(granted(fraction, requests)).toBe(expected);
});

test("an attempt that was not made earns nothing, and a retry that was not made costs nothing", () => {
  const budget = new RetryBudget(0.2, () => 0);
  for (let i = 0; i < 1000; i += 1) {
    budget.request();
    budget.withdraw();
  }
  let count = 0;
  while (budget.take()) count += 1;
  expect(count).toBe(100);
  budget.giveBack();
  expect([budget.take(), budget.take()]).toEqual([true, false]);
});

test("the window slides: what was spent comes back with time, at the floor's rate when nothing else happens", () => {
  let nowMs = 0;
  const budget = new RetryBudget(0.2, () => nowMs);
  const takeAll = (): number => {
    let count = 0;
    while (budget.take()) count += 1;
    return count;
  };
  expect(takeAll()).toBe(100);
  expect(takeAll()).toBe(0);
  nowMs = 10_000;
  expect(takeAll()).toBe(0);
  nowMs = 15_000;
  expect(takeAll()).toBe(50);
  nowMs = 60_000;
  expect(takeAll()).toBeGreaterThan(80);
});

test("an hour of silence neither saves up nor forgets: the mean of the time since counts", () => {
  let nowMs = 0;
  const budget = new RetryBudget(0.1, () => nowMs);
  for (let i = 0; i < 360_000; i += 1) budget.request();
  nowMs = 3_600_000;
  let count = 0;
  while (budget.take()) {
    budget.request();
    count += 1;
  }
  // 100 requests a second: 1000 in a window, a tenth of them and the floor.
  expect(count).toBe(200);
});

test("a clock that stands still or steps back changes nothing", () => {
  let nowMs = 5000;
  const budget = new RetryBudget(0.2, () => nowMs);
  nowMs = 0;
  expect(budget.take()).toBe(true);
});
