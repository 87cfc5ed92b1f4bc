// The second tier when Redis is slow, gone, or holds what is no record of ours: requests are answered all the same, and nobody is served what he should not be.
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { RedisServer } from "../../support/redis.ts";
import { ask, fill, KEYS, looks, metric, OPEN, TierStage, untilAsync, usable } from "../../support/tier-stage.ts";

let stage: TierStage;
beforeAll(async () => {
  stage = await TierStage.open();
});
afterAll(() => stage[Symbol.asyncDispose]());
beforeEach(() => stage.clear());

describe("faults of Redis", () => {
  test("stopped in the middle: nobody waits for it once it is known, it is said, and used again when it goes on", async () => {
    const a = await stage.start({ cache: "{ timeout: 50ms }" });
    onTestFinished(() => void stage.server.signal("SIGCONT"));
    stage.server.signal("SIGSTOP");
    for (let i = 0; i < 40; i++) expect((await ask(a, `/shared/stopped/${i}`)).status).toBe(200);
    await untilAsync("all workers leave it alone", async () => (await metric(a, OPEN)) === 2);
    const errors = await metric(a, looks("error"));
    for (let i = 0; i < 20; i++) expect((await ask(a, `/shared/alone/${i}`)).body).toBe("1");
    expect(await metric(a, looks("error"))).toBe(errors);
    const { body } = await a.admin("GET", "/readyz");
    expect(JSON.stringify(body)).toContain("the cache leaves Redis alone until it answers again");
    stage.server.signal("SIGCONT");
    await usable(a);
    await fill(a, "/shared/again");
    expect(a.lines("worker died")).toEqual([]);
  });

  test("killed and back, empty: requests are answered throughout, no worker dies, and it is used again", async () => {
    await using own = await RedisServer.start();
    const a = await stage.start({ redis: stage.redis(own.url) });
    await fill(a, "/shared/before");
    const under = Array.from({ length: 50 }, (_, i) => ask(a, `/shared/killed/${i}`));
    await own.kill();
    for (const answer of await Promise.all(under)) expect(answer.status).toBe(200);
    await untilAsync("it is known", async () => (await metric(a, OPEN)) === 2);
    expect((await ask(a, "/shared/dead")).body).toBe("1");
    await own.launch();
    await usable(a);
    await fill(a, "/shared/after");
    expect(a.output).not.toContain("a worker failed");
  });

  test("garbage, other types and cut records under our keys are misses, counted, and replaced", async () => {
    const [a, b] = await stage.two();
    const paths = ["text", "cut", "changed", "list"].map((name) => `/shared/garbage/${name}?size=3000`);
    for (const path of paths) {
      const before = new Set(stage.records());
      await fill(a, path);
      const [key = ""] = stage.records().filter((each) => !before.has(each));
      const ttl = Number(stage.server.cli("pttl", key));
      expect(ttl).toBeGreaterThan(0);
      if (path.includes("text")) stage.server.cli("set", key, "garbage");
      else if (path.includes("cut"))
        stage.server.cli("eval", "redis.call('SET', KEYS[1], string.sub(redis.call('GET', KEYS[1]), 1, -2))", "1", key);
      else if (path.includes("changed")) stage.server.cli("setrange", key, "400", "HTTP/1.1 200 OK");
      else {
        stage.server.cli("del", key);
        stage.server.cli("rpush", key, "x");
      }
    }
    for (const path of paths) expect((await ask(b, path)).body.slice(0, 2)).toBe("2 ");
    expect(await metric(b, looks("invalid"))).toBe(3);
    expect(await metric(b, looks("error"))).toBe(1);
    expect(await metric(b, OPEN)).toBe(0);
  });

  test("a record that was copied under another key is none", async () => {
    const [a, b] = await stage.two();
    await fill(a, "/own/secret", { headers: { "x-api-key": KEYS.ann } });
    const [annKey = ""] = stage.records();
    await fill(a, "/own/secret", { headers: { "x-api-key": KEYS.bob } });
    const [bobKey = ""] = stage.records().filter((key) => key !== annKey);
    stage.server.cli("copy", annKey, bobKey, "replace");
    expect((await ask(b, "/own/secret", { headers: { "x-api-key": KEYS.bob } })).body).toBe("3 bob");
    expect(await metric(b, looks("invalid"))).toBe(1);
  });

  test("a fleet of another secret takes nothing of it", async () => {
    const a = await stage.start();
    const b = await stage.start({ redis: stage.redis(stage.server.url, "the-secret-of-another") });
    await fill(a, "/shared/secret");
    expect((await ask(b, "/shared/secret")).body).toBe("2");
  });
});
