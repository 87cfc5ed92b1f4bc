// The response cache's second tier: what one instance stores, the others find in Redis, each caller and each variant by itself, on listeners of each engine.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ENGINES } from "../../support/both-engines.ts";
import { RedisCluster } from "../../support/redis.ts";
import { ask, fill, KEYS, looks, metric, purge, ROUTES, stored, TierStage, untilAsync, urlOf, writes } from "../../support/tier-stage.ts";

let stage: TierStage;
beforeAll(async () => {
  stage = await TierStage.open();
});
afterAll(() => stage[Symbol.asyncDispose]());
beforeEach(() => stage.clear());

describe.each(ENGINES)("on %s", (engine) => {
  test("what one instance has stored another finds in Redis, and keeps", async () => {
    const [a, b] = await stage.two();
    const path = `/shared/${engine}?size=100000`;
    const first = await fill(a, path, { engine });
    const second = await ask(b, path, { engine });
    expect(second.body).toBe(first.body);
    expect(second.body).toHaveLength(100_000);
    expect(second.cache).toMatch(/^sluice; hit; ttl=\d+; detail=redis$/);
    expect(Number(second.headers["age"])).toBeLessThan(60);
    expect((await ask(b, path, { engine })).cache).toMatch(/^sluice; hit; ttl=\d+$/);
    expect(stage.origin.asked.get(path)).toBe(1);
    expect(await metric(b, `sluice_cache_requests_total{route="shared",outcome="redis"}`)).toBe(1);
  });

  test("a hundred clients that want the same at once are one look for both workers, and no question to the origin", async () => {
    const [a, b] = await stage.two();
    const path = `/shared/many/${engine}?size=5000`;
    await fill(a, path, { engine });
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(b, path, { engine })));
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
    expect(stage.origin.asked.get(path)).toBe(1);
    expect(await metric(b, looks("hit"))).toBe(1);
    expect(await metric(b, looks("miss"))).toBe(0);
  });

  test("a hundred that find nothing there are one look and one question", async () => {
    const b = await stage.start();
    const path = `/shared/none/${engine}`;
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(b, path, { engine })));
    expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(["1"]));
    expect(stage.origin.asked.get(path)).toBe(1);
    expect(await metric(b, looks("miss"))).toBe(1);
  });

  test("variants go through Redis each by itself (RFC 9111 section 4.1)", async () => {
    const [a, b] = await stage.two();
    const path = `/shared/vary/${engine}?vary=accept-language`;
    const [de, fr] = [{ "accept-language": "de" }, { "accept-language": "fr" }];
    await fill(a, path, { engine, headers: de });
    await fill(a, path, { engine, headers: fr });
    await untilAsync("both are in Redis", async () => stage.records().length === 3);
    const [german, french] = [await ask(b, path, { engine, headers: de }), await ask(b, path, { engine, headers: fr })];
    expect([german.body, french.body]).toEqual(["1 de", "2 fr"]);
    expect([german.cache, french.cache].every((each) => each.endsWith("detail=redis"))).toBe(true);
    expect((await ask(b, path, { engine, headers: { "accept-language": "it" } })).body).toBe("3 it");
  });

  test("each caller has responses of its own there, and no URL or caller can be read from a key", async () => {
    const [a, b] = await stage.two();
    const path = `/own/${engine}`;
    const [ann, bob] = [{ "x-api-key": KEYS.ann }, { "x-api-key": KEYS.bob }];
    expect((await fill(a, path, { engine, headers: ann })).body).toBe("1 ann");
    expect((await ask(b, path, { engine, headers: bob })).body).toBe("2 bob");
    const again = await ask(b, path, { engine, headers: ann });
    expect([again.body, again.cache.endsWith("detail=redis")]).toEqual(["1 ann", true]);
    expect((await ask(b, path, { engine })).status).toBe(401);
    for (const key of stage.records()) expect(key).toMatch(/^sluice:cache:sluice:[\w-]{43}$/);
  });

  test("an unsafe method through one instance makes untrue what any instance finds in Redis (RFC 9111 section 4.4)", async () => {
    const [a, b] = await stage.two();
    const path = `/shared/changed/${engine}`;
    await fill(a, path, { engine });
    expect((await ask(b, path, { engine })).body).toBe("1");
    expect((await ask(a, path, { engine, method: "POST" })).status).toBe(200);
    expect((await ask(a, path, { engine })).body).toBe("3");
    await untilAsync("the other knows", async () => (await ask(b, path, { engine })).body !== "1");
    const c = await stage.start();
    expect((await ask(c, path, { engine })).body).not.toBe("1");
  });

  test("HEAD and ranges are answered from what the fleet has, and fill nothing", async () => {
    const [a, b] = await stage.two();
    const [whole, part] = [`/shared/head/${engine}?size=3000`, `/shared/range/${engine}?size=3000`];
    for (const path of [whole, part]) await fill(a, path, { engine });
    const head = await ask(b, whole, { engine, method: "HEAD" });
    expect([head.status, head.headers["content-length"], head.cache.endsWith("detail=redis")]).toEqual([200, "3000", true]);
    const range = await ask(b, part, { engine, headers: { range: "bytes=0-1" } });
    expect([range.status, range.body, range.cache.endsWith("detail=redis")]).toEqual([206, "1 ", true]);
    expect((await ask(b, `/shared/absent/${engine}`, { engine, method: "HEAD" })).cache).toBe("sluice; fwd=uri-miss");
    expect([stage.origin.asked.get(whole), stage.origin.asked.get(part)]).toEqual([1, 1]);
  });

  test("what a HEAD finds to be another one leaves Redis too (RFC 9111 section 4.3.5)", async () => {
    const a = await stage.start();
    const path = `/shared/compared/${engine}?etag=%22NUMBER%22`;
    await fill(a, path, { engine });
    expect(stage.records()).toHaveLength(1);
    await ask(a, path, { engine, method: "HEAD", headers: { "cache-control": "no-cache" } });
    await untilAsync("it is gone", async () => stage.records().length === 0);
    expect((await ask(a, path, { engine })).body).toBe("3");
  });

  test("routes without it neither look nor write", async () => {
    const a = await stage.start();
    expect((await ask(a, `/local/${engine}`, { engine })).cache).toMatch(/^sluice; fwd=uri-miss; fwd-status=200; ttl=\d+; stored$/);
    await stored(a, `/local/${engine}`, { engine });
    expect([await metric(a, looks("miss")), await metric(a, writes("written"))]).toEqual([0, 0]);
    expect(stage.records()).toEqual([]);
  });
});

test("what is refreshed in the background by one instance need not be asked for by the others (RFC 5861 section 3)", async () => {
  const [a, b] = await stage.two();
  const path = "/shared/refreshed?cc=max-age%3D600,stale-while-revalidate%3D600";
  await fill(a, path);
  expect((await ask(b, path)).body).toBe("1");
  // From now on it is stale everywhere.
  await purge(a, { url: urlOf(path), soft: "true" });
  await untilAsync("one has refreshed it", async () => (await ask(a, path)).body === "2");
  await untilAsync("it is in Redis", async () => (await metric(a, writes("written"))) === 2);
  await untilAsync("the other has it", async () => (await ask(b, path)).body === "2");
  expect(stage.origin.asked.get(path)).toBe(2);
});

describe("a restart", () => {
  test("finds again what was stored, though other things have been purged meanwhile", async () => {
    const a = await stage.start();
    await fill(a, "/shared/kept");
    for (const path of ["/shared/x", "/shared/y"]) await purge(a, { url: urlOf(path) });
    await purge(a, { prefix: urlOf("/elsewhere/") });
    await purge(a, { tag: "other" });
    await a[Symbol.asyncDispose]();
    const b = await stage.start();
    expect((await ask(b, "/shared/kept")).cache).toContain("detail=redis");
  });
});

test("a reload that changes what a route stores finds nothing of before, neither here nor in Redis; one that only stops sharing keeps the memory", async () => {
  const a = await stage.start();
  await fill(a, "/shared/reloaded");
  a.writeConfig(stage.config({ routes: ROUTES.replace("redis: true, staleIfError: 1h", "redis: true, staleIfError: 2h") }));
  await a.admin("POST", "/reload");
  expect((await ask(a, "/shared/reloaded")).body).toBe("2");
  a.writeConfig(stage.config({ routes: ROUTES.replace("redis: true, staleIfError: 1h", "staleIfError: 2h") }));
  await a.admin("POST", "/reload");
  expect((await ask(a, "/shared/reloaded")).cache).toMatch(/; hit; ttl=\d+$/);
});

test("through a cluster: what one instance has stored another finds, variants included, and purges hold", async () => {
  await using cluster = await RedisCluster.start();
  const redis = `{ cluster: [${cluster.nodes.map(({ port }) => `"127.0.0.1:${port}"`).join(", ")}], secret: a-secret-of-the-fleet, syncInterval: 20ms }`;
  const [a, b] = await stage.two({ redis });
  for (let i = 0; i < 8; i++) await fill(a, `/shared/cluster/${i}?vary=accept-language`);
  for (let i = 0; i < 8; i++) expect((await ask(b, `/shared/cluster/${i}?vary=accept-language`)).cache).toContain("detail=redis");
  await fill(a, "/shared/cluster/purged");
  await purge(a, { url: urlOf("/shared/cluster/purged") });
  expect((await ask(b, "/shared/cluster/purged")).body).toBe("2");
});
