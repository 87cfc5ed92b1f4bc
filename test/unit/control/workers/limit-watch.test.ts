import { expect, test } from "vitest";
import { monotonicMs } from "../../../../src/base/clock.ts";
import { LimitWatch } from "../../../../src/control/workers/limit-watch.ts";
import { createLog } from "../../../../src/observe/log.ts";
import { MODE_LOCAL, rateSize } from "../../../../src/shared/limit-size.ts";
import { LimitTable } from "../../../../src/shared/limit-table.ts";
import { LimitTablePrimary } from "../../../../src/shared/limit-table-primary.ts";
import { askFor, EPOCH_MS, identity } from "../../../support/limit-table.ts";

test("a full table is said once, stays a concern while it lasts, and its end is said", () => {
  const buffer = LimitTable.allocate(4096, 1, 0);
  const worker = new LimitTable(buffer, 0);
  const watch = new LimitWatch(new LimitTablePrimary(buffer));
  const lines: string[] = [];
  const log = createLog({ output: { write: (text) => lines.push(text) } });
  const said = (): string[] => lines.map((line) => JSON.parse(line).message);
  const size = rateSize({ count: 1, periodMs: 86_400_000 }, 1, MODE_LOCAL);
  worker.setNow(monotonicMs(), EPOCH_MS);
  let key = 0;
  const spray = (count: number): void => {
    for (let i = 0; i < count; i++) worker.spend(askFor(identity(1), `key ${key++}`, size));
  };
  spray(1000);
  watch.look(log);
  expect([watch.concern, said()]).toEqual([null, []]);
  spray(6000);
  for (let i = 0; i < 3; i++) {
    spray(10);
    watch.look(log);
  }
  expect(watch.concern).toMatch(/^the table of limits is full \(\d+ of 4096 in use\)/);
  expect(said()).toEqual(["the table of limits is full: new callers share buckets; raise limits.rateLimitBuckets"]);
  for (let i = 0; i < 60; i++) watch.look(log);
  expect(watch.concern).toBeNull();
  expect(said()).toHaveLength(2);
  expect(said()[1]).toBe("every caller has a bucket of its own again");
});
