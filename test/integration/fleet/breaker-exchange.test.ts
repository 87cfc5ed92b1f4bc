// What instances tell each other of their breakers on a real Redis, in one process: it arrives, it ends, garbage does not matter, and limits
// never notice.
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PAGE } from "../../../src/control/fleet/breaker-exchange.ts";
import type { ReportedBreaker } from "../../../src/control/fleet/breaker-report.ts";
import { PHASE } from "../../../src/shared/breaker-word.ts";
import { type FleetInstance, FleetOf, redisAt } from "../../support/fleet.ts";
import { RedisServer } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => void server.cli("flushall"));

const breaker = (phase: number, upstream = "users", target: string | null = null): ReportedBreaker => ({ upstream, target, phase });
const others = (instance: FleetInstance) => instance.state.breakers;
const KEYS = ["{test:0}:breakers:ends", "{test:0}:breakers:news", "{test:0}:breakers:reports"] as const;
const [ENDS, NEWS, REPORTS] = KEYS;

async function fleetOf(count: number) {
  const fleet = await FleetOf.start(count, redisAt(server.port));
  await heard(fleet, count - 1);
  return fleet;
}

const heard = (fleet: FleetOf, instances: number) =>
  until(
    `every instance hears of ${instances} others`,
    () => fleet.all.every((each) => others(each).knowledge === "fresh" && others(each).instances === instances),
    15_000,
  );

const states = (instance: FleetInstance) => Object.fromEntries(others(instance).breakers.map((each) => [each.upstream, each.states]));

const hears = (instance: FleetInstance, wanted: Readonly<Record<string, Readonly<Record<string, number>>>>) =>
  until(`an instance hears ${JSON.stringify(wanted)}`, () => isDeepStrictEqual(states(instance), wanted), 15_000).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}, but ${JSON.stringify(others(instance))}`);
    },
  );

describe("together", () => {
  it("every instance hears of the others' breakers, not of its own, and that they closed", async () => {
    await using fleet = await fleetOf(3);
    const [a, b, c] = fleet.all as [FleetInstance, FleetInstance, FleetInstance];
    a.breakers = [breaker(PHASE.open), breaker(PHASE.closed, "orders")];
    b.breakers = [breaker(PHASE.halfOpen), breaker(PHASE.forcedOpen, "orders")];
    await hears(a, { users: { "half-open": 1 }, orders: { "forced open": 1 } });
    await hears(b, { users: { open: 1 } });
    await hears(c, { users: { open: 1, "half-open": 1 }, orders: { "forced open": 1 } });
    expect(
      others(c)
        .breakers[0]?.instances.map(({ name, state }) => `${name.split(":")[1]} ${state}`)
        .sort(),
    ).toEqual(["1 open", "2 half-open"]);
    expect(c.said.filter((message) => message === "breaker is open at other instances")).toHaveLength(2);
    a.breakers = b.breakers = [];
    await hears(c, {});
    expect(c.said.filter((message) => message === "breaker is no longer open at other instances")).toHaveLength(2);
    expect(others(c)).toMatchObject({ knowledge: "fresh", instances: 2, ignored: 0, failures: 0, trouble: null });
  });

  it("who leaves takes its report away", async () => {
    await using fleet = await fleetOf(3);
    const [a, b, c] = fleet.all as [FleetInstance, FleetInstance, FleetInstance];
    a.breakers = [breaker(PHASE.open)];
    b.breakers = [breaker(PHASE.open, "orders")];
    await hears(c, { users: { open: 1 }, orders: { open: 1 } });
    await a.stop();
    for (const key of [ENDS, NEWS]) expect(server.cli("zcard", key)).toBe("2");
    expect(server.cli("hlen", REPORTS)).toBe("2");
    await hears(c, { orders: { open: 1 } });
    expect(others(c).instances).toBe(1);
  });

  it("reports that nobody renews end by Redis's clock", async () => {
    await using fleet = await fleetOf(1);
    const [a] = fleet.all as [FleetInstance];
    const [seconds = "0"] = server.cli("--raw", "time").split("\n");
    const dead = "0123456789abcdef";
    server.cli(
      "eval",
      `redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) redis.call('ZADD', KEYS[2], 7, ARGV[1]) redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])`,
      "3",
      ...KEYS,
      dead,
      String(Number(seconds) * 1000 + 3000),
      '[1,"dead:9",0,[["users",null,1]]]',
    );
    await hears(a, { users: { open: 1 } });
    expect(others(a).breakers[0]?.instances).toEqual([{ name: "dead:9", state: "open" }]);
    await hears(a, {});
    expect(server.cli("hexists", REPORTS, dead)).toBe("0");
    for (const key of KEYS) expect(Number(server.cli("pttl", key))).toBeGreaterThan(0);
  });

  it("a fleet larger than one answer is heard whole", async () => {
    const ids = Array.from({ length: PAGE * 2 + 10 }, (_, i) => i.toString(16).padStart(16, "0"));
    server.cli(
      "eval",
      `local t = redis.call('TIME') for i, id in ipairs(ARGV) do
         redis.call('ZADD', KEYS[1], t[1] * 1000 + 50000, id) redis.call('ZADD', KEYS[2], i, id)
         redis.call('HSET', KEYS[3], id, '[1,"i:' .. i .. '",0,[["users",null,1]]]') end`,
      "3",
      ...KEYS,
      ...ids,
    );
    await using fleet = await FleetOf.start(1, redisAt(server.port));
    const [a] = fleet.all as [FleetInstance];
    await hears(a, { users: { open: ids.length } });
    expect(others(a)).toMatchObject({ instances: ids.length, ignored: 0 });
    // Nothing is said before all were heard: it would be said with too few.
    expect(a.said.filter((message) => message === "breaker is open at other instances")).toHaveLength(1);
  });
});

describe("garbage in Redis", () => {
  it.each<[string, readonly string[][]]>([
    ["keys of other types", KEYS.map((key) => ["set", key, "garbage"])],
    ["one key of another type", [["eval", "redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[1], 'x')", "1", REPORTS]]],
    ["reports that belong to nobody", [["hset", REPORTS, "x", "y", "fedcba9876543210", "z"]]],
    ["numbers of nobody", [["zadd", NEWS, "9e15", "x", "inf", "y"]]],
    ["an instance that never ends", [["zadd", ENDS, "inf", "fedcba9876543210"]]],
    ["one key gone", [["del", NEWS]]],
    ["all keys gone", [["flushall"]]],
  ])("%s: it heals by itself", async (_, commands) => {
    await using fleet = await fleetOf(2);
    const [a, b] = fleet.all as [FleetInstance, FleetInstance];
    a.breakers = [breaker(PHASE.open)];
    await hears(b, { users: { open: 1 } });
    for (const command of commands) server.cli(...command);
    a.breakers = [breaker(PHASE.open, "orders")];
    await hears(b, { orders: { open: 1 } });
    await heard(fleet, 1);
    for (const key of [ENDS, NEWS]) expect(server.cli("zcard", key)).toBe("2");
    expect(server.cli("hlen", REPORTS)).toBe("2");
    expect(a.state.connected && b.state.connected).toBe(true);
    expect(a.state.syncFailures + b.state.syncFailures).toBe(0);
  });

  it.each<[string, string, string]>([
    ["a report that is none", "fedcba9876543210", "<script>alert(1)</script>"],
    ["a report with markup", "fedcba9876543210", '[1,"gw:1",0,[["<b>",null,1]]]'],
    ["a report that is too long", "fedcba9876543210", `[1,"gw:1",0,[${" ".repeat(20_000)}]]`],
    ["an instance of another kind", "x".repeat(300), '[1,"gw:1",0,[["users",null,1]]]'],
    ["bytes that are no text", "fedcba9876543210", "\\xff\\xfe"],
  ])("%s: ignored and counted", async (_, id, text) => {
    await using fleet = await fleetOf(2);
    const [a, b] = fleet.all as [FleetInstance, FleetInstance];
    server.cli(
      "eval",
      `local t = redis.call('TIME') redis.call('ZADD', KEYS[1], t[1] * 1000 + 50000, ARGV[1])
       redis.call('ZADD', KEYS[2], string.format('%.0f', t[1] * 1000000 + 999999), ARGV[1]) redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])`,
      "3",
      ...KEYS,
      id,
      text,
    );
    await until("it was counted", () => others(a).ignored + others(b).ignored > 0, 15_000);
    a.breakers = [breaker(PHASE.open, "orders")];
    await hears(b, { orders: { open: 1 } });
    expect(others(b)).toMatchObject({ instances: 1, knowledge: "fresh" });
    expect(JSON.stringify(b.state)).not.toContain("<");
  });
});

describe("without Redis", () => {
  it("what was heard is stale, then unknown; then it is heard again, and was said once", async () => {
    await using fleet = await fleetOf(2);
    const [a, b] = fleet.all as [FleetInstance, FleetInstance];
    a.breakers = [breaker(PHASE.open)];
    await hears(b, { users: { open: 1 } });
    server.signal("SIGSTOP");
    try {
      await until("it is stale", () => others(b).knowledge === "stale", 10_000);
      expect(states(b)).toEqual({ users: { open: 1 } });
      await until("it is unknown", () => others(b).knowledge === "unknown", 15_000);
      expect(others(b)).toMatchObject({ instances: null, breakers: [], leftOut: 0 });
      expect(others(b).ageMs).toBeGreaterThan(4000);
    } finally {
      server.signal("SIGCONT");
    }
    await hears(b, { users: { open: 1 } });
    await heard(fleet, 1);
    expect(b.said.filter((message) => message === "breaker is open at other instances")).toHaveLength(1);
  });

  it("scripts are flushed, connections killed: it goes on", async () => {
    await using fleet = await fleetOf(2);
    const [a, b] = fleet.all as [FleetInstance, FleetInstance];
    for (const [i, command] of [
      ["script", "flush"],
      ["client", "kill", "type", "normal"],
      ["client", "pause", "700"],
    ].entries()) {
      server.cli(...command);
      a.breakers = [breaker(PHASE.open, `u${i}`)];
      await hears(b, { [`u${i}`]: { open: 1 } });
    }
  });
});
