// Every benchmark of a hot module runs, with tiny counts, and checks its own result: they cannot rot.
import { describe, expect, it } from "vitest";
import { measure } from "../../../bench/micro/measure.ts";
import { loadMicros, microFiles, microText } from "../../../bench/micro/run.ts";

const TINY = { rounds: 2, batchMs: 0.01, warmMs: 1 };

describe.each(microFiles())("bench/micro/%s.ts", (file) => {
  it("runs, and gives a cost for each of its benchmarks", async () => {
    const micros = await loadMicros(file);
    const costs = measure(micros, TINY);
    expect(costs.map(({ name }) => name)).toEqual(micros.map(({ name }) => name));
    for (const cost of costs) {
      expect(cost.medianNs).toBeGreaterThan(0);
      expect(cost.minNs).toBeLessThanOrEqual(cost.medianNs);
      expect(cost.maxNs).toBeGreaterThanOrEqual(cost.medianNs);
      expect(microText({ file, costs })).toContain(cost.name);
    }
  });
});

describe("measure", () => {
  it("refuses a benchmark whose result is not used or is wrong", () => {
    expect(() => measure([{ name: "wrong", prepare: () => () => Number.NaN }], TINY)).toThrow("the result is used");
  });

  it("measures as many rounds as it is told, after having warmed up", () => {
    const batches: number[] = [];
    const micro = { name: "counted", prepare: () => (count: number) => batches.push(count) };
    const [cost] = measure([micro], TINY);
    expect(batches.length).toBeGreaterThan(TINY.rounds);
    expect(new Set(batches.slice(-TINY.rounds)).size).toBe(1); // the batch was settled before
    expect(cost?.name).toBe("counted");
  });
});
