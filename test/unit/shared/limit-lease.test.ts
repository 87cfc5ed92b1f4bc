// Strict buckets of the table: what is reported, what may still be spent, and that both together are never more than what was granted.
import { beforeEach, expect, it } from "vitest";
import { monotonicMs } from "../../../src/base/clock.ts";
import type { LedgerEntry } from "../../../src/shared/fleet-ledger.ts";
import { type LimitAsk, MODE_STRICT, NO_GRANT, PASSED, rateSize } from "../../../src/shared/limit-size.ts";
import { LimitTable } from "../../../src/shared/limit-table.ts";
import { LimitTablePrimary } from "../../../src/shared/limit-table-primary.ts";
import { askFor, EPOCH_MS, identity } from "../../support/limit-table.ts";

const SIZE = rateSize({ count: 10, periodMs: 1000 }, 10, MODE_STRICT);
const UNIT_MS = 100;
let table: LimitTablePrimary;
let ask: LimitAsk;

beforeEach(() => {
  table = new LimitTablePrimary(LimitTable.allocate(4096, 1, monotonicMs()), 0);
  table.setFleet({ connected: true, size: 2, syncIntervalMs: 100 });
  ask = askFor(identity(), "k", SIZE);
});

const spend = () => {
  table.setNow(monotonicMs(), EPOCH_MS);
  return table.spend(ask);
};
const take = (): LedgerEntry[] => {
  const entries: LedgerEntry[] = [];
  table.take(100, (entry) => entries.push({ ...entry }));
  return entries;
};
/** Asks for a grant as a request does, and gets it. */
const grant = (units: number) => {
  expect(spend()).toBe(NO_GRANT);
  const [entry] = take();
  if (entry === undefined) throw new Error("nothing was wanted");
  table.grant(entry.slot, entry.tagHigh, entry.tagLow, units * UNIT_MS, 60_000);
};
const spentUnits = () => take().reduce((sum, entry) => sum + entry.spent / UNIT_MS, 0);
/** Spends until there is no grant. @returns how many passed */
const drain = () => {
  let passed = 0;
  while (spend() === PASSED) passed++;
  return passed;
};

it("lets pass what was granted, and reports it", () => {
  grant(4);
  expect(drain()).toBe(4);
  expect(spentUnits()).toBe(4);
});

it("what is given back before it was told can be spent again, and is told once", () => {
  grant(3);
  expect(spend()).toBe(PASSED);
  table.refund(ask);
  expect(drain()).toBe(3);
  expect(spentUnits()).toBe(3);
});

it("what was told stays spent, also when the request is given back", () => {
  grant(3);
  expect(spend()).toBe(PASSED);
  expect(spentUnits()).toBe(1);
  table.refund(ask);
  expect(drain()).toBe(2);
  expect(spentUnits()).toBe(2);
});

it("what a response turns out to cost is drawn from the grant", () => {
  grant(5);
  expect(spend()).toBe(PASSED);
  table.charge(ask, 3);
  expect(drain()).toBe(1);
  expect(spentUnits()).toBe(5);
});

it("what it costs beyond the grant is told all the same", () => {
  grant(2);
  expect(spend()).toBe(PASSED);
  table.charge(ask, 4);
  expect(drain()).toBe(0);
  expect(spentUnits()).toBe(5);
});
