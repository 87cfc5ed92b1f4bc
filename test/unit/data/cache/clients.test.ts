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

describe("addresses of the service", () => {
  const PREFIXED = ["rewrite: { stripPrefix: /shop, response: auto }"];
  const told = (x: PlayedClient): unknown => [statusOf(x), field(x, "location"), field(x, "refresh"), field(x, "set-cookie"), x.body];
  const MOVED = ["location", "http://a/b", "refresh", "5; url=/c", "set-cookie", "s=1; Path=/"];
  const SEEN = [301, "/shop/b", "5; url=/shop/c", "s=1; Path=/shop", "ab"];

  it("are the client's on a miss, a follower, a hit, a stale answer and a validated one (rewrite.response)", async () => {
    worker = await startCached({ cache: "{ setCookie: keep, staleIfError: 1h }", route: PREFIXED });
    const [one, two] = [worker.ask("/shop/x"), worker.ask("/shop/x")];
    const stale = ["cache-control", "max-age=0", "etag", '"v"'];
    worker.last
      .head(301, [...stale, ...MOVED], 2)
      .data("ab")
      .end();
    expect([one, two].map(told)).toEqual([SEEN, SEEN]);
    const three = worker.ask("/shop/x");
    worker.last.fail();
    expect([told(three), field(three, "cache-status")?.includes("fwd=stale")]).toEqual([SEEN, true]);
    const four = worker.ask("/shop/x");
    worker.last.head(304, fresh("etag", '"v"', "location", "/d")).end();
    expect(told(four)).toEqual([301, "/shop/d", ...SEEN.slice(2)]);
    expect(told(worker.ask("/shop/x"))).toEqual(told(four));
    expect(worker.calls).toHaveLength(3);
  });

  it("are those of each client's own scheme, host and prefix, and are passed on mapped where nothing is stored", async () => {
    worker = await startCached({ route: PREFIXED, top: "trustedProxies: [203.0.113.7]" });
    const answers = (headers: string[], location: string, more = fresh()): (string | null)[] =>
      [0, 1].map(() => {
        const before = worker.calls.length;
        const x = worker.ask("/shop/x", { headers });
        if (worker.calls.length > before) worker.last.head(301, [...more, "location", location], 0).end();
        return field(x, "location");
      });
    // A path alone would lead a client that came by http in a circle.
    expect(answers([], "https://api.example.com/b")).toEqual(Array(2).fill("https://api.example.com/shop/b"));
    expect(answers(["x-forwarded-proto", "https"], "https://api.example.com/b")).toEqual(Array(2).fill("/shop/b"));
    expect(answers(["x-forwarded-host", "one.example"], "http://one.example/b")).toEqual(Array(2).fill("/shop/b"));
    expect(answers(["x-forwarded-prefix", "/outer"], "/b")).toEqual(Array(2).fill("/outer/shop/b"));
    expect(worker.calls).toHaveLength(4);
    expect(answers(["x-forwarded-host", "two.example"], "http://two.example/b", ["cache-control", "no-store"])).toEqual(
      Array(2).fill("/shop/b"),
    );
    expect(worker.calls).toHaveLength(6);
  });

  it.each(["location", "content-location"])(
    "are void behind an unsafe request as clients know them: %s (RFC 9111 section 4.4)",
    async (name) => {
      worker = await startCached({ route: PREFIXED });
      const fill = (path: string): void => {
        worker.ask(path);
        worker.last.head(200, fresh(), 1).data("a").end();
      };
      for (const path of ["/shop/items/1", "/items/1"]) fill(path);
      worker.ask("/shop/cart", { method: "POST" });
      worker.last.head(201, [name, "http://a/items/1"], 0).end();
      expect(dealt(worker.ask("/items/1"))).toContain("; hit");
      const before = worker.calls.length;
      worker.ask("/shop/items/1");
      expect(worker.calls).toHaveLength(before + 1);
      worker.last.head(200, fresh(), 0).end();
    },
  );
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
