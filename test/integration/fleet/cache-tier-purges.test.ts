// Purges and the second tier: what was stored in Redis before a purge is found by no instance after it, whoever was away.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ask, fill, metric, OPEN, purge, purgesOf, TierStage, untilAsync, urlOf, usable } from "../../support/tier-stage.ts";

let stage: TierStage;
beforeAll(async () => {
  stage = await TierStage.open();
});
afterAll(() => stage[Symbol.asyncDispose]());
beforeEach(() => stage.clear());

describe("purges", () => {
  const named = { url: urlOf("/shared/p?tag=t"), tag: "t", prefix: urlOf("/shared/"), everything: "true" };

  test.each(Object.entries(named))(
    "by %s: what was stored before is found by no instance, nor by one that starts later",
    async (by, value) => {
      const [a, b] = await stage.two();
      await fill(a, "/shared/p?tag=t");
      expect((await purge(b, { [by]: value })).status).toBe(200);
      expect((await ask(b, "/shared/p?tag=t")).body).toBe("2");
      const c = await stage.start();
      expect((await ask(c, "/shared/p?tag=t")).body).not.toBe("1");
    },
  );

  test("softly: it is stale, is validated, and stands in when the origin fails", async () => {
    const [a, b] = await stage.two();
    await fill(a, "/shared/soft?etag=%22x%22");
    expect((await purge(a, { url: urlOf("/shared/soft?etag=%22x%22"), soft: "true" })).status).toBe(200);
    const answer = await ask(b, "/shared/soft?etag=%22x%22");
    expect(answer.body).toBe("1");
    expect(answer.cache).toContain("fwd=stale; fwd-status=304");
    expect(stage.origin.asked.get("/shared/soft?etag=%22x%22")).toBe(2);
    await fill(a, "/shared/soft/failing");
    expect((await purge(a, { url: urlOf("/shared/soft/failing"), soft: "true" })).status).toBe(200);
    stage.failing = true;
    expect((await ask(b, "/shared/soft/failing")).body).toBe("1");
    expect((await purge(a, { url: urlOf("/shared/soft/failing") })).status).toBe(200);
    const c = await stage.start();
    expect((await ask(c, "/shared/soft/failing")).status).toBe(503);
  });

  test("ordered while an instance is away from Redis hold for what that instance has written, and it looks for nothing meanwhile", async () => {
    const a = await stage.start();
    const b = await stage.start({ redis: stage.apart() });
    await fill(b, "/shared/away");
    stage.server.cli("acl", "setuser", "apart", "off");
    stage.server.cli("client", "kill", "user", "apart");
    await untilAsync("it leaves Redis alone", async () => (await metric(b, OPEN)) === 2);
    expect((await purge(a, { url: urlOf("/shared/away") })).status).toBe(200);
    expect((await ask(a, "/shared/away")).body).toBe("2");
    stage.server.cli("acl", "setuser", "apart", "on");
    await usable(b);
    await untilAsync("it follows", async () => (await ask(b, "/shared/away")).body !== "1");
    expect((await ask(b, "/shared/away")).body).toBe("2");
  });

  test("that could not be told yet keep their own instance from what lies in Redis", async () => {
    const a = await stage.start();
    const b = await stage.start({ redis: stage.apart() });
    await fill(a, "/shared/untold");
    // It may still read, but no longer run scripts: the order stays with it, and the log says nothing of it.
    stage.server.cli("acl", "setuser", "apart", "-evalsha", "-eval");
    await untilAsync("its primary knows", async () => (await purgesOf(b)).trouble !== null);
    expect((await purge(b, { url: urlOf("/shared/untold") })).status).toBe(202);
    expect((await ask(b, "/shared/untold")).body).toBe("2");
  });

  test("a log that Redis has lost makes everything void that was written under it", async () => {
    const a = await stage.start();
    await fill(a, "/shared/lost");
    stage.server.cli("del", "{sluice:0}:purges");
    const b = await stage.start();
    expect((await ask(b, "/shared/lost")).body).toBe("2");
  });
});
