// What the gate of an upstream learns of its latency, and what not.
import { expect, it } from "vitest";
import { monotonicMs } from "../../../../../src/base/clock.ts";
import { Gate } from "../../../../../src/data/upstream/overload/gate.ts";
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

/** @returns the base latency that is learnt of so many answers after 20 ms each, while the worker's loop is late; 0 for none */
function learnt(delayMs: number): number {
  const tables = { upstreams: new OverloadTable(OverloadTable.allocate(1)), targets: new TargetTable(TargetTable.allocate(1)) };
  const places = tables.upstreams.places(PLAN.slot, 0);
  const gate = new Gate(PLAN, { ...tables, own: { delayMs } }, 0);
  const call: GateCall = {
    view: typicalExchange(),
    background: false,
    retrying: false,
    targets: null,
    bodyBytes: 0,
    deadlineMs: 0,
    admitted: () => {},
    refused: () => {},
  };
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
