// Owns tests of what several limits and concurrency come to when operations interrupt each other: nothing lost, nothing taken twice.
import { expect, it } from "vitest";
import { concurrencySize, type LimitAsk, MODE_LOCAL, PASSED, quotaSize, rateSize } from "../../../src/shared/limit-size.ts";
import { LimitTable } from "../../../src/shared/limit-table.ts";
import { InterruptedTable } from "../../support/interrupted-table.ts";
import { askFor, EPOCH_MS, identity } from "../../support/limit-table.ts";
import { seededRandom } from "../../support/upstreams.ts";

const THREADS = 4;

/** Runs operations of four threads, each of which may be interrupted by those of the others. */
function interrupted(seed: number, count: number, operation: (table: InterruptedTable, random: () => number) => void): LimitTable {
  const random = seededRandom(seed);
  const buffer = LimitTable.allocate(4096, THREADS, 0);
  const threads = Array.from({ length: THREADS }, (_, worker) => new InterruptedTable(buffer, worker));
  for (const each of threads) each.setNow(1000, EPOCH_MS);
  const run = (free: readonly InterruptedTable[]): void => {
    const at = Math.floor(random() * free.length);
    const table = free[at];
    if (table === undefined) return;
    table.interrupt = () => {
      if (random() < 0.25) run(free.filter((_, i) => i !== at));
    };
    operation(table, random);
    table.interrupt = () => {};
  };
  for (let i = 0; i < count; i++) run(threads);
  const view = new LimitTable(buffer);
  view.setNow(1000, EPOCH_MS);
  return view;
}

it.each([1, 2, 3, 4])("limits that are asked together are spent together or not at all (seed %i)", (seed) => {
  const slow = rateSize({ count: 1, periodMs: 3_600_000 }, 400, MODE_LOCAL);
  const sizes = { wide: slow, quota: quotaSize(300, MODE_LOCAL), narrow: rateSize({ count: 1, periodMs: 3_600_000 }, 40, MODE_LOCAL) };
  const question = (key: string): LimitAsk[] => {
    const quota = askFor(identity(2), "all", sizes.quota, 2);
    quota.periodEndMs = EPOCH_MS + 86_400_000;
    return [askFor(identity(1), "all", sizes.wide), quota, askFor(identity(3), key, sizes.narrow)];
  };
  const passed = new Map<string, number>();
  const view = interrupted(seed, 1500, (table, random) => {
    const key = `key ${Math.floor(random() * 3)}`;
    const asks = question(key);
    if (table.spendAll(asks, 0, asks.length) < 0) passed.set(key, (passed.get(key) ?? 0) + 1);
  });
  const sum = [...passed.values()].reduce((all, each) => all + each, 0);
  const [wide, quota] = question("key 0");
  if (wide === undefined || quota === undefined) throw new Error("three limits were asked");
  view.peek(wide);
  view.peek(quota);
  expect(wide.level).toBe(sum * sizes.wide.unit);
  expect(quota.level).toBe(sum * 2);
  for (const [key, times] of passed) {
    const narrow = askFor(identity(3), key, sizes.narrow);
    view.peek(narrow);
    expect(narrow.level).toBe(times * sizes.narrow.unit);
    expect(times).toBeLessThanOrEqual(40);
  }
  expect(passed.size).toBe(3);
  expect(sum).toBe(120);
});

it.each([1, 2, 3, 4])("no more are held than there are places, and all are given back (seed %i)", (seed) => {
  const places = 5;
  const size = concurrencySize(places);
  const held = new Map<string, number>();
  const mine = new Map<InterruptedTable, { readonly key: string; readonly slot: number }[]>();
  let most = 0;
  let refused = 0;
  const view = interrupted(seed, 4000, (table, random) => {
    const own = mine.get(table) ?? [];
    mine.set(table, own);
    if (own.length > 0 && random() < 0.5) {
      const last = own.pop();
      if (last === undefined) return;
      // Others may have the place as soon as it is given back, while this is under way.
      held.set(last.key, (held.get(last.key) ?? 0) - 1);
      table.release(last.slot);
      return;
    }
    const key = `key ${Math.floor(random() * 6)}`;
    const ask = askFor(identity(1), key, size);
    if (table.spend(ask) !== PASSED) {
      refused++;
      return;
    }
    own.push({ key, slot: ask.slot });
    held.set(key, (held.get(key) ?? 0) + 1);
    most = Math.max(most, held.get(key) ?? 0);
  });
  expect(most).toBe(places);
  expect(refused).toBeGreaterThan(0);
  for (const [key, count] of held) {
    const ask = askFor(identity(1), key, size);
    view.peek(ask);
    expect(ask.level).toBe(count);
  }
  for (let worker = 0; worker < THREADS; worker++) view.clearWorker(worker);
  for (const key of held.keys()) {
    const ask = askFor(identity(1), key, size);
    view.peek(ask);
    expect(ask.level).toBe(0);
  }
});
