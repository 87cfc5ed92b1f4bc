import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { PurgeOrder } from "../../../../src/control/cache/purge-order.ts";
import { ChangeBatch } from "../../../../src/control/fleet/change-batch.ts";

let published: { readonly order: PurgeOrder; readonly settled: () => void }[];
let held: Map<number, number>;
let batch: ChangeBatch;
beforeEach(() => {
  vi.useFakeTimers();
  published = [];
  held = new Map();
  batch = new ChangeBatch({
    intervalMs: 100,
    publish: async (order, settled) => {
      published.push({ order, settled });
      return { told: true, trouble: null };
    },
    release: (number, times) => hold(number, -times),
  });
});
afterEach(() => {
  batch.stop();
  vi.useRealTimers();
});

/** As shared memory does: by their last bits. */
function hold(number: number, times: number): void {
  const place = number & 0xffff;
  held.set(place, (held.get(place) ?? 0) + times);
}
function add(...numbers: readonly number[]): void {
  for (const number of numbers) hold(number, 1);
  batch.add(numbers);
}
const settled = new Set<unknown>();
/** The last one, once. */
function settle(): void {
  const last = published.at(-1);
  if (last === undefined || settled.has(last)) return;
  settled.add(last);
  last.settled();
}
const stillHeld = (): number => [...held.values()].reduce((sum, each) => sum + each, 0);

const changed = (): readonly (readonly number[] | undefined)[] => published.map(({ order }) => order.changed);

it("the first is told at once, those that come meanwhile together, when the log has it and some time has passed", () => {
  add(1);
  add(2, 3);
  add(2);
  expect(changed()).toEqual([[1]]);
  vi.advanceTimersByTime(10_000);
  expect(published).toHaveLength(1);
  settle();
  expect(stillHeld()).toBe(3);
  vi.advanceTimersByTime(99);
  expect(published).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(published.at(-1)?.order).toEqual({ soft: false, everything: false, urls: [], prefixes: [], tags: [], changed: [2, 3] });
  settle();
  expect(stillHeld()).toBe(0);
});

it("an order has at most 1024 URLs, and none is lost", () => {
  const numbers = Array.from({ length: 3000 }, (_, i) => i * 70_001);
  add(4_294_967_295);
  add(...numbers);
  for (let i = 0; i < 10; i++) {
    settle();
    vi.advanceTimersByTime(100);
  }
  expect(changed().flat()).toEqual([4_294_967_295, ...numbers]);
  expect(changed().every((each) => (each ?? []).length <= 1024)).toBe(true);
  expect(stillHeld()).toBe(0);
});

it("more than are kept while the log cannot be written make everything void, and all are let go then", () => {
  add(1);
  const numbers = Array.from({ length: 40_000 }, (_, i) => i * 70_001);
  add(...numbers);
  add(...numbers);
  settle();
  vi.advanceTimersByTime(100);
  expect(published.at(-1)?.order).toMatchObject({ everything: true, soft: false });
  expect(stillHeld()).toBe(80_000);
  settle();
  expect([stillHeld(), [...held.values()].every((each) => each === 0)]).toEqual([0, true]);
  add(7);
  vi.advanceTimersByTime(100);
  expect(changed().at(-1)).toEqual([7]);
});

it("at the end all that waits is handed over", () => {
  add(1);
  add(...Array.from({ length: 3000 }, (_, i) => i));
  batch.stop();
  expect(new Set(changed().flat()).size).toBe(3000);
});
