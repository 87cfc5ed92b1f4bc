// Measures what choosing an endpoint costs (aim: well under 1 us, no allocation), with its begin() and done().
// Run: node bench/micro/select.ts [rounds]. A test runs it with few rounds, so that it cannot rot.
import { monotonicMs } from "../../src/base/clock.ts";
import { createUpstream } from "../../src/data/upstream/select.ts";
import type { Balance } from "../../src/plan/plan.ts";
import { TargetHealth } from "../../src/shared/target-health.ts";
import { typicalExchange } from "../../test/support/recorded-exchange.ts";
import { endpoints, inertPool, upstreamPlan } from "../../test/support/upstreams.ts";
import type { Micro } from "./measure.ts";

const BATCH = 1000;
const WORKERS = 8;
const BALANCES: readonly Balance[] = ["round-robin", "least-request", "random", "hash"];

/** One row of the result. */
export interface SelectCost {
  readonly balance: Balance;
  readonly count: number;
  readonly equal: boolean;
  /** select() alone. */
  readonly selectNs: number;
  /** select(), begin() and done(). */
  readonly wholeNs: number;
  /** Heap growth for each select(), garbage included. */
  readonly bytes: number;
}

/** @param rounds of 1000 calls each. */
export function benchSelect(rounds: number, counts: readonly number[]): SelectCost[] {
  return BALANCES.flatMap((balance) =>
    counts.flatMap((count) => [true, false].map((equal) => ({ balance, count, equal, ...measure(balance, count, equal, rounds) }))),
  );
}

function measure(balance: Balance, count: number, equal: boolean, rounds: number): Pick<SelectCost, "selectNs" | "wholeNs" | "bytes"> {
  const health = new TargetHealth(TargetHealth.allocate(WORKERS), 0);
  const list = endpoints(Array.from({ length: count }, (_, i) => (equal ? 1 : 1 + (i % 3))));
  const plan = upstreamPlan({ balance, hashOn: { kind: "path" } });
  const upstream = createUpstream(plan, list, { health, poolFor: inertPool, now: monotonicMs, random: Math.random });
  const x = typicalExchange();
  const select = (calls: number) => {
    for (let i = 0; i < calls; i += 1) upstream.select(x, null);
  };
  const whole = (calls: number) => {
    for (let i = 0; i < calls; i += 1) {
      const chosen = upstream.select(x, null);
      if (chosen === null) throw new Error("nothing chosen");
      upstream.begin(chosen);
      upstream.done(chosen, "success");
    }
  };
  const perCall = (run: (calls: number) => void): number => {
    for (let i = 0; i < rounds; i += 1) run(BATCH);
    const startNs = process.hrtime.bigint();
    for (let i = 0; i < rounds; i += 1) run(BATCH);
    return Number(process.hrtime.bigint() - startNs) / (rounds * BATCH);
  };
  const selectNs = perCall(select);
  const heapBefore = process.memoryUsage().heapUsed;
  select(rounds * BATCH);
  const bytes = (process.memoryUsage().heapUsed - heapBefore) / (rounds * BATCH);
  return { selectNs, bytes, wholeNs: perCall(whole) };
}

/** For run.ts. */
export const MICRO: readonly Micro[] = BALANCES.map((balance) => ({
  name: `${balance} of 16, with begin and done`,
  prepare: () => {
    const health = new TargetHealth(TargetHealth.allocate(WORKERS), 0);
    const plan = upstreamPlan({ balance, hashOn: { kind: "path" } });
    const list = endpoints(Array.from({ length: 16 }, () => 1));
    const upstream = createUpstream(plan, list, { health, poolFor: inertPool, now: monotonicMs, random: Math.random });
    const x = typicalExchange();
    return (count) => {
      for (let i = 0; i < count; i += 1) {
        const chosen = upstream.select(x, null);
        if (chosen === null) return Number.NaN;
        upstream.begin(chosen);
        upstream.done(chosen, "success");
      }
      return count;
    };
  },
}));

if (import.meta.main) {
  for (const cost of benchSelect(Number(process.argv[2] ?? 200), [3, 16, 256])) {
    const of = `${cost.balance} of ${cost.count}, weights ${cost.equal ? "equal" : "differ"}`;
    console.log(
      `${of.padEnd(42)} select ${cost.selectNs.toFixed(0).padStart(5)} ns, with begin and done ${cost.wholeNs.toFixed(0).padStart(5)} ns, ${cost.bytes.toFixed(2)} bytes`,
    );
  }
}
