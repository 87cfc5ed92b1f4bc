// Owns tests of the table of limits used by many threads at once: every decision against the sequential algorithm, and threads that are killed.
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { KIND_CONCURRENCY, KIND_FREE, TICKS_PER_MS } from "../../../src/shared/limit-layout.ts";
import { concurrencySize, MODE_LOCAL, PASSED, rateSize } from "../../../src/shared/limit-size.ts";
import { LimitTable } from "../../../src/shared/limit-table.ts";
import type { HammerReport, HammerTask } from "../../support/limit-hammer.ts";
import { askFor, type Decision, EPOCH_MS, identity, misfits, slotsOf } from "../../support/limit-table.ts";
import { seededRandom } from "../../support/upstreams.ts";

const HAMMER = new URL("../../support/limit-hammer.ts", import.meta.url);
type Orders = Pick<HammerTask, "kind" | "rounds" | "keys" | "count" | "burst" | "stepMs">;

async function hammer(buffer: SharedArrayBuffer, threads: number, orders: Orders): Promise<HammerReport[]> {
  const gate = new SharedArrayBuffer(16);
  return await Promise.all(
    Array.from(
      { length: threads },
      (_, worker) =>
        new Promise<HammerReport>((resolve, reject) => {
          const thread = new Worker(HAMMER, { workerData: { buffer, gate, threads, worker, ...orders } satisfies HammerTask });
          thread.once("message", resolve);
          thread.once("error", reject);
        }),
    ),
  );
}

function byKey(reports: readonly HammerReport[]): Map<number, Decision[]> {
  const all = new Map<number, Decision[]>();
  for (const report of reports)
    for (let i = 0; i < report.key.length; i++) {
      const key = report.key[i] ?? -1;
      const list = all.get(key) ?? [];
      if (list.length === 0) all.set(key, list);
      list.push({
        now: (report.nowMs[i] ?? 0) * TICKS_PER_MS,
        cost: report.cost[i] ?? 0,
        passed: report.passed[i] === 1,
        level: report.level[i] ?? 0,
      });
    }
  return all;
}

const THREADS = 4;
/** Threads killed in one run; some hundred for a long one. */
const KILLS = Number(process.env["SLUICE_KILLS"] ?? 6);

describe("many threads", { timeout: 60_000 }, () => {
  it.each([
    ["one bucket", { keys: 1, count: 2000, burst: 20 }],
    ["many buckets", { keys: 300, count: 20, burst: 5 }],
    ["a bucket of one", { keys: 3, count: 1000, burst: 2 }],
  ])("decide as one: %s", async (_, shape) => {
    const buffer = LimitTable.allocate(4096, THREADS, 0);
    const reports = await hammer(buffer, THREADS, { kind: "free", rounds: 30_000, stepMs: 0, ...shape });
    const { unit } = rateSize({ count: shape.count, periodMs: 1000 }, shape.burst, MODE_LOCAL);
    const all = byKey(reports);
    expect(all.size).toBe(shape.keys);
    const decisions = [...all.values()];
    expect(decisions.flatMap((each) => misfits(each, unit, shape.burst))).toEqual([]);
    // The test is one only if both happened.
    expect(decisions.flat().filter((each) => each.passed).length).toBeGreaterThan(500);
    expect(decisions.flat().filter((each) => !each.passed).length).toBeGreaterThan(500);
  });

  it("make one bucket for a new key, however many want it at once", async () => {
    const buffer = LimitTable.allocate(4096, THREADS, 0);
    const orders = { kind: "rounds", rounds: 600, keys: 8, count: 1, burst: 3, stepMs: 0 } as const;
    const all = byKey(await hammer(buffer, THREADS, orders));
    expect(all.size).toBe(orders.rounds * orders.keys);
    const passed = [...all.values()].map((each) => each.filter((one) => one.passed).length);
    // 4800 keys do not all fit: those that found no slot share buckets, so may have fewer, never more.
    expect(passed.filter((count) => count > orders.burst)).toEqual([]);
    expect(passed.filter((count) => count === orders.burst).length).toBeGreaterThan(3900);
  });

  it("agree while buckets get idle and their slots go from key to key", async () => {
    const buffer = LimitTable.allocate(4096, THREADS, 0);
    const orders = { kind: "rounds", rounds: 40, keys: 1000, count: 1000, burst: 2, stepMs: 300 } as const;
    const all = byKey(await hammer(buffer, THREADS, orders));
    const { unit } = rateSize({ count: orders.count, periodMs: 1000 }, orders.burst, MODE_LOCAL);
    expect(all.size).toBe(orders.rounds * orders.keys);
    expect([...all.values()].flatMap((each) => misfits(each, unit, orders.burst))).toEqual([]);
    expect([...all.values()].filter((each) => each.filter((one) => one.passed).length !== orders.burst)).toEqual([]);
    expect(new LimitTable(buffer).fullEvents).toBe(0);
  });
});

describe("a thread that is killed", { timeout: 120_000 }, () => {
  it("leaves no stuck key, no second bucket and nothing held", async () => {
    const buffer = LimitTable.allocate(4096, THREADS, 0);
    const table = new LimitTable(buffer);
    const random = seededRandom(7);
    const gate = new SharedArrayBuffer(16);
    const clock = new Int32Array(gate);
    const orders = { kind: "for-ever", rounds: 0, keys: 6000, count: 1000, burst: 2, stepMs: 0 } as const;
    const start = async (worker: number): Promise<Worker> => {
      const thread = new Worker(HAMMER, { workerData: { buffer, gate, threads: THREADS, worker, ...orders } satisfies HammerTask });
      await new Promise((resolve, reject) => thread.once("message", resolve).once("error", reject));
      return thread;
    };
    const threads = await Promise.all(Array.from({ length: THREADS }, (_, worker) => start(worker)));
    for (let kill = 0; kill < KILLS; kill++) {
      const worker = Math.floor(random() * THREADS);
      // Spin for a random while, so that the kill falls anywhere in their loops.
      for (let spin = 0; spin < random() * 200_000; spin++) Atomics.load(clock, 1);
      await threads[worker]?.terminate();
      table.setNow(Atomics.load(clock, 1), EPOCH_MS);
      table.clearWorker(worker);
      threads[worker] = await start(worker);
    }
    await Promise.all(threads.map(async (thread) => await thread.terminate()));
    for (let worker = 0; worker < THREADS; worker++) table.clearWorker(worker);

    expect(slotsOf(buffer).filter((each) => each.kind === KIND_FREE && each.low !== 0)).toEqual([]);
    const tags = slotsOf(buffer).filter((each) => each.live);
    expect(new Set(tags.map((each) => each.tag)).size).toBe(tags.length);
    expect(tags.filter((each) => each.kind === KIND_CONCURRENCY && each.low !== 0)).toEqual([]);
    // Every key works as a fresh one once it is idle.
    table.setNow(Atomics.load(clock, 1) + 10_000, EPOCH_MS);
    const size = rateSize({ count: orders.count, periodMs: 1000 }, orders.burst, MODE_LOCAL);
    for (let i = 0; i < 1500; i++) {
      const ask = askFor(identity(1), `key ${i}`, size);
      expect([table.spend(ask), table.spend(ask), table.spend(ask)]).toEqual([1, 1, 0]);
    }
    for (let i = 0; i < 8; i++) expect(table.peek(askFor(identity(2), `held ${i}`, concurrencySize(1)))).toBe(PASSED);
  });
});
