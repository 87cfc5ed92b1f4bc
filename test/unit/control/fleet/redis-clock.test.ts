import { describe, expect, it } from "vitest";
import { RedisClock } from "../../../../src/control/fleet/redis-clock.ts";
import { seededRandom } from "../../../support/upstreams.ts";

describe("RedisClock", () => {
  it("knows nothing before the first answer", () => {
    const clock = new RedisClock();
    expect([clock.known, clock.toRedis(5)]).toEqual([false, Number.NaN]);
  });

  it("is never further from the truth than half the time of the first answer", () => {
    const random = seededRandom(3);
    const offsetMs = 1_700_000_000_000;
    const clock = new RedisClock();
    for (let sentMs = 0; sentMs < 100_000; sentMs += 100) {
      const there = random() * (sentMs === 0 ? 5 : 80);
      const back = random() * (sentMs === 0 ? 5 : 80);
      clock.sample(sentMs + there + offsetMs, sentMs, sentMs + there + back);
      expect(Math.abs(clock.toRedis(sentMs) - sentMs - offsetMs)).toBeLessThanOrEqual(5);
    }
  });

  it("does not move while answers agree with it, however late they are: there and back is the same time", () => {
    const clock = new RedisClock();
    clock.sample(1001, 0, 2);
    const before = clock.toRedis(50);
    clock.sample(1300, 100, 400);
    clock.sample(1500.5, 500, 501);
    expect(clock.toRedis(50)).toBe(before);
  });

  it.each([-90_000, 90_000])("follows a clock that was set by %i ms with the next answer", (stepMs) => {
    const clock = new RedisClock();
    clock.sample(1001, 0, 2);
    clock.sample(1201 + stepMs, 200, 202);
    expect(Math.abs(clock.toRedis(300) - (1300 + stepMs))).toBeLessThanOrEqual(2);
  });
});
