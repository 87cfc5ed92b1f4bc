// Measures what in-flight limits of targets add to choosing one (aim: under 50 ns a request), with what a call counts there.
// Run: node bench/micro/target-limits.ts [rounds]
import { monotonicMs } from "../../src/base/clock.ts";
import { beginTurn, endTurn, nowMs } from "../../src/base/turn-clock.ts";
import { Gate } from "../../src/data/upstream/overload/gate.ts";
import { type GateCall, Hold } from "../../src/data/upstream/overload/hold.ts";
import { createUpstream } from "../../src/data/upstream/select.ts";
import type { Endpoint } from "../../src/data/upstream/upstream.ts";
import type { OverloadPlan } from "../../src/plan/overload-plan.ts";
import type { Balance } from "../../src/plan/plan.ts";
import { OverloadTable } from "../../src/shared/overload/overload-table.ts";
import { TargetTable } from "../../src/shared/overload/target-table.ts";
import { TargetHealth } from "../../src/shared/target-health.ts";
import { typicalExchange } from "../../test/support/recorded-exchange.ts";
import { endpoints, inertPool, upstreamPlan } from "../../test/support/upstreams.ts";
import type { Micro } from "./measure.ts";

const WORKERS = 8;
const BALANCES: readonly Balance[] = ["round-robin", "least-request", "random", "hash"];
const OVERLOAD: OverloadPlan = {
  slot: 2,
  shadow: false,
  minimum: 1,
  maximum: 1000,
  queue: { length: 1024, bytes: 1 << 24, flows: 256, waitMs: 250 },
  fairBy: "none",
  tiers: {},
};

/** Requests through the gate, to a target and back. @param limited whether targets have limits @returns a run of so many */
function requests(balance: Balance, count: number, limited: boolean): (calls: number) => number {
  const health = new TargetHealth(TargetHealth.allocate(WORKERS), 0);
  const tables = { upstreams: new OverloadTable(OverloadTable.allocate(WORKERS)), targets: new TargetTable(TargetTable.allocate(WORKERS)) };
  const gate = new Gate(OVERLOAD, tables, 0);
  const plan = upstreamPlan({ balance, hashOn: { kind: "path" }, overload: OVERLOAD });
  const list = endpoints(Array.from({ length: count }, () => 1));
  const upstream = createUpstream(plan, list, { health, gate, poolFor: inertPool, now: monotonicMs, random: Math.random });
  if (!limited) for (const each of upstream.endpoints) (each as { places: Endpoint["places"] }).places = null; // a member's can be written
  const x = typicalExchange();
  const call: GateCall = {
    view: x,
    background: false,
    retrying: false,
    targets: limited ? upstream.targets : null,
    bodyBytes: 0,
    deadlineMs: 0,
    admitted() {},
    refused() {},
  };
  return (calls) => {
    for (let i = 0; i < calls; i += 1) {
      beginTurn(); // what a client sends, and what a target answers, are a turn each
      const hold = new Hold(gate, OVERLOAD, call);
      if (!gate.enter(hold)) return Number.NaN;
      const chosen = upstream.select(x, null);
      if (chosen === null) return Number.NaN;
      hold.goesTo(chosen.places, nowMs());
      upstream.begin(chosen);
      endTurn();
      beginTurn();
      hold.answered(1);
      hold.leavesTarget();
      upstream.done(chosen, "success");
      hold.leave();
      endTurn();
    }
    return calls;
  };
}

/** For run.ts. */
export const MICRO: readonly Micro[] = BALANCES.flatMap((balance) =>
  [false, true].map((limited) => ({
    name: `${balance} of 3, ${limited ? "limits of targets" : "one limit"}`,
    prepare: () => requests(balance, 3, limited),
  })),
);

if (import.meta.main) {
  const rounds = Number(process.argv[2] ?? 2000);
  for (const balance of BALANCES)
    for (const count of [3, 16, 256]) {
      const runs = [requests(balance, count, false), requests(balance, count, true)] as const;
      const least = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
      for (let round = 0; round < rounds; round++)
        runs.forEach((run, i) => {
          const startNs = process.hrtime.bigint();
          run(1000);
          if (round > rounds / 4) least[i] = Math.min(least[i] ?? 0, Number(process.hrtime.bigint() - startNs) / 1000);
        });
      const [without = 0, limited = 0] = least;
      console.log(
        `${`${balance} of ${count}`.padEnd(24)} one limit ${without.toFixed(0)} ns, limits of targets ${limited.toFixed(0)} ns, ${(limited - without).toFixed(0)} more`,
      );
    }
}
