import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { TierBreaker } from "../../../../../src/data/cache/tier/tier-breaker.ts";

let answers: boolean;
let trials: number;
let changes: boolean[];
let breaker: TierBreaker;
beforeEach(() => {
  vi.useFakeTimers();
  [answers, trials, changes] = [true, 0, []];
  breaker = new TierBreaker({
    trial: async () => {
      trials++;
      if (!answers) throw new Error("no answer");
    },
    changed: (open) => void changes.push(open),
  });
});
afterEach(() => {
  breaker.stop();
  vi.useRealTimers();
});

const fail = (times: number): void => {
  for (let i = 0; i < times; i++) breaker.failed();
};

it("is open until the first trial succeeds", async () => {
  expect(breaker.isOpen).toBe(true);
  await breaker.try();
  expect([breaker.isOpen, changes]).toEqual([false, [false]]);
});

it("opens after five failures in a row, and a success among them holds it off", async () => {
  await breaker.try();
  fail(4);
  for (let i = 0; i < 5; i++) breaker.succeeded();
  fail(1);
  expect(breaker.isOpen).toBe(false);
  fail(4);
  expect([breaker.isOpen, changes]).toEqual([true, [false, true]]);
});

it("opens when one in three fails for long, and not for one in ten", async () => {
  await breaker.try();
  for (let i = 0; i < 300; i++) i % 10 === 0 ? breaker.failed() : breaker.succeeded();
  expect(breaker.isOpen).toBe(false);
  for (let i = 0; i < 60; i++) i % 3 === 0 ? breaker.failed() : breaker.succeeded();
  expect(breaker.isOpen).toBe(true);
});

it("tries by itself, less and less often while it fails, and closes by the first success", async () => {
  await breaker.try();
  answers = false;
  breaker.open();
  const spent: number[] = [];
  for (let ms = 0; ms < 60_000; ms += 100) {
    const before = trials;
    await vi.advanceTimersByTimeAsync(100);
    if (trials > before) spent.push(ms + 100);
  }
  const gaps = spent.map((ms, i) => ms - (spent[i - 1] ?? 0));
  expect(gaps.every((gap, i) => gap <= 10_100 && gap >= (gaps[i - 1] ?? 0))).toBe(true);
  expect(gaps.length).toBeLessThan(15);
  answers = true;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(breaker.isOpen).toBe(false);
});

it("that opens again soon after it has closed stays open for longer", async () => {
  await breaker.try();
  const openFor = async (): Promise<number> => {
    breaker.open();
    for (let ms = 0; ; ms += 50) {
      if (!breaker.isOpen) return ms;
      await vi.advanceTimersByTimeAsync(50);
    }
  };
  await vi.advanceTimersByTimeAsync(20_000);
  const times = [await openFor(), await openFor(), await openFor()];
  expect(times).toEqual([500, 1000, 2000]);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(await openFor()).toBe(500);
});
