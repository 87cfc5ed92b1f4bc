import { expect, test, vi } from "vitest";
import { PolicyMeter } from "../../../../src/data/exchange/policy-meter.ts";
import { MetricCells, metricBytes } from "../../../../src/shared/metric-cells.ts";
import { POLICY } from "../../../../src/shared/metric-layout.ts";

const SLOT = 3;
function rig() {
  const cells = new MetricCells(new SharedArrayBuffer(metricBytes()));
  const mark = new Int32Array(1);
  const said: string[] = [];
  const meter = new PolicyMeter(cells, mark, (message, error, requestId) => said.push(`${message} ${error} ${requestId}`));
  const words = (): number[] => {
    const into = new Float64Array(Object.keys(POLICY).length);
    cells.sumPolicy(SLOT, into);
    return [...into];
  };
  return { meter, mark, said, words };
}

test("a call is marked while it runs, and counted with its time", () => {
  const { meter, mark, words } = rig();
  const since = meter.enter(SLOT);
  expect(mark[0]).toBe(SLOT);
  const left = meter.leave(SLOT, since);
  expect([mark[0], left >= since, words()]).toEqual([0, true, [1, left - since, 0, 0]]);
});

test("failures are all counted, and only the first of a period are told", () => {
  const now = vi.spyOn(performance, "now").mockReturnValue(1000);
  try {
    const { meter, said, words } = rig();
    for (let i = 0; i < 25; i++) meter.failed(SLOT, "policy p failed", { error: "e", requestId: String(i) });
    expect(words()[POLICY.failures]).toBe(25);
    expect(said).toHaveLength(10);
    expect(said[9]).toBe("policy p failed; further ones in the next 10 s are counted, not told e 9");
    now.mockReturnValue(11_001);
    meter.failed(SLOT, "policy p failed", { error: "e", requestId: "later" });
    meter.failed(SLOT + 1, "policy q failed", { error: "e", requestId: "other" });
    expect(said.slice(10)).toEqual(["policy p failed e later", "policy q failed e other"]);
  } finally {
    now.mockRestore();
  }
});
