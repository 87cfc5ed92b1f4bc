// What counting a finished exchange costs.
import { MetricCells, metricBytes } from "../../src/shared/metric-cells.ts";
import type { Micro } from "./measure.ts";

export const MICRO: readonly Micro[] = [
  {
    name: "a request and its attempt",
    prepare: () => {
      const cells = new MetricCells(new SharedArrayBuffer(metricBytes()));
      return (count) => {
        for (let i = 0; i < count; i++) {
          cells.request(2 + (i & 63), 200, 0, 0.4 + (i & 7), 0, 512);
          cells.attempt(i & 7, 0, 0.3, 200);
        }
        return count;
      };
    },
  },
];
