// Owns instances of a fleet inside the test's own process: the real table, the real reconciliation and the real client, on a real Redis.
import { monotonicMs } from "../../src/base/clock.ts";
import type { PurgeOrder } from "../../src/control/cache/purge-order.ts";
import type { RedisConfig } from "../../src/control/config/schema/redis.ts";
import type { ReportedBreaker } from "../../src/control/fleet/breaker-report.ts";
import { Fleet } from "../../src/control/fleet/fleet.ts";
import { createLog } from "../../src/observe/log.ts";
import { type LimitAsk, type LimitSize, MODE_FLEET, PASSED, rateSize, type Verdict } from "../../src/shared/limit-size.ts";
import { LimitTable } from "../../src/shared/limit-table.ts";
import { LimitTablePrimary } from "../../src/shared/limit-table-primary.ts";
import { askFor, identity } from "./limit-table.ts";
import { until } from "./until.ts";

export const redisConfig = (changes: Partial<RedisConfig> & Pick<RedisConfig, "topology">): RedisConfig => ({
  tls: null,
  username: null,
  password: null,
  database: 0,
  prefix: "test",
  commandTimeoutMs: 300,
  syncIntervalMs: 20,
  secret: null,
  fleetSize: null,
  ...changes,
});

export const redisAt = (port: number, changes: Partial<RedisConfig> = {}): RedisConfig =>
  redisConfig({ topology: { kind: "standalone", host: "127.0.0.1", port }, ...changes });

const limit = identity();
const OTHER = rateSize({ count: 1_000_000, periodMs: 1000 }, 1_000_000, MODE_FLEET);

/** One admitted request: when, and what it cost. */
export interface Admission {
  readonly atMs: number;
  readonly cost: number;
}

export class FleetInstance implements AsyncDisposable {
  readonly table = new LimitTablePrimary(LimitTable.allocate(4096, 1, monotonicMs()), 0);
  readonly fleet: Fleet;
  readonly admissions: Admission[] = [];
  /** Messages of the log, in order. */
  readonly said: string[] = [];
  /** What it was to purge for others, in order. */
  readonly purged: PurgeOrder[] = [];
  /** What it tells the others of its breakers; a test may change it. */
  breakers: readonly ReportedBreaker[] = [];
  #stopped = false;

  /** @param pid what the others know it by, as they share the host's name */
  constructor(redis: RedisConfig, pid = 1) {
    const output = { write: (line: string) => this.said.push(String((JSON.parse(line) as { message: string }).message)) };
    this.fleet = new Fleet({
      redis,
      table: this.table,
      pid,
      breakers: () => this.breakers,
      purge: async (order) => void this.purged.push(order),
      tier: null,
      log: createLog({ output }),
    });
    this.fleet.start();
  }

  /** @returns instances that are reconciled and know of each other */
  static async start(count: number, redis: RedisConfig): Promise<FleetInstance[]> {
    const all = Array.from({ length: count }, (_, i) => new FleetInstance(redis, i + 1));
    await until(
      `${count} instances know of each other`,
      () => all.every(({ state }) => state.connected && state.instances === count),
      10_000,
    );
    return all;
  }

  get state() {
    return this.fleet.state();
  }

  ask(key: string, size: LimitSize, cost = 1): LimitAsk {
    return askFor(limit, key, size, cost);
  }

  /** One decision now. What passes is noted. */
  spend(ask: LimitAsk, epochMs = Date.now()): Verdict {
    const atMs = monotonicMs();
    this.table.setNow(atMs, epochMs);
    const verdict = this.table.spend(ask);
    if (verdict === PASSED) this.admissions.push({ atMs, cost: ask.cost });
    return verdict;
  }

  /** Spends until something does not pass. @returns how many did */
  drain(ask: LimitAsk, most = 100_000): number {
    let passed = 0;
    while (passed < most && this.spend(ask) === PASSED) passed++;
    return passed;
  }

  /** Waits until everything spent so far is told and answered: two rounds, for which something else is spent. */
  async settled(): Promise<void> {
    const before = this.state.syncs;
    const other = this.ask("(something else)", OTHER);
    const done = () => {
      this.table.setNow(monotonicMs(), Date.now());
      this.table.spend(other);
      return this.state.syncs >= before + 2 || !this.state.connected;
    };
    await until("two rounds have passed", done, 10_000);
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.fleet.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Stops all at the end of a test. */
export class FleetOf implements AsyncDisposable {
  readonly all: readonly FleetInstance[];

  private constructor(all: readonly FleetInstance[]) {
    this.all = all;
  }

  static async start(count: number, redis: RedisConfig): Promise<FleetOf> {
    return new FleetOf(await FleetInstance.start(count, redis));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((each) => each.stop()));
  }

  /** Every admission of all, in order of time. */
  get admissions(): Admission[] {
    return this.all.flatMap((each) => each.admissions).sort((a, b) => a.atMs - b.atMs);
  }
}

/** The largest number of units, over all stretches of time, that were admitted beyond burst + rate x time. 0 or less: the limit held. */
export function overshootOf(admissions: readonly Admission[], limit: { readonly perMs: number; readonly burst: number }): number {
  let level = 0;
  let lastMs = admissions[0]?.atMs ?? 0;
  let most = Number.NEGATIVE_INFINITY;
  for (const { atMs, cost } of admissions) {
    level = Math.max(0, level - (atMs - lastMs) * limit.perMs) + cost;
    lastMs = atMs;
    most = Math.max(most, level - limit.burst);
  }
  return most;
}
