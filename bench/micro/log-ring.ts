// Measures what one access-log record costs: the worker's write (aim: under 1.5 us) and the primary's drain.
// Run: node bench/micro/log-ring.ts [rounds]. A test runs it with few rounds, so that it cannot rot.
import { formatAccessRecord } from "../../src/observe/access-log.ts";
import { createLogRing, LogRingReader, LogRingWriter } from "../../src/shared/log-ring.ts";
import { MetricCells, metricBytes } from "../../src/shared/metric-cells.ts";
import { typicalExchange } from "../../test/support/recorded-exchange.ts";
import type { Micro } from "./measure.ts";

const BATCH = 1000;

/** @returns nanoseconds a record: write, decode, and decode with formatting, and how many were drained. */
export function benchLogRing(rounds: number): { writeNs: number; drainNs: number; formatNs: number; records: number } {
  const cells = new MetricCells(new SharedArrayBuffer(metricBytes()));
  const ring = createLogRing();
  const writer = new LogRingWriter(ring, cells);
  const reader = new LogRingReader(ring);
  const x = typicalExchange();
  const line = Buffer.alloc(32 * 1024);
  let writeNs = 0n;
  const drains = [0n, 0n];
  let records = 0;
  for (let round = 0; round < rounds * 2; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < BATCH; i++) writer.write(x, 2.5);
    const written = process.hrtime.bigint();
    let bytes = 0;
    records += reader.drain(
      round % 2 === 0 ? (record) => (bytes += record.status) : (record) => (bytes += line.write(formatAccessRecord(record), "latin1")),
    );
    writeNs += written - start;
    drains[round % 2]! += process.hrtime.bigint() - written;
  }
  const total = rounds * BATCH;
  return { writeNs: Number(writeNs) / total / 2, drainNs: Number(drains[0]) / total, formatNs: Number(drains[1]) / total, records };
}

/** For run.ts. */
export const MICRO: readonly Micro[] = [
  {
    name: "write a record, and drain it",
    prepare: () => {
      const ring = createLogRing();
      const writer = new LogRingWriter(ring, new MetricCells(new SharedArrayBuffer(metricBytes())));
      const reader = new LogRingReader(ring);
      const x = typicalExchange();
      return (count) => {
        let records = 0;
        for (let i = 0; i < count; i++) {
          writer.write(x, 2.5);
          // Never full, and drained in batches as the primary does.
          if (i % BATCH === BATCH - 1 || i === count - 1) records += reader.drain(() => {});
        }
        return records === count ? records : Number.NaN;
      };
    },
  },
];

if (import.meta.main) {
  const rounds = Number(process.argv[2] ?? 200);
  benchLogRing(rounds);
  const { writeNs, drainNs, formatNs } = benchLogRing(rounds);
  console.log(`write ${writeNs.toFixed(0)} ns, drain ${drainNs.toFixed(0)} ns, drain and format ${formatNs.toFixed(0)} ns a record`);
}
