// Requests of the gateway's own, for the store: through a real worker's pipeline, and what they say of themselves.
import { afterEach, expect, test, vi } from "vitest";
import { OVERLOAD_REASONS, PRIORITIES } from "../../../../src/base/priorities.ts";
import { warm } from "../../../../src/data/worker/warm-up.ts";
import { BACKGROUND } from "../../../../src/plan/overload-plan.ts";
import type { WarmOutcome, WarmRequest } from "../../../../src/plan/warm-plan.ts";
import { MetricCells } from "../../../../src/shared/metric-cells.ts";
import { REFUSED_WORDS, TIER_SLOT_NONE } from "../../../../src/shared/metric-layout.ts";
import { dealt, fresh, held, NOTHING_HELD, type RouteText, startCached } from "../../../support/cached-route.ts";
import type { PlayedWorker } from "../../../support/played-worker.ts";
import { until } from "../../../support/until.ts";

const workers: PlayedWorker[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  for (const worker of workers.splice(0)) {
    expect(worker.faults).toEqual([]);
    worker.stop();
  }
});

async function start(route: RouteText = {}) {
  const worker = await startCached(route);
  workers.push(worker);
  const ask = (path: string, changes: Partial<WarmRequest> = {}): { outcomes: WarmOutcome[] } => {
    const outcomes: WarmOutcome[] = [];
    const request: WarmRequest = {
      url: `http://api.example.com${path}`,
      scheme: "http",
      authority: "api.example.com",
      path,
      query: "",
      headers: [],
      ...changes,
    };
    warm(worker.runtime, request, (outcome) => outcomes.push(outcome));
    return { outcomes };
  };
  return { worker, ask };
}

test("what is fetched is stored for clients, under the same key, and is there the second time", async () => {
  const { worker, ask } = await start();
  const first = ask("/a", { query: "page=2" });
  expect(worker.last.request.path).toBe("/a?page=2");
  worker.last.head(200, fresh(), 4).data("body").end();
  expect(first.outcomes).toEqual([{ result: "stored", reason: "" }]);
  const client = worker.ask("/a", {}, "page=2");
  expect([dealt(client).includes("; hit"), client.body]).toEqual([true, "body"]);
  expect(ask("/a", { query: "page=2" }).outcomes).toEqual([{ result: "present", reason: "" }]);
  expect(worker.calls).toHaveLength(1);
  expect(held(worker)).toEqual(NOTHING_HELD);
});

test("a body of unknown length, and a client that joins, end for both", async () => {
  const { worker, ask } = await start();
  const { outcomes } = ask("/a");
  const client = worker.ask("/a");
  worker.last.head(200, fresh()).data("one").data("two").end();
  expect([outcomes.map(({ result }) => result), client.body]).toEqual([["stored"], "onetwo"]);
  expect(worker.calls).toHaveLength(1);
  expect(held(worker)).toEqual(NOTHING_HELD);
});

test("headers choose the variant that is stored", async () => {
  const { worker, ask } = await start();
  ask("/a", { headers: ["accept-encoding", "br"] });
  worker.last
    .head(200, fresh("vary", "accept-encoding", "content-encoding", "br"), 2)
    .data("br")
    .end();
  expect(dealt(worker.ask("/a", { headers: ["accept-encoding", "br"] }))).toContain("; hit");
  expect(dealt(worker.ask("/a", { headers: ["accept-encoding", "gzip"] }))).not.toContain("; hit");
});

test.each([
  [200, ["cache-control", "private"], "status 200, not stored: private"],
  [200, ["cache-control", "max-age=60", "set-cookie", "a=b"], "status 200, not stored: set-cookie"],
  [404, [], "status 404, not stored: no-lifetime"],
] as const)("what is not stored is a failure with its reason: %s %j", async (status, headers, reason) => {
  const { worker, ask } = await start();
  const { outcomes } = ask("/a");
  worker.last
    .head(status, [...headers], 1)
    .data("x")
    .end();
  expect(outcomes).toEqual([{ result: "failed", reason }]);
  expect(held(worker)).toEqual(NOTHING_HELD);
});

test("the reason is known on a route that shows no Cache-Status too, and clients are still shown none", async () => {
  const { worker, ask } = await start({ cache: "{ status: false }" });
  const { outcomes } = ask("/a");
  worker.last.head(200, fresh(), 1).data("x").end();
  expect(outcomes).toEqual([{ result: "stored", reason: "" }]);
  expect(dealt(worker.ask("/a"))).toBe("");
});

test("failures of the service, of the gateway and of the request itself end with a reason", async () => {
  const { worker, ask } = await start();
  const failed = ask("/a");
  worker.last.fail();
  expect(failed.outcomes).toEqual([{ result: "failed", reason: expect.stringContaining("502 upstream_reset") }]);
  const broken = ask("/b");
  worker.last.head(200, fresh()).data("x").fail();
  expect(broken.outcomes).toEqual([{ result: "failed", reason: expect.stringContaining("broke off") }]);
  const refused = ask("/a%5cb");
  await until("the refused request is over", () => refused.outcomes.length > 0);
  expect(refused.outcomes).toEqual([{ result: "failed", reason: expect.stringContaining("400 bad_path") }]);
  expect(held(worker)).toEqual(NOTHING_HELD);
});

test("it is nobody: a route with auth refuses it, and has no credential of its own", async () => {
  const { ask } = await start({
    route: ["auth: keys"],
    top: `auth: { keys: { apiKey: { in: header, name: x-api-key } } }\nconsumers: [{ id: a, keys: ["sha256:${"0".repeat(64)}"] }]`,
  });
  expect(ask("/a").outcomes).toEqual([{ result: "failed", reason: expect.stringMatching(/^401 /) }]);
});

test("it is https for who serves https behind a plain listener, and comes from this host", async () => {
  const { worker, ask } = await start();
  ask("/a", { scheme: "https", url: "https://api.example.com/a" });
  const { headers } = worker.last.request;
  expect(headers[headers.indexOf("x-forwarded-proto") + 1]).toBe("https");
  expect(headers[headers.indexOf("x-forwarded-for") + 1]).toBe("127.0.0.1");
});

test("at an upstream that has too much to do it comes after a client's request that came later", async () => {
  const { worker, ask } = await start({ upstream: "overload: { mode: on, minimum: 1, maximum: 1 }" });
  worker.ask("/first");
  ask("/warm");
  worker.ask("/client");
  expect(worker.calls.map(({ request }) => request.path)).toEqual(["/first"]);
  for (const path of ["/client", "/warm"]) {
    worker.last.head(200, fresh(), 1).data("x").end();
    await until(`${path} is asked`, () => worker.last.request.path === path);
  }
});

test("so it does where it waits as a request that is only passed on: the last answer was not to be stored", async () => {
  const { worker, ask } = await start({ upstream: "overload: { mode: on, minimum: 1, maximum: 1 }" });
  worker.ask("/warm");
  worker.last.head(200, ["cache-control", "private"], 0).end();
  worker.ask("/first");
  ask("/warm");
  worker.ask("/client");
  for (const path of ["/client", "/warm"]) {
    worker.last.head(200, fresh(), 1).data("x").end();
    await until(`${path} is asked`, () => worker.last.request.path === path);
  }
  worker.last.head(200, fresh(), 1).data("x").end();
});

test("so does what a service is asked on its behalf", async () => {
  const { worker, ask } = await start({
    upstream: "overload: { mode: on, minimum: 1, maximum: 1 }",
    route: ["forwardAuth: { to: a, path: /check }"],
  });
  const authorized = async (path: string, count: number): Promise<void> => {
    await until(`it is asked for ${path}`, () => worker.calls.length === count);
    const { headers } = worker.last.request;
    expect([worker.last.request.path, headers[headers.indexOf("x-forwarded-uri") + 1]]).toEqual(["/check", path]);
  };
  worker.ask("/first");
  ask("/warm");
  worker.ask("/client");
  await authorized("/first", 1);
  worker.last.head(403, [], 0).end();
  await authorized("/client", 2);
  worker.last.head(403, [], 0).end();
  await authorized("/warm", 3);
  worker.last.head(403, [], 0).end();
});

test("its refusal is counted as one of background work, whatever the priority of the route", async () => {
  const { worker, ask } = await start({
    upstream: "overload: { mode: on, minimum: 1, maximum: 1, queue: { length: 0 } }",
    route: ["priority: high"],
  });
  worker.ask("/first");
  expect(ask("/warm").outcomes).toEqual([{ result: "failed", reason: expect.stringContaining("503 overloaded: line: ") }]);
  const refused = new Float64Array(REFUSED_WORDS);
  new MetricCells(worker.memory.metrics).sumRefused(TIER_SLOT_NONE, refused);
  expect(refused[OVERLOAD_REASONS.indexOf("line") * PRIORITIES.length + BACKGROUND]).toBe(1);
  expect(refused.reduce((sum, n) => sum + n, 0)).toBe(1);
});

test("where a worker has nearly as many requests as it may, one of its own is refused and a client's is not", async () => {
  const { worker, ask } = await start({ top: "overload: { mode: on, inFlight: 20 }" });
  vi.spyOn(performance, "now").mockReturnValue(performance.now()); // none is let in for want of any
  worker.runtime.services.load.use(worker.runtime.plan.overload);
  for (let i = 0; i < 15; i++) worker.ask(`/held-${i}`);
  expect([ask("/1"), ask("/2")].map(({ outcomes }) => outcomes)).toEqual([[], []]); // the second one as nothing of its class was let in for long
  expect(ask("/3").outcomes).toEqual([{ result: "failed", reason: expect.stringContaining("503") }]);
  expect(worker.calls).toHaveLength(17);
  worker.ask("/b");
  expect(worker.calls).toHaveLength(18);
});
