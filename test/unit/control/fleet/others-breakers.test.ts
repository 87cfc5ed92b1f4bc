import { expect, it } from "vitest";
import type { BreakerReport } from "../../../../src/control/fleet/breaker-report.ts";
import { INSTANCES_NAMED_MAX, OTHERS_MAX, OthersSummary } from "../../../../src/control/fleet/others-breakers.ts";
import { createLog } from "../../../../src/observe/log.ts";
import { PHASE } from "../../../../src/shared/breaker-word.ts";

function summary() {
  const said: { message: string; level: string; upstream?: string; instances?: number }[] = [];
  const log = createLog({ output: { write: (line) => said.push(JSON.parse(line)) } });
  return { said, others: new OthersSummary(log) };
}

const report = (name: string, phases: Readonly<Record<string, number>>, leftOut = 0): BreakerReport => ({
  name,
  leftOut,
  breakers: Object.entries(phases).map(([upstream, phase]) => ({ upstream, target: null, phase })),
});

it("counts instances by state, the most widespread first, and names those that are stopped first", () => {
  const { others } = summary();
  others.update([
    report("a:1", { users: PHASE.recovering, orders: PHASE.forcedClosed }),
    report("b:1", { users: PHASE.open }),
    report("c:1", { users: PHASE.open }, 3),
    report("d:1", {}),
  ]);
  expect(others.breakers).toEqual([
    {
      upstream: "users",
      target: null,
      states: { recovering: 1, open: 2 },
      instances: [
        { name: "c:1", state: "open" },
        { name: "b:1", state: "open" },
        { name: "a:1", state: "recovering" },
      ],
    },
    { upstream: "orders", target: null, states: { "forced closed": 1 }, instances: [{ name: "a:1", state: "forced closed" }] },
  ]);
  expect(others.leftOut).toBe(3);
});

it("says once that a breaker is open elsewhere, and once that it is nowhere any more", () => {
  const { others, said } = summary();
  others.update([report("a:1", { users: PHASE.open })]);
  others.update([report("a:1", { users: PHASE.halfOpen }), report("b:1", { users: PHASE.open })]);
  others.update([report("b:1", { users: PHASE.forcedOpen })]);
  others.forget();
  expect(others.breakers).toEqual([]);
  others.update([report("b:1", { users: PHASE.open })]);
  expect(said).toEqual([
    expect.objectContaining({
      level: "info",
      message: "breaker is open at other instances",
      upstream: "users",
      instances: 1,
      first: "a:1",
    }),
  ]);
  others.update([report("b:1", { users: PHASE.recovering })]);
  others.update([]);
  expect(said.map(({ message }) => message).slice(1)).toEqual(["breaker is no longer open at other instances"]);
});

it("lists and says no more than its bounds", () => {
  const { others, said } = summary();
  const names = Array.from({ length: OTHERS_MAX + 5 }, (_, i) => [`u${i}`, PHASE.open] as const);
  others.update([report("a:1", Object.fromEntries(names))]);
  expect([others.breakers.length, others.leftOut, said.length]).toEqual([OTHERS_MAX, 5, 11]);
  expect(said.at(-1)).toMatchObject({ message: "more breakers have changed at other instances", breakers: OTHERS_MAX - 10 });
  others.update(Array.from({ length: 50 }, (_, i) => report(`i:${i}`, { u0: PHASE.open })));
  expect(others.breakers[0]?.states).toEqual({ open: 50 });
  expect(others.breakers[0]?.instances).toHaveLength(INSTANCES_NAMED_MAX);
});
