// Holds the rolling window to a list of what was counted and when.
import { describe, expect, it } from "vitest";
import {
  BUCKET_COUNT_MAX,
  clearWindow,
  countOne,
  FAILED,
  SLOW,
  sumOf,
  TOTAL,
  tickOf,
  WINDOW_WORDS,
} from "../../../src/shared/rolling-window.ts";
import { seededRandom } from "../../support/upstreams.ts";

const fresh = (): Int32Array => new Int32Array(new SharedArrayBuffer(4 * WINDOW_WORDS));
const KINDS = [TOTAL, FAILED, SLOW] as const;

describe("the rolling window", () => {
  it.each([1, 2, 3, 4])("counts what the last eight ticks brought, whatever the pauses (seed %i)", (seed) => {
    const random = seededRandom(seed);
    const words = fresh();
    const log: { tick: number; kind: number }[] = [];
    const wrong: string[] = []; // judged once: an expectation for each number would take longer than the rest
    // Long enough to go round tags and beyond 2^31 ticks.
    let nowMs = seed === 4 ? 2 ** 31 * 125 - 10_000 : seed * 1e6;
    for (let i = 0; i < 5000; i++) {
      nowMs += random() < 0.02 ? random() * 30_000 : random() * 300;
      const tick = tickOf(nowMs, 1000);
      const kind = KINDS[Math.floor(random() * 3)] ?? TOTAL;
      countOne(words, 0, kind, tick);
      log.push({ tick, kind });
      for (const each of KINDS) {
        const expected = log.slice(-400).filter((entry) => entry.kind === each && ((tick - entry.tick) | 0) < 8).length;
        const sum = sumOf(words, 0, each, tick);
        if (sum !== expected) wrong.push(`count ${i} of kind ${each}: ${sum}, not ${expected}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("forgets nothing within a window and everything after it", () => {
    const words = fresh();
    for (let i = 0; i < 100; i++) countOne(words, 0, TOTAL, tickOf(50_000, 1000));
    expect(sumOf(words, 0, TOTAL, tickOf(50_874, 1000))).toBe(100);
    expect(sumOf(words, 0, TOTAL, tickOf(51_000, 1000))).toBe(0);
  });

  it("does not let a thread that lost the core for a window undo what came after", () => {
    const words = fresh();
    countOne(words, 0, TOTAL, 1608);
    countOne(words, 0, TOTAL, 1600);
    expect(sumOf(words, 0, TOTAL, 1608)).toBe(1);
  });

  it("stops at its capacity instead of running over into the tag", () => {
    const words = fresh();
    countOne(words, 0, TOTAL, 5);
    words[5] = (words[5] ?? 0) - 1 + BUCKET_COUNT_MAX;
    countOne(words, 0, TOTAL, 5);
    expect(sumOf(words, 0, TOTAL, 5)).toBe(BUCKET_COUNT_MAX);
  });

  it("is empty after it was cleared", () => {
    const words = fresh();
    for (const kind of KINDS) countOne(words, 0, kind, 77);
    clearWindow(words, 0);
    expect(KINDS.map((kind) => sumOf(words, 0, kind, 77))).toEqual([0, 0, 0]);
  });
});
