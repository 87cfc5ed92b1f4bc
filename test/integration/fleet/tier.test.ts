// The tier itself on a real Redis: bounds of what waits and of how long, in this process.
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { Tier, type TierEntry, type TierQuestion } from "../../../src/data/cache/tier/tier.ts";
import type { TierPlan } from "../../../src/plan/cache-plan.ts";
import { TIER, type TierCount, TierCounts } from "../../../src/shared/cache/tier-counts.ts";
import { TierPurges } from "../../../src/shared/cache/tier-purges.ts";
import { redisAt } from "../../support/fleet.ts";
import { RedisServer } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

const MIB = 1024 * 1024;
const LOG = "{test:0}:purges";
const PLACE = { era: "era", sequence: 0 };
let server: RedisServer;
let counts: TierCounts;
let tier: Tier;
const strays: unknown[] = [];
const stray = (reason: unknown): void => void strays.push(reason);

beforeEach(async () => {
  server = await RedisServer.start();
  strays.length = 0;
  process.on("unhandledRejection", stray);
  server.cli("hset", LOG, "era", PLACE.era, "seq", "0");
  const [purges, buffer] = [TierPurges.allocate(), TierCounts.allocate(1)];
  counts = new TierCounts(buffer);
  const known = new TierPurges(purges);
  known.begin(PLACE.era, 0);
  known.reached(0);
  const wheel = new TimerWheel();
  tier = new Tier({
    memory: {
      redis: redisAt(server.port, { commandTimeoutMs: 10_000 }),
      logKey: LOG,
      recordKey: Buffer.alloc(32, 1),
      purges,
      counts: buffer,
    },
    worker: 0,
    wheel,
    warn: () => {},
  });
  onTestFinished(() => {
    tier.close();
    wheel.stop();
  });
  await until("Redis is used", () => tier.isUsable);
});
afterEach(async () => {
  process.off("unhandledRejection", stray);
  server.signal("SIGCONT");
  await server[Symbol.asyncDispose]();
  expect(strays).toEqual([]);
});

const count = (each: TierCount): number => counts.sum(each);
const limits = (changes: Partial<TierPlan> = {}): TierPlan => ({ timeoutMs: 2000, maxObjectBytes: MIB, queueBytes: 4 * MIB, ...changes });

const FRESH = {
  receivedMs: Date.now(),
  initialAge: 0,
  lifetime: 60,
  staleWhileRevalidate: 0,
  staleIfError: 0,
  noCache: false,
  neverStale: false,
  immutable: false,
};

function entry(text: string, bodyBytes: number, changes: Partial<TierEntry> = {}): TierEntry {
  return {
    space: "test:cache:a:",
    text,
    variantOf: null,
    record: { status: 200, vary: [], tags: [], headers: ["content-encoding", "br"], freshness: FRESH, place: PLACE },
    bodyBytes,
    copyBody: () => Buffer.alloc(bodyBytes, text),
    ttlMs: 60_000,
    limits: limits(),
    ...changes,
  };
}

const question = (text: string, plan = limits()): TierQuestion => ({
  space: "test:cache:a:",
  text,
  url: text,
  urlNumber: 1,
  limits: plan,
  variantOf: () => text,
});

test("what waits to be written is bounded in bytes: what finds no room is dropped and counted, and its body is not even copied", async () => {
  server.signal("SIGSTOP");
  let copied = 0;
  for (let i = 0; i < 40; i++) {
    const copyBody = (): Buffer => {
      copied++;
      return Buffer.alloc(MIB, 1);
    };
    tier.write(entry(`k${i}`, MIB, { copyBody }));
    expect(count(TIER.waitingBytes)).toBeLessThanOrEqual(4 * MIB + 4096);
  }
  expect([copied, count(TIER.dropped)]).toEqual([3, 37]);
  server.signal("SIGCONT");
  await until("the others are written", () => count(TIER.writes) === 3);
  expect(count(TIER.waitingBytes)).toBe(0);
  expect((await tier.look(question("k0")))?.body).toHaveLength(MIB);
  expect(await tier.look(question("k9"))).toBeNull();
});

test("a larger body than is written is not, nor one that has no time to live, and what was there before them goes", async () => {
  for (const text of ["large", "old"]) tier.write(entry(text, 10));
  await until("both are written", () => count(TIER.writes) === 2);
  tier.write(entry("large", 2000, { limits: limits({ maxObjectBytes: 1999 }) }));
  tier.write(entry("old", 10, { ttlMs: 0 }));
  tier.write(entry("fits", 1999, { limits: limits({ maxObjectBytes: 1999 }) }));
  await until("all is done", () => count(TIER.writes) === 5);
  expect(server.cli("dbsize")).toBe("2");
  expect([await tier.look(question("large")), await tier.look(question("old"))]).toEqual([null, null]);
});

test("the last of several writes of one key counts, and a removal behind a write removes it", async () => {
  for (let i = 0; i < 20; i++) tier.write(entry("same", 40_000 - i * 1000));
  tier.write(entry("gone", 40_000));
  tier.remove("test:cache:a:", "gone", limits());
  await until("all is done", () => count(TIER.writes) === 22);
  expect((await tier.look(question("same")))?.body).toHaveLength(21_000);
  expect(await tier.look(question("gone"))).toBeNull();
});

test("a look whose answer does not come is given up, looks are left out once too many are, and a late answer harms nobody", async () => {
  tier.write(entry("k", 10));
  await until("it is written", () => count(TIER.writes) === 1);
  server.signal("SIGSTOP");
  const finds = await Promise.all(Array.from({ length: 300 }, () => tier.look(question("k", limits({ timeoutMs: 20 })))));
  expect(finds.every((find) => find === null)).toBe(true);
  expect(count(TIER.skipped)).toBe(300 - 256);
  expect([tier.isUsable, count(TIER.errors)]).toEqual([false, 256]);
  expect(await tier.look(question("k"))).toBeNull();
  expect(tier.place()).toBeNull();
  server.signal("SIGCONT");
  await until("it is used again", () => tier.isUsable);
  expect((await tier.look(question("k")))?.body.toString()).toBe("kkkkkkkkkk");
});

test("a Redis that takes no writes (full, only to be read) is still read, and is spared further writes for a while", async () => {
  tier.write(entry("k", 10));
  await until("it is written", () => count(TIER.writes) === 1);
  server.cli("config", "set", "maxmemory", "1");
  tier.write(entry("refused", 10));
  await until("it was refused", () => count(TIER.writeErrors) === 1);
  tier.write(entry("spared", 10));
  expect(count(TIER.dropped)).toBe(1);
  expect(tier.isUsable).toBe(true);
  expect((await tier.look(question("k")))?.record.status).toBe(200);
});

test("a value of any length under one of our keys is read no further than a record can be long", async () => {
  tier.write(entry("k", 10));
  await until("it is written", () => count(TIER.writes) === 1);
  const [key = ""] = server.cli("keys", "test:cache:*").split("\n");
  server.cli("setrange", key, String(64 * MIB), "x");
  expect(await tier.look(question("k"))).toBeNull();
  expect(count(TIER.invalid)).toBe(1);
  expect(count(TIER.readBytes)).toBeLessThan(1.2 * MIB);
});
