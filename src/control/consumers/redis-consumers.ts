// Owns which consumers of Redis are in force and which are waiting to be, and says so. Loads what speaks to Redis only for a configuration that asks for it.
// Must never put anything in force: that is the plan's business.
import { monotonicMs } from "../../base/clock.ts";
import type { RedisConsumersState } from "../../observe/instance-state.ts";
import type { Log } from "../../observe/log.ts";
import { describeRedis } from "../../store/redis-settings.ts";
import type { Config } from "../config/schema/schema.ts";
import { type ConfigProblem, formatProblem } from "../config/source/problem.ts";
import type { RedisConsumerSet } from "../config/source/redis-consumers.ts";
import type { ConsumerFeed } from "./consumer-feed.ts";

/** The first look at Redis may hold up a start or a reload this long (ms); what comes later follows by itself. */
const FIRST_LOOK_MS_MAX = 3000;
/** Problems of one set that are written to the log; the rest is counted. */
const PROBLEMS_LOGGED_MAX = 20;

/** A set that cannot be used, and why. */
export interface RefusedSet {
  readonly set: RedisConsumerSet;
  readonly problems: readonly ConfigProblem[];
}

export class RedisConsumers {
  readonly #log: Log;
  readonly #onNews: () => void;
  #feed: { readonly feed: ConsumerFeed; readonly redis: string } | null = null;
  #accepted: RedisConsumerSet | null = null;
  #refused: RefusedSet | null = null;
  #refusals = 0;

  /** @param options.onNews Redis has consumers that are neither in force nor refused: said at each look until they are */
  constructor(options: { readonly log: Log; readonly onNews: () => void }) {
    this.#log = options.log;
    this.#onNews = options.onNews;
  }

  /** What to make a configuration with, the best first. */
  get sets(): readonly (RedisConsumerSet | null)[] {
    const newest = this.#feed?.feed.newest ?? null;
    return newest === null || isSame(newest, this.#accepted) ? [this.#accepted] : [newest, this.#accepted];
  }

  /** What an earlier life of this instance had in force. */
  restore(set: RedisConsumerSet | null): void {
    this.#accepted = set;
  }

  /**
   * Begins to follow Redis when the configuration asks for it, and waits for the first look, bounded in time. Never rejects.
   * @returns whether there are consumers that the configuration cannot have yet
   */
  async follow({ redis, consumersFrom }: Config): Promise<boolean> {
    if (redis === null || consumersFrom.redis === null || this.#feed !== null) return false;
    const { ConsumerFeed } = await import("./consumer-feed.ts");
    const feed: ConsumerFeed = new ConsumerFeed({
      redis,
      everyMs: consumersFrom.redis.everyMs,
      now: monotonicMs,
      random: Math.random,
      looked: () => {
        if (!isSame(feed.newest, this.#accepted) && !isSame(feed.newest, this.#refused?.set ?? null)) this.#onNews();
      },
      trouble: (reason) => this.#sayTrouble(reason),
    });
    this.#feed = { feed, redis: describeRedis(redis) };
    feed.open();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FIRST_LOOK_MS_MAX);
    });
    await Promise.race([feed.tried, late]);
    clearTimeout(timer);
    return this.sets[0] !== null;
  }

  /** A configuration is in force. */
  inForce({ consumersFrom, redisConsumers }: Config): void {
    this.#accepted = redisConsumers;
    if (isSame(redisConsumers, this.#refused?.set ?? null)) this.#refused = null;
    if (consumersFrom.redis === null) this.stop();
    else if (this.#feed !== null) this.#feed.feed.everyMs = consumersFrom.redis.everyMs;
  }

  /** The newest set has mistakes, by itself or together with the files; it is looked at again when either changes. */
  refused(refused: RefusedSet): void {
    const lines = refused.problems.slice(0, PROBLEMS_LOGGED_MAX).map(formatProblem);
    const again = this.#refused !== null && lines.join() === this.#refused.problems.slice(0, PROBLEMS_LOGGED_MAX).map(formatProblem).join();
    this.#refused = refused;
    if (again) return;
    this.#refusals++;
    this.#log.error("the consumers in Redis are refused: those of before stay in force", {
      problems: lines,
      more: refused.problems.length - lines.length,
      inForce: this.#accepted?.entries.length ?? 0,
    });
  }

  /** null for a configuration without them. */
  state(): RedisConsumersState | null {
    if (this.#feed === null) return null;
    const { feed, redis } = this.#feed;
    const problems = isSame(feed.newest, this.#refused?.set ?? null) ? (this.#refused?.problems ?? []) : [];
    const [first] = problems;
    const refusal = first === undefined ? null : `refused (problems: ${problems.length}), first: ${formatProblem(first)}`;
    return {
      redis,
      connected: feed.trouble === null,
      inForce: this.#accepted?.entries.length ?? 0,
      version: isSame(feed.newest, this.#accepted) ? feed.marker : (this.#accepted?.marker ?? null),
      ageMs: feed.contactMs === null ? null : monotonicMs() - feed.contactMs,
      refusals: this.#refusals,
      trouble: feed.trouble ?? refusal,
    };
  }

  stop(): void {
    this.#feed?.feed.close();
    this.#feed = null;
    this.#refused = null;
  }

  #sayTrouble(reason: string | null): void {
    const known = this.#accepted?.entries.length ?? 0;
    if (reason === null) this.#log.info("the consumers in Redis can be read", { redis: this.#feed?.redis });
    else
      this.#log.warn("the consumers in Redis cannot be read: those that are known stay in force", {
        redis: this.#feed?.redis,
        reason,
        inForce: known,
      });
  }
}

/** @returns whether both are there and hold the same consumers */
const isSame = (a: RedisConsumerSet | null, b: RedisConsumerSet | null): boolean => a !== null && a.digest === b?.digest;
