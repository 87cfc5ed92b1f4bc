import { expect, test } from "vitest";
import { DELAY_MAX_MS, RestartBackoff } from "../../../src/base/restart-backoff.ts";

function check(livesMs: readonly number[], expected: readonly number[]): void {
  const backoff = new RestartBackoff();
  expect(livesMs.map((livedMs) => backoff.next(livedMs))).toEqual(expected);
}

test("the first death is answered at once, quick ones after it ever later", () => {
  check([0], [0]);
  check([5000, 10, 10, 10], [0, 200, 400, 800]);
  check([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, DELAY_MAX_MS, DELAY_MAX_MS]);
});

test("a long life ends the loop", () => {
  check([10, 10, 10, 3_600_000, 10], [0, 200, 400, 0, 200]);
});
