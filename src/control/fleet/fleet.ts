// Owns the instance's membership in a fleet: client, reconciliation, and the wake-up for strict limits. Must never be needed to serve.
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { monotonicMs } from "../../base/clock.ts";
import type { FleetState } from "../../observe/instance-state.ts";
import type { Log } from "../../observe/log.ts";
import type { FleetLedger } from "../../shared/fleet-ledger.ts";
import { RedisClient } from "../../store/redis-client.ts";
import { describeRedis } from "../../store/redis-settings.ts";
import type { FleetTold, PurgeOrder } from "../cache/purge-order.ts";
import type { TierLog } from "../cache/tier-log.ts";
import type { RedisConfig } from "../config/schema/redis.ts";
import { BreakerExchange } from "./breaker-exchange.ts";
import { instanceName, type ReportedBreaker } from "./breaker-report.ts";
import { ChangeBatch } from "./change-batch.ts";
import { type Beside, FleetSync } from "./fleet-sync.ts";
import { PurgeExchange } from "./purge-exchange.ts";
import { purgeLogKey } from "./purge-log-key.ts";
import { shardTag } from "./shard.ts";

/** The table, and the cell that moves whenever a strict limit asks for a grant. */
export interface FleetTable extends FleetLedger {
  readonly wantedCell: { readonly words: Int32Array; readonly index: number };
}

export interface FleetOptions {
  readonly redis: RedisConfig;
  readonly table: FleetTable;
  /** Of the process to signal: with the host's name, what other instances call this one. */
  readonly pid: number;
  /** This instance's breakers that are not closed, now. */
  readonly breakers: () => readonly ReportedBreaker[];
  /** Purges here what another instance has purged. Rejects when it is not done. */
  readonly purge: (order: PurgeOrder) => Promise<unknown>;
  /** By which workers judge what lies in Redis of stored responses; null when nothing does. */
  readonly tier: TierLog | null;
  readonly log: Log;
}

export class Fleet {
  readonly #name: string;
  readonly #breakers: BreakerExchange;
  readonly #purges: PurgeExchange;
  readonly #changes: ChangeBatch;
  readonly #tier: TierLog | null;
  readonly #client: RedisClient;
  readonly #sync: FleetSync;
  readonly #table: FleetTable;
  #stopped = false;

  /** From now on the table goes by the fleet, apart from it until {@link start} has led to an answer. */
  constructor({ redis, table, pid, breakers, purge, tier, log }: FleetOptions) {
    const { prefix, syncIntervalMs } = redis;
    // New with each process: what an earlier one left unsettled is not ours.
    const instance = randomBytes(8).toString("hex");
    this.#name = instanceName(hostname(), pid);
    this.#table = table;
    const purgeLog = purgeLogKey(prefix);
    this.#tier = tier;
    this.#client = new RedisClient(
      redis,
      { ready: () => this.#ready(), lost: () => this.#sync.lost() },
      { channel: purgeLog, heard: () => this.#purges.round() },
    );
    const common = { store: this.#client, instance, syncIntervalMs, log, now: monotonicMs };
    const key = (suffix: string): string => `${shardTag(prefix, 0)}:${suffix}`;
    this.#breakers = new BreakerExchange({ ...common, key, name: this.#name, read: breakers });
    this.#purges = new PurgeExchange({ ...common, key: purgeLog, apply: purge, tier });
    this.#changes = new ChangeBatch({
      intervalMs: syncIntervalMs,
      publish: (order, settled) => this.#purges.publish(order, settled),
      release: (number, times) => tier?.releaseUrl(number, times),
    });
    this.#sync = new FleetSync({
      ...common,
      ledger: table,
      redis: describeRedis(redis),
      prefix,
      expectedSize: redis.fleetSize ?? 1,
      beside: allOf([this.#breakers, this.#purges]),
    });
  }

  /** Loads the client and connects. Returns at once: Redis may come whenever it likes. */
  start(): void {
    this.#sync.start();
    void this.#client.open();
    void this.#watchWanted();
  }

  state(): FleetState {
    return { ...this.#sync.state(), name: this.#name, breakers: this.#breakers.state(), purges: this.#purges.state() };
  }

  /** Before a purge is carried out here: of what it names nothing is taken from Redis until the fleet's log has it. @returns has the others purge it, too. Never rejects */
  beginPurge(order: PurgeOrder): () => Promise<FleetTold> {
    const settled = this.#tier?.hold(order);
    return () => this.#purges.publish(order, settled);
  }

  /** Responses of the URLs with these numbers are no longer true, says a worker, which has held them. Returns at once. */
  tellChanged(numbers: readonly number[]): void {
    this.#changes.add(numbers);
  }

  #ready(): void {
    this.#sync.kick();
    this.#purges.round();
  }

  /** Tells the last spending and leaves. After the workers are gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#changes.stop();
    const { words, index } = this.#table.wantedCell;
    Atomics.notify(words, index);
    await this.#sync.stop();
    this.#client.close();
  }

  /** A request may be waiting for a grant: it does not wait for the next interval. */
  async #watchWanted(): Promise<void> {
    const { words, index } = this.#table.wantedCell;
    while (!this.#stopped) {
      const seen = Atomics.load(words, index);
      const moved = Atomics.waitAsync(words, index, seen);
      if (moved.async) await moved.value;
      if (!this.#stopped) this.#sync.kick();
      // Several that ask at the same time are told together.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** Each goes on whatever becomes of the others. */
function allOf(parts: readonly Beside[]): Beside {
  return {
    round: () => {
      for (const part of parts) part.round();
    },
    lost: () => {
      for (const part of parts) part.lost();
    },
    leave: async () => {
      const results = await Promise.allSettled(parts.map((part) => part.leave()));
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    },
  };
}
