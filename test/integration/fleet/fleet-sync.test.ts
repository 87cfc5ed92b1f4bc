// Fleets of real tables on a real Redis, in one process: what is shared, what an outage costs, and that nothing counts twice.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { monotonicMs } from "../../../src/base/clock.ts";
import { worstOvershoot } from "../../../src/control/fleet/overshoot.ts";
import { QuotaPeriod } from "../../../src/data/policies/rateLimit/period.ts";
import {
  type LimitAsk,
  MODE_FLEET,
  MODE_STRICT,
  NO_SHARE,
  PASSED,
  quotaSize,
  REFUSED,
  rateSize,
  type Verdict,
} from "../../../src/shared/limit-size.ts";
import { FleetInstance, FleetOf, overshootOf, redisAt } from "../../support/fleet.ts";
import { RedisServer } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => void server.cli("flushall"));

const redis = () => redisAt(server.port);
const perSecond = (count: number, burst: number, mode: typeof MODE_FLEET | typeof MODE_STRICT = MODE_FLEET) =>
  rateSize({ count, periodMs: 1000 }, burst, mode);
/** A rate so slow that no test lives to see it. */
const perDay = (burst: number, mode: typeof MODE_FLEET | typeof MODE_STRICT = MODE_FLEET) =>
  rateSize({ count: burst, periodMs: 86_400_000 }, burst, mode);

const PERIOD = { periodStartS: 1_767_225_600, periodEndMs: Date.now() + 3_600_000 };

const pair = async () => {
  const fleet = await FleetOf.start(2, redis());
  const [a, b] = fleet.all;
  if (a === undefined || b === undefined) throw new Error("two were started");
  return { fleet, a, b, [Symbol.asyncDispose]: () => fleet[Symbol.asyncDispose]() };
};

describe("together", () => {
  it("one instance's spending is the other's", async () => {
    await using two = await pair();
    const size = perDay(40);
    const [onA, onB] = [two.a.ask("k", size), two.b.ask("k", size)];
    // Half of the burst may be spent before it is told.
    expect(two.a.drain(onA)).toBe(20);
    await two.a.settled();
    expect(two.a.drain(onA)).toBe(20);
    await two.a.settled();
    expect(two.a.spend(onA)).toBe(REFUSED);
    expect(two.b.spend(onB)).toBe(PASSED);
    await two.b.settled();
    expect(two.b.spend(onB)).toBe(REFUSED);
  });

  it("a limit that is smaller than the fleet admits about that limit", async () => {
    await using fleet = await FleetOf.start(8, redis());
    const size = perSecond(3, 3);
    const asks = fleet.all.map((each) => each.ask("k", size));
    const endMs = performance.now() + 4000;
    while (performance.now() < endMs) {
      for (const [i, each] of fleet.all.entries()) each.spend(asks[i]!);
      await sleep(5);
    }
    const overshoot = overshootOf(fleet.admissions, { perMs: 0.003, burst: 3 });
    expect(overshoot).toBeGreaterThan(-3);
    expect(overshoot).toBeLessThanOrEqual(
      worstOvershoot({ count: 3, periodMs: 1000, burst: 3, cost: 1 }, { instances: 8, syncIntervalMs: 20 }),
    );
    // What was too much at first was paid back: 3 + 4 s x 3/s, and what one round lets through.
    expect(fleet.admissions.length).toBeLessThanOrEqual(3 + 12 + 16);
    expect(fleet.admissions.length).toBeGreaterThanOrEqual(9);
  });

  it("a quota outlives the instance that spent it", async () => {
    const period = { periodStartS: 1_767_225_600, periodEndMs: Date.now() + 3_600_000 };
    const size = quotaSize(1000, MODE_FLEET);
    {
      await using first = await FleetOf.start(1, redis());
      const ask = Object.assign(first.all[0]!.ask("k", size), period);
      await until("700 are spent", () => {
        first.all[0]!.drain(ask, 700 - first.admissions.length);
        return first.admissions.length === 700;
      });
    }
    await using second = await FleetOf.start(1, redis());
    const instance = second.all[0]!;
    const ask = Object.assign(instance.ask("k", size), period);
    expect(instance.spend(ask)).toBe(PASSED);
    await until("the instance has learned", () => {
      ask.cost = 300;
      instance.table.setNow(0, Date.now());
      return instance.table.peek(ask) === REFUSED;
    });
    ask.cost = 1;
    let passed = 0;
    for (let i = 0; i < 20; i++) {
      passed += instance.drain(ask);
      await instance.settled();
    }
    expect(passed).toBe(299);
  });

  it.each<[string, (each: FleetInstance) => LimitAsk]>([
    ["a quota", (each) => Object.assign(each.ask("k", quotaSize(100, MODE_FLEET)), PERIOD)],
    ["a burst", (each) => each.ask("k", perDay(100))],
  ])("shares of %s follow demand: who asks for most gets most, until all is spent", async (_, askOf) => {
    await using fleet = await FleetOf.start(4, redis());
    const [a, b] = fleet.all as [FleetInstance, FleetInstance];
    const [onA, onB] = [askOf(a), askOf(b)];
    const verdicts = new Set<Verdict>();
    // One wants all that it can get, another a little, the others nothing.
    await until("all is spent", () => {
      b.spend(onB);
      a.drain(onA);
      verdicts.add(a.spend(onA));
      return verdicts.has(REFUSED);
    });
    await until("the other has had its part", () => b.spend(onB) === REFUSED);
    expect(a.admissions.length).toBeGreaterThan(2 * b.admissions.length);
    expect(b.admissions.length).toBeGreaterThan(1);
    expect(fleet.admissions.length).toBeGreaterThanOrEqual(100);
    expect(fleet.admissions.length).toBeLessThanOrEqual(120);
    expect(verdicts).toContain(NO_SHARE);
  });

  it("an instance that never heard of a quota does not spend what others have used up", async () => {
    await using fleet = await FleetOf.start(4, redis());
    const [first, ...others] = fleet.all as [FleetInstance, ...FleetInstance[]];
    const ask = Object.assign(first.ask("k", quotaSize(100, MODE_FLEET)), PERIOD);
    await until("all is spent", () => first.spend(ask) === REFUSED);
    await first.settled();
    for (const each of others) {
      const own = Object.assign(each.ask("k", quotaSize(100, MODE_FLEET)), PERIOD);
      await until("it has heard of it", () => each.spend(own) === REFUSED);
      // One it had not told yet, and one while that was on its way.
      expect(each.admissions.length).toBeLessThanOrEqual(2);
    }
  });

  it("an instance that did not see the last period of a rolling quota carries over what others let pass in it", async () => {
    const hourMs = 3_600_000;
    const startMs = Math.floor(Date.now() / hourMs) * hourMs;
    const size = quotaSize(1000, MODE_FLEET);
    const spendAt = (each: FleetInstance, period: QuotaPeriod, epochMs: number) => {
      const ask = each.ask("k", size);
      each.table.setNow(monotonicMs(), epochMs);
      period.apply(ask, each.table);
      return each.spend(ask, epochMs);
    };
    const rolling = () => new QuotaPeriod({ periodMs: hourMs, month: false }, "rolling");
    {
      await using before = await FleetOf.start(2, redis());
      const [a, b] = before.all as [FleetInstance, FleetInstance];
      const [onA, onB] = [rolling(), rolling()];
      await until("600 are spent", () => {
        for (const [each, period] of [
          [a, onA],
          [b, onB],
        ] as const)
          for (let i = 0; i < 50 && before.admissions.length < 600; i++) spendAt(each, period, startMs + 1000);
        return before.admissions.length === 600;
      });
    }
    await using after = await FleetOf.start(1, redis());
    const period = rolling();
    const [c] = after.all as [FleetInstance];
    await until("the next period's share is spent", () => {
      let verdict: Verdict = PASSED;
      while (verdict === PASSED) verdict = spendAt(c, period, startMs + hourMs);
      return verdict === REFUSED;
    });
    expect(c.admissions.length).toBe(400);
  });

  it("an instance that leaves is no longer counted", async () => {
    await using two = await pair();
    await two.b.stop();
    expect(server.cli("zcard", "{test:0}:members")).toBe("1");
  });
});

describe("nothing is lost and nothing counts twice", () => {
  /** Exact: a quota in Redis is a plain number. */
  const usedInRedis = () => {
    const [key = ""] = server.cli("--raw", "keys", "*:q:*").split("\n");
    return key === "" ? 0 : Number(server.cli("--raw", "get", key));
  };
  it.each<[string, (server: RedisServer) => unknown]>([
    ["scripts are flushed", (redis) => redis.cli("script", "flush")],
    ["connections are killed", (redis) => redis.cli("client", "kill", "type", "normal")],
    ["Redis is busy for longer than anybody waits", (redis) => redis.cli("client", "pause", "500")],
  ])("when %s again and again", async (_, disturb) => {
    await using two = await pair();
    const period = { periodStartS: 1_767_225_600, periodEndMs: Date.now() + 3_600_000 };
    const size = quotaSize(1_000_000, MODE_FLEET);
    const asks = two.fleet.all.map((each) => Object.assign(each.ask("k", size), period));
    for (let i = 0; i < 200; i++) {
      if (i % 50 === 25) disturb(server);
      for (const [at, each] of two.fleet.all.entries()) each.spend(asks[at]!);
      await sleep(5);
    }
    const spent = two.fleet.admissions.length;
    // All but the second request of each: what is left of the quota was not known yet.
    expect(spent).toBeGreaterThanOrEqual(398);
    await until("everything is told", () => usedInRedis() >= spent, 8000);
    expect(usedInRedis()).toBe(spent);
  });
});

describe("apart", () => {
  it("an instance goes on with its share, and comes back without a burst", async () => {
    await using fleet = await FleetOf.start(4, redis());
    const limit = { count: 200, periodMs: 1000, burst: 20, cost: 1 };
    const size = perSecond(limit.count, limit.burst);
    const asks = fleet.all.map((each) => each.ask("k", size));
    const hammer = async (ms: number) => {
      const endMs = performance.now() + ms;
      const before = fleet.admissions.length;
      while (performance.now() < endMs) {
        for (const [i, each] of fleet.all.entries()) each.drain(asks[i]!, 5);
        await sleep(2);
      }
      return fleet.admissions.length - before;
    };
    await hammer(500);
    server.signal("SIGSTOP");
    const alone = await hammer(1500);
    expect(fleet.all.map((each) => each.state.connected)).toEqual([false, false, false, false]);
    expect(fleet.all.map((each) => each.state.instances)).toEqual([4, 4, 4, 4]);
    server.signal("SIGCONT");
    await Promise.all([hammer(1500), until("all are back", () => fleet.all.every((each) => each.state.connected), 10_000)]);
    const overshoot = overshootOf(fleet.admissions, { perMs: limit.count / limit.periodMs, burst: limit.burst });
    // An outage may cost the bound once more: what the instances did not know of each other when it began is not paid back while it lasts.
    expect(overshoot).toBeLessThanOrEqual(2 * worstOvershoot(limit, { instances: 4, syncIntervalMs: 20 }));
    // Its share is the limit when all have traffic: neither nothing nor four times as much.
    expect(alone).toBeGreaterThan(100);
    expect(alone).toBeLessThan(600);
    for (const each of fleet.all)
      expect(each.said).toEqual(["Redis is lost: limits go on with this instance's share", "Redis is back: limits are reconciled again"]);
  });

  it("a Redis that comes back empty is told what it has forgotten", async () => {
    await using two = await pair();
    const size = perDay(40);
    const [onA, onB] = [two.a.ask("k", size), two.b.ask("k", size)];
    const spend = async (each: FleetInstance, ask: ReturnType<FleetInstance["ask"]>, most: number) => {
      const passed = each.drain(ask, most);
      await each.settled();
      return passed;
    };
    expect([await spend(two.b, onB, 13), await spend(two.a, onA, 13), await spend(two.a, onA, 13)]).toEqual([13, 13, 13]);
    await server.kill();
    await until("both have noticed", () => !two.a.state.connected && !two.b.state.connected);
    await server.launch();
    await until("both are back", () => two.a.state.connected && two.b.state.connected, 10_000);
    // 39 are spent, which A knows and B does not. B may spend what it need not confirm; then it has heard of it.
    expect(await spend(two.a, onA, 13)).toBe(1);
    expect(await spend(two.b, onB, 100)).toBe(20);
    expect(await spend(two.b, onB, 100)).toBe(0);
  });

  it("an instance serves before Redis is there, with its share of what is expected", async () => {
    const port = server.port;
    await server.kill();
    const early = new FleetInstance(redisAt(port, { fleetSize: 4 }));
    try {
      expect(early.drain(early.ask("k", perDay(40)))).toBe(10);
      await until("the log has said so", () => early.said.length === 1);
      await server.launch();
      await until("it is there", () => early.state.connected, 10_000);
      expect(early.said).toHaveLength(2);
    } finally {
      await early.stop();
    }
  });
});

describe("strict", () => {
  const LIMIT = { count: 100, periodMs: 1000, burst: 10 };

  const hammer = async (fleet: FleetOf, ms: number) => {
    const size = perSecond(LIMIT.count, LIMIT.burst, MODE_STRICT);
    const asks = fleet.all.map((each) => each.ask("k", size));
    const endMs = performance.now() + ms;
    while (performance.now() < endMs) {
      for (const [i, each] of fleet.all.entries()) each.spend(asks[i]!);
      await sleep(1);
    }
  };
  const overshoot = (fleet: FleetOf) => overshootOf(fleet.admissions, { perMs: LIMIT.count / LIMIT.periodMs, burst: LIMIT.burst });

  it("never exceeds the limit, and uses most of it", async () => {
    await using fleet = await FleetOf.start(4, redis());
    const ask = fleet.all[0]!.ask("first", perSecond(LIMIT.count, LIMIT.burst, MODE_STRICT));
    await until("the era's first moments are over", () => fleet.all[0]!.spend(ask) === PASSED);
    fleet.all[0]!.admissions.length = 0;
    await hammer(fleet, 3000);
    expect(overshoot(fleet)).toBeLessThanOrEqual(0);
    expect(fleet.admissions.length).toBeGreaterThan(150);
  });

  it("never exceeds the limit when Redis forgets everything, hangs, or dies and comes back empty", async () => {
    await using fleet = await FleetOf.start(3, redis());
    await hammer(fleet, 2500);
    const disturb = async () => {
      server.cli("flushall");
      await sleep(1000);
      server.signal("SIGSTOP");
      await sleep(700);
      server.signal("SIGCONT");
      await sleep(300);
      await server.kill();
      await server.launch();
    };
    await Promise.all([hammer(fleet, 6000), disturb()]);
    expect(overshoot(fleet)).toBeLessThanOrEqual(0);
    expect(fleet.admissions.length).toBeGreaterThan(10);
  }, 20_000);

  it("what one does not use is the other's when the lease has ended", async () => {
    await using two = await pair();
    const size = perDay(4, MODE_STRICT);
    const [onA, onB] = [two.a.ask("k", size), two.b.ask("k", size)];
    await until("A has a lease", () => two.a.spend(onA) === PASSED);
    await until("B has had all others", () => two.b.spend(onB) === PASSED && two.fleet.admissions.length === 4, 9000);
    await sleep(50);
    expect([two.a.spend(onA), two.b.spend(onB)]).not.toContain(PASSED);
  });
});
