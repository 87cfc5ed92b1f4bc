// The gate of an upstream: what it learns of latency and what not, who is let past whom, and what is counted of those who are not.
import { afterEach, expect, it, vi } from "vitest";
import { monotonicMs } from "../../../../../src/base/clock.ts";
import { Gate, type OverloadTables } from "../../../../../src/data/upstream/overload/gate.ts";
import { type GateCall, Hold } from "../../../../../src/data/upstream/overload/hold.ts";
import type { OverloadPlan } from "../../../../../src/plan/overload-plan.ts";
import { OverloadTable } from "../../../../../src/shared/overload/overload-table.ts";
import { TargetTable } from "../../../../../src/shared/overload/target-table.ts";
import { typicalExchange } from "../../../../support/recorded-exchange.ts";

const PLAN: OverloadPlan = {
  slot: 2,
  shadow: false,
  minimum: 1,
  maximum: 100,
  queue: { length: 10, bytes: 1e6, flows: 10, waitMs: 100 },
  fairBy: "none",
  tiers: {},
};

const tablesOf = (workers: number): OverloadTables => ({
  upstreams: new OverloadTable(OverloadTable.allocate(workers)),
  targets: new TargetTable(TargetTable.allocate(workers)),
});

/** A call that notes what it is told. */
class Caller implements GateCall {
  readonly view = typicalExchange();
  readonly background = false;
  readonly retrying = false;
  readonly targets = null;
  readonly bodyBytes = 0;
  readonly deadlineMs = 0;
  told: "admitted" | "refused" | "" = "";

  admitted(): void {
    this.told = "admitted";
  }

  refused(): void {
    this.told = "refused";
  }
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function learnt(delayMs: number): number {
  const tables = tablesOf(1);
  const places = tables.upstreams.places(PLAN.slot, 0);
  const gate = new Gate(PLAN, { ...tables, own: { delayMs } }, 0);
  const call = new Caller();
  for (let i = 0; i < 40; i++) {
    const hold = new Hold(gate, PLAN, call);
    expect(gate.enter(hold)).toBe(true);
    hold.answered(20);
    hold.leave();
  }
  const now = monotonicMs() + 2000;
  places.step({ nowMs: now, wallMs: now }, PLAN);
  return places.baseMs;
}

it.each([0, 4])("answers teach the base latency while the worker's own loop is %d ms late", (delayMs) => {
  expect(learnt(delayMs)).toBeCloseTo(20);
});

it.each([5, 15, 500])(
  "answers teach nothing while the loop is %d ms late: that they came late may be the worker's own doing",
  (delayMs) => {
    expect(learnt(delayMs)).toBe(0);
  },
);

it("a worker that hangs while somebody waits in it keeps nobody else from free places", () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }); // no tick comes: the gate's worker does not run
  const startMs = performance.now();
  let passedMs = 0;
  vi.spyOn(performance, "now").mockImplementation(() => startMs + passedMs);
  const plan = { ...PLAN, maximum: 2 };
  const tables = tablesOf(2);
  const [runs, hangs] = [new Gate(plan, tables, 0), new Gate(plan, tables, 1)];
  const holds = [0, 1].map(() => new Hold(runs, plan, new Caller()));
  for (const hold of holds) expect(runs.enter(hold)).toBe(true);
  const stuck = new Caller();
  expect(hangs.enter(new Hold(hangs, plan, stuck))).toBe(false);
  for (const hold of holds) hold.leave();
  expect(runs.enter(new Hold(runs, plan, new Caller()))).toBe(true); // has its turn before the one of the same flow in the other worker
  const next = new Hold(runs, plan, new Caller());
  expect(runs.enter(next)).toBe(false); // now that one comes first, as its worker may just be busy
  next.leave();
  passedMs = 200;
  expect(runs.enter(new Hold(runs, plan, new Caller()))).toBe(true);
  expect(stuck.told).toBe("");
});
