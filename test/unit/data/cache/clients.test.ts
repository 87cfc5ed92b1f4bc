// What each client gets of a shared answer: response policies, filters, error pages, cookies of affinity; retries and breakers behind it; reloads and floods beside it.
import { gunzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { workerCache } from "../../../../src/data/cache/worker-cache.ts";
import { dealt, field, fresh, held, NOTHING_HELD, startCached, statusOf } from "../../../support/cached-route.ts";
import type { PlayedClient, PlayedWorker } from "../../../support/played-worker.ts";
import { until } from "../../../support/until.ts";

let worker: PlayedWorker;
afterEach(async () => {
  await new Promise(setImmediate);
  expect(worker.faults).toEqual([]);
  expect(held(worker)).toEqual(NOTHING_HELD);
  worker.stop();
});

describe("behind the store each client has", () => {
  it("its own CORS, request id and fields by policy, on a miss, a follower and a hit", async () => {
    worker = await startCached({
      route: [
        "cors: { origins: [https://one.example, https://two.example], credentials: true }",
        'headers: { response: { set: { x-for: "{header.x-who}" }, remove: [x-secret] } }',
      ],
    });
    const ask = (who: string): PlayedClient => worker.ask("/x", { headers: ["origin", `https://${who}.example`, "x-who", who] });
    const [one, two] = [ask("one"), ask("two")];
    worker.last.head(200, fresh("x-secret", "1"), 2).data("ab").end();
    const three = ask("two");
    expect(dealt(three)).toContain("; hit");
    for (const [x, who] of [
      [one, "one"],
      [two, "two"],
      [three, "two"],
    ] as const) {
      expect([field(x, "access-control-allow-origin"), field(x, "x-for"), field(x, "x-secret"), x.body]).toEqual([
        `https://${who}.example`,
        who,
        null,
        "ab",
      ]);
    }
    expect(new Set([one, two, three].map((x) => field(x, "x-request-id"))).size).toBe(3);
  });

  it("the coding that it takes, on hits too", async () => {
    worker = await startCached({ route: ["compress: { minBytes: 1B }"] });
    const text = "text ".repeat(1000);
    worker.ask("/x");
    worker.last.head(200, fresh("content-type", "text/plain"), text.length).data(text).end();
    const zipped = worker.ask("/x", { headers: ["accept-encoding", "gzip"] });
    await until("it is compressed", () => zipped.ended);
    expect(field(zipped, "content-encoding")).toBe("gzip");
    expect(gunzipSync(Buffer.from(zipped.body, "latin1")).toString()).toBe(text);
    expect(worker.ask("/x").body).toBe(text);
    expect(worker.calls).toHaveLength(1);
  });

  it("error pages in the place of a stored error", async () => {
    worker = await startCached({
      cache: "{ statuses: { 404: 60s } }",
      route: ["errorPages: { intercept: [404], 404: { json: { own: page } } }"],
    });
    const first = worker.ask("/x");
    worker.last.head(404, ["content-type", "text/plain"], 6).data("secret").end();
    const second = worker.ask("/x");
    for (const x of [first, second]) expect([statusOf(x), x.body.includes("secret")]).toEqual([404, false]);
    expect(worker.calls).toHaveLength(1);
  });
});

describe("behind the store an origin", () => {
  it("is asked again by retry before the head of what is stored, and not behind it", async () => {
    worker = await startCached({ retry: "{ attempts: 1, on: [reset], backoff: { base: 1ms, max: 1ms } }" });
    const clients = [worker.ask("/x"), worker.ask("/x")];
    worker.last.fail();
    await until("it is asked again", () => worker.calls.length === 2);
    worker.last.head(200, fresh(), 4).data("ab").fail();
    expect(clients.map((x) => [x.cut, x.body])).toEqual([
      [true, "ab"],
      [true, "ab"],
    ]);
    expect(worker.calls).toHaveLength(2);
  });

  it("is asked again for an answer that is passed on, while nothing of that has left", async () => {
    worker = await startCached({ retry: "{ attempts: 1, on: [reset], backoff: { base: 1ms, max: 1ms } }" });
    const x = worker.ask("/x");
    x.holdsBack = true;
    worker.last.head(200, ["cache-control", "private"], 4).data("ab").fail();
    await until("it is asked again", () => worker.calls.length === 2);
    worker.last.head(200, ["cache-control", "private"], 4).data("abcd").end();
    expect([x.body, x.ended]).toEqual(["abcd", true]);
    expect(dealt(x)).toContain("detail=private");
  });

  it("whose breaker is open is stood in for, as long as the route says", async () => {
    worker = await startCached({ cache: "{ staleIfOpen: 1h }", upstream: "breaker: { scope: upstream, consecutiveFailures: 1 }" });
    worker.ask("/x");
    worker.last.head(200, ["cache-control", "max-age=0", "etag", '"a"'], 2).data("ab").end();
    const failed = worker.ask("/y");
    worker.last.fail();
    expect(statusOf(failed)).toBe(502);
    const x = worker.ask("/x");
    expect([statusOf(x), x.body]).toEqual([200, "ab"]);
    expect(worker.calls).toHaveLength(2);
    expect(statusOf(worker.ask("/z"))).toBe(503);
  });
});

describe("memory", () => {
  it("stays within its bound under five times its size of distinct responses, and hot ones stay", async () => {
    worker = await startCached();
    const { capacityBytes } = worker.services.responses.counts();
    const size = 20_000;
    const body = "b".repeat(size);
    const fill = (path: string): boolean => {
      const before = worker.calls.length;
      const x = worker.ask(path);
      if (worker.calls.length > before) worker.last.head(200, fresh(), size).data(body).end();
      expect(x.body).toHaveLength(size);
      return worker.calls.length === before;
    };
    let hot = 0;
    const count = Math.ceil((5 * capacityBytes) / size);
    for (let i = 0; i < count; i++) {
      fill(`/flood/${i}`);
      if (fill(`/hot/${i % 20}`)) hot++;
      expect(worker.services.responses.counts().bytes).toBeLessThanOrEqual(capacityBytes);
    }
    expect(hot).toBeGreaterThan(count * 0.8);
    expect(workerCache(worker.services).fills.pieces.used).toBe(0);
  });

  it("of bodies whose length is not known has a bound, beyond which they are passed on without being stored", async () => {
    worker = await startCached();
    const { pieces } = workerCache(worker.services).fills;
    const x = worker.ask("/x");
    pieces.used += pieces.max; // others hold all of it
    worker.last.head(200, fresh()).data("ab").data("cd").end();
    pieces.used -= pieces.max;
    expect([x.body, x.ended]).toEqual(["abcd", true]);
    worker.ask("/x");
    expect(worker.calls).toHaveLength(2);
    worker.last.head(200, fresh(), 0).end();
  });
});

describe("sessions of affinity", () => {
  it("begin with an answer that is passed on, and are no part of a stored one", async () => {
    worker = await startCached({ upstream: "sticky: { cookie: aff, secret: a-secret-of-the-test-0123456789abcdef }" });
    const passed = worker.ask("/p");
    worker.last.head(200, ["cache-control", "private"], 1).data("p").end();
    expect(field(passed, "set-cookie")).toMatch(/^aff=/);
    worker.ask("/s");
    worker.last.head(200, fresh(), 1).data("s").end();
    expect(field(worker.ask("/s"), "set-cookie")).toBeNull();
  });
});
