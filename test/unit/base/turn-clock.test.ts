import { afterEach, describe, expect, it } from "vitest";
import { beginTurn, endTurn, nowMs } from "../../../src/base/turn-clock.ts";

/** Until the clock has moved. */
function passTime(): void {
  const startMs = performance.now();
  while (performance.now() === startMs);
}

describe("the clock of a turn", () => {
  afterEach(endTurn);

  it("stands still in a turn, at when that began", () => {
    const beforeMs = performance.now();
    beginTurn();
    const first = nowMs();
    passTime();
    expect(nowMs()).toBe(first);
    expect(first).toBeGreaterThanOrEqual(beforeMs);
    expect(first).toBeLessThan(performance.now());
  });

  it("goes on with the next turn, and between turns", () => {
    beginTurn();
    const first = nowMs();
    passTime();
    beginTurn();
    const second = nowMs();
    expect(second).toBeGreaterThan(first);
    endTurn();
    passTime();
    const third = nowMs();
    expect(third).toBeGreaterThan(second);
    passTime();
    expect(nowMs()).toBeGreaterThan(third);
  });
});
