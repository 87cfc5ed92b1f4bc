import { expect, test } from "vitest";
import { Watchdog } from "../../../../src/control/primary/watchdog.ts";

/** @param looks one list of heartbeat ages (by seat) for each look */
function check(looks: readonly (readonly number[])[], expected: readonly string[], replaceAfterMs = 30_000): void {
  const said: string[] = [];
  const watchdog = new Watchdog(
    { timeoutMs: 5000, replaceAfterMs },
    {
      blocked: (seat, ageMs) => said.push(`blocked ${seat} ${ageMs}`),
      recovered: (seat) => said.push(`recovered ${seat}`),
      replace: (seat, ageMs) => said.push(`replace ${seat} ${ageMs}`),
    },
  );
  for (const ages of looks) watchdog.look(ages.map((ageMs, seat) => ({ seat, ageMs, policy: null })));
  expect(said).toEqual(expected);
}

test("a late heartbeat is said once, and its return", () => {
  check(
    [
      [100, 100],
      [5000, 100],
    ],
    [],
  );
  check(
    [
      [100, 5001],
      [100, 6000],
      [100, 90],
      [100, 7000],
    ],
    ["blocked 1 5001", "recovered 1", "blocked 1 7000"],
  );
});

test("a worker that is gone is no longer blocked", () => check([[9000], []], ["blocked 0 9000", "recovered 0"]));

test("beyond replaceAfter a replacement is asked for, once", () => {
  check([[6000], [30_001], [31_000]], ["blocked 0 6000", "replace 0 30001"]);
  check([[40_000]], ["blocked 0 40000"], 0);
});

test("a failed replacement is asked for again", () => {
  const said: number[] = [];
  const watchdog = new Watchdog(
    { timeoutMs: 1, replaceAfterMs: 2 },
    { blocked: () => {}, recovered: () => {}, replace: (_, ageMs) => said.push(ageMs) },
  );
  watchdog.look([{ seat: 0, ageMs: 3, policy: null }]);
  watchdog.retry();
  watchdog.look([{ seat: 0, ageMs: 4, policy: null }]);
  expect(said).toEqual([3, 4]);
  expect(watchdog.blocked).toEqual([0]);
});

test("what is said of a blocked worker names the policy that it is in", () => {
  const said: (string | null)[] = [];
  const watchdog = new Watchdog(
    { timeoutMs: 1, replaceAfterMs: 2 },
    {
      blocked: (_seat, _ageMs, policy) => said.push(policy),
      recovered: () => {},
      replace: (_seat, _ageMs, policy) => said.push(policy),
    },
  );
  watchdog.look([{ seat: 0, ageMs: 3, policy: "tenant" }]);
  expect(said).toEqual(["tenant", "tenant"]);
});
