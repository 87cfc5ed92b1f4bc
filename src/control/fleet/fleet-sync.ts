// Owns the reconciliation of the table of limits with the fleet's Redis: who is told what and when, and what an instance does without Redis.
// Primary only. Nothing on the way of a request ever waits for it (but for strict limits, which wait for a grant by themselves).

import type { FleetState } from "../../observe/instance-state.ts";
import type { Log } from "../../observe/log.ts";
import type { FleetLedger, LedgerEntry } from "../../shared/fleet-ledger.ts";
import { MEET } from "../../store/fleet-scripts.ts";
import type { ScriptStore } from "../../store/redis-client.ts";
import { FleetCounts } from "./fleet-status.ts";
import { type BucketName, LEASE_MS, LeaseBook } from "./lease-book.ts";
import { MEET_EVERY_MS, Membership, memberTtlMs } from "./membership.ts";
import { type Item, Shard, type ShardAnswer } from "./shard.ts";

/** Buckets taken from the table for one round: one to two milliseconds inside Redis. */
export const ROUND_ENTRIES_MAX = 512;
/** Rounds whose spending is put aside when Redis is lost, to be told as it was. */
const ASIDE_ROUNDS_MAX = 8;
/** Rounds at the end of the process. */
const LAST_ROUNDS_MAX = 200;
/** Time (ms) without a talk after which a shard is asked for a sign of life. */
const SIGN_OF_LIFE_MS = 500;
/** Rounds that somebody asks for begin at least this long (ms) after one another: many that ask are told together. */
const KICK_GAP_MS = 2;
/** An answer that is this much later (ms) than the next round is late. */
const LATE_MS = 50;

type Filling = "together" | "apart" | "aside";
const NO_LEASE = { held: 0, wanted: 0 } as const;
/** Redis goes by what it has granted. */
const UNSAID = { held: -1, wanted: 0 } as const;

/** What the reconciliation itself knows of the fleet. */
export type SyncState = Omit<FleetState, "name" | "breakers" | "purges">;

/** What else instances tell each other. */
export interface Beside {
  /** Something may be sent now. Returns at once. */
  round(): void;
  lost(): void;
  leave(): Promise<void>;
}

export interface FleetSyncOptions {
  readonly ledger: FleetLedger;
  readonly store: ScriptStore;
  /** For the state that is shown. */
  readonly redis: string;
  readonly instance: string;
  readonly prefix: string;
  readonly syncIntervalMs: number;
  /** Instances to assume until it is known. */
  readonly expectedSize: number;
  readonly log: Log;
  /** Goes along with membership, and by itself: limits neither wait for it nor fail with it. */
  readonly beside: Beside;
  /** Monotonic ms; the table's clock. */
  readonly now: () => number;
}

/**
 * Together: every interval what was spent here is taken from the table, told to Redis in one script for each shard, and the answer raises the
 * table. At most one round is on its way. A batch that failed is sent again under its number until it is confirmed: it counts once, whatever
 * became of the first try.
 *
 * Apart: as soon as a round fails, or its answer is later than the next round would be, the table goes on with its share of each limit. What
 * was spent until then is put aside and told later, with the time at which it was spent. What is spent while apart is settled by the share: on
 * return Redis learns how full the buckets are here (the largest of all instances' counts) and not how much went through, which the time has
 * paid for. When everything is told, the instance is together again.
 */
export class FleetSync {
  readonly #options: FleetSyncOptions;
  readonly #shards: readonly Shard[];
  readonly #leases = new LeaseBook();
  readonly #members: Membership;
  readonly #counts = new FleetCounts();
  #together = false;
  #sinceMs = Date.now();
  /** The log has said that Redis is lost. */
  #lossSaid = false;
  #trouble: string | null = "not connected yet";
  #running: Promise<void> | null = null;
  #again = false;
  #kicked = false;
  #startMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #metMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(options: FleetSyncOptions) {
    const { store, prefix, instance, now } = options;
    this.#options = options;
    this.#members = new Membership(options.expectedSize, memberTtlMs(options.syncIntervalMs));
    this.#shards = Array.from({ length: store.shards }, (_, index) => new Shard({ index, store, prefix, instance, now }));
    this.#setFleet();
  }

  start(): void {
    this.#schedule(0);
  }

  /** Something is wanted at once (a grant, a share, or the connection is back). */
  kick(): void {
    if (this.#stopped) return;
    if (this.#running !== null) this.#kicked = true;
    else this.#schedule(this.#msUntil(this.#startMs + KICK_GAP_MS));
  }

  /** The connection is gone: no use in waiting for the next round to notice. */
  lost(): void {
    const { beside, store } = this.#options;
    beside.lost();
    if (!this.#stopped) this.#part(store.trouble ?? "the connection was closed", true);
  }

  /** Reports what is unreported, gives back what is held and leaves the fleet. Only when no worker spends any more. */
  async stop(): Promise<void> {
    const { beside, log, store } = this.#options;
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
    if (!store.ready || !this.#shards.every((shard) => shard.clock.known)) return;
    try {
      this.#leases.endAll(this.#options.now());
      for (let i = 0, more = true; i < LAST_ROUNDS_MAX && more; i++) {
        more = this.#shards.every((shard) => shard.queued === 0) && this.#fill(this.#together ? "together" : "apart");
        await Promise.all(this.#shards.map((shard) => this.#exchange(shard)));
        more ||= this.#shards.some((shard) => shard.queued > 0);
      }
      await Promise.all([this.#meet(true), beside.leave()]);
    } catch (error) {
      log.warn("the last spending could not be told to Redis", { reason: messageOf(error) });
    }
  }

  state(): SyncState {
    const { now, redis } = this.#options;
    const contactMs = Math.min(...this.#shards.map((shard) => shard.contactMs));
    const { lastSyncMs, syncs, failures, syncMsSum, entries } = this.#counts;
    return {
      redis,
      connected: this.#together,
      sinceMs: this.#sinceMs,
      trouble: this.#together ? null : this.#trouble,
      instances: this.#members.size,
      syncAgeMs: Number.isFinite(contactMs) ? now() - contactMs : null,
      lastSyncMs,
      syncs,
      syncFailures: failures,
      syncMsSum,
      entries,
      drift: this.#counts.drift(now()),
      leases: this.#leases.size,
    };
  }

  // --- Rounds ---

  #schedule(delayMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#running ??= this.#tick().finally(() => {
        this.#running = null;
      });
    }, delayMs);
    this.#timer.unref();
  }

  async #tick(): Promise<void> {
    const { syncIntervalMs, store, now } = this.#options;
    this.#startMs = now();
    this.#again = this.#kicked = false;
    if (store.ready) await this.#round();
    else this.#part(store.trouble ?? "not connected", this.#together);
    if (this.#stopped) return;
    this.#schedule(this.#again ? 0 : this.#msUntil(this.#startMs + (this.#kicked ? KICK_GAP_MS : syncIntervalMs)));
  }

  #msUntil(atMs: number): number {
    return Math.max(0, atMs - this.#options.now());
  }

  async #round(): Promise<void> {
    const { beside, now, syncIntervalMs } = this.#options;
    const startMs = now();
    const together = this.#together;
    // A shard that was never talked to has no clock yet, so its buckets have no times; one that has batches left over is told those first.
    const filled = this.#shards.every((shard) => shard.clock.known && shard.queued === 0);
    const more = filled && this.#fill(together ? "together" : "apart");
    for (const shard of this.#shards)
      if (shard.queued === 0 && (!together || startMs - shard.contactMs >= SIGN_OF_LIFE_MS)) shard.enqueue([]);
    // A late answer must not use up what the table lets through between two rounds.
    const late = setTimeout(() => this.#part("Redis answers slowly", false), syncIntervalMs + LATE_MS);
    const meets = startMs - this.#metMs >= MEET_EVERY_MS;
    const meeting = meets ? this.#meet(false) : null;
    if (meets) beside.round();
    const asked = this.#shards.some((shard) => shard.queued > 0);
    const results = await Promise.allSettled([...this.#shards.map((shard) => this.#exchange(shard)), meeting]);
    clearTimeout(late);
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) {
      this.#counts.failures += 1;
      this.#part(messageOf(failed.reason), true);
      return;
    }
    if (asked) this.#counts.synced(now() - startMs);
    if (more || this.#shards.some((shard) => shard.queued > 0) || together !== this.#together || !filled) this.#again = true;
    else if (!together) this.#join();
  }

  async #meet(leave: boolean): Promise<void> {
    const [first] = this.#shards;
    const { store, instance, now, syncIntervalMs } = this.#options;
    if (first === undefined) return;
    const reply = await store.run(MEET, [first.key("members")], [instance, memberTtlMs(syncIntervalMs), leave ? 1 : 0]);
    if (leave) return;
    this.#metMs = now();
    const instances = Array.isArray(reply) ? Number(reply[1]) : 1;
    if (this.#members.counted(instances, this.#metMs)) this.#setFleet();
  }

  async #exchange(shard: Shard): Promise<void> {
    const answer = await shard.send();
    if (answer !== null) this.#apply(answer);
  }

  /**
   * Makes a batch for each shard of what the table has.
   * @param how together: spending counts. apart: it was settled by the share, and only levels do. aside: it counts, and an answer may be on
   * its way that grants a lease, so nothing is said of those
   * @returns whether the table has more
   */
  #fill(how: Filling): boolean {
    const { ledger, now } = this.#options;
    // Left in the table it is as safe: what was taken must find room.
    if (this.#shards.some((shard) => shard.full)) return false;
    const nowMs = now();
    const items: Item[][] = this.#shards.map(() => []);
    // First: the same bucket may ask for a new lease in the same batch.
    const release = (name: BucketName) =>
      items[this.#shardOf(name)]?.push({ ...name, mode: "strict", spent: 0, before: 0, held: 0, wanted: 0 });
    if (how !== "aside") this.#leases.takeEnded(nowMs, release);
    const more = ledger.take(ROUND_ENTRIES_MAX, (entry) => {
      const index = this.#shardOf(entry);
      const shard = this.#shards[index];
      if (shard !== undefined) items[index]?.push(this.#item(entry, shard, { filling: how, nowMs }));
    });
    for (const [index, list] of items.entries()) if (list.length > 0) this.#shards[index]?.enqueue(list);
    return more;
  }

  #shardOf({ tagLow }: { readonly tagLow: number }): number {
    return tagLow % this.#shards.length;
  }

  #item(entry: LedgerEntry, shard: Shard, how: { readonly filling: Filling; readonly nowMs: number }): Item {
    const { level, wanted: _, ...rest } = entry;
    const strict = entry.mode === "strict";
    const spent = how.filling !== "apart" || strict || entry.kind === "quota" ? entry.spent : 0;
    const at = entry.kind === "rate" ? shard.clock.toRedis(level) : level;
    const lease = strict ? this.#leases.reported(entry, how.nowMs) : NO_LEASE;
    return { ...rest, spent, before: at - spent, ...(strict && how.filling === "aside" ? UNSAID : lease) };
  }

  #apply({ items, answers, sentMs }: ShardAnswer): void {
    const { ledger, now } = this.#options;
    const nowMs = now();
    this.#counts.entries += items.length;
    for (const [i, item] of items.entries()) {
      const answer = answers[i];
      if (answer === undefined) continue;
      const { slot, tagHigh, tagLow, unit } = item;
      if (item.kind === "rate") ledger.raiseBacklog(slot, tagHigh, tagLow, answer.level);
      else ledger.raiseUsed(slot, tagHigh, tagLow, item.period, answer.level);
      if (item.mode === "fleet") this.#counts.drifted((answer.level - item.capacity) / unit, nowMs);
      const endsInMs = LEASE_MS - (nowMs - sentMs);
      if (answer.grantedUnits <= 0 || endsInMs <= 0) continue;
      const amount = answer.grantedUnits * unit;
      if (this.#leases.granted(item, amount, { nowMs, endsMs: nowMs + endsInMs })) ledger.grant(slot, tagHigh, tagLow, amount, endsInMs);
    }
  }

  // --- Together and apart ---

  #setFleet(): void {
    const { ledger, syncIntervalMs } = this.#options;
    ledger.setFleet({ connected: this.#together, size: this.#members.size, syncIntervalMs });
  }

  /** @param say the log says so, once */
  #part(reason: string, say: boolean): void {
    this.#trouble = reason;
    if (say && !this.#lossSaid) {
      this.#lossSaid = true;
      this.#options.log.warn("Redis is lost: limits go on with this instance's share", { reason, instances: this.#members.size });
    }
    if (!this.#together) return;
    // Spent while together: told as it is, when somebody listens.
    for (let i = 0; i < ASIDE_ROUNDS_MAX && this.#fill("aside"); i++);
    this.#together = false;
    this.#sinceMs = Date.now();
    this.#members.lost();
    this.#setFleet();
  }

  #join(): void {
    this.#together = true;
    this.#sinceMs = Date.now();
    this.#setFleet();
    if (this.#lossSaid) this.#options.log.info("Redis is back: limits are reconciled again", { instances: this.#members.size });
    this.#lossSaid = false;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
