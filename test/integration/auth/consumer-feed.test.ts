// What is read from a real Redis and when: by one Redis, a cluster and behind Sentinel; bounds; what `sluice key create` prints is taken as it is.
import { execFileSync } from "node:child_process";
import { hash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { monotonicMs } from "../../../src/base/clock.ts";
import { keyCommand } from "../../../src/cli/commands/key.ts";
import { ConsumerFeed, REDIS_CONSUMER_BYTES_MAX, REDIS_CONSUMERS_MAX } from "../../../src/control/consumers/consumer-feed.ts";
import type { RedisSettings } from "../../../src/store/redis-settings.ts";
import { redisAt, redisConfig } from "../../support/fleet.ts";
import { RedisCluster, RedisServer, SentinelSet } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

const HASH = "test:consumers";
const MARKER = "{test:consumers}:version";
const WITHIN_MS = 15_000;

class Feed {
  readonly troubles: (string | null)[] = [];
  looks = 0;
  /** Added to the clock. */
  laterMs = 0;
  readonly feed: ConsumerFeed;

  constructor(redis: RedisSettings) {
    this.feed = new ConsumerFeed({
      redis,
      everyMs: 20,
      now: () => monotonicMs() + this.laterMs,
      random: () => 0,
      looked: () => void this.looks++,
      trouble: (reason) => void this.troubles.push(reason),
    });
    open.push(this.feed);
    this.feed.open();
  }

  get entries(): readonly (readonly [string, string])[] | null {
    return this.feed.newest?.entries ?? null;
  }

  /** Waits for so many looks that begin from now on. */
  async looksAgain(): Promise<void> {
    const seen = this.looks;
    await until("two more looks", () => this.looks >= seen + 2, WITHIN_MS);
  }

  async has(...entries: readonly (readonly [string, string])[]): Promise<void> {
    const wanted = JSON.stringify(entries);
    await until(`the feed has ${wanted}`, () => JSON.stringify(this.entries) === wanted, WITHIN_MS);
  }

  async says(part: string): Promise<void> {
    await until(`the feed says ${part}`, () => this.feed.trouble?.includes(part) === true, WITHIN_MS);
  }
}

const open: ConsumerFeed[] = [];
afterEach(() => {
  for (const feed of open.splice(0)) feed.close();
});

describe("one Redis", () => {
  let server: RedisServer;
  beforeEach(async () => {
    server = await RedisServer.start();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it("tells nothing without the marker, and all with it", async () => {
    const feed = new Feed(redisAt(server.port));
    await feed.says("there are no consumers and no {test:consumers}:version");
    server.cli("HSET", HASH, "b", "2", "a", "1");
    await feed.says("there is no {test:consumers}:version, which says that the consumers are complete (there are 2)");
    expect(feed.entries).toBe(null);
    server.cli("INCR", MARKER);
    await feed.has(["a", "1"], ["b", "2"]);
    expect(feed.feed.trouble).toBe(null);
    // The marker alone is enough, for no consumers at all.
    server.cli("DEL", HASH);
    await feed.has();
  });

  it("is read in full when the marker or the number differs, and once in a minute", async () => {
    server.cli("HSET", HASH, "a", "1");
    server.cli("SET", MARKER, "1");
    const feed = new Feed(redisAt(server.port));
    await feed.has(["a", "1"]);
    const first = feed.feed.newest;
    server.cli("HSET", HASH, "a", "2");
    await feed.looksAgain();
    expect(feed.feed.newest).toBe(first);
    feed.laterMs = 60_000;
    await feed.has(["a", "2"]);
    const second = feed.feed.newest;
    server.cli("INCR", MARKER);
    await feed.looksAgain();
    expect(feed.feed.newest).toBe(second); // the same consumers are the same object
    server.cli("HSET", HASH, "a", "3");
    await feed.looksAgain();
    expect(feed.feed.newest).toBe(second);
    server.cli("INCR", MARKER);
    await feed.has(["a", "3"]);
    server.cli("HSET", HASH, "b", "1");
    await feed.has(["a", "3"], ["b", "1"]);
    expect(feed.troubles).toEqual([null]);
  });

  it("what was emptied and filled anew under the same marker and number is read", async () => {
    server.cli("HSET", HASH, "a", "1");
    server.cli("SET", MARKER, "1");
    const feed = new Feed(redisAt(server.port));
    await feed.has(["a", "1"]);
    server.cli("FLUSHALL");
    await feed.says("Redis was emptied");
    expect(feed.entries).toEqual([["a", "1"]]);
    server.cli("HSET", HASH, "a", "2");
    server.cli("SET", MARKER, "1");
    await feed.has(["a", "2"]);
  });

  it("more than is read: said, and what is known stays", async () => {
    server.cli("HSET", HASH, "a", "1");
    server.cli("SET", MARKER, "1");
    const feed = new Feed(redisAt(server.port));
    await feed.has(["a", "1"]);
    server.cli("EVAL", "for i = 1, ARGV[1] do redis.call('HSET', KEYS[1], 'c' .. i, '') end", "1", HASH, String(REDIS_CONSUMERS_MAX));
    await feed.says(`there are ${REDIS_CONSUMERS_MAX + 1} consumers, and at most ${REDIS_CONSUMERS_MAX} are read`);
    server.cli("DEL", HASH);
    server.cli("EVAL", "redis.call('HSET', KEYS[1], 'a', string.rep('x', ARGV[1]))", "1", HASH, String(REDIS_CONSUMER_BYTES_MAX));
    server.cli("INCR", MARKER);
    await feed.says(`the consumers have ${REDIS_CONSUMER_BYTES_MAX + 1} bytes, and at most ${REDIS_CONSUMER_BYTES_MAX} are read`);
    expect(feed.entries).toEqual([["a", "1"]]);
    server.cli("HSET", HASH, "a", "2");
    await feed.has(["a", "2"]);
  });

  it("as many as are allowed are read", async () => {
    server.cli(
      "EVAL",
      "for i = 1, ARGV[1] do redis.call('HSET', KEYS[1], 'c' .. i, string.rep('x', 200)) end redis.call('INCR', KEYS[2])",
      "2",
      HASH,
      MARKER,
      String(REDIS_CONSUMERS_MAX),
    );
    const feed = new Feed(redisAt(server.port));
    await until("all are there", () => feed.entries?.length === REDIS_CONSUMERS_MAX, WITHIN_MS);
  });

  it("what `sluice key create` prints makes a consumer, whatever its name", async () => {
    const feed = new Feed(redisAt(server.port));
    for (const id of ["acme", "o'brien", 'a"b$(id)`c`', "-x"]) {
      let stdout = "";
      const io = { stdout: (text: string) => void (stdout += text), stderr: () => {}, env: {}, async *stdin() {} };
      await keyCommand(["create", `--consumer=${id}`, "--redis", "test"], io);
      const [, key = "", command = ""] = /^key {3}(\S+)\nhash {2}\S+\nredis (.+)\n$/.exec(stdout) ?? [];
      expect(command).not.toContain(key);
      execFileSync("sh", ["-c", command.replace("redis-cli ", `redis-cli -p ${server.port} `)]);
      const expected = JSON.stringify({ keys: [`sha256:${hash("sha256", key)}`] });
      await until(`${id} is there`, () => feed.entries?.some(([name, json]) => name === id && json === expected) === true, WITHIN_MS);
    }
  });
});

it("a cluster: hash and marker are on one node", async () => {
  await using cluster = await RedisCluster.start();
  const nodes = cluster.nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
  const feed = new Feed(redisConfig({ topology: { kind: "cluster", nodes } }));
  await feed.says("Redis was emptied");
  const cli = (...args: string[]) => execFileSync("redis-cli", ["-c", "-p", String(nodes[0]?.port), ...args]);
  cli("HSET", HASH, "a", "1");
  cli("INCR", MARKER);
  await feed.has(["a", "1"]);
}, 60_000);

it("Sentinel: after a failover the new master is asked", async () => {
  await using set = await SentinelSet.start();
  set.master.cli("HSET", HASH, "a", "1");
  set.master.cli("INCR", MARKER);
  await until("the replica has it", () => set.replica.cli("GET", MARKER) === "1", WITHIN_MS);
  const topology = {
    kind: "sentinel" as const,
    name: "main",
    nodes: [{ host: "127.0.0.1", port: set.sentinel.port }],
    username: null,
    password: null,
  };
  const feed = new Feed(redisConfig({ topology }));
  await feed.has(["a", "1"]);
  await set.master.kill();
  await until("the replica is the master", () => set.replica.cli("ROLE").startsWith("master"), 30_000);
  set.replica.cli("HSET", HASH, "a", "2");
  set.replica.cli("INCR", MARKER);
  await until("the feed has it", () => JSON.stringify(feed.entries) === '[["a","2"]]', 30_000);
}, 90_000);
