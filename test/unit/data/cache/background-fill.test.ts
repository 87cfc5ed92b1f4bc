// Questions to origins for which nobody waits, when there is no room for them: what that means for clients who have joined them meanwhile.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { PeerNews } from "../../../../src/data/cache/peers.ts";
import { workerCache } from "../../../../src/data/cache/worker-cache.ts";
import { warm } from "../../../../src/data/worker/warm-up.ts";
import type { WarmOutcome } from "../../../../src/plan/warm-plan.ts";
import { fresh, held, NOTHING_HELD, statusOf } from "../../../support/cached-route.ts";
import { type PlayedClient, PlayedWorker } from "../../../support/played-worker.ts";

/** Nearly as many as a worker may have at once. */
const REFRESHES = 250;
const WINDOW = ["cache-control", "max-age=10, stale-while-revalidate=30"];

let worker: PlayedWorker;
let nowMs = Date.UTC(2026, 0, 1);
const pass = (seconds: number): void => void (nowMs += seconds * 1000);

beforeEach(() => void vi.spyOn(Date, "now").mockImplementation(() => nowMs));
afterEach(() => {
  vi.restoreAllMocks();
  expect(worker.faults).toEqual([]);
  expect(held(worker)).toEqual(NOTHING_HELD);
  worker.stop();
});

/** One place at the upstream, `length` in line for it. What is cached is of high priority, /other of normal. */
async function start(length: number): Promise<void> {
  worker = await PlayedWorker.start(`version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  a:
    targets: [{ url: http://a }]
    retry: { attempts: 0 }
    overload: { mode: on, minimum: 1, maximum: 1, queue: { length: ${length}, wait: 60s } }
routes:
  - { name: cached, match: { path: "/cached/**" }, to: a, priority: high, cache: {} }
  - { name: other, match: { path: "/other/**" }, to: a }
`);
}

/** What has reached the service, and what reaches it then. */
function answerAll(): void {
  for (let i = 0; i < worker.calls.length; i++) worker.calls[i]?.head(200, fresh(), 3).data("new").end();
}

function store(path: string): void {
  worker.ask(path);
  worker.last
    .head(200, [...WINDOW], 3)
    .data("old")
    .end();
}

describe("a refresh that waits in line at its upstream, and is refused there,", () => {
  it("does not have the client refused who has joined it: that one asks in its own class", async () => {
    await start(1);
    store("/cached/x");
    worker.calls.length = 0;
    worker.ask("/other/1");
    pass(20);
    expect(worker.ask("/cached/x").body).toBe("old");
    pass(30);
    const joined = worker.ask("/cached/x");
    expect([joined.started, worker.calls.length]).toEqual([false, 1]);
    const evicting = worker.ask("/other/2"); // the line gives up the refresh for it, and then it for the client
    expect([statusOf(evicting), joined.started]).toEqual([503, false]);
    answerAll();
    expect(worker.calls.map(({ request }) => request.path)).toEqual(["/other/1", "/cached/x"]);
    expect([statusOf(joined), joined.body]).toEqual([200, "new"]);
  });

  it("sends workers who follow it to the origin too", async () => {
    await start(1);
    store("/cached/x");
    worker.ask("/other/1");
    const { fills } = workerCache(worker.services);
    const set = vi.spyOn(fills, "set");
    pass(20);
    worker.ask("/cached/x");
    const told: PeerNews[] = [];
    fills.follow(set.mock.calls.at(-1)?.[0] ?? "", { tell: (news) => told.push(news) });
    const evicting = worker.ask("/other/2");
    expect(told).toEqual([{ kind: "stored" }]);
    worker.last.head(200, fresh(), 0).end();
    worker.last.head(200, fresh(), 0).end();
    expect(statusOf(evicting)).toBe(200);
  });

  it("may be one of hundreds, each joined by a client that pushes out the next one", async () => {
    await start(REFRESHES);
    const paths = Array.from({ length: REFRESHES }, (_, i) => `/cached/${i}`);
    for (const path of paths) store(path);
    worker.calls.length = 0;
    worker.ask("/other/1");
    pass(20);
    for (const path of paths) worker.ask(path);
    pass(30);
    const joined: PlayedClient[] = paths.map((path) => worker.ask(path));
    expect(worker.calls).toHaveLength(1);
    worker.ask("/other/2");
    answerAll();
    expect(joined.map((x) => x.body)).toEqual(paths.map(() => "new"));
    expect(worker.calls).toHaveLength(1 + REFRESHES);
  });
});

it("a warm-up that is refused at its upstream fails, and the client who has joined it asks", async () => {
  await start(1);
  worker.ask("/other/1");
  const outcomes: WarmOutcome[] = [];
  const [path, authority] = ["/cached/x", "api.example.com"];
  const request = { url: `http://${authority}${path}`, scheme: "http", authority, path, query: "", headers: [] } as const;
  warm(worker.runtime, request, (outcome) => outcomes.push(outcome));
  const joined = worker.ask(path);
  worker.ask("/other/2");
  expect(outcomes).toEqual([{ result: "failed", reason: expect.stringContaining("503 overloaded: line: ") }]);
  answerAll();
  expect(joined.body).toBe("new");
  expect(worker.calls).toHaveLength(2);
});
