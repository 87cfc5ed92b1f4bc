// What a worker with more requests than it may have takes all the same: one of each class in a named time, whoever asks for it, and however often. Through a whole worker.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { warm } from "../../../../src/data/worker/warm-up.ts";
import { STARVATION_MS } from "../../../../src/plan/overload-plan.ts";
import type { WarmOutcome } from "../../../../src/plan/warm-plan.ts";
import { fresh, statusOf } from "../../../support/cached-route.ts";
import { type PlayedClient, PlayedWorker } from "../../../support/played-worker.ts";
import { until } from "../../../support/until.ts";

/** Requests in flight: 16 for background work, 19 for high priority. */
const IN_FLIGHT = 20;
const PASSWORD_HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

let worker: PlayedWorker;
let nowMs: number;
let dateMs: number;

beforeEach(async () => {
  nowMs = 10_000;
  dateMs = Date.UTC(2026, 0, 1);
  vi.spyOn(performance, "now").mockImplementation(() => nowMs);
  vi.spyOn(Date, "now").mockImplementation(() => dateMs);
  worker = await PlayedWorker.start(`version: 1
listeners: [{ address: 127.0.0.1:0 }]
overload: { mode: on, loopDelay: none, inFlight: ${IN_FLIGHT}, memory: none }
auth: { keys: { apiKey: { in: header, name: x-api-key } } }
tiers: { gold: { priority: high } }
consumers: [{ id: a, tier: gold, keys: ["sha256:${PASSWORD_HASH}"] }]
upstreams: { u: { targets: [{ url: http://u }], retry: { attempts: 0 } } }
routes:
  - { name: held, match: { path: "/held/**" }, to: u, auth: none, priority: critical }
  - { name: keyed, match: { path: /keyed }, to: u, auth: keys }
  - { name: cached, match: { path: "/cached/**" }, to: u, auth: none, cache: {} }
`);
  worker.runtime.services.load.use(worker.runtime.plan.overload);
});
afterEach(() => {
  vi.restoreAllMocks();
  expect(worker.faults).toEqual([]);
  worker.stop();
});

const hold = (count: number): void => {
  for (let i = 0; i < count; i++) worker.ask(`/held/${i}`);
};

it("the one request of a class that is due goes through on a route where it is decided behind the authenticators", async () => {
  hold(19);
  const ask = async (): Promise<PlayedClient> => {
    const before = worker.calls.length;
    const x = worker.ask("/keyed", { headers: ["x-api-key", "password"] });
    await until("it is refused or asked for", () => x.started || worker.calls.length > before);
    if (!x.started) worker.last.head(200, [], 0).end();
    return x;
  };
  expect(statusOf(await ask())).toBe(200);
  nowMs += STARVATION_MS / 2;
  expect(statusOf(await ask())).toBe(503);
  nowMs += STARVATION_MS / 2;
  expect(statusOf(await ask())).toBe(200);
});

/** Stored, and stale from now on. */
function store(...paths: readonly string[]): void {
  for (const path of paths) {
    worker.ask(path);
    worker.last.head(200, ["cache-control", "max-age=10, stale-while-revalidate=30"], 3).data("old").end();
  }
  dateMs += 20_000;
}

it("a refresh that a request of the gateway's own begins is decided about once", () => {
  store("/cached/a");
  hold(16);
  const outcomes: WarmOutcome[] = [];
  const authority = "api.example.com";
  const request = { url: `http://${authority}/cached/a`, scheme: "http", authority, path: "/cached/a", query: "", headers: [] } as const;
  warm(worker.runtime, request, (outcome) => outcomes.push(outcome));
  expect(outcomes).toEqual([{ result: "present", reason: "" }]);
  expect(worker.last.request.path).toBe("/cached/a");
  worker.last.head(200, fresh(), 3).data("new").end();
  expect(worker.ask("/cached/a").body).toBe("new");
});

it("stale hits beside a refresh that is under way neither count as refreshes that were left out nor take the turn of the next one", () => {
  store("/cached/a", "/cached/b");
  hold(16);
  expect(worker.ask("/cached/a").body).toBe("old");
  const refresh = worker.last;
  expect(refresh.request.path).toBe("/cached/a");
  for (let i = 0; i < 3; i++) expect(worker.ask("/cached/a").body).toBe("old");
  nowMs += STARVATION_MS;
  for (let i = 0; i < 3; i++) expect(worker.ask("/cached/a").body).toBe("old");
  expect(worker.services.load.backgroundRefused).toBe(0);
  expect(worker.ask("/cached/b").body).toBe("old");
  expect(worker.last.request.path).toBe("/cached/b");
  worker.last.head(200, fresh(), 3).data("new").end();
  refresh.head(200, fresh(), 3).data("new").end();
});

it("a refresh that is left out leaves the next one free to be made", () => {
  store("/cached/a", "/cached/b");
  hold(16);
  worker.ask("/cached/a");
  const refresh = worker.last;
  worker.ask("/cached/b");
  expect([worker.last, worker.services.load.backgroundRefused]).toEqual([refresh, 1]);
  expect(new Int32Array(worker.memory.cacheLeases).filter((word) => word !== 0)).toHaveLength(1); // that of /cached/a: another worker may refresh the other
  nowMs += STARVATION_MS;
  worker.ask("/cached/b");
  expect(worker.last.request.path).toBe("/cached/b");
  worker.last.head(200, fresh(), 3).data("new").end();
  refresh.head(200, fresh(), 3).data("new").end();
});
