// Owns tests of the claim protocol step by step: a thread that ends before any of its compare-and-swaps, and another that acts in between.
import { describe, expect, it } from "vitest";
import { HEADER_WORDS64, KIND_FREE, SLOT_WORDS64, TICKS_PER_MS } from "../../../src/shared/limit-layout.ts";
import {
  concurrencySize,
  LimitAsk,
  type LimitSize,
  MODE_LOCAL,
  OVERFLOW_SHARES,
  PASSED,
  quotaSize,
  REFUSED,
  rateSize,
} from "../../../src/shared/limit-size.ts";
import { LimitTable } from "../../../src/shared/limit-table.ts";
import { InterruptedTable } from "../../support/interrupted-table.ts";
import { askFor, type Decision, EPOCH_MS, identity, misfits, slotsOf } from "../../support/limit-table.ts";
import { seededRandom } from "../../support/upstreams.ts";

class Killed extends Error {}

/** A thread that another one runs in the middle of, or that ends, before its n-th compare-and-swap. */
class SteppedTable extends LimitTable {
  stepsLeft = Number.POSITIVE_INFINITY;
  between: () => void = () => {
    throw new Killed();
  };

  /** Runs once, when a slot has been found and its state not yet been read. */
  afterFind: (() => void) | null = null;

  override find(high: number, low: number, overflow?: boolean): number {
    const slot = super.find(high, low, overflow);
    const then = slot >= 0 ? this.afterFind : null;
    if (then !== null) {
      this.afterFind = null;
      then();
    }
    return slot;
  }

  protected override swap(word: number): boolean {
    if (this.stepsLeft-- > 0) return super.swap(word);
    this.stepsLeft = Number.POSITIVE_INFINITY;
    const saved = this.cell.slice();
    this.between();
    this.cell.set(saved); // the other has cells of its own: this only makes sure
    return super.swap(word);
  }
}

const STEPS_MAX = 6;
const limit = identity(1);
const size = rateSize({ count: 1, periodMs: 1000 }, 2, MODE_LOCAL);
const threads = () => {
  const buffer = LimitTable.allocate(4096, 4, 0);
  const all = [new SteppedTable(buffer, 0), new SteppedTable(buffer, 1), new SteppedTable(buffer, 2)] as const;
  for (const each of all) each.setNow(1000, EPOCH_MS);
  return all;
};

/** Asks that have the same 16 slots as `of`. */
function neighbours(of: LimitAsk, count: number): LimitAsk[] {
  return Array.from({ length: count }, (_, i) => {
    const ask = new LimitAsk(limit, size);
    ask.high = of.high;
    ask.low = (of.low & 0xfff) | ((i + 1) << 12);
    return ask;
  });
}

/** How often a key passes now, over and above what has been spent. */
function passes(table: LimitTable, ask: LimitAsk): number {
  let count = 0;
  while (table.spend(ask) === PASSED) count++;
  return count;
}

describe.each([
  ["a free slot", 0],
  ["an idle slot of another key", 16],
])("a claim of %s", (_, taken) => {
  const scene = () => {
    const [first, second, third] = threads();
    const key = askFor(limit, "key", size);
    for (const each of neighbours(key, taken)) expect(first.spend(each)).toBe(PASSED);
    if (taken > 0) for (const each of [first, second, third]) each.setNow(5000, EPOCH_MS);
    return { first, second, third, key };
  };

  it("leaves no stuck key wherever its thread ends", () => {
    let killed = 0;
    for (let step = 0; step < STEPS_MAX; step++) {
      const { first, second, key } = scene();
      first.stepsLeft = step;
      try {
        first.spend(key);
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
        killed++;
        // Another thread decides for the same key, and finds the whole burst.
        expect(passes(second, askFor(limit, "key", size))).toBe(2);
        continue;
      }
      expect(passes(second, askFor(limit, "key", size))).toBe(1);
    }
    expect(killed).toBe(3);
  });

  it.each([1, 2])("leaves no slot that nobody can have: 16 threads that ended before compare-and-swap %i", (step) => {
    for (const cleared of [true, false]) {
      const { first, second, key } = scene();
      for (const each of neighbours(key, 32).slice(16)) {
        first.stepsLeft = step;
        expect(() => first.spend(each)).toThrow(Killed);
      }
      if (cleared) second.clearWorker(0);
      for (const each of neighbours(key, 48).slice(32)) expect(second.spend(each)).toBe(PASSED);
      expect(second.fullEvents).toBe(0);
    }
  });

  it.each(["the same key", "another key", "the same key twice", "the key that loses its slot"])("agrees with %s in between", (who) => {
    for (let step = 0; step < STEPS_MAX; step++) {
      const { first, second, third, key } = scene();
      const others = neighbours(key, 17);
      const mine = askFor(limit, "key", size);
      const theirs = who.startsWith("the same key") ? askFor(limit, "key", size) : who === "another key" ? others[16]! : others[0]!;
      let spent = 0;
      first.stepsLeft = step;
      first.between = () => {
        if (second.spend(theirs) === PASSED) spent++;
        if (who === "the same key twice") third.spend(askFor(limit, "key", size));
      };
      const passed = first.spend(mine) === PASSED ? 1 : 0;
      const sum = passed + (who.startsWith("the same") ? spent : 0);
      const thirds = who === "the same key twice" && first.stepsLeft === Number.POSITIVE_INFINITY && spent > 0 ? 1 : 0;
      expect(sum + thirds + passes(second, askFor(limit, "key", size))).toBe(2);
      if (!who.startsWith("the same")) expect(spent + passes(third, theirs)).toBe(2);
      // Whoever gave way has given up its slot.
      expect(slotsOf(first.buffer).filter((each) => each.kind === KIND_FREE && each.low !== 0)).toEqual([]);
    }
  });
});

describe("a refund", () => {
  it("touches nothing when the slot has gone to another key", () => {
    const [first] = threads();
    const key = askFor(limit, "key", size);
    expect(first.spend(key)).toBe(PASSED);
    first.setNow(9000, EPOCH_MS);
    const others = neighbours(key, 16 + OVERFLOW_SHARES);
    for (const each of others.slice(0, 16)) expect(first.spend(each)).toBe(PASSED);
    first.refund(key);
    for (const each of others.slice(0, 16)) expect(passes(first, each)).toBe(1);
  });
});

describe("a decision that others' spends and refunds leave the same word for", () => {
  const words = (table: LimitTable, slot: number) => new BigInt64Array(table.buffer)[HEADER_WORDS64 + slot * SLOT_WORDS64 + 1];
  const kinds: [string, LimitSize][] = [
    ["rate", rateSize({ count: 1, periodMs: 1000 }, 4, MODE_LOCAL)],
    ["quota", quotaSize(4, MODE_LOCAL)],
    ["concurrency", concurrencySize(4)],
  ];
  const scene = (of: LimitSize) => {
    const [first, second] = threads();
    const ask = () => Object.assign(askFor(limit, "key", of), { periodStartS: EPOCH_MS / 1000, periodEndMs: EPOCH_MS + 86_400_000 });
    const kept = ask();
    expect(second.spend(kept)).toBe(PASSED);
    return { first, second, ask, kept };
  };

  it.each(kinds)("takes effect as if it had been made then (%s): no more passes than there is", (_, of) => {
    const { first, second, ask, kept } = scene(of);
    const before = words(first, kept.slot);
    let interrupted = 0;
    first.stepsLeft = 0;
    first.between = () => {
      interrupted++;
      // Another thread spends, spends and gives back: its clock has moved on.
      second.setNow(1040, EPOCH_MS);
      const [one, two] = [ask(), ask()];
      expect([second.spend(one), second.spend(two)]).toEqual([PASSED, PASSED]);
      expect(words(first, kept.slot)).not.toBe(before);
      second.refund(two);
      second.refund(one);
      expect(words(first, kept.slot)).toBe(before);
    };
    const mine = ask();
    expect(first.spend(mine)).toBe(PASSED);
    expect(interrupted).toBe(1);
    expect(first.stepsLeft).toBe(Number.POSITIVE_INFINITY); // its first compare-and-swap was its last
    first.setNow(1040, EPOCH_MS);
    let more = 0;
    while (first.spend(ask()) === PASSED) more++;
    expect(more).toBe(2);
  });

  it.each(kinds)("gives back once what it gives back (%s)", (_, of) => {
    const { first, second, ask, kept } = scene(of);
    const mine = ask();
    expect(first.spend(mine)).toBe(PASSED);
    const before = words(first, kept.slot);
    first.stepsLeft = 0;
    first.between = () => {
      const [one, two] = [ask(), ask()];
      expect([second.spend(one), second.spend(two), second.spend(ask())]).toEqual([PASSED, PASSED, REFUSED]);
      second.refund(two);
      second.refund(one);
      expect(words(first, kept.slot)).toBe(before);
    };
    first.refund(mine);
    let more = 0;
    while (first.spend(ask()) === PASSED) more++;
    expect(more).toBe(3);
  });
});

it("no text that a caller can send has the tag of a limit's common buckets", () => {
  for (let share = 0; share < OVERFLOW_SHARES; share++) {
    const tag = { high: limit.overflow[share * 2], low: limit.overflow[share * 2 + 1] };
    for (const text of [String.fromCharCode(share), String.fromCharCode(0xff, 0xfe, share), `${share}`]) {
      const { high, low } = askFor(limit, text, size);
      expect({ high, low }).not.toEqual(tag);
    }
  }
});

it("a slot that goes to another key between being found and being read is not spent in", () => {
  const [first, second] = threads();
  const key = askFor(limit, "key", size);
  const others = neighbours(key, 17);
  for (const each of [key, ...others.slice(0, 15)]) expect(first.spend(each)).toBe(PASSED);
  for (const each of [first, second]) each.setNow(9000, EPOCH_MS);
  for (const each of others.slice(0, 15)) expect(second.spend(each)).toBe(PASSED);
  const last = others[16]!;
  // The only idle slot is the key's own.
  first.afterFind = () => expect(second.spend(last)).toBe(PASSED);
  const again = askFor(limit, "key", size);
  first.spend(again);
  expect(last.slot).toBe(key.slot);
  expect(again.slot).not.toBe(last.slot);
  expect(passes(second, last)).toBe(1);
});

it.each([1, 2, 3, 4, 5, 6])("agrees with the sequential algorithm however operations interrupt each other (seed %i)", (seed) => {
  const random = seededRandom(seed);
  const buffer = LimitTable.allocate(4096, 4, 0);
  const threads = Array.from({ length: 4 }, (_, worker) => new InterruptedTable(buffer, worker));
  const quick = rateSize({ count: 100, periodMs: 1000 }, 3, MODE_LOCAL);
  const keys = neighbours(askFor(limit, "key", quick), 48);
  const decisions = keys.map((): Decision[] => []);
  let nowMs = 0;
  let recent: number[] = [0];
  const operate = (free: readonly InterruptedTable[]): void => {
    const at = Math.floor(random() * free.length);
    const table = free[at];
    if (table === undefined) return;
    const others = free.filter((_, i) => i !== at);
    const key = recent[Math.floor(random() * recent.length)] ?? 0;
    const ask = new LimitAsk(limit, quick);
    ask.high = keys[key]?.high ?? 0;
    ask.low = keys[key]?.low ?? 0;
    table.setNow(nowMs, EPOCH_MS);
    table.interrupt = () => {
      if (random() < 0.3) operate(others);
    };
    const passed = table.spend(ask) === PASSED;
    decisions[key]?.push({ now: nowMs * TICKS_PER_MS, cost: 1, passed, level: ask.level });
    table.interrupt = () => {};
  };
  for (let i = 0; i < 6000; i++) {
    if (i % 8 === 0) {
      // All buckets are idle again, and other keys want their slots: fewer at once than there are.
      nowMs += 1000;
      recent = Array.from({ length: 10 }, () => Math.floor(random() * keys.length));
    }
    operate(threads);
  }
  expect(threads[0]?.fullEvents).toBe(0);
  expect(decisions.flatMap((each) => misfits(each, quick.unit, quick.capacity))).toEqual([]);
  expect(decisions.flat().filter((each) => !each.passed).length).toBeGreaterThan(500);
});
