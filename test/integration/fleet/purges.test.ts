// Purges over a fleet, on a real Redis: heard at once, caught up with after an outage, everything when too much was missed, and nothing lost that could not be told.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EVERYTHING, type PurgeOrder } from "../../../src/control/cache/purge-order.ts";
import { PENDING_MAX } from "../../../src/control/fleet/purge-exchange.ts";
import { PURGES_MAX } from "../../../src/store/purge-scripts.ts";
import { FleetInstance, FleetOf, redisAt, redisConfig } from "../../support/fleet.ts";
import { RedisCluster, RedisServer } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => void server.cli("flushall"));

const order = (...urls: readonly string[]): PurgeOrder => ({ soft: false, everything: false, urls, prefixes: [], tags: [] });
const LOG = "{test:0}:purges";

/** All have read the log once. */
const heard = (all: readonly FleetInstance[]) =>
  until("all have read the log", () => all.every(({ state }) => state.purges.ageMs !== null && state.purges.trouble === null));

describe("a purge", () => {
  test("is followed by all others, once each and in order, and not by who ordered it", async () => {
    await using fleet = await FleetOf.start(3, redisAt(server.port));
    const [a, b, c] = fleet.all as [FleetInstance, FleetInstance, FleetInstance];
    await heard(fleet.all);
    expect(await a.fleet.beginPurge(order("https://a/1"))()).toEqual({ told: true, trouble: null });
    expect(await a.fleet.beginPurge(order("https://a/2"))()).toEqual({ told: true, trouble: null });
    await until("the others have followed", () => b.purged.length >= 2 && c.purged.length >= 2);
    for (const each of [b, c]) expect(each.purged).toEqual([order("https://a/1"), order("https://a/2")]);
    expect(a.purged).toEqual([]);
    expect(b.state.purges).toMatchObject({ pending: 0, applied: 2, missed: 0 });
  });

  test("wakes the others by a message: they do not wait for their next look", async () => {
    // Rounds are minutes apart: who hears of it within the test was told.
    await using fleet = await FleetOf.start(2, redisAt(server.port, { syncIntervalMs: 20 }));
    const [a] = fleet.all as [FleetInstance, FleetInstance];
    await heard(fleet.all);
    await using late = new FleetInstance(redisAt(server.port, { syncIntervalMs: 600_000 }), 9);
    await heard([late]);
    await until("it listens", () => server.cli("pubsub", "numsub", LOG).split("\n")[1]?.trim() === "3");
    await a.fleet.beginPurge(order("https://a/woken"))();
    await until("it has followed", () => late.purged.length === 1);
    expect(late.purged).toEqual([order("https://a/woken")]);
  });

  test("through a cluster, too", async () => {
    await using cluster = await RedisCluster.start();
    const nodes = cluster.nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
    await using fleet = await FleetOf.start(2, redisConfig({ topology: { kind: "cluster", nodes } }));
    const [a, b] = fleet.all as [FleetInstance, FleetInstance];
    await heard(fleet.all);
    expect(await a.fleet.beginPurge(order("https://a/1"))()).toEqual({ told: true, trouble: null });
    await until("the other has followed", () => b.purged.length === 1);
  });
});

describe("an outage", () => {
  test("what others purged meanwhile is done on return, and what could not be told is told", async () => {
    await using fleet = await FleetOf.start(1, redisAt(server.port));
    const [a] = fleet.all as [FleetInstance];
    // Reaches Redis over a way of its own, that is closed for a while.
    server.cli("acl", "setuser", "apart", "on", ">secret", "~*", "&*", "+@all");
    await using b = new FleetInstance(redisAt(server.port, { username: "apart", password: "secret" }), 2);
    await heard([a, b]);
    server.cli("acl", "setuser", "apart", "off");
    server.cli("client", "kill", "user", "apart");
    await until("it is away", () => !b.state.connected);
    await a.fleet.beginPurge(order("https://a/meanwhile"))();
    expect(await b.fleet.beginPurge(order("https://b/untold"))()).toEqual({ told: false, trouble: expect.stringMatching(/./) });
    expect(b.state.purges.pending).toBe(1);
    expect(b.purged).toEqual([]);
    server.cli("acl", "setuser", "apart", "on");
    await until("both have caught up", () => a.purged.length === 1 && b.purged.length === 1, 15_000);
    expect(a.purged).toEqual([order("https://b/untold")]);
    expect(b.purged).toEqual([order("https://a/meanwhile")]);
    expect(b.state.purges).toMatchObject({ pending: 0, missed: 0 });
  });

  test("longer than the log: everything is purged, and that is said", async () => {
    await using fleet = await FleetOf.start(1, redisAt(server.port));
    const [a] = fleet.all as [FleetInstance];
    await heard([a]);
    server.cli("hincrby", LOG, "seq", String(PURGES_MAX + 1));
    await until("it has purged everything", () => a.purged.length > 0);
    expect(a.purged).toEqual([EVERYTHING]);
    expect(a.state.purges).toMatchObject({ missed: 1 });
    expect(a.said).toContain("purges of the fleet were missed while Redis was away, or had lost them: everything is purged");
  });

  test.each(["flushall", "begun anew"])("a Redis that has lost the log (%s): everything is purged, once", async (how) => {
    await using fleet = await FleetOf.start(2, redisAt(server.port));
    const [a, b] = fleet.all as [FleetInstance, FleetInstance];
    await heard(fleet.all);
    await a.fleet.beginPurge(order("https://a/1"))();
    await until("it was followed", () => b.purged.length === 1);
    server.cli("del", LOG);
    if (how === "begun anew") server.cli("hset", LOG, "era", "another", "seq", "1", "1", "x {}");
    await until("both have purged everything", () => a.purged.length >= 1 && b.purged.length >= 2);
    await a.fleet.beginPurge(order("https://a/2"))();
    await until("the next is followed as usual", () => b.purged.length >= 3);
    expect(b.purged).toEqual([order("https://a/1"), EVERYTHING, order("https://a/2")]);
    expect(a.purged).toEqual([EVERYTHING]);
  });

  test("a failover that has lost the last orders: everything is purged, by who had read them and by who had not, and their numbers name nothing else", async () => {
    await using fleet = await FleetOf.start(2, redisAt(server.port));
    const [a, b] = fleet.all as [FleetInstance, FleetInstance];
    await heard(fleet.all);
    for (const url of ["https://a/1", "https://a/2"]) await a.fleet.beginPurge(order(url))();
    await until("both were followed", () => b.purged.length === 2);
    const era = server.cli("hget", LOG, "era");
    server.cli("hset", LOG, "seq", "1");
    server.cli("hdel", LOG, "2");
    await until("both have purged everything", () => a.purged.length === 1 && b.purged.length === 3);
    expect([a.purged, b.purged.at(-1)]).toEqual([[EVERYTHING], EVERYTHING]);
    expect(server.cli("hget", LOG, "era")).not.toBe(era);
    await a.fleet.beginPurge(order("https://a/3"))();
    await until("the next is followed as usual", () => b.purged.length === 4);
    expect(b.purged.at(-1)).toEqual(order("https://a/3"));
  });

  test("more purges than are kept: everything is purged everywhere when Redis is back", async () => {
    await using apart = await RedisServer.start();
    await using a = new FleetInstance(redisAt(apart.port));
    await heard([a]);
    await using b = new FleetInstance(redisAt(apart.port), 2);
    await heard([a, b]);
    await apart.kill();
    await until("both know", () => !a.state.connected && !b.state.connected);
    for (let i = 0; i <= PENDING_MAX; i++) expect((await a.fleet.beginPurge(order(`https://a/${i}`))()).told).toBe(false);
    expect(a.state.purges.pending).toBe(1);
    await apart.launch();
    await until("the other has purged everything", () => b.purged.length >= 1, 15_000);
    expect(b.purged.every((each) => each.everything)).toBe(true);
    await until("nothing waits any more", () => a.state.purges.pending === 0);
  });
});

test("an instance that begins while the log is not empty purges what it may have stored before it read it", async () => {
  await using fleet = await FleetOf.start(1, redisAt(server.port));
  const [a] = fleet.all as [FleetInstance];
  await heard([a]);
  await a.fleet.beginPurge(order("https://a/1"))();
  await using b = new FleetInstance(redisAt(server.port), 2);
  await heard([b]);
  expect(b.purged).toEqual([EVERYTHING]);
  expect(b.said).not.toContain("purges of the fleet were missed while Redis was away, or had lost them: everything is purged");
});

test("what is no order of this release purges everything", async () => {
  await using fleet = await FleetOf.start(1, redisAt(server.port));
  const [a] = fleet.all as [FleetInstance];
  await heard([a]);
  server.cli("hset", LOG, "seq", "1", "1", 'other {"hosts":["a"]}');
  await until("it has purged", () => a.purged.length > 0);
  expect(a.purged).toEqual([EVERYTHING]);
  expect(a.said).toContain("another instance has purged something that this release does not understand: everything is purged");
});
