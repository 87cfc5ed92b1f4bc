// Owns all shared memory of the instance: allocates it, hands each worker its part, cleans up after one that died.
// Layouts are documented where they are defined, in src/shared/.
import { Totals } from "../../observe/totals.ts";
import type { SharedMemory } from "../../plan/shared-memory.ts";
import { Heartbeat, heartbeatBytes } from "../../shared/heartbeat.ts";
import { createLogRing, LogRingReader } from "../../shared/log-ring.ts";
import { MetricCells, metricBytes } from "../../shared/metric-cells.ts";
import { ReplaySet } from "../../shared/replay-set.ts";
import { SlotTable } from "../../shared/slot-table.ts";
import { TargetHealth } from "../../shared/target-health.ts";

export class SharedCells {
  readonly health: TargetHealth;
  readonly slots: SlotTable;
  readonly totals: Totals;
  readonly heartbeat: Heartbeat;
  /** One for each set of cells. */
  readonly readers: readonly LogRingReader[];
  readonly #replay = ReplaySet.allocate();
  readonly #heartbeatBuffer: SharedArrayBuffer;
  readonly #metrics: readonly SharedArrayBuffer[];
  readonly #rings: readonly SharedArrayBuffer[];

  /** @param cells how many workers may write at once, replacements included */
  constructor(cells: number) {
    this.health = new TargetHealth(TargetHealth.allocate(cells));
    this.slots = new SlotTable(this.health);
    this.#heartbeatBuffer = new SharedArrayBuffer(heartbeatBytes(cells));
    this.heartbeat = new Heartbeat(this.#heartbeatBuffer);
    this.#metrics = Array.from({ length: cells }, () => new SharedArrayBuffer(metricBytes()));
    this.#rings = Array.from({ length: cells }, () => createLogRing());
    this.totals = new Totals(this.#metrics.map((buffer) => new MetricCells(buffer)));
    this.readers = this.#rings.map((ring) => new LogRingReader(ring));
  }

  /** A new worker will write these cells. */
  assign(cells: number): SharedMemory {
    this.heartbeat.reset(cells);
    const metrics = this.#metrics[cells];
    const logRing = this.#rings[cells];
    if (metrics === undefined || logRing === undefined) throw new RangeError(`there are no cells ${cells}`);
    return { workerIndex: cells, health: this.health.buffer, metrics, logRing, heartbeat: this.#heartbeatBuffer, replay: this.#replay };
  }

  /** The worker that wrote these cells is gone: its gauges and in-flight counts are void, its counters and log records stay. */
  release(cells: number): void {
    this.health.clearWorker(cells);
    this.totals.cells[cells]?.resetGauges();
  }
}
