// Owns asking Redis for its consumers at intervals: a look costs two look-ups there, all is read when something changed. Knows what Redis said last and
// why it cannot be had. Must never judge consumers, nor forget them because Redis is away or was emptied.
import { consumersKey, markerKey, READ_CONSUMERS } from "../../store/consumer-script.ts";
import { RedisClient, type ScriptStore } from "../../store/redis-client.ts";
import type { RedisSettings } from "../../store/redis-settings.ts";
import { type RedisConsumerSet, redisConsumerSet } from "../config/source/redis-consumers.ts";

/** Consumers in Redis; more belong in a directory. Redis does nothing else while it hands them out: some 50 ms for so many. */
export const REDIS_CONSUMERS_MAX = 20_000;
/** Bytes of their names and JSON. */
export const REDIS_CONSUMER_BYTES_MAX = 16 * 1024 ** 2;
/** All is read at least this often (ms), for those who change consumers and leave the marker alone. */
const WHOLE_READ_MS = 60_000;
/** Redis may take this long (ms) to hand out all consumers, whatever limits may wait. */
const READ_TIMEOUT_MS_MIN = 5000;
/** Intervals differ by up to this part, so that a fleet does not ask in step. */
const JITTER = 0.1;

export interface ConsumerFeedEvents {
  /** Redis answered, and {@link ConsumerFeed.newest} is what it has. */
  looked(): void;
  /** What Redis has cannot be told (any more), or (null) can be told again. Said once each. */
  trouble(reason: string | null): void;
}

export interface ConsumerFeedOptions extends ConsumerFeedEvents {
  readonly redis: RedisSettings;
  readonly everyMs: number;
  /** Milliseconds that never go back. */
  readonly now: () => number;
  readonly random: () => number;
}

export class ConsumerFeed {
  readonly #options: ConsumerFeedOptions;
  readonly #client: RedisClient;
  #timer: NodeJS.Timeout | null = null;
  #looking = false;
  #closed = false;
  /** Nothing that was read before says anything about what is there now. */
  #readAll = true;
  #wholeMs = 0;
  #tried: () => void = () => {};
  everyMs: number;
  /** What Redis had when it last had a complete set. */
  newest: RedisConsumerSet | null = null;
  /** Under which it was last seen. */
  marker = "";
  trouble: string | null = "not connected yet";
  /** When Redis last said what it has, by {@link ConsumerFeedOptions.now}. */
  contactMs: number | null = null;
  /** Resolves when Redis was asked once, or cannot be reached. */
  readonly tried = new Promise<void>((resolve) => {
    this.#tried = resolve;
  });

  constructor(options: ConsumerFeedOptions) {
    this.#options = options;
    this.everyMs = options.everyMs;
    const redis = { ...options.redis, commandTimeoutMs: Math.max(READ_TIMEOUT_MS_MIN, options.redis.commandTimeoutMs) };
    this.#client = new RedisClient(redis, {
      ready: () => void this.#look(),
      lost: () => this.#failed(this.#client.trouble ?? "the connection was closed"),
    });
  }

  /** Loads the client and connects. Returns at once. */
  open(): void {
    void this.#client.open();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#client.close();
  }

  async #look(): Promise<void> {
    if (this.#looking || this.#closed) return;
    this.#looking = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    try {
      const trouble = await this.#read(this.#client);
      if (this.#closed) return;
      if (trouble === null) this.#told();
      else this.#failed(trouble);
    } catch (error) {
      this.#failed(error instanceof Error ? error.message : String(error));
    } finally {
      this.#looking = false;
      this.#later();
    }
  }

  /** @returns why what Redis has is no set; null when it is one. @throws StoreError */
  async #read(store: ScriptStore): Promise<string | null> {
    const { prefix } = this.#options.redis;
    const [key, marker] = [consumersKey(prefix), markerKey(prefix)];
    const nowMs = this.#options.now();
    const known = this.#readAll || nowMs - this.#wholeMs >= WHOLE_READ_MS ? null : this.newest;
    const args = [this.marker, known?.entries.length ?? -1, REDIS_CONSUMERS_MAX, REDIS_CONSUMER_BYTES_MAX];
    const reply = await store.run(READ_CONSUMERS, [key, marker], args);
    const [kind, first, flat] = Array.isArray(reply) ? (reply as readonly unknown[]) : [];
    switch (kind) {
      case "same":
        return null;
      case "set":
        this.#take(redisConsumerSet(key, String(first), Array.isArray(flat) ? flat.map(String) : []), nowMs);
        return null;
      case "unmarked":
        return unmarked(Number(first), marker);
      case "many":
        return `there are ${Number(first)} consumers, and at most ${REDIS_CONSUMERS_MAX} are read: put some into the directory`;
      case "large":
        return `the consumers have ${Number(first)} bytes, and at most ${REDIS_CONSUMER_BYTES_MAX} are read: put some into the directory`;
      default:
        return "Redis answers something else than was asked";
    }
  }

  #take(set: RedisConsumerSet, nowMs: number): void {
    this.#wholeMs = nowMs;
    this.#readAll = false;
    this.marker = set.marker;
    // The same object for the same consumers, whatever the marker: who compares them compares objects.
    if (this.newest?.digest !== set.digest) this.newest = set;
  }

  #told(): void {
    this.contactMs = this.#options.now();
    this.#say(null);
    this.#tried();
    this.#options.looked();
  }

  #failed(reason: string): void {
    if (this.#closed) return;
    this.#readAll = true;
    this.#say(reason);
    this.#tried();
  }

  #say(reason: string | null): void {
    if (reason === this.trouble) return;
    this.trouble = reason;
    this.#options.trouble(reason);
  }

  #later(): void {
    if (this.#closed) return;
    const delayMs = this.everyMs * (1 - JITTER * this.#options.random());
    this.#timer = setTimeout(() => void this.#look(), delayMs);
    this.#timer.unref();
  }
}

function unmarked(count: number, marker: string): string {
  return count === 0
    ? `there are no consumers and no ${marker}: Redis was emptied, or not filled yet; raise it (INCR) once the consumers are there`
    : `there is no ${marker}, which says that the consumers are complete (there are ${count}): raise it (INCR) after each change`;
}
