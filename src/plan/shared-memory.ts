// The shared memory that the primary allocates once and hands to every worker. Types only; layouts are documented in src/shared/.
import type { RedisSettings } from "../store/redis-settings.ts";

/** Handed to each worker at start. */
export interface SharedMemory {
  /**
   * Index of this worker's cells and heartbeat. There are some more than workers (SPARE_CELLS), so that the replacement of a failed
   * worker can start while that one still finishes its requests; cells are given to the next one when their thread is gone.
   */
  readonly workerIndex: number;
  /** Shared by all: see shared/target-health.ts. */
  readonly health: SharedArrayBuffer;
  /** Shared by all: see shared/breaker-layout.ts. */
  readonly breakers: SharedArrayBuffer;
  /** Shared by all: see shared/overload/layout.ts. */
  readonly overload: SharedArrayBuffer;
  /** Shared by all: see shared/overload/target-table.ts. */
  readonly overloadTargets: SharedArrayBuffer;
  /** Shared by all: see shared/limit-layout.ts. */
  readonly limits: SharedArrayBuffer;
  /** The key that names are hashed with before they get into the table of limits: 128 bits, the same as long as the process lives. */
  readonly limitHashKey: Uint8Array;
  /** Written by this worker only: see shared/metric-cells.ts. */
  readonly metrics: SharedArrayBuffer;
  /** This worker produces, the primary consumes: see shared/log-ring.ts. */
  readonly logRing: SharedArrayBuffer;
  /** Written by all workers, each its own cell: see shared/heartbeat.ts. */
  readonly heartbeat: SharedArrayBuffer;
  /** Written by all workers, each its own cell: see shared/body-budget.ts. */
  readonly bodyBudget: SharedArrayBuffer;
  /** The same: see shared/address-counts.ts. */
  readonly bodyCounts: SharedArrayBuffer;
  /** Shared by all: see shared/connection-table.ts. */
  readonly connections: SharedArrayBuffer;
  /** Of connections whose client a PROXY header named. Written by all workers, each its own cells: see shared/address-counts.ts. */
  readonly proxiedCounts: SharedArrayBuffer;
  /** Shared by all: see shared/cache/layout.ts. */
  readonly responses: SharedArrayBuffer;
  /** Shared by all: see shared/cache/stamps.ts. */
  readonly purges: SharedArrayBuffer;
  /** Shared by all: see shared/cache/leases.ts. */
  readonly cacheLeases: SharedArrayBuffer;
  /** Written by all: see shared/cache/reasons.ts. */
  readonly cacheReasons: SharedArrayBuffer;
  /** Written by all: see shared/replay-set.ts. */
  readonly replay: SharedArrayBuffer;
  /** null without a fleet. */
  readonly tier: TierMemory | null;
}

/** What a worker needs to use the fleet's Redis as a second tier of the response cache: as it was at the start, since all of the fleet's business goes by that one. */
export interface TierMemory {
  readonly redis: RedisSettings;
  /** Of the fleet's log of purges. */
  readonly logKey: string;
  /** Secret, and equal in the fleet: what records are named and signed by. */
  readonly recordKey: Uint8Array;
  /** Shared by all: see shared/cache/tier-purges.ts. */
  readonly purges: SharedArrayBuffer;
  /** Written by all workers, each its own words: see shared/cache/tier-counts.ts. */
  readonly counts: SharedArrayBuffer;
}
