// What one worker thread has once, whatever plan it serves: timer wheel, metric cells, log ring, request ids, its pools.
import { type ErrorCode, errorNumber } from "../../base/errors.ts";
import { isForWantOfRoom, type OverloadReason } from "../../base/priorities.ts";
import { TimerWheel } from "../../base/timer-wheel.ts";
import { importModule } from "../../modules/load-imports.ts";
import { type PolicyModule, policyOf } from "../../modules/policy-module.ts";
import type { PasswordPool } from "../../offload/password-pool.ts";
import type { PasswordJob } from "../../offload/password-task.ts";
import type { Verdict, VerifyPool } from "../../offload/verify-pool.ts";
import type { DeprecatedCalls } from "../../plan/deprecated-calls.ts";
import type { VerificationKeyPlan } from "../../plan/keys.ts";
import { BACKGROUND } from "../../plan/overload-plan.ts";
import type { EndpointPlan, Plan, UpstreamPlan } from "../../plan/plan.ts";
import type { SharedMemory } from "../../plan/shared-memory.ts";
import { AddressBucket } from "../../shared/address-bucket.ts";
import { AddressCounts } from "../../shared/address-counts.ts";
import { BodyBudget } from "../../shared/body-budget.ts";
import { BreakerTable } from "../../shared/breaker-table.ts";
import { Leases } from "../../shared/cache/leases.ts";
import { CACHE } from "../../shared/cache/outcomes.ts";
import { Reasons } from "../../shared/cache/reasons.ts";
import { Stamps } from "../../shared/cache/stamps.ts";
import { ResponseStore } from "../../shared/cache/store.ts";
import { ConnectionTable } from "../../shared/connection-table.ts";
import { DeprecatedTotals } from "../../shared/deprecated-totals.ts";
import { Heartbeat } from "../../shared/heartbeat.ts";
import { LimitTable } from "../../shared/limit-table.ts";
import { LogRingWriter } from "../../shared/log-ring.ts";
import { MetricCells } from "../../shared/metric-cells.ts";
import {
  CELL,
  type Cell,
  CLIENT_FAULTS,
  type ClientFault,
  type DecisionOutcome,
  type LegOutcome,
  type LimitOutcome,
  ROUTE_SLOT_OVERFLOW,
  TIER_SLOT_NONE,
} from "../../shared/metric-layout.ts";
import { OverloadTable } from "../../shared/overload/overload-table.ts";
import { TargetTable } from "../../shared/overload/target-table.ts";
import { ReplaySet } from "../../shared/replay-set.ts";
import { TargetHealth } from "../../shared/target-health.ts";
import { BodyLimits } from "../exchange/body/body-limits.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { KeyStore } from "../exchange/identity/key-store.ts";
import { PolicyMeter } from "../exchange/policy-meter.ts";
import type { CacheTierParts, Services } from "../exchange/runtime.ts";
import { ConnectionLimits, type ConnectionRefusal } from "../listener/connection-limits.ts";
import { WorkerLoad } from "../load/worker-load.ts";
import { priorityOf } from "../upstream/overload/flow.ts";
import { Gates } from "../upstream/overload/gates.ts";
import { type CreatePool, TRANSPORTS, type TransportEntry, transportOf } from "../upstream/transport/registry.ts";
import type { Pool } from "../upstream/upstream.ts";
import { Links } from "./links.ts";
import { RequestIds } from "./request-ids.ts";

/** How often gauges are written to the metric cells, ms. */
const GAUGE_MS = 250;

/** At most one line about what clients do is written in so long, ms. */
const CLIENT_FAULTS_TOLD_MS = 10_000;

/** prepare() was not called: nothing can be verified. */
const FAILED: Promise<Verdict> = Promise.resolve("failed");

interface SharedPool {
  readonly pool: Pool;
  users: number;
}

export class WorkerServices implements Services {
  readonly wheel = new TimerWheel();
  readonly health: TargetHealth;
  readonly breakers: BreakerTable;
  readonly limits: LimitTable;
  readonly limitHashKey: Uint8Array;
  readonly replay: ReplaySet;
  readonly responses: ResponseStore;
  readonly purges: Stamps;
  readonly cacheLeases: Leases;
  readonly cacheReasons: Reasons;
  readonly cacheTier: CacheTierParts | null;
  readonly links: Links;
  readonly gates: Gates;
  readonly load: WorkerLoad;
  readonly bodies: BodyLimits;
  readonly connections: ConnectionLimits;
  inFlight = 0;
  webSockets = 0;
  draining = false;
  mirrored = 0;
  readonly keys: KeyStore;
  /** Has the primary tell the fleet, set by the worker. */
  tellChanged: (numbers: readonly number[]) => void = () => {};
  /** Open client connections, set by the worker. */
  countConnections: () => number = () => 0;
  readonly policies: PolicyMeter;
  /** Policy modules of this thread that a plan has named, by address. */
  readonly modules = new Map<string, PolicyModule>();
  private readonly cells: MetricCells;
  private readonly log: LogRingWriter;
  private readonly deprecated = new DeprecatedTotals();
  private readonly warn: (message: string) => void;
  private verifier: VerifyPool | null = null;
  /** Most passwords need none. */
  private passwords: PasswordPool | null = null;
  private readonly transports: readonly TransportEntry[];
  private readonly poolMakers = new Map<string, CreatePool>();
  private readonly pools = new Map<string, SharedPool>();
  // Random enough to be told from every other thread's, which is all it is for: node:crypto takes a new thread 5 ms to load.
  private readonly ids = new RequestIds(
    `${Math.floor(Math.random() * 2 ** 48)
      .toString(16)
      .padStart(12, "0")}-`,
  );
  private loop = performance.eventLoopUtilization();
  /** Since the last line about them, and performance.now() ms from which on there may be another one. */
  private clientFaults = 0;
  private clientFaultsToldMs = 0;

  /**
   * @param requestKeys has the primary look for new keys of a source
   * @param requestLink has it make a line to another worker
   */
  constructor(
    shared: SharedMemory,
    warn: (message: string) => void,
    requestKeys: (source: string) => void,
    requestLink: (worker: number) => void = () => {},
    transports: readonly TransportEntry[] = TRANSPORTS,
  ) {
    this.transports = transports;
    this.keys = new KeyStore(requestKeys);
    this.health = new TargetHealth(shared.health, shared.workerIndex);
    this.breakers = new BreakerTable(shared.breakers, shared.workerIndex);
    this.limits = new LimitTable(shared.limits, shared.workerIndex);
    this.limitHashKey = shared.limitHashKey;
    this.replay = new ReplaySet(shared.replay);
    this.responses = new ResponseStore(shared.responses, shared.workerIndex);
    this.purges = new Stamps(shared.purges);
    this.cacheLeases = new Leases(shared.cacheLeases, shared.workerIndex);
    this.cacheReasons = new Reasons(shared.cacheReasons);
    this.cacheTier =
      shared.tier === null
        ? null
        : { memory: shared.tier, worker: shared.workerIndex, warn, tellChanged: (numbers) => this.tellChanged(numbers) };
    this.links = new Links(requestLink);
    this.load = new WorkerLoad(this);
    this.load.start();
    const tables = { upstreams: new OverloadTable(shared.overload), targets: new TargetTable(shared.overloadTargets), own: this.load };
    this.gates = new Gates(tables, shared.workerIndex);
    const buckets = new AddressBucket(shared.limitHashKey);
    this.bodies = new BodyLimits(
      new BodyBudget(shared.bodyBudget, shared.workerIndex),
      new AddressCounts(shared.bodyCounts, shared.workerIndex),
      buckets,
    );
    this.connections = new ConnectionLimits({
      table: new ConnectionTable(shared.connections),
      proxied: new AddressCounts(shared.proxiedCounts, shared.workerIndex),
      buckets,
    });
    this.cells = new MetricCells(shared.metrics);
    this.cells.resetGauges();
    this.log = new LogRingWriter(shared.logRing, this.cells);
    this.warn = warn;
    const mark = new Heartbeat(shared.heartbeat).policyMark(shared.workerIndex);
    this.policies = new PolicyMeter(this.cells, mark, (message, error, requestId) => this.reportFault(message, error, requestId));
    setInterval(() => this.writeGauges(), GAUGE_MS).unref();
  }

  /** Unique in the fleet: 48 random bits for the thread, then a counter. */
  nextRequestId(): string {
    return this.ids.next();
  }

  record(x: Exchange): void {
    const totalMs = performance.now() - x.startedMs;
    this.cells.request(x.route?.metricSlot ?? 0, x.status, errorNumber(x.errorCode), totalMs, x.bytesIn, x.bytesOut);
    if (x.cacheResult !== CACHE.none) this.cells.cache(x.route?.metricSlot ?? 0, x);
    const hasPriority = x.overloadReason !== null || x.lineMs > 0;
    const priority = !hasPriority ? -1 : x.isBackground ? BACKGROUND : priorityOf(x, x.runtime.plan.overload.tiers);
    if (x.overloadReason !== null && isForWantOfRoom(x.errorCode)) this.recordRefused(x, x.overloadReason, priority);
    this.log.write(x, totalMs, priority);
  }

  private recordRefused({ identity, runtime }: Exchange, reason: OverloadReason, priority: number): void {
    const tier = identity?.tier ?? null;
    const slot = tier === null ? TIER_SLOT_NONE : (runtime.plan.overload.tiers[tier]?.metricSlot ?? ROUTE_SLOT_OVERFLOW);
    this.cells.refused(slot, reason, priority);
  }

  recordAttempt(slot: number, code: ErrorCode | null, status: number, firstByteMs: number): void {
    this.cells.attempt(slot, errorNumber(code), firstByteMs, status);
  }

  recordRetry(slot: number): void {
    this.cells.retry(slot);
  }

  recordDeprecated(route: string, consumer: string): void {
    this.deprecated.add(route, consumer, 1);
  }

  /** What is to be reported to the primary. @returns null for nothing */
  takeDeprecatedCalls(): readonly DeprecatedCalls[] | null {
    return this.deprecated.take();
  }

  recordLimit(slot: number, outcome: LimitOutcome): void {
    this.cells.limit(slot, outcome);
  }

  recordDecision(slot: number, outcome: DecisionOutcome): void {
    this.cells.decision(slot, outcome);
  }

  recordLeg(slot: number, outcome: LegOutcome): void {
    this.cells.leg(slot, outcome);
  }

  /** A client was closed as soon as it had connected. */
  recordRefusedConnection(why: ConnectionRefusal): void {
    this.cells.add(why === "total" ? CELL.connectionsOverTotal : CELL.connectionsOverAddressTotal, 1);
  }

  recordClientFault(kind: ClientFault, peer: string, reason: string): void {
    this.cells.add((CELL.protocolFaultsTotal + CLIENT_FAULTS.indexOf(kind)) as Cell, 1); // four words in that order
    this.clientFaults++;
    const now = performance.now();
    if (now < this.clientFaultsToldMs) return;
    this.clientFaultsToldMs = now + CLIENT_FAULTS_TOLD_MS;
    const more = this.clientFaults > 1 ? `; ${this.clientFaults} in all since the last such line` : "";
    this.warn(`an HTTP/2 client breaks the rules (${kind}): ${reason} (peer ${peer === "" ? "on a Unix socket" : peer}${more})`);
    this.clientFaults = 0;
  }

  recordMirror(sent: boolean): void {
    this.cells.add(sent ? CELL.mirroredTotal : CELL.mirrorDroppedTotal, 1);
  }

  reportFault(message: string, error: unknown, requestId: string): void {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.warn(`${message} (request ${requestId}): ${what}`);
  }

  verifySignature(token: string, alg: string, key: VerificationKeyPlan): Promise<Verdict> | null {
    return this.verifier === null ? FAILED : this.verifier.verify(token, alg, key);
  }

  async checkPassword(job: PasswordJob): Promise<boolean> {
    if (this.passwords === null) {
      const { PasswordPool } = await import("../../offload/password-pool.ts");
      this.passwords ??= new PasswordPool(this.warn);
    }
    return this.passwords.check(job);
  }

  /** Loads what a plan needs and most do not: undici, the thread that verifies tokens. Before a runtime is built from it. */
  async prepare(plan: Plan): Promise<void> {
    for (const { name, load } of this.transports)
      if (!this.poolMakers.has(name) && plan.upstreams.some((upstream) => transportOf(upstream) === name))
        this.poolMakers.set(name, await load());
    if (plan.modules.length > 0) await this.importModules(plan);
    if (this.verifier === null && plan.authenticators.some((each) => each.kind === "jwt")) {
      const { VerifyPool } = await import("../../offload/verify-pool.ts");
      this.verifier ??= new VerifyPool(this.warn);
    }
  }

  /** @throws Error that names the module */
  private async importModules({ modules, routes }: Plan): Promise<void> {
    for (const { url, name, file } of routes.flatMap((route) => route.modules)) {
      if (this.modules.has(url)) continue;
      const policy = policyOf(await importModule(url, modules));
      if (typeof policy === "string") throw new Error(`policy ${name} (${file}): ${policy}`);
      this.modules.set(url, policy);
    }
  }

  /** The pool for an endpoint: shared by all plans that describe the upstream alike, so that a reload keeps warm connections. */
  poolFor(endpoint: EndpointPlan, upstream: UpstreamPlan): Pool {
    const key = poolKey(endpoint, upstream);
    let shared = this.pools.get(key);
    if (shared === undefined) {
      const pool = this.createPool(endpoint, upstream);
      shared = { pool, users: 0 };
      this.pools.set(key, shared);
    }
    shared.users++;
    return shared.pool;
  }

  private createPool(endpoint: EndpointPlan, upstream: UpstreamPlan): Pool {
    const transport = transportOf(upstream);
    const create = this.poolMakers.get(transport);
    if (create === undefined) throw new Error(`there is no transport ${transport}, or prepare() was not called for this plan`);
    return create(endpoint, upstream, this.wheel);
  }

  /** Ends one use of {@link poolFor}; the last one closes the pool when its requests are done. */
  releasePool(endpoint: EndpointPlan, upstream: UpstreamPlan): void {
    const key = poolKey(endpoint, upstream);
    const shared = this.pools.get(key);
    if (shared === undefined || --shared.users > 0) return;
    this.pools.delete(key);
    shared.pool.close();
  }

  private writeGauges(): void {
    let connected = 0;
    let queued = 0;
    for (const { pool } of this.pools.values()) {
      const { stats } = pool;
      connected += stats.connected;
      queued += stats.queued;
    }
    const loop = performance.eventLoopUtilization();
    this.cells.set(CELL.loopUtilisation, performance.eventLoopUtilization(loop, this.loop).utilization);
    this.loop = loop;
    this.cells.set(CELL.inFlight, this.inFlight);
    this.cells.set(CELL.connections, this.countConnections());
    this.cells.set(CELL.webSockets, this.webSockets);
    this.cells.set(CELL.bodyBytes, this.bodies.heldBytes);
    this.cells.set(CELL.poolConnections, connected);
    this.cells.set(CELL.poolQueued, queued);
    this.writeLoad();
  }

  private writeLoad(): void {
    const { cells, load } = this;
    cells.set(CELL.loopDelayMs, load.delayMs);
    cells.set(CELL.memoryBytes, load.memoryBytes);
    cells.set(CELL.refusedPart, 1 - load.part);
    cells.set(CELL.overloadedAtS, load.overloadedAtS);
    cells.add(CELL.shadowedTotal, load.shadowed);
    cells.add(CELL.backgroundRefusedTotal, load.backgroundRefused);
    cells.add(CELL.retriesRefusedTotal, load.retriesRefused);
    load.shadowed = load.backgroundRefused = load.retriesRefused = 0;
  }
}

const poolKey = (endpoint: EndpointPlan, upstream: UpstreamPlan): string =>
  `${upstream.name} ${upstream.fingerprint} ${endpoint.key} ${endpoint.slot}`;
