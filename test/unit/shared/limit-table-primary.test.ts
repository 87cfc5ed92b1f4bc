// Owns tests of the primary's side of the table of limits: what the fleet is told, what it tells, grants, and the sweep.
import { describe, expect, it } from "vitest";
import { monotonicMs } from "../../../src/base/clock.ts";
import type { LedgerEntry } from "../../../src/shared/fleet-ledger.ts";
import {
  type LimitSize,
  MODE_FLEET,
  MODE_LOCAL,
  MODE_STRICT,
  NO_GRANT,
  NO_SHARE,
  PASSED,
  quotaSize,
  REFUSED,
  rateSize,
} from "../../../src/shared/limit-size.ts";
import { LimitTable } from "../../../src/shared/limit-table.ts";
import { LimitTablePrimary } from "../../../src/shared/limit-table-primary.ts";
import { askFor, identity } from "../../support/limit-table.ts";

const limit = identity(1);
const rate = (count: number, burst: number, mode: typeof MODE_FLEET | typeof MODE_STRICT): LimitSize =>
  rateSize({ count, periodMs: 1000 }, burst, mode);

/** A worker's and the primary's view of one table, in a fleet. */
function pair(size: number, connected = true) {
  const buffer = LimitTable.allocate(4096, 2, monotonicMs() - 1000);
  const worker = new LimitTable(buffer, 0);
  const ledger = new LimitTablePrimary(buffer);
  ledger.setFleet({ connected, size, syncIntervalMs: 100 });
  worker.setNow(monotonicMs(), Date.now());
  return { worker, ledger };
}

const quotaOf = (key: string, units: number) => {
  const startS = Math.floor(Date.now() / 86_400_000) * 86_400;
  return Object.assign(askFor(limit, key, quotaSize(units, MODE_FLEET)), { periodStartS: startS, periodEndMs: (startS + 86_400) * 1000 });
};

const taken = (ledger: LimitTablePrimary, max = 100): LedgerEntry[] => {
  const all: LedgerEntry[] = [];
  ledger.take(max, (entry) => all.push({ ...entry }));
  return all;
};

describe("take", () => {
  it("tells what was spent, once, in milliseconds of bucket time", () => {
    const { worker, ledger } = pair(2);
    const ask = askFor(limit, "acme", rate(10, 20, MODE_FLEET), 2);
    expect([worker.spend(ask), worker.spend(ask)]).toEqual([PASSED, PASSED]);
    const [entry, ...more] = taken(ledger);
    expect(more).toEqual([]);
    expect(entry).toMatchObject({
      kind: "rate",
      mode: "fleet",
      slot: ask.slot,
      tagHigh: ask.high >>> 0,
      tagLow: ask.low >>> 0,
      wanted: 0,
      period: 0,
    });
    expect(entry?.spent).toBeCloseTo(400, 3);
    expect(entry?.capacity).toBeCloseTo(2000, 3);
    expect(entry?.unit).toBeCloseTo(100, 3);
    expect(taken(ledger)).toEqual([]);
    worker.spend(ask);
    worker.refund(ask);
    expect(taken(ledger)).toEqual([]);
  });

  it("goes on where it stopped, so that all have their turn", () => {
    const { worker, ledger } = pair(2);
    for (let i = 0; i < 50; i++) worker.spend(askFor(limit, `key ${i}`, rate(10, 20, MODE_FLEET)));
    const tags = new Set<number>();
    for (let more = true; more; ) more = ledger.take(7, (entry) => tags.add(entry.tagHigh));
    expect(tags.size).toBe(50);
  });

  it("says nothing of limits that no fleet shares, nor without a fleet", () => {
    const { worker, ledger } = pair(2);
    worker.spend(askFor(limit, "acme", rateSize({ count: 10, periodMs: 1000 }, 5, MODE_LOCAL)));
    expect(taken(ledger)).toEqual([]);
    ledger.setFleet({ connected: false, size: 0, syncIntervalMs: 100 });
    worker.spend(askFor(limit, "other", rate(10, 20, MODE_FLEET)));
    expect(taken(ledger)).toEqual([]);
  });

  it("counts a quota in units, with its period", () => {
    const { worker, ledger } = pair(2);
    const ask = askFor(limit, "acme", quotaSize(100, MODE_FLEET), 3);
    const start = Math.floor(Date.now() / 86_400_000) * 86_400;
    ask.periodStartS = start;
    ask.periodEndMs = (start + 86_400) * 1000;
    worker.spend(ask);
    expect(taken(ledger)[0]).toMatchObject({
      kind: "quota",
      spent: 3,
      level: 3,
      capacity: 100,
      unit: 1,
      period: start,
      periodEndMs: ask.periodEndMs,
    });
    ledger.raiseUsed(ask.slot, ask.high, ask.low, start, 98);
    ledger.raiseUsed(ask.slot, ask.high, ask.low, start + 1, 200);
    expect([worker.spend(ask), ask.level]).toEqual([REFUSED, 98]);
  });
});

describe("a fleet bucket", () => {
  it("spends at most its allowance between two takes: a limit of 3 on 8 instances one at a time", () => {
    const { worker, ledger } = pair(8);
    const ask = askFor(limit, "acme", rate(1, 3, MODE_FLEET));
    expect([worker.spend(ask), worker.spend(ask)]).toEqual([PASSED, NO_SHARE]);
    taken(ledger);
    expect([worker.spend(ask), worker.spend(ask)]).toEqual([PASSED, NO_SHARE]);
  });

  it("is refused, not without a share, when the fleet has nothing left", () => {
    const { worker, ledger } = pair(8);
    const ask = askFor(limit, "acme", rate(1, 3, MODE_FLEET));
    worker.spend(ask);
    taken(ledger);
    ledger.raiseBacklog(ask.slot, ask.high, ask.low, 3000);
    expect(worker.spend(ask)).toBe(REFUSED);
  });

  it("has the primary told at once when its share is spent, once until the primary has looked", () => {
    const { worker, ledger } = pair(8);
    const { words, index } = ledger.wantedCell;
    const ask = askFor(limit, "acme", rate(1, 3, MODE_FLEET));
    worker.spend(ask);
    const before = words[index]!;
    expect([worker.spend(ask), worker.spend(ask), worker.peek(ask)]).toEqual([NO_SHARE, NO_SHARE, NO_SHARE]);
    expect(words[index]).toBe(before + 1);
    expect(taken(ledger)[0]?.spent).toBeCloseTo(1000, 3);
    worker.spend(ask);
    expect(worker.spend(ask)).toBe(NO_SHARE);
    expect(words[index]).toBe(before + 2);
  });

  it("of a quota one request passes until it is known what is left; then shares of that", () => {
    const { worker, ledger } = pair(4);
    const ask = quotaOf("acme", 40);
    const drain = () => {
      let passed = 0;
      while (worker.spend(ask) === PASSED) passed++;
      return passed;
    };
    expect([drain(), ask.level]).toEqual([1, 1]);
    const told = (used: number) => {
      taken(ledger);
      ledger.raiseUsed(ask.slot, ask.high, ask.low, ask.periodStartS, used);
    };
    told(1);
    expect(drain()).toBe(10); // a quarter of the 39 that are left
    told(31);
    expect(drain()).toBe(3);
    told(39);
    expect(drain()).toBe(1);
    told(40);
    expect([worker.spend(ask), ask.level]).toEqual([REFUSED, 40]);
  });

  it("of a quota goes on with its share of what was left while Redis is away, and asks nobody", () => {
    const { worker, ledger } = pair(4, false);
    const { words, index } = ledger.wantedCell;
    const before = words[index];
    const ask = quotaOf("acme", 40);
    const verdicts = Array.from({ length: 11 }, () => worker.spend(ask));
    expect(verdicts).toEqual([...Array.from({ length: 10 }, () => PASSED), NO_SHARE]);
    expect(words[index]).toBe(before);
  });

  it("that refuses nobody takes what there is beyond its share", () => {
    const { worker, ledger } = pair(8);
    const ask = askFor(limit, "acme", rate(1, 3, MODE_FLEET));
    ask.beyondShare = true;
    expect(Array.from({ length: 4 }, () => worker.spend(ask))).toEqual([PASSED, PASSED, PASSED, REFUSED]);
    expect(taken(ledger)[0]?.spent).toBeCloseTo(3000, 3);
  });

  it("learns the fleet's backlog, and never forgets its own", () => {
    const { worker, ledger } = pair(2);
    const ask = askFor(limit, "acme", rate(1, 10, MODE_FLEET));
    worker.spend(ask);
    taken(ledger);
    ledger.raiseBacklog(ask.slot, ask.high, ask.low, 9500);
    expect(worker.spend(ask)).toBe(REFUSED);
    ledger.raiseBacklog(ask.slot, ask.high, ask.low, 1);
    expect(worker.spend(ask)).toBe(REFUSED);
    expect(ask.level / 2 ** 18).toBeGreaterThan(9000);
  });

  it("goes on with its share while Redis is away", () => {
    const { worker, ledger } = pair(4);
    ledger.setFleet({ connected: false, size: 4, syncIntervalMs: 100 });
    const ask = askFor(limit, "acme", rate(1, 8, MODE_FLEET));
    const verdicts = Array.from({ length: 4 }, () => worker.spend(ask));
    expect(verdicts).toEqual([PASSED, PASSED, REFUSED, REFUSED]);
    // What it tells afterwards is what it spent, not the price it paid.
    expect(taken(ledger)[0]?.spent).toBeCloseTo(2000, 3);
    const small = askFor(limit, "small", rate(1, 3, MODE_FLEET));
    expect([worker.spend(small), worker.spend(small)]).toEqual([PASSED, REFUSED]);
  });
});

describe("a strict bucket", () => {
  it("spends only what was granted, and asks for it", () => {
    const { worker, ledger } = pair(2);
    const ask = askFor(limit, "acme", rate(1, 8, MODE_STRICT));
    const { words, index } = ledger.wantedCell;
    const before = words[index];
    expect(worker.spend(ask)).toBe(NO_GRANT);
    expect(words[index]).not.toBe(before);
    const [entry] = taken(ledger);
    expect(entry).toMatchObject({ mode: "strict", spent: 0 });
    expect(entry?.wanted).toBeCloseTo(2000, 3);
    ledger.grant(ask.slot, ask.high >>> 0, ask.low >>> 0, entry?.wanted ?? 0, 60_000);
    expect([worker.spend(ask), worker.spend(ask), worker.spend(ask)]).toEqual([PASSED, PASSED, NO_GRANT]);
    expect(taken(ledger)[0]?.spent).toBeCloseTo(2000, 3);
  });

  it("does not spend a grant that has run out, and gives back what it does not use", () => {
    const { worker, ledger } = pair(2);
    const ask = askFor(limit, "acme", rate(1, 8, MODE_STRICT));
    worker.spend(ask);
    ledger.grant(ask.slot, ask.high >>> 0, ask.low >>> 0, 1000, 0);
    worker.setNow(monotonicMs(), Date.now());
    expect(worker.spend(ask)).toBe(NO_GRANT);
    ledger.grant(ask.slot, ask.high >>> 0, ask.low >>> 0, 1000, 60_000);
    expect(worker.spend(ask)).toBe(PASSED);
    worker.refund(ask);
    expect([worker.spend(ask), worker.spend(ask)]).toEqual([PASSED, NO_GRANT]);
  });
});

describe("the sweep", () => {
  it("counts, and frees what is idle", () => {
    const buffer = LimitTable.allocate(4096, 2, 0);
    const worker = new LimitTable(buffer, 0);
    const ledger = new LimitTablePrimary(buffer);
    const nowMs = monotonicMs();
    const slow = rateSize({ count: 1, periodMs: 3_600_000 }, 1, MODE_LOCAL);
    worker.setNow(nowMs, Date.now());
    for (let i = 0; i < 30; i++) worker.spend(askFor(limit, `slow ${i}`, slow));
    worker.setNow(nowMs - 10_000, Date.now());
    for (let i = 0; i < 50; i++) worker.spend(askFor(limit, `quick ${i}`, rateSize({ count: 1000, periodMs: 1000 }, 5, MODE_LOCAL)));
    while (!ledger.sweep());
    expect(ledger.fill).toMatchObject({ slots: 4096, inUse: 30, active: 30, fullEvents: 0, refusedEvents: 0 });
  });
});
