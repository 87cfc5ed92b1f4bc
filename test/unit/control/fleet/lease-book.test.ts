// The book of leases against a model of the table: what is said to be held is never less than what may still be spent.
import { describe, expect, it } from "vitest";
import { LEASE_MS, LEASES_MAX, LeaseBook } from "../../../../src/control/fleet/lease-book.ts";
import type { LedgerEntry } from "../../../../src/shared/fleet-ledger.ts";
import { seededRandom } from "../../../support/upstreams.ts";

const entry = (changes: Partial<LedgerEntry> = {}): LedgerEntry => ({
  slot: 1,
  tagHigh: 7,
  tagLow: 8,
  kind: "rate",
  mode: "strict",
  spent: 0,
  capacity: 1000,
  unit: 10,
  level: 0,
  wanted: 0,
  period: 0,
  periodEndMs: 0,
  ...changes,
});

describe("what is held", () => {
  it("is granted less reported, and nothing a moment after the end", () => {
    const book = new LeaseBook();
    expect(book.reported(entry({ wanted: 50 }), 0)).toEqual({ held: 0, wanted: 5 });
    book.granted(entry(), 50, { nowMs: 1, endsMs: 1001 });
    expect(book.reported(entry({ spent: 20 }), 100).held).toBe(30);
    expect(book.reported(entry({ spent: 10 }), 200).held).toBe(20);
    const ended: number[] = [];
    book.takeEnded(1100, ({ slot }) => ended.push(slot));
    expect(ended).toEqual([]);
    book.takeEnded(1202, ({ slot }) => ended.push(slot));
    book.takeEnded(1300, ({ slot }) => ended.push(slot));
    expect(ended).toEqual([1]);
    expect(book.reported(entry(), 1301).held).toBe(0);
  });

  it.each([1, 2, 3, 4])("is never less than the table lets be spent (seed %i)", (seed) => {
    const random = seededRandom(seed);
    const book = new LeaseBook();
    // The table: a grant with an end; spending that a worker has begun is reported up to 100 ms later.
    const table = { grant: 0, endsMs: 0, unsent: 0 };
    let late = 0;
    let nowMs = 0;
    for (let i = 0; i < 5000; i++) {
      nowMs += random() * (random() < 0.05 ? 1500 : 60);
      table.unsent += late;
      late = 0;
      if (random() < 0.7 && nowMs < table.endsMs) {
        const spent = Math.min(table.grant, Math.floor(random() * 4) * 10);
        table.grant -= spent;
        if (random() < 0.2) late = spent;
        else table.unsent += spent;
      }
      book.takeEnded(nowMs, () => {});
      const spent = table.unsent;
      table.unsent = 0;
      const { held, wanted } = book.reported(entry({ spent, wanted: 80 }), nowMs);
      expect(held).toBeGreaterThanOrEqual(late + (nowMs < table.endsMs ? table.grant : 0));
      const units = Math.floor(random() * (wanted + 1));
      if (units === 0) continue;
      if (table.endsMs <= nowMs) table.grant = 0;
      table.grant += units * 10;
      table.endsMs = nowMs + LEASE_MS;
      book.granted(entry(), units * 10, { nowMs, endsMs: nowMs + LEASE_MS });
    }
  });

  it("is not mixed up when the slot has another bucket", () => {
    const book = new LeaseBook();
    book.reported(entry({ wanted: 50 }), 0);
    book.granted(entry(), 50, { nowMs: 1, endsMs: 1001 });
    expect(book.reported(entry({ tagLow: 9 }), 2).held).toBe(0);
    book.granted(entry(), 50, { nowMs: 3, endsMs: 1003 });
    expect(book.reported(entry({ tagLow: 9 }), 4).held).toBe(0);
  });
});

describe("what is asked for", () => {
  it("is all that is wanted by somebody who waits", () => expect(new LeaseBook().reported(entry({ wanted: 300 }), 0).wanted).toBe(30));

  it("in advance is half of what was used of late, so that rarely used leases keep nobody out", () => {
    const book = new LeaseBook();
    expect(book.reported(entry({ spent: 10, wanted: 300 }), 0).wanted).toBe(0);
    expect(book.reported(entry({ spent: 70, wanted: 300 }), 100).wanted).toBe(4);
    expect(book.reported(entry({ spent: 120, wanted: 300 }), 200).wanted).toBe(10);
    // A second later the last second still speaks for it; two seconds later nothing does.
    expect(book.reported(entry({ spent: 10, wanted: 300 }), 1100).wanted).toBe(10);
    expect(book.reported(entry({ spent: 10, wanted: 300 }), 9000).wanted).toBe(0);
  });

  it("is nothing more when the book is full", () => {
    const book = new LeaseBook();
    for (let slot = 0; slot < LEASES_MAX; slot++) book.reported(entry({ slot, wanted: 10 }), 0);
    expect(book.size).toBe(LEASES_MAX);
    expect(book.reported(entry({ slot: LEASES_MAX, wanted: 10 }), 0)).toEqual({ held: 0, wanted: 0 });
    expect(book.size).toBe(LEASES_MAX);
  });
});

it("at the end everything is given back", () => {
  const book = new LeaseBook();
  for (const slot of [1, 2]) {
    book.reported(entry({ slot, wanted: 50 }), 0);
    book.granted(entry({ slot }), 50, { nowMs: 1, endsMs: 1001 });
  }
  book.endAll(10);
  const ended: number[] = [];
  book.takeEnded(10, ({ slot }) => ended.push(slot));
  expect(ended).toEqual([1, 2]);
});
