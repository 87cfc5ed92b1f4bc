// Owns putting the primary's parts together: who holds whom, who tells whom. Must never start anything.
import type { Log } from "../../observe/log.ts";
import { BreakerControl } from "../breakers/breaker-control.ts";
import { CacheControl } from "../cache/cache-control.ts";
import { WarmUp } from "../cache/warm-up.ts";
import { workersHere } from "../config/check/worker-count.ts";
import type { Config } from "../config/schema/schema.ts";
import { ConnectionCensus } from "../connections/census.ts";
import { RedisConsumers } from "../consumers/redis-consumers.ts";
import { Discovery } from "../discovery/discovery.ts";
import { limitHashKey, tierRecordKey } from "../fleet/hash-key.ts";
import { purgeLogKey } from "../fleet/purge-log-key.ts";
import { HealthProbe } from "../health/health-probe.ts";
import { KeySources } from "../keys/key-sources.ts";
import { type InForce, PlanControl } from "../plan/plan-control.ts";
import type { PlanSource } from "../plan/plan-source.ts";
import { CpuPins } from "../workers/cpu-pins.ts";
import { SharedCells } from "../workers/shared-cells.ts";
import { initialWorkerCount, type WarmWorkerPool } from "../workers/warm-worker-pool.ts";
import { SPARE_CELLS, WorkerSet } from "../workers/worker-set.ts";
import { Watchdog } from "./watchdog.ts";

export interface PartsOptions {
  readonly config: Config;
  readonly source: PlanSource;
  readonly threads: WarmWorkerPool;
  readonly log: Log;
  readonly testHooks: boolean;
  /** A worker serves its first plan: requests are answered, though others may still start. */
  onListening(): void;
  /** A plan is in force. */
  onInForce(now: InForce): void;
  /** Responses of the URLs with these numbers are no longer true, and the fleet is to know. */
  onChanged(numbers: readonly number[]): void;
  /** Redis has other consumers. */
  onConsumers(): void;
  /** The process cannot mend itself: somebody must replace it. */
  replace(reason: string): void;
}

export interface Parts {
  readonly cells: SharedCells;
  readonly cache: CacheControl;
  readonly warmUp: WarmUp;
  readonly workers: WorkerSet;
  readonly discovery: Discovery;
  readonly keys: KeySources;
  readonly consumers: RedisConsumers;
  readonly probes: HealthProbe;
  readonly breakers: BreakerControl;
  readonly control: PlanControl;
  readonly watchdog: Watchdog;
  /** null: workers run where the kernel puts them. */
  readonly pins: CpuPins | null;
}

export function assembleParts(options: PartsOptions): Parts {
  const { config, source, log } = options;
  const { count, cpus } = workersHere(config.workers);
  const limits = {
    buckets: config.limits.rateLimitBuckets,
    hashKey: limitHashKey(config.redis), // as long as the process lives, so that reloads and replaced workers keep their buckets
  };
  const cells = new SharedCells(count + SPARE_CELLS, limits, { bytes: config.cache.memoryBytes, tier: tierOf(config) });
  const workers: WorkerSet = createWorkers(options, cells, count, (source) => keys.check(source));
  const keys = new KeySources({
    random: Math.random,
    onChange: (sets) => workers.setKeys(sets),
    onWarning: (message) => log.warn(message),
    onInfo: (message) => log.info(message),
  });
  const consumers = new RedisConsumers({ log, onNews: () => options.onConsumers() });
  const watchdog = createWatchdog(options);
  const discovery: Discovery = new Discovery({
    slots: cells.slots,
    dns: config.dns,
    onChange: (upstream, endpoints) => {
      workers.setEndpoints(upstream, endpoints);
      control.endpointsChanged();
    },
    onWarning: (message) => log.warn(message),
  });
  const probes = new HealthProbe({
    health: cells.health,
    onChange: ({ healthy, ...facts }) => (healthy ? log.info("target is healthy", facts) : log.warn("target is unhealthy", facts)),
  });
  const census = new ConnectionCensus({ table: cells.connections, buckets: cells.addressBuckets, log });
  const breakers = new BreakerControl({ admin: cells.breakers, log });
  const control = new PlanControl({
    source,
    cells,
    workers,
    discovery,
    keys,
    consumers,
    probes,
    breakers,
    log,
    onPlanned: (plan) => cache.expect(plan),
    onInForce: (now) => {
      cache.follow(now.plan);
      warmUp.follow(now.plan);
      void census.follow(now.plan);
      watchdog.limits = now.config.watchdog;
      options.onInForce(now);
    },
  });
  const cache = new CacheControl({ store: cells.responses, stamps: cells.purges, reasons: cells.cacheReasons });
  const pins = cpus === null || !isLinux(log) ? null : new CpuPins({ cpus, log });
  const warmUp = new WarmUp({ ask: (request) => workers.warm(request), log });
  return { cells, cache, warmUp, workers, discovery, keys, consumers, probes, breakers, control, watchdog, pins };
}

/** Known to workers whether or not a route uses it yet: a reload may bring one. */
function tierOf({ redis }: PartsOptions["config"]): ConstructorParameters<typeof SharedCells>[2]["tier"] {
  if (redis === null) return null;
  const { topology, tls, username, password, database, prefix, commandTimeoutMs } = redis;
  return {
    redis: { topology, tls, username, password, database, prefix, commandTimeoutMs },
    logKey: purgeLogKey(prefix),
    recordKey: tierRecordKey(redis),
  };
}

function isLinux(log: Log): boolean {
  if (process.platform === "linux") return true;
  log.warn("workers.cpus needs Linux: the system chooses the workers' CPUs");
  return false;
}

function createWorkers(
  { threads, log, testHooks, onListening, onChanged }: PartsOptions,
  cells: SharedCells,
  count: number,
  unknownKey: ConstructorParameters<typeof WorkerSet>[0]["unknownKey"],
): WorkerSet {
  return new WorkerSet({
    thread: (name) => threads.acquire(name),
    workers: count,
    atOnce: initialWorkerCount(),
    log,
    testHooks,
    listening: onListening,
    memory: (index) => cells.assign(index),
    released: (index) => cells.release(index),
    unknownKey,
    changed: onChanged,
    deprecatedCalls: (calls) => {
      for (const { route, consumer, count } of calls) cells.totals.deprecated.add(route, consumer, count);
    },
  });
}

function createWatchdog({ config, log, replace }: PartsOptions): Watchdog {
  return new Watchdog(config.watchdog, {
    blocked: (seat, ageMs, policy) => {
      const inside = policy === null ? {} : { policy };
      log.error("a worker is blocked: its event loop does not turn", { worker: seat, ageMs: Math.round(ageMs), ...inside });
    },
    recovered: (seat) => log.info("a blocked worker is back", { worker: seat }),
    replace: (seat, ageMs, policy) =>
      replace(`worker ${seat} has been blocked for ${Math.round(ageMs / 1000)} s${policy === null ? "" : ` by the policy ${policy}`}`),
  });
}
