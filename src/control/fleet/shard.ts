// Owns the talk with one shard of Redis: batches with numbers, in order, each until it is confirmed; its clock and its era. What is in a batch
// and what the answer means for buckets is handed in. Must never send two batches at once.
import type { LedgerEntry } from "../../shared/fleet-ledger.ts";
import { SYNC, SYNC_ENTRY_REPLIES, SYNC_HEAD_REPLIES } from "../../store/fleet-scripts.ts";
import { type ScriptStore, StoreError } from "../../store/redis-client.ts";
import { LEASE_GRACE_MS, LEASE_MS } from "./lease-book.ts";
import { RedisClock } from "./redis-clock.ts";

/** Batches of one shard that may wait to be sent (again); more are not taken from the table. */
export const BATCHES_MAX = 16;

/** One bucket in a batch: a ledger entry in Redis's terms. */
export interface Item extends Omit<LedgerEntry, "wanted" | "level"> {
  /** Level without what is spent: Redis's clock, ms, or units. */
  readonly before: number;
  readonly held: number;
  /** Units. */
  readonly wanted: number;
}

interface Batch {
  readonly sequence: number;
  readonly items: readonly Item[];
}

/** What Redis said of one bucket. */
export interface ItemAnswer {
  /** Backlog in ms, or units used. */
  readonly level: number;
  readonly grantedUnits: number;
}

export interface ShardAnswer {
  readonly items: readonly Item[];
  readonly answers: readonly ItemAnswer[];
  readonly sentMs: number;
  readonly receivedMs: number;
}

export interface ShardOptions {
  readonly index: number;
  readonly store: ScriptStore;
  readonly prefix: string;
  readonly instance: string;
  readonly now: () => number;
}

/** In front of every key of the shard; the braces keep them in one slot of a cluster. */
export const shardTag = (prefix: string, index: number): string => `{${prefix}:${index}}`;

export class Shard {
  readonly clock = new RedisClock();
  readonly #options: ShardOptions;
  readonly #tag: string;
  readonly #queue: Batch[] = [];
  #sequence = 0;
  #confirmed = 0;
  #era = 0;
  #sending = false;
  /** monotonicMs() of the last answer; -Infinity before the first. */
  contactMs = Number.NEGATIVE_INFINITY;

  constructor(options: ShardOptions) {
    this.#options = options;
    this.#tag = shardTag(options.prefix, options.index);
  }

  key(name: string): string {
    return `${this.#tag}:${name}`;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get full(): boolean {
    return this.#queue.length >= BATCHES_MAX;
  }

  /** @param items may be empty: a sign of life */
  enqueue(items: readonly Item[]): void {
    this.#queue.push({ sequence: ++this.#sequence, items });
  }

  /** Sends the oldest batch. @returns null when there is none. @throws StoreError; then the batch stays, to be sent again under its number */
  async send(): Promise<ShardAnswer | null> {
    const batch = this.#queue[0];
    if (batch === undefined || this.#sending) return null;
    const { store, now } = this.#options;
    const keys = [this.key("era"), this.key(`seq:${this.#options.instance}`), ...batch.items.map((item) => this.key(bucketName(item)))];
    this.#sending = true;
    const sentMs = now();
    try {
      const reply = numbers(await store.run(SYNC, keys, this.#args(batch)));
      const receivedMs = now();
      if (reply.length !== SYNC_HEAD_REPLIES + batch.items.length * SYNC_ENTRY_REPLIES)
        throw new StoreError("refused", "Redis answers something else than was asked");
      const [redisUs = 0, , era = 0] = reply;
      this.clock.sample(redisUs / 1000, sentMs, receivedMs);
      this.#era = era;
      this.#confirmed = batch.sequence;
      this.contactMs = receivedMs;
      this.#queue.shift();
      return { items: batch.items, answers: batch.items.map((item, i) => answerOf(item, reply, i)), sentMs, receivedMs };
    } catch (error) {
      // Dropped, so that it holds up no others; the failure is counted and said like any other.
      if (isOurFault(error)) this.#queue.shift();
      throw error;
    } finally {
      this.#sending = false;
    }
  }

  #args({ sequence, items }: Batch): (string | number)[] {
    const args: (string | number)[] = [sequence, this.#confirmed, this.#era, this.#options.instance, LEASE_MS, LEASE_GRACE_MS];
    for (const item of items) {
      const kind = item.kind === "rate" ? "r" : "q";
      args.push(item.mode === "strict" ? kind.toUpperCase() : kind, item.spent, item.before, item.capacity, item.unit);
      args.push(item.held, item.wanted, item.periodEndMs);
    }
    return args;
  }
}

function answerOf(item: Item, reply: readonly number[], i: number): ItemAnswer {
  const at = SYNC_HEAD_REPLIES + i * SYNC_ENTRY_REPLIES;
  const told = reply[at] ?? 0;
  return { level: item.kind === "rate" ? told / 1000 : told, grantedUnits: reply[at + 1] ?? 0 };
}

/** One name for one bucket (of one period), and none for two. Kind and mode are in it, as they have different types in Redis. */
function bucketName({ tagHigh, tagLow, kind, mode, period }: Item): string {
  const tag = `${tagHigh.toString(16).padStart(8, "0")}${tagLow.toString(16).padStart(8, "0")}`;
  const sort = kind === "rate" ? "r" : "q";
  return `${mode === "strict" ? sort.toUpperCase() : sort}:${tag}${kind === "quota" ? `:${period}` : ""}`;
}

function numbers(reply: unknown): number[] {
  return Array.isArray(reply) ? reply.map(Number) : [];
}

/** The script itself failed: the same batch would fail for ever. */
function isOurFault(error: unknown): boolean {
  return error instanceof StoreError && error.kind === "refused" && /^ERR .*user_script|^WRONGTYPE|something else/.test(error.message);
}
