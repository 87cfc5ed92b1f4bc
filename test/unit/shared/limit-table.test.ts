// Owns tests of the table of limits used by one thread: against the sequential algorithm, over wrap-around, when it is full.
import { describe, expect, it } from "vitest";
import { BACKLOG_TICKS_MAX, TICKS_MODULO, TICKS_PER_MS } from "../../../src/shared/limit-layout.ts";
import {
  concurrencySize,
  MODE_LOCAL,
  NO_ROOM,
  OVERFLOW_SHARES,
  PASSED,
  quotaSize,
  REFUSED,
  rateSize,
} from "../../../src/shared/limit-size.ts";
import { askFor, EPOCH_MS, GcraOracle, identity, tableAt } from "../../support/limit-table.ts";
import { seededRandom } from "../../support/upstreams.ts";

const limit = identity();
const perSecond = (count: number, burst: number) => rateSize({ count, periodMs: 1000 }, burst, MODE_LOCAL);

describe("rate", () => {
  it("lets exactly the burst pass at once, then one for each emission interval", () => {
    const table = tableAt();
    const ask = askFor(limit, "acme", perSecond(10, 5));
    const at = (ms: number) => {
      table.setNow(ms, EPOCH_MS);
      return table.spend(ask);
    };
    expect(Array.from({ length: 7 }, () => at(1000))).toEqual([1, 1, 1, 1, 1, 0, 0]);
    expect(ask.left).toBe(0);
    expect(ask.waitMs).toBeCloseTo(100, 3);
    expect([at(1099), at(1101), at(1101), at(1201)]).toEqual([0, 1, 0, 1]);
    expect([at(9000), ask.left]).toEqual([1, 4]);
  });

  it.each([1, 2, 3, 4])("agrees with the sequential algorithm, whatever the costs and times (seed %i)", (seed) => {
    const random = seededRandom(seed);
    const baseMs = seed === 4 ? -(TICKS_MODULO / TICKS_PER_MS) + 5000 : 0; // passes the end of the ticks' round
    const table = tableAt({ baseMs });
    const sizes = [
      perSecond(1000, 1),
      perSecond(7, 3),
      perSecond(100_000, 5000),
      rateSize({ count: 10, periodMs: 86_400_000 }, 10, MODE_LOCAL),
    ];
    const buckets = Array.from({ length: 40 }, (_, i) => {
      const size = sizes[i % sizes.length]!;
      return { ask: askFor(limit, `key ${i}`, size), oracle: new GcraOracle(size) };
    });
    let nowMs = 0;
    let differences = 0;
    for (let i = 0; i < 50_000; i++) {
      nowMs += random() < 0.3 ? random() * 3 : 0;
      table.setNow(nowMs, EPOCH_MS);
      const { ask, oracle } = buckets[Math.floor(random() * buckets.length)]!;
      ask.cost = 1 + Math.floor(random() * 3);
      if (table.spend(ask) !== (oracle.decide(nowMs - baseMs, ask.cost) ? PASSED : REFUSED)) differences++;
    }
    expect(differences).toBe(0);
  });

  it("a refund makes the bucket what it was", () => {
    const table = tableAt();
    const ask = askFor(limit, "acme", perSecond(10, 3));
    expect([table.spend(ask), table.spend(ask)]).toEqual([1, 1]);
    table.refund(ask);
    table.refund(ask); // only once
    expect([table.spend(ask), table.spend(ask), table.spend(ask)]).toEqual([1, 1, 0]);
  });

  it("goes into debt for what is charged afterwards, within bounds", () => {
    const table = tableAt();
    const ask = askFor(limit, "acme", perSecond(10, 3));
    table.spend(ask);
    table.charge(ask, 12);
    expect(table.spend(ask)).toBe(REFUSED);
    expect(ask.waitMs).toBeCloseTo(1100, 3);
    table.charge(ask, 2 ** 40);
    table.spend(ask);
    expect(ask.level).toBe(BACKLOG_TICKS_MAX);
  });
});

describe("several limits", () => {
  it("one that refuses spends none of the others", () => {
    const table = tableAt();
    const wide = askFor(identity(1), "route", perSecond(10, 10));
    const narrow = askFor(identity(2), "acme", perSecond(10, 2));
    const both = [wide, narrow];
    expect(Array.from({ length: 5 }, () => table.spendAll(both, 0, 2))).toEqual([-1, -1, 1, 1, 1]);
    expect(Array.from({ length: 9 }, () => table.spend(wide))).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 0]);
  });
});

describe("quota", () => {
  const day = { start: EPOCH_MS / 1000, end: EPOCH_MS + 86_400_000 };
  it("counts units in a period, and frees its slot when it is over", () => {
    const table = tableAt();
    const ask = askFor(limit, "acme", quotaSize(5, MODE_LOCAL), 2);
    ask.periodStartS = day.start;
    ask.periodEndMs = day.end;
    expect([table.spend(ask), ask.left, table.spend(ask), ask.left, table.spend(ask)]).toEqual([1, 3, 1, 1, 0]);
    expect(table.usedOf(ask.high, ask.low)).toBe(4);
    ask.carried = 1;
    ask.cost = 1;
    expect(table.spend(ask)).toBe(REFUSED);
  });
});

describe("concurrency", () => {
  it("holds at most so many, and gives back", () => {
    const table = tableAt();
    const ask = askFor(limit, "acme", concurrencySize(2));
    expect([table.spend(ask), table.spend(ask), table.spend(ask)]).toEqual([1, 1, 0]);
    table.release(ask.slot);
    expect([table.spend(ask), table.spend(ask)]).toEqual([1, 0]);
  });

  it("what a dead worker held is free again", () => {
    const table = tableAt();
    const ask = askFor(limit, "acme", concurrencySize(3));
    expect([table.spend(ask), table.spend(ask), table.spend(ask)]).toEqual([1, 1, 1]);
    table.clearWorker(1);
    expect(table.spend(ask)).toBe(REFUSED);
    table.clearWorker(0);
    expect([table.spend(ask), table.spend(ask), table.spend(ask), table.spend(ask)]).toEqual([1, 1, 1, 0]);
  });
});

describe("full", () => {
  it("gives up nobody's state, and gives all keys that find no slot no more than sixteen buckets", () => {
    const table = tableAt({ slots: 4096 });
    const size = rateSize({ count: 1, periodMs: 60_000 }, 1, MODE_LOCAL);
    const victim = askFor(limit, "victim", size);
    expect(table.spend(victim)).toBe(PASSED);
    let passed = 0;
    for (let i = 0; i < 50_000; i++) if (table.spend(askFor(limit, `spray ${i}`, size)) === PASSED) passed++;
    expect(table.spend(victim)).toBe(REFUSED);
    expect(table.fullEvents).toBeGreaterThan(40_000);
    expect(passed).toBeLessThanOrEqual(4096 - 1 + OVERFLOW_SHARES);
    expect(passed).toBeGreaterThan(3900);
    // Another limit has its own shares.
    expect(table.spend(askFor(identity(2), "somebody", size))).toBe(PASSED);
    // When all is idle again, everybody has a slot.
    table.setNow(61_000, EPOCH_MS);
    const before = table.fullEvents;
    for (let i = 0; i < 1000; i++) expect(table.spend(askFor(limit, `later ${i}`, size))).toBe(PASSED);
    expect(table.fullEvents).toBe(before);
  });

  it("refuses when not even the overflow area has a slot", () => {
    const table = tableAt({ slots: 4096 });
    const size = rateSize({ count: 1, periodMs: 60_000 }, 1, MODE_LOCAL);
    let room = 0;
    for (let of = 0; of < 2000; of++) for (let i = 0; i < 20; i++) if (table.spend(askFor(identity(of), `k${i}`, size)) === NO_ROOM) room++;
    expect(room).toBeGreaterThan(0);
    expect(table.refusedEvents).toBe(room);
  });
});
