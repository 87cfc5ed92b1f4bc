// Owns the instance's membership in a fleet: client, reconciliation, and the wake-up for strict limits. Must never be needed to serve.
import { randomBytes } from "node:crypto";
import { monotonicMs } from "../../base/clock.ts";
import type { FleetState } from "../../observe/instance-state.ts";
import type { Log } from "../../observe/log.ts";
import type { FleetLedger } from "../../shared/fleet-ledger.ts";
import { RedisClient } from "../../store/redis-client.ts";
import { describeRedis } from "../../store/redis-settings.ts";
import type { RedisConfig } from "../config/schema-redis.ts";
import { FleetSync } from "./fleet-sync.ts";

/** The table, and the cell that moves whenever a strict limit asks for a grant. */
export interface FleetTable extends FleetLedger {
  readonly wantedCell: { readonly words: Int32Array; readonly index: number };
}

export class Fleet {
  readonly #client: RedisClient;
  readonly #sync: FleetSync;
  readonly #table: FleetTable;
  #stopped = false;

  /** From now on the table goes by the fleet, apart from it until {@link start} has led to an answer. */
  constructor(options: { readonly redis: RedisConfig; readonly table: FleetTable; readonly log: Log }) {
    const { redis, table, log } = options;
    this.#table = table;
    this.#client = new RedisClient(redis, { ready: () => this.#sync.kick(), lost: () => this.#sync.lost() });
    this.#sync = new FleetSync({
      ledger: table,
      store: this.#client,
      redis: describeRedis(redis),
      // New with each process: what an earlier one left unsettled is not ours.
      instance: randomBytes(8).toString("hex"),
      prefix: redis.prefix,
      syncIntervalMs: redis.syncIntervalMs,
      expectedSize: redis.fleetSize ?? 1,
      log,
      now: monotonicMs,
    });
  }

  /** Loads the client and connects. Returns at once: Redis may come whenever it likes. */
  start(): void {
    this.#sync.start();
    void this.#client.open();
    void this.#watchWanted();
  }

  state(): FleetState {
    return this.#sync.state();
  }

  /** Tells the last spending and leaves. After the workers are gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
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
