// A service that decides about requests, and has all that it can work on: what the client, and metrics, get to know.
import { afterEach, expect, it } from "vitest";
import { OVERLOAD_REASONS, PRIORITIES } from "../../../../../src/base/priorities.ts";
import { NORMAL } from "../../../../../src/plan/overload-plan.ts";
import { MetricCells } from "../../../../../src/shared/metric-cells.ts";
import { REFUSED_WORDS, TIER_SLOT_NONE } from "../../../../../src/shared/metric-layout.ts";
import { field, statusOf } from "../../../../support/cached-route.ts";
import { PlayedWorker } from "../../../../support/played-worker.ts";
import { until } from "../../../../support/until.ts";

let worker: PlayedWorker;
afterEach(() => {
  expect(worker.faults).toEqual([]);
  worker.stop();
});

async function start(onFailure: string): Promise<void> {
  worker = await PlayedWorker.start(`version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  a: { targets: [{ url: http://a }] }
  s: { targets: [{ url: http://s }], retry: { attempts: 0 }, overload: { mode: on, minimum: 1, maximum: 1, queue: { length: 0 } } }
routes:
  - { name: r, match: { path: /** }, to: a, forwardAuth: { to: s, path: /check, onFailure: ${onFailure} } }
`);
}

function refused(): Float64Array {
  const words = new Float64Array(REFUSED_WORDS);
  new MetricCells(worker.memory.metrics).sumRefused(TIER_SLOT_NONE, words);
  return words;
}

it("a request that it has no place for is refused with the reason, for a random time, and counted with it", async () => {
  await start("deny");
  worker.ask("/first");
  const x = worker.ask("/second");
  await until("it is refused", () => x.ended);
  expect([statusOf(x), JSON.parse(x.body)]).toEqual([503, expect.objectContaining({ code: "forward_auth_unavailable", reason: "line" })]);
  expect(field(x, "retry-after")).toMatch(/^[1-5]$/);
  expect(refused()[OVERLOAD_REASONS.indexOf("line") * PRIORITIES.length + NORMAL]).toBe(1);
});

it("a request that is let through all the same has no reason", async () => {
  await start("allow");
  worker.ask("/first");
  const x = worker.ask("/second");
  await until("it is asked for", () => worker.calls.length === 2);
  worker.last.fail();
  await until("it is answered", () => x.ended);
  expect(JSON.parse(x.body)).not.toHaveProperty("reason");
  expect(refused().some((n) => n > 0)).toBe(false);
});
