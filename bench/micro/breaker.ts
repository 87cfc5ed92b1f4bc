// Measures what a circuit breaker costs a request (aim: 0.5 us at most, no allocation): ours over shared memory, and opossum's fire() beside it.
// Run: node bench/micro/breaker.ts [rounds] with opossum, node bench/micro/run.ts breaker without. A test runs it with few rounds, so that it cannot rot.
import CircuitBreaker from "opossum";
import { monotonicMs } from "../../src/base/clock.ts";
import { createUpstream } from "../../src/data/upstream/select.ts";
import type { BreakerPlan } from "../../src/plan/plan.ts";
import { BreakerTable, OUTCOME } from "../../src/shared/breaker-table.ts";
import { TargetHealth } from "../../src/shared/target-health.ts";
import { breakerPlan } from "../../test/support/breaker-rig.ts";
import { typicalExchange } from "../../test/support/recorded-exchange.ts";
import { endpoints, inertPool, upstreamPlan } from "../../test/support/upstreams.ts";
import type { Micro } from "./measure.ts";

const BATCH = 1000;
const WORKERS = 8;

/** One row of the result: CPU time, and heap growth (garbage included), for each request. */
export interface BreakerCost {
  readonly what: string;
  readonly ns: number;
  readonly bytes: number;
}

const OURS: readonly (readonly [string, () => (calls: number) => void])[] = [
  ["table: admit and settle", tableOnly],
  ["attempt, no breaker", () => attempt(null)],
  ["attempt, scope target", () => attempt("target")],
  ["attempt, scope both", () => attempt("both")],
  ["attempt, scope both, one in five fails", () => attempt("both", 5)],
  ["attempt, open: refused", refused],
];

/** Ours alone: opossum's rows need promises. */
export const MICRO: readonly Micro[] = OURS.map(([name, make]) => ({
  name,
  prepare: () => {
    const run = make();
    return (count) => {
      run(count);
      return count;
    };
  },
}));

/** @param rounds of 1000 requests each */
export async function benchBreaker(rounds: number): Promise<BreakerCost[]> {
  const rows: [string, (calls: number) => unknown][] = [
    ...OURS.map(([what, make]): [string, (calls: number) => unknown] => [what, make()]),
    ["opossum fire(), without timeout", fire(false)],
    ["opossum fire(), with timeout", fire(5000)],
    ["opossum fire(), open: refused", fireOpen()],
  ];
  const costs: BreakerCost[] = [];
  for (const [what, run] of rows) costs.push({ what, ...(await measure(run, rounds)) });
  return costs;
}

async function measure(run: (calls: number) => unknown, rounds: number): Promise<{ ns: number; bytes: number }> {
  for (let i = 0; i < rounds; i++) await run(BATCH);
  const heapBefore = process.memoryUsage().heapUsed;
  // CPU time of this thread: the machine may have other work.
  const before = process.threadCpuUsage();
  for (let i = 0; i < rounds; i++) await run(BATCH);
  const { user, system } = process.threadCpuUsage(before);
  return {
    ns: ((user + system) * 1000) / (rounds * BATCH),
    bytes: Math.max(0, process.memoryUsage().heapUsed - heapBefore) / (rounds * BATCH),
  };
}

function tableOnly(): (calls: number) => void {
  const table = new BreakerTable(BreakerTable.allocate(WORKERS, 8), 0);
  const rules = breakerPlan();
  return (calls) => {
    for (let i = 0; i < calls; i++) {
      const ticket = table.admit(3, rules.recoveryMs, monotonicMs);
      table.settle(3, ticket, OUTCOME.good, rules, monotonicMs());
    }
  };
}

/** Everything that the data plane does for one attempt besides sending it. @param everyFails 0: none */
function attempt(scope: BreakerPlan["scope"] | null, everyFails = 0): (calls: number) => void {
  const health = new TargetHealth(TargetHealth.allocate(WORKERS), 0);
  const breakers = new BreakerTable(BreakerTable.allocate(WORKERS), 0);
  const plan = upstreamPlan({
    balance: "least-request",
    breaker: scope === null ? null : breakerPlan({ scope, slowCallMs: 2000, slowCallRate: 0.5 }),
  });
  const upstream = createUpstream(plan, endpoints([1, 1, 1]), {
    health,
    breakers,
    poolFor: inertPool,
    now: monotonicMs,
    random: Math.random,
  });
  const x = typicalExchange();
  const tickets = { upstreamTicket: 0, targetTicket: 0, answered: false };
  let count = 0;
  return (calls) => {
    for (let i = 0; i < calls; i++) {
      const endpoint = upstream.take(x, null, tickets);
      if (endpoint === null) throw new Error("nothing taken");
      const failed = everyFails > 0 && ++count % everyFails === 0;
      if (upstream.breaker !== null) upstream.breaker.onHead(tickets, endpoint.slot, failed ? 500 : 200, 1.5);
      upstream.done(endpoint, "success");
      if (upstream.breaker !== null) upstream.breaker.onComplete(tickets, endpoint.slot, "success", null, 1.5);
    }
  };
}

function refused(): (calls: number) => void {
  const health = new TargetHealth(TargetHealth.allocate(WORKERS), 0);
  const breakers = new BreakerTable(BreakerTable.allocate(WORKERS), 0);
  const rules = breakerPlan({ scope: "upstream", minimumRequests: 1 });
  breakers.settle(rules.slot, breakers.admit(rules.slot, 0, monotonicMs), OUTCOME.failed, rules, monotonicMs());
  const upstream = createUpstream(upstreamPlan({ breaker: rules }), endpoints([1, 1, 1]), {
    health,
    breakers,
    poolFor: inertPool,
    now: monotonicMs,
    random: Math.random,
  });
  return (calls) => {
    for (let i = 0; i < calls; i++) {
      if (upstream.breaker?.refuses() !== true) throw new Error("not refused");
      upstream.breaker.retryAfterMs(rules.slot);
      upstream.breaker.rejected();
    }
  };
}

function fire(timeout: number | false): (calls: number) => Promise<void> {
  const circuit = new CircuitBreaker(() => Promise.resolve(), {
    timeout,
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
    volumeThreshold: 20,
  });
  return async (calls) => {
    for (let i = 0; i < calls; i++) await circuit.fire();
  };
}

function fireOpen(): (calls: number) => Promise<void> {
  const circuit = new CircuitBreaker(() => Promise.resolve(), { timeout: false, rollingPercentilesEnabled: false, enableSnapshots: false });
  circuit.open();
  return async (calls) => {
    for (let i = 0; i < calls; i++) await circuit.fire().catch(() => {});
  };
}

if (import.meta.main) {
  for (const { what, ns, bytes } of await benchBreaker(Number(process.argv[2] ?? 200)))
    console.log(`${what.padEnd(42)} ${ns.toFixed(0).padStart(6)} ns  ${bytes.toFixed(1).padStart(7)} bytes`);
  process.exit(); // opossum's timers would keep it here
}
