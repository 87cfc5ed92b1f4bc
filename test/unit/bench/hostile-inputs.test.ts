// No input of 16 KiB costs many times what a plain request does: a loop that grows with the square of what a client sends would cost hundreds of times.
import { expect, test } from "vitest";
import { HOSTILE_COST_MAX, HOSTILE_INPUTS, hostileCosts } from "../../../bench/micro/hostile-inputs.ts";

/** Few rounds, beside other tests, on code that is not optimised yet. */
const SLACK = 2;

test("each hostile input costs a bounded multiple of a plain request", () => {
  const costs = hostileCosts({ rounds: 3, batchMs: 1, warmMs: 10 });
  expect(costs).toHaveLength(HOSTILE_INPUTS.length);
  expect(costs.filter(({ ratio }) => !(ratio <= HOSTILE_COST_MAX * SLACK))).toEqual([]);
});
