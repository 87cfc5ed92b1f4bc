// Owns the shared memory of one worker, for tests that run a worker's parts in their own thread.
import type { SharedMemory } from "../../src/plan/shared-memory.ts";
import { addressCountsBytes } from "../../src/shared/address-counts.ts";
import { bodyBudgetBytes } from "../../src/shared/body-budget.ts";
import { BreakerTable } from "../../src/shared/breaker-table.ts";
import { Leases } from "../../src/shared/cache/leases.ts";
import { Reasons } from "../../src/shared/cache/reasons.ts";
import { Stamps } from "../../src/shared/cache/stamps.ts";
import { ResponseStore } from "../../src/shared/cache/store.ts";
import { CONNECTION_TABLE_BYTES } from "../../src/shared/connection-table.ts";
import { heartbeatBytes } from "../../src/shared/heartbeat.ts";
import { LimitTable } from "../../src/shared/limit-table.ts";
import { createLogRing } from "../../src/shared/log-ring.ts";
import { metricBytes } from "../../src/shared/metric-cells.ts";
import { OverloadTable } from "../../src/shared/overload/overload-table.ts";
import { TargetTable } from "../../src/shared/overload/target-table.ts";
import { ReplaySet } from "../../src/shared/replay-set.ts";
import { TargetHealth } from "../../src/shared/target-health.ts";

export const workerMemory = (): SharedMemory => ({
  workerIndex: 0,
  health: TargetHealth.allocate(1),
  breakers: BreakerTable.allocate(1),
  overload: OverloadTable.allocate(1),
  overloadTargets: TargetTable.allocate(1),
  limits: LimitTable.allocate(4096, 1, 0),
  limitHashKey: new Uint8Array(16),
  metrics: new SharedArrayBuffer(metricBytes()),
  logRing: createLogRing(),
  heartbeat: new SharedArrayBuffer(heartbeatBytes(1)),
  replay: ReplaySet.allocate(2 ** 10),
  responses: ResponseStore.allocate(8 * 1024 * 1024, 1, new Uint8Array(16)),
  purges: Stamps.allocate(),
  cacheLeases: Leases.allocate(),
  cacheReasons: Reasons.allocate(),
  tier: null,
  bodyBudget: new SharedArrayBuffer(bodyBudgetBytes(1)),
  bodyCounts: new SharedArrayBuffer(addressCountsBytes(1)),
  connections: new SharedArrayBuffer(CONNECTION_TABLE_BYTES),
  proxiedCounts: new SharedArrayBuffer(addressCountsBytes(1)),
});
