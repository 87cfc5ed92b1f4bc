// Owns all shared memory of the instance: allocates it, hands each worker its part, cleans up after one that died.
// Layouts are documented where they are defined, in src/shared/.
import { monotonicMs } from "../../base/clock.ts";
import { earlyRandomBytes } from "../../base/random-bytes.ts";
import { SIP_KEY_BYTES } from "../../base/sip-hash.ts";
import { Totals } from "../../observe/totals.ts";
import type { Plan } from "../../plan/plan.ts";
import type { SharedMemory, TierMemory } from "../../plan/shared-memory.ts";
import { AddressBucket } from "../../shared/address-bucket.ts";
import { AddressCounts, addressCountsBytes } from "../../shared/address-counts.ts";
import { BodyBudget, bodyBudgetBytes } from "../../shared/body-budget.ts";
import { BreakerAdmin } from "../../shared/breaker-admin.ts";
import { UPSTREAM_SLOTS_MAX, upstreamBreakerSlot } from "../../shared/breaker-layout.ts";
import { BreakerTable } from "../../shared/breaker-table.ts";
import { Leases } from "../../shared/cache/leases.ts";
import { Reasons } from "../../shared/cache/reasons.ts";
import { Stamps } from "../../shared/cache/stamps.ts";
import { ResponseStore } from "../../shared/cache/store.ts";
import { TierCounts } from "../../shared/cache/tier-counts.ts";
import { TierPurges } from "../../shared/cache/tier-purges.ts";
import { CONNECTION_TABLE_BYTES, ConnectionTable } from "../../shared/connection-table.ts";
import { Heartbeat, heartbeatBytes } from "../../shared/heartbeat.ts";
import { LimitTable } from "../../shared/limit-table.ts";
import { LimitTablePrimary } from "../../shared/limit-table-primary.ts";
import { createLogRing, LogRingReader } from "../../shared/log-ring.ts";
import { MetricCells, metricBytes } from "../../shared/metric-cells.ts";
import { OVERLOAD_SLOTS_MAX } from "../../shared/overload/layout.ts";
import { OverloadTable } from "../../shared/overload/overload-table.ts";
import { TargetTable } from "../../shared/overload/target-table.ts";
import { ReplaySet } from "../../shared/replay-set.ts";
import { SlotNames } from "../../shared/slot-names.ts";
import { SlotTable } from "../../shared/slot-table.ts";
import { TargetHealth } from "../../shared/target-health.ts";
import { LimitWatch } from "./limit-watch.ts";

export class SharedCells {
  readonly health: TargetHealth;
  readonly breakers: BreakerAdmin;
  readonly slots: SlotTable;
  readonly #breakerNames: SlotNames;
  readonly overload: OverloadTable;
  readonly #overloadNames: SlotNames;
  readonly overloadTargets: TargetTable;
  readonly totals: Totals;
  readonly heartbeat: Heartbeat;
  /** One for each set of cells. */
  readonly readers: readonly LogRingReader[];
  /** The primary's view of the table of limits. */
  readonly limits: LimitTablePrimary;
  readonly limitWatch: LimitWatch;
  readonly #limitHashKey: Uint8Array;
  readonly #replay = ReplaySet.allocate();
  /** The primary's view of the store of responses. */
  readonly responses: ResponseStore;
  readonly purges: Stamps;
  readonly #responsesBuffer: SharedArrayBuffer;
  readonly #purgesBuffer = Stamps.allocate();
  readonly #cacheLeases = Leases.allocate();
  readonly #cacheReasons = Reasons.allocate();
  /** The primary's view of why responses are not served from the store. */
  readonly cacheReasons = new Reasons(this.#cacheReasons);
  /** The primary's view of the cache's tier in Redis; null without a fleet. */
  readonly tier: { readonly purges: TierPurges; readonly counts: TierCounts } | null;
  readonly #tierMemory: TierMemory | null;
  /** Bytes of request bodies that the workers hold. */
  readonly bodyBudget: BodyBudget;
  readonly connections: ConnectionTable;
  readonly addressBuckets: AddressBucket;
  readonly #bodyBudgetBuffer: SharedArrayBuffer;
  readonly #bodyCounts: SharedArrayBuffer;
  readonly #proxiedCounts: SharedArrayBuffer;
  readonly #heartbeatBuffer: SharedArrayBuffer;
  readonly #metrics: readonly SharedArrayBuffer[];
  readonly #rings: readonly SharedArrayBuffer[];

  /**
   * @param cells how many workers may write at once, replacements included
   * @param limits slots of the table of limits, and the key that names are hashed with for it
   * @param cache memory of the store of responses, and where the fleet's Redis is
   */
  constructor(
    cells: number,
    limits: { readonly buckets: number; readonly hashKey: Uint8Array },
    cache: { readonly bytes: number; readonly tier: Omit<TierMemory, "purges" | "counts"> | null },
  ) {
    this.#tierMemory = cache.tier === null ? null : { ...cache.tier, purges: TierPurges.allocate(), counts: TierCounts.allocate(cells) };
    this.tier = viewOf(this.#tierMemory);
    this.#responsesBuffer = ResponseStore.allocate(cache.bytes, cells, earlyRandomBytes(SIP_KEY_BYTES));
    this.responses = new ResponseStore(this.#responsesBuffer);
    this.purges = new Stamps(this.#purgesBuffer);
    this.limits = new LimitTablePrimary(LimitTable.allocate(limits.buckets, cells, monotonicMs()));
    this.limitWatch = new LimitWatch(this.limits);
    this.#limitHashKey = limits.hashKey;
    this.health = new TargetHealth(TargetHealth.allocate(cells));
    this.breakers = new BreakerAdmin(BreakerTable.allocate(cells));
    this.overloadTargets = new TargetTable(TargetTable.allocate(cells));
    this.slots = new SlotTable(this.health, (slot) => {
      this.breakers.reset(slot);
      this.overloadTargets.reset(slot);
    });
    this.#breakerNames = new SlotNames((index) => this.breakers.reset(upstreamBreakerSlot(index)), UPSTREAM_SLOTS_MAX);
    this.overload = new OverloadTable(OverloadTable.allocate(cells));
    this.#overloadNames = new SlotNames((slot) => this.overload.reset(slot), OVERLOAD_SLOTS_MAX);
    this.addressBuckets = new AddressBucket(limits.hashKey);
    this.#bodyBudgetBuffer = new SharedArrayBuffer(bodyBudgetBytes(cells));
    this.bodyBudget = new BodyBudget(this.#bodyBudgetBuffer);
    this.#bodyCounts = new SharedArrayBuffer(addressCountsBytes(cells));
    this.#proxiedCounts = new SharedArrayBuffer(addressCountsBytes(cells));
    this.connections = new ConnectionTable(new SharedArrayBuffer(CONNECTION_TABLE_BYTES));
    this.#heartbeatBuffer = new SharedArrayBuffer(heartbeatBytes(cells));
    this.heartbeat = new Heartbeat(this.#heartbeatBuffer);
    this.#metrics = Array.from({ length: cells }, () => new SharedArrayBuffer(metricBytes()));
    this.#rings = Array.from({ length: cells }, () => createLogRing());
    this.totals = new Totals(this.#metrics.map((buffer) => new MetricCells(buffer)));
    this.readers = this.#rings.map((ring) => new LogRingReader(ring));
  }

  /** @returns the slot of an upstream's own breaker. For compiling a plan, which may still be refused. */
  breakerSlot(upstream: string): number {
    return upstreamBreakerSlot(this.#breakerNames.slot(upstream)); // the schema has fewer than there are slots
  }

  /** The plan in force has these: other names may lose their slots. */
  keepBreakers(plan: Plan | null): void {
    this.#breakerNames.keepOnly((plan?.upstreams ?? []).filter((each) => each.breaker !== null).map((each) => each.name));
  }

  /** @returns the slot of an upstream's in-flight limit. For compiling a plan, which may still be refused. */
  overloadSlot(upstream: string): number {
    return this.#overloadNames.slot(upstream); // the schema has fewer than there are slots
  }

  /** The plan in force has these: other names may lose their slots. */
  keepOverload(plan: Plan | null): void {
    this.#overloadNames.keepOnly((plan?.upstreams ?? []).filter((each) => each.overload !== null).map((each) => each.name));
  }

  /** The age of a worker's last sign of life, and the policy of the user's own that it is in. */
  beat(cells: number): { readonly ageMs: number; readonly policy: string | null } {
    return { ageMs: this.heartbeat.ageMs(cells), policy: this.totals.policyNames.nameOf(this.heartbeat.policySlot(cells)) };
  }

  /** A new worker will write these cells. */
  assign(cells: number): SharedMemory {
    this.heartbeat.reset(cells);
    const metrics = this.#metrics[cells];
    const logRing = this.#rings[cells];
    if (metrics === undefined || logRing === undefined) throw new RangeError(`there are no cells ${cells}`);
    return {
      workerIndex: cells,
      health: this.health.buffer,
      breakers: this.breakers.buffer,
      overload: this.overload.buffer,
      overloadTargets: this.overloadTargets.buffer,
      limits: this.limits.buffer,
      limitHashKey: this.#limitHashKey,
      metrics,
      logRing,
      heartbeat: this.#heartbeatBuffer,
      responses: this.#responsesBuffer,
      purges: this.#purgesBuffer,
      cacheLeases: this.#cacheLeases,
      cacheReasons: this.#cacheReasons,
      tier: this.#tierMemory,
      replay: this.#replay,
      bodyBudget: this.#bodyBudgetBuffer,
      bodyCounts: this.#bodyCounts,
      connections: this.connections.buffer,
      proxiedCounts: this.#proxiedCounts,
    };
  }

  /** The worker that wrote these cells is gone: its gauges and in-flight counts are void, its counters and log records stay. */
  release(cells: number): void {
    this.health.clearWorker(cells);
    this.breakers.clearWorker(cells);
    this.overload.clearWorker(
      cells,
      Array.from(this.#overloadNames.entries(), ([, slot]) => slot),
    );
    this.overloadTargets.clearWorker(cells, this.slots.used());
    this.limits.clearWorker(cells);
    this.responses.clearWorker(cells);
    this.tier?.counts.clearWorker(cells);
    new Leases(this.#cacheLeases).clearWorker(cells);
    this.bodyBudget.clearWorker(cells);
    for (const counts of [this.#bodyCounts, this.#proxiedCounts]) new AddressCounts(counts).clearWorker(cells);
    this.totals.cells[cells]?.resetGauges();
  }
}

const viewOf = (memory: TierMemory | null): SharedCells["tier"] =>
  memory === null ? null : { purges: new TierPurges(memory.purges), counts: new TierCounts(memory.counts) };
