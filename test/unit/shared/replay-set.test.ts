import path from "node:path";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { KEPT_S_MAX, ReplaySet } from "../../../src/shared/replay-set.ts";

const fresh = (slots?: number) => new ReplaySet(ReplaySet.allocate(slots));

describe("a value", () => {
  it("is taken once, through any view of the set", () => {
    const set = fresh();
    const other = new ReplaySet(set.buffer);
    expect([set.take("a", 1010, 1000), other.take("a", 1010, 1000), set.take("a", 2000, 1000), other.take("b", 1010, 1000)]).toEqual([
      "new",
      "seen",
      "seen",
      "new",
    ]);
  });

  it("is kept to its last second, and can be taken anew afterwards", () => {
    const set = fresh();
    expect([1000, 1009, 1010, 1011, 1012].map((nowS) => set.take("a", nowS === 1000 ? 1010 : nowS + 5, nowS))).toEqual([
      "new",
      "seen",
      "seen",
      "new",
      "seen",
    ]);
  });

  it("is kept across the turn of the counter of seconds", () => {
    const set = fresh();
    const turn = 2 ** 24 * 110;
    expect([turn - 5, turn + 5, turn + 6].map((nowS) => set.take("a", turn + 5, nowS))).toEqual(["new", "seen", "new"]);
  });

  it("may be kept for a day", () => {
    const set = fresh();
    expect([set.take("a", 1000 + KEPT_S_MAX, 1000), set.take("a", 1000 + KEPT_S_MAX, 1000 + KEPT_S_MAX)]).toEqual(["new", "seen"]);
  });

  it("two sets are strangers, also to each other's places", () => {
    expect([fresh(), fresh()].map((set) => set.take("a", 1010, 1000))).toEqual(["new", "new"]);
  });
});

it("when a bucket is full nothing more is taken, what was seen stays seen, and places become free with time", () => {
  const set = fresh(32); // one bucket
  const values = Array.from({ length: 32 }, (_, i) => `v${i}`);
  expect(values.map((value, i) => set.take(value, 1010 + i, 1000))).toEqual(values.map(() => "new"));
  expect([set.take("more", 1010, 1000), set.take("v31", 1010, 1000)]).toEqual(["full", "seen"]);
  // v0 has ended: its place is taken, and only its.
  expect([set.take("more", 1100, 1011), set.take("even more", 1100, 1011), set.take("v1", 1100, 1011)]).toEqual(["new", "full", "seen"]);
});

it("knows when it was made", () => {
  const beforeS = Date.now() / 1000;
  const { startedS } = fresh();
  expect(startedS).toBeGreaterThanOrEqual(beforeS);
  expect(startedS).toBeLessThanOrEqual(Math.ceil(Date.now() / 1000));
});

it("a quarter of a million values find room, and each is seen afterwards", () => {
  const set = fresh();
  const refused = new Set<number>();
  for (let i = 0; i < 250_000; i++) if (set.take(`value ${i}`, 1010, 1000) !== "new") refused.add(i);
  expect(refused.size).toBe(0);
  for (let i = 0; i < 250_000; i += 97) expect(set.take(`value ${i}`, 1010, 1000)).toBe("seen");
}, 60_000);

it("of several threads that take the same values at once, at most one gets each", async () => {
  const threads = 4;
  const values = 20_000;
  const buffer = ReplaySet.allocate(2 ** 17);
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const entry = path.join(import.meta.dirname, "../../support/workers/nonce-taker.ts");
  const taken = await Promise.all(
    Array.from(
      { length: threads },
      () =>
        new Promise<number[]>((resolve, reject) => {
          const worker = new Worker(entry, { workerData: { buffer, gate, threads, values } });
          worker.once("message", resolve).once("error", reject);
        }),
    ),
  );
  const all = taken.flat();
  expect(new Set(all).size).toBe(all.length);
  // Where two met, neither has it: that must stay rare.
  expect(all.length).toBeGreaterThan(values * 0.9);
}, 60_000);
