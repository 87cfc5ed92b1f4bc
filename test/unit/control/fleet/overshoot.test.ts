// The bound that `validate` prints, by numbers and against simulated fleets that do their worst.
import { describe, expect, it } from "vitest";
import { unconfirmedAllowance, worstOvershoot } from "../../../../src/control/fleet/overshoot.ts";
import { seededRandom } from "../../../support/upstreams.ts";

const perSecond = (count: number, burst: number) => ({ count, periodMs: 1000, burst, cost: 1 });

describe("the bound", () => {
  const check = (limit: ReturnType<typeof perSecond>, instances: number, syncIntervalMs: number, unconfirmed: number, overshoot: number) =>
    it(`${limit.count}/s, burst ${limit.burst}, ${instances} instances, every ${syncIntervalMs} ms`, () => {
      expect(unconfirmedAllowance(limit, { instances, syncIntervalMs })).toBe(unconfirmed);
      expect(worstOvershoot(limit, { instances, syncIntervalMs })).toBe(overshoot);
    });
  check(perSecond(3, 3), 8, 100, 1, 16);
  check(perSecond(1000, 2000), 8, 100, 250, 4000);
  check(perSecond(1000, 100), 8, 100, 100, 1600);
  check(perSecond(1000, 100), 8, 10, 13, 208);
  check(perSecond(1, 1), 2, 100, 1, 4);
  check(perSecond(1000, 2000), 1, 100, 2000, 0);
  check({ ...perSecond(3, 20), cost: 10 }, 8, 100, 10, 160);
});

/** One bucket of a fleet, in units: what Redis knows, what each instance believes, and what is on its way. */
function simulate(limit: ReturnType<typeof perSecond>, shape: { instances: number; syncIntervalMs: number }, seed: number) {
  const random = seededRandom(seed);
  const rate = limit.count / limit.periodMs;
  const allowance = unconfirmedAllowance(limit, shape);
  const all = Array.from({ length: shape.instances }, () => ({
    level: 0, // believed, at nowMs
    unsent: 0,
    onWay: 0,
    answerInMs: -1,
    answer: 0,
    syncInMs: random() * shape.syncIntervalMs,
    busy: random() < 0.7,
  }));
  let redis = 0;
  let truth = 0;
  let overshoot = 0;
  for (let nowMs = 0; nowMs < 20_000; nowMs++) {
    redis = Math.max(0, redis - rate);
    truth = Math.max(0, truth - rate);
    for (const each of all) {
      each.level = Math.max(0, each.level - rate);
      each.answer = Math.max(0, each.answer - rate);
      if (random() < 0.001) each.busy = !each.busy;
      for (let tries = each.busy ? 1 + Math.floor(rate * 4) : 0; tries > 0; tries--) {
        if (each.level + 1 > limit.burst || (each.unsent > 0 && each.unsent + 1 > allowance)) break;
        each.level += 1;
        each.unsent += 1;
        truth += 1;
        overshoot = Math.max(overshoot, truth - limit.burst);
      }
      if (each.answerInMs > 0 && --each.answerInMs === 0) {
        // The batch reached Redis in the middle of its way.
        each.level = Math.max(each.level, each.answer);
        each.answerInMs = -1;
      }
      each.syncInMs -= 1;
      if (each.syncInMs > 0 || each.answerInMs > 0 || each.unsent === 0) continue;
      redis += each.unsent;
      each.answer = redis;
      each.unsent = 0;
      each.answerInMs = 1 + Math.floor(random() * shape.syncIntervalMs);
      each.syncInMs = shape.syncIntervalMs;
    }
  }
  return overshoot;
}

describe("simulated fleets", () => {
  const cases = [perSecond(3, 3), perSecond(50, 10), perSecond(1000, 100), perSecond(400, 1000)].flatMap((limit) =>
    [2, 4, 8].map((instances) => ({ limit, shape: { instances, syncIntervalMs: 100 } })),
  );
  it.each(cases)(
    "$limit.count/s, burst $limit.burst, $shape.instances instances: beyond the limit, and within the bound",
    ({ limit, shape }) => {
      const worst = Math.max(...[1, 2, 3].map((seed) => simulate(limit, shape, seed)));
      expect(worst).toBeGreaterThan(0);
      expect(worst).toBeLessThanOrEqual(worstOvershoot(limit, shape));
    },
  );
});
