// The scripts, run by a real Redis, against a model of what they must do, over random histories of several instances.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { MEET, type Script, SYNC } from "../../../src/store/fleet-scripts.ts";
import { RedisClient } from "../../../src/store/redis-client.ts";
import { redisAt } from "../../support/fleet.ts";
import { RedisServer } from "../../support/redis.ts";
import { until } from "../../support/until.ts";
import { seededRandom } from "../../support/upstreams.ts";

let server: RedisServer;
let client: RedisClient;
beforeAll(async () => {
  server = await RedisServer.start();
  client = new RedisClient(redisAt(server.port, { commandTimeoutMs: 5000 }), { ready: () => {}, lost: () => {} });
  await client.open();
  await until("connected", () => client.ready);
});
afterAll(async () => {
  client.close();
  await server[Symbol.asyncDispose]();
});
beforeEach(() => void server.cli("flushall"));

const run = async (script: Script, keys: string[], args: (string | number)[]) => (await client.run(script, keys, args)) as number[]; // by the scripts' own contract

interface Entry {
  readonly key: string;
  readonly kind: "r" | "q" | "R" | "Q";
  readonly spent?: number;
  readonly before?: number;
  readonly capacity?: number;
  readonly unit?: number;
  readonly held?: number;
  readonly wanted?: number;
  readonly endMs?: number;
}

/** One instance's side of the talk. */
class Caller {
  readonly id: string;
  sequence = 0;
  confirmed = 0;
  era = 0;

  constructor(id: string) {
    this.id = id;
  }

  /** @param how again: the same number as the last time; a lost answer is not remembered */
  async sync(entries: readonly Entry[], how: { again?: boolean; lost?: boolean; leaseMs?: number; graceMs?: number } = {}) {
    if (how.again !== true) this.sequence++;
    const args = [this.sequence, this.confirmed, this.era, this.id, how.leaseMs ?? 0, how.graceMs ?? 0];
    const flat = entries.flatMap((e) => [
      e.kind,
      e.spent ?? 0,
      e.before ?? 0,
      e.capacity ?? 1000,
      e.unit ?? 1,
      e.held ?? 0,
      e.wanted ?? 0,
      e.endMs ?? 0,
    ]);
    const [nowUs = 0, fresh = 0, era = 0, holding = 0, ...rest] = await run(
      SYNC,
      ["era", `seq:${this.id}`, ...entries.map((e) => e.key)],
      [...args, ...flat],
    );
    if (how.lost !== true) {
      this.confirmed = this.sequence;
      this.era = era;
    }
    const levels = entries.map((_, i) => rest[i * 2] ?? Number.NaN);
    const granted = entries.map((_, i) => rest[i * 2 + 1] ?? Number.NaN);
    return { nowMs: nowUs / 1000, fresh: fresh === 1, era, holding: holding === 1, levels, granted };
  }
}

describe("rate buckets", () => {
  it.each([1, 2, 3])("are what virtual scheduling makes of all spending, each batch counted once (seed %i)", async (seed) => {
    const random = seededRandom(seed);
    const callers = ["a", "b", "c"].map((id) => new Caller(id));
    const model = new Map<string, number>();
    let last: { caller: Caller; entries: Entry[] } | null = null;
    let redisNow = (await new Caller("clock").sync([])).nowMs;
    for (let i = 0; i < 300; i++) {
      const again: boolean = last !== null && random() < 0.2;
      const caller: Caller = again && last !== null ? last.caller : callers[Math.floor(random() * 3)]!;
      const entries: Entry[] =
        again && last !== null
          ? last.entries
          : Array.from({ length: 1 + Math.floor(random() * 4) }, () => ({
              key: `bucket${Math.floor(random() * 5)}`,
              kind: "r",
              spent: Math.floor(random() * 40) / 4,
              before: random() < 0.3 ? redisNow + random() * 100 - 50 : 0,
            }));
      const answer = await caller.sync(entries, { again });
      redisNow = answer.nowMs;
      expect(answer.fresh).toBe(!again);
      for (const [at, { key, spent = 0, before = 0 }] of entries.entries()) {
        if (answer.fresh) model.set(key, Math.max(model.get(key) ?? 0, before) + spent);
        const expected = Math.max(0, (model.get(key) ?? 0) - answer.nowMs) * 1000;
        // What is long past is forgotten by either; times are kept to a tenth of a microsecond.
        expect(Math.abs((answer.levels[at] ?? 0) - expected)).toBeLessThanOrEqual(2);
      }
      last = { caller, entries };
    }
  });

  it("live no longer than their backlog and a little", async () => {
    const { nowMs } = await new Caller("a").sync([
      { key: "b", kind: "r", spent: 5000, before: 0 },
      { key: "c", kind: "r", spent: 1, before: 0 },
    ]);
    await new Caller("b").sync([{ key: "d", kind: "r", spent: 5000, before: nowMs }]);
    expect(server.cli("exists", "b", "c")).toBe("0");
    const ttl = Number(server.cli("pttl", "d"));
    expect(ttl).toBeGreaterThan(5000);
    expect(ttl).toBeLessThanOrEqual(7000);
  });
});

describe("quotas", () => {
  it("add up, count each batch once, and learn what was forgotten from whoever knows", async () => {
    const [a, b] = [new Caller("a"), new Caller("b")];
    const endMs = Date.now() + 60_000;
    const at = async (caller: Caller, spent: number, before: number, again = false) =>
      (await caller.sync([{ key: "q", kind: "q", spent, before, endMs }], { again })).levels[0];
    expect(await at(a, 3, 0)).toBe(3);
    expect(await at(b, 4, 0)).toBe(7);
    expect(await at(b, 4, 0, true)).toBe(7);
    expect(await at(a, 1, 3)).toBe(8);
    server.cli("flushall");
    expect(await at(a, 2, 8)).toBe(10);
    expect(await at(b, 1, 7)).toBe(11);
    const ttl = Number(server.cli("pttl", "q"));
    expect(ttl).toBeGreaterThan(3_600_000);
    expect(ttl).toBeLessThanOrEqual(3_661_000);
  });
});

describe("strict buckets", () => {
  it.each(["R", "Q"] as const)("%s: what is spent and what is leased never exceed the capacity, whatever gets lost", async (kind) => {
    const random = seededRandom(7);
    const capacity = 50;
    const unit = 2;
    const callers = ["a", "b", "c", "d"].map((id) => ({ caller: new Caller(id), held: 0, spent: 0 }));
    const times = { leaseMs: 60_000, graceMs: 60_000 };
    server.cli("set", "era", "1"); // long ago: its first moments are over
    // Virtual scheduling of what was really spent, at the time it was spent: what the limit is about.
    let level = 0;
    for (let i = 0; i < 400; i++) {
      const each = callers[Math.floor(random() * 4)]!;
      const { nowMs } = await each.caller.sync([]);
      const unsaid = random() < 0.2;
      const spent = Math.min(each.held, Math.floor(random() * 4) * unit);
      each.held -= spent;
      level = (kind === "R" ? Math.max(level, nowMs) : level) + spent;
      expect(level - (kind === "R" ? nowMs : 0)).toBeLessThanOrEqual(capacity + 0.01);
      const entry = {
        key: "s",
        kind,
        capacity,
        unit,
        spent,
        held: unsaid ? -1 : each.held,
        wanted: unsaid ? 0 : Math.floor(random() * 8),
        endMs: Date.now() + 60_000,
      };
      const lost = random() < 0.15;
      let answer = await each.caller.sync([entry], { lost, ...times });
      // The answer got lost: the same batch again, which counts for nothing and grants nothing.
      if (lost) answer = await each.caller.sync([entry], { again: true, ...times });
      expect(answer.fresh).toBe(!lost);
      each.held += (answer.granted[0] ?? 0) * unit;
    }
    expect(level).toBeGreaterThan(0);
    if (kind === "Q") expect(level).toBeGreaterThan(capacity - 10 * unit);
  });

  it("a lease that nobody settles counts as spent at its end", async () => {
    const [a, b] = [new Caller("a"), new Caller("b")];
    const entry: Entry = { key: "s", kind: "R", capacity: 100_000, unit: 10_000, wanted: 6 };
    expect((await a.sync([entry])).granted).toEqual([6]);
    // Leases of 0 ms have ended by now, at the next batch.
    const { levels, granted } = await b.sync([{ ...entry, wanted: 10 }]);
    expect(granted).toEqual([4]);
    expect((levels[0] ?? 0) / 1000).toBeGreaterThan(59_000);
  });

  it("an instance that says nothing of its lease keeps what it was granted and has not spent", async () => {
    server.cli("set", "era", "1");
    const [a, b] = [new Caller("a"), new Caller("b")];
    const entry: Entry = { key: "s", kind: "R", capacity: 100_000, unit: 10_000, wanted: 6 };
    const times = { leaseMs: 60_000, graceMs: 60_000 };
    expect((await a.sync([entry], times)).granted).toEqual([6]);
    await a.sync([{ ...entry, spent: 10_000, held: -1, wanted: 0 }], times);
    expect((await b.sync([{ ...entry, wanted: 10 }], times)).granted).toEqual([4]);
  });

  it("grant nothing in the first moments of an era, and everything afterwards", async () => {
    const a = new Caller("a");
    const entry: Entry = { key: "s", kind: "R", capacity: 100, unit: 10, wanted: 10 };
    const first = await a.sync([entry], { leaseMs: 50, graceMs: 50 });
    expect([first.holding, first.granted]).toEqual([true, [0]]);
    let next = first;
    while (next.holding) next = await a.sync([entry], { leaseMs: 50, graceMs: 50 });
    expect(next.nowMs).toBeGreaterThanOrEqual(first.era + 100);
    expect(next.granted).toEqual([10]);
  });

  it("are taken to be as full as they can be when Redis has lost its memory", async () => {
    const a = new Caller("a");
    const entry: Entry = { key: "s", kind: "R", capacity: 60_000, unit: 1000, wanted: 60 };
    await a.sync([]);
    server.cli("flushall");
    const { granted, levels, era, nowMs } = await a.sync([entry]);
    expect(era).toBeGreaterThan(nowMs - 10_000);
    expect(granted).toEqual([0]);
    expect((levels[0] ?? 0) / 1000).toBeGreaterThan(59_000);
    expect(server.cli("get", "era")).toMatch(/^\d+lost$/);
  });

  it.each([
    ["an instance that knows an older era", async (a: Caller) => void (a.era -= 1000)],
    ["an instance with a batch that was confirmed and is not remembered", async (a: Caller) => void server.cli("set", `seq:${a.id}`, "0")],
    ["an instance that knows a later era", async (a: Caller) => void (a.era += 1000)],
  ])("lost memory is proved by %s", async (_, change) => {
    const [a, b] = [new Caller("a"), new Caller("b")];
    await a.sync([]);
    await a.sync([]);
    await b.sync([]);
    expect(server.cli("get", "era")).toMatch(/^\d+$/);
    await change(a);
    await a.sync([]);
    expect(server.cli("get", "era")).toMatch(/^\d+lost$/);
  });
});

describe("members", () => {
  it("are those that said something within the time to live", async () => {
    const meet = async (id: string, ttlMs: number, leave = 0) => (await run(MEET, ["members"], [id, ttlMs, leave]))[1];
    expect(await meet("a", 60_000)).toBe(1);
    expect(await meet("b", 60_000)).toBe(2);
    expect(await meet("a", 60_000)).toBe(2);
    expect(await meet("b", 60_000, 1)).toBe(1);
    await meet("c", 60_000);
    expect(Number(server.cli("pttl", "members"))).toBeGreaterThan(60_000);
    // To start redis-cli took longer than the time to live.
    expect(await meet("d", 1)).toBe(1);
  });
});
