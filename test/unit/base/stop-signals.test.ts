import { expect, test } from "vitest";
import { StopSignals } from "../../../src/base/stop-signals.ts";

test("signals that come together are one request to stop", () => {
  const check = (timesMs: readonly number[], expected: readonly boolean[]) => {
    const signals = new StopSignals();
    expect(timesMs.map((nowMs) => signals.counts(nowMs))).toEqual(expected);
  };
  check([0], [true]);
  check([1000, 1001, 1002], [true, false, false]);
  check([1000, 1500, 1600, 2100], [true, true, false, true]);
});
