// Owns this worker's use of the fleet's Redis as a second tier of the response cache: looks, with a bound on the wait, and writes in the background. Must never make a
// request wait for longer than that, never fail one, and never give out what may have been purged.
import { type TimerWheel, WheelEntry } from "../../../base/timer-wheel.ts";
import type { TierPlan } from "../../../plan/cache-plan.ts";
import type { TierMemory } from "../../../plan/shared-memory.ts";
import { TIER, type TierCount, TierCounts } from "../../../shared/cache/tier-counts.ts";
import { type LogPlace, TierPurges } from "../../../shared/cache/tier-purges.ts";
import { RedisClient, StoreError } from "../../../store/redis-client.ts";
import { RecordCodec } from "./codec.ts";
import { RECORD_HEAD_BYTES_MAX, type TierRecord } from "./record.ts";
import { TierBreaker } from "./tier-breaker.ts";
import { WriteQueue } from "./write-queue.ts";

/** Looks under way: with more, requests go to the origin at once. */
const LOOKS_MAX = 256;
/** Longest life of a record (ms): as long as the fleet's log of purges is kept when nobody looks at it. */
const TTL_MS_MAX = 7 * 86_400_000;
/** At least so long (ms) it is remembered by which fields the variants of a URL are told apart. */
const VARIANTS_TTL_MS_MIN = 3_600_000;
/** After Redis has refused a write (it is full, or only to be read), nothing is written for so long, ms. */
const REFUSED_REST_MS = 1000;

/** What is looked for. */
export interface TierQuestion {
  /** Keys in Redis begin so. */
  readonly space: string;
  /** Key of the stored response, a byte string. */
  readonly text: string;
  /** By which purges name it. */
  readonly url: string;
  readonly urlNumber: number;
  readonly limits: TierPlan;
  /** The key of the variant that is told apart by these fields. */
  variantOf(vary: readonly string[]): string;
}

/** A response that may be used. @property isSoft it was purged softly: it is not fresh */
export interface TierFind {
  readonly record: TierRecord;
  readonly body: Buffer;
  readonly isSoft: boolean;
}

/** What is to be written. @property text see {@link TierQuestion} @property variantOf text of the key whose variant it is; null when there is only one */
export interface TierEntry {
  readonly space: string;
  readonly text: string;
  readonly variantOf: string | null;
  readonly record: Omit<TierRecord, "kind" | "coding" | "bodyBytes">;
  readonly bodyBytes: number;
  /** Called at once, when it is to be written. */
  readonly copyBody: () => Buffer;
  readonly ttlMs: number;
  readonly limits: TierPlan;
}

export interface TierOptions {
  readonly memory: TierMemory;
  /** Index of this worker's counts. */
  readonly worker: number;
  readonly wheel: TimerWheel;
  warn(message: string): void;
}

export class Tier {
  readonly purges: TierPurges;
  /** In front of all keys. */
  readonly prefix: string;
  readonly #counts: TierCounts;
  readonly #worker: number;
  readonly #wheel: TimerWheel;
  readonly #codec: RecordCodec;
  readonly #logKey: string;
  readonly #client: RedisClient;
  readonly #breaker: TierBreaker;
  readonly #writes: WriteQueue;
  #looks = 0;
  /** Of the log, as Redis said last. */
  #era = "";
  #restUntilMs = 0;
  /** Of the last question. */
  #timeoutMs = Number.POSITIVE_INFINITY;

  /** Connects in the background. */
  constructor({ memory, worker, wheel, warn }: TierOptions) {
    this.purges = new TierPurges(memory.purges);
    this.prefix = memory.redis.prefix;
    this.#counts = new TierCounts(memory.counts);
    this.#worker = worker;
    this.#wheel = wheel;
    this.#codec = new RecordCodec(memory.recordKey);
    this.#logKey = memory.logKey;
    this.#client = new RedisClient(memory.redis, { ready: () => void this.#breaker.try(), lost: () => this.#breaker.open() });
    this.#breaker = new TierBreaker({
      trial: () => this.#trial(),
      changed: (open) => {
        this.#counts.set(worker, TIER.open, open ? 1 : 0);
        if (open) warn(`the cache leaves Redis alone until it answers again: ${this.#client.trouble ?? "it does not answer in time"}`);
      },
    });
    this.#writes = new WriteQueue({
      store: this.#client,
      isLeftAlone: () => this.#breaker.isOpen,
      written: (bytes) => {
        this.#count(TIER.writes);
        this.#count(TIER.writtenBytes, bytes);
      },
      dropped: () => this.#count(TIER.dropped),
      failed: (error) => this.#writeFailed(error),
      waiting: (bytes) => this.#counts.set(worker, TIER.waitingBytes, bytes),
    });
    this.#counts.set(worker, TIER.used, 1);
    this.#counts.set(worker, TIER.open, 1);
    void this.#client.open();
  }

  close(): void {
    this.#breaker.stop();
    this.#client.close();
  }

  /** Whether a look makes sense now. */
  get isUsable(): boolean {
    return !this.#breaker.isOpen;
  }

  /** Where a response stands that is asked for now; null when it is not to be written. */
  place(): LogPlace | null {
    return this.#breaker.isOpen ? null : this.purges.placeIn(this.#era);
  }

  /** Takes no longer than the timeout and a tick of the wheel. Never rejects. @returns null for nothing that may be used */
  look(question: TierQuestion): Promise<TierFind | null> {
    if (this.#breaker.isOpen || this.#looks >= LOOKS_MAX) {
      this.#count(TIER.skipped);
      return Promise.resolve(null);
    }
    this.#looks++;
    this.#timeoutMs = question.limits.timeoutMs;
    return new Promise((resolve) => {
      const patience = new Patience(() => {
        this.#count(TIER.errors);
        this.#breaker.failed();
        resolve(null);
      });
      this.#wheel.arm(patience, question.limits.timeoutMs);
      void this.#found(question)
        .then(
          (find) => {
            if (patience.isOver) return;
            this.#breaker.succeeded();
            resolve(find);
          },
          (error: unknown) => {
            if (patience.isOver) return;
            this.#count(TIER.errors);
            if (!isWrongType(error)) this.#breaker.failed();
            resolve(null);
          },
        )
        .finally(() => {
          this.#looks--;
          this.#wheel.disarm(patience);
        });
    });
  }

  /** @throws StoreError */
  async #found(question: TierQuestion): Promise<TierFind | null> {
    const first = await this.#read(question.text, question);
    if (first === null || first.record.kind === "response") return first === null ? null : this.#judged(first, question);
    const second = await this.#read(question.variantOf(first.record.vary), question);
    if (second === null || second.record.kind !== "response") return null;
    return this.#judged(second, question);
  }

  async #read(text: string, { space, limits }: TierQuestion): Promise<(Omit<TierFind, "isSoft"> & { readonly log: LogPlace }) | null> {
    const { name, inRedis } = this.#keyOf(space, text);
    // The log behind the record: whatever was purged before the record was read is in it.
    const reading = this.#client.read(inRedis, RECORD_HEAD_BYTES_MAX + limits.maxObjectBytes);
    const [bytes, log] = await Promise.all([reading, this.#log()]);
    this.#count(TIER.readBytes, bytes.length);
    if (bytes.length === 0) return this.#nothing(TIER.misses);
    const decoded = await this.#codec.decode(bytes, name, limits.maxObjectBytes);
    return decoded === null ? this.#nothing(TIER.invalid) : { ...decoded, log };
  }

  #judged({ record, body, log }: Omit<TierFind, "isSoft"> & { readonly log: LogPlace }, { url, urlNumber }: TierQuestion): TierFind | null {
    const verdict = this.purges.judge({ place: record.place, url, names: [urlNumber, ...record.tags] }, log);
    if (verdict === "void") return this.#nothing(TIER.purged);
    this.#count(TIER.hits);
    return { record, body, isSoft: verdict === "soft" };
  }

  #nothing(count: TierCount): null {
    this.#count(count);
    return null;
  }

  /** @throws StoreError @returns '' and -1 for no log: no instance has opened one */
  async #log(): Promise<LogPlace> {
    const [era, sequence] = await this.#client.fields(this.#logKey, ["era", "seq"]);
    this.#era = era ?? "";
    return { era: this.#era, sequence: /^\d{1,15}$/.test(sequence ?? "") ? Number(sequence) : -1 };
  }

  /** As slow as no client is to wait is as bad as gone. */
  async #trial(): Promise<void> {
    const startMs = performance.now();
    await this.#log();
    if (performance.now() - startMs > this.#timeoutMs) throw new Error("Redis answers too slowly");
  }

  /** In the background. Dropped when there is no room. */
  write({ space, text, variantOf, record, bodyBytes, copyBody, ttlMs, limits }: TierEntry): void {
    if (bodyBytes > limits.maxObjectBytes || ttlMs <= 0) return this.remove(space, text, limits); // nor may an older one stay
    const headBytes = HEAD_BYTES + record.headers.reduce((sum, { length }) => sum + length, 0);
    if (!this.#mayWrite(bodyBytes + headBytes, limits)) return this.#count(TIER.dropped);
    const lifeMs = Math.ceil(Math.min(ttlMs, TTL_MS_MAX));
    if (variantOf !== null) {
      const variants = { ...record, kind: "variants" as const, status: 0, headers: [], tags: [] };
      const life = Math.max(lifeMs, VARIANTS_TTL_MS_MIN);
      this.#add({ key: this.#keyOf(space, variantOf), bytes: HEAD_BYTES }, { record: variants, body: NOTHING, ttlMs: life });
    }
    const place = { key: this.#keyOf(space, text), bytes: bodyBytes + headBytes };
    this.#add(place, { record: { ...record, kind: "response" }, body: copyBody(), ttlMs: lifeMs });
  }

  #add({ key, bytes }: { readonly key: RecordKey; readonly bytes: number }, { record, body, ttlMs }: NewRecord): void {
    const encode = (): Promise<Buffer | null> => this.#codec.encode(record, body, key.name);
    this.#writes.add({ key: key.inRedis, bytes, record: { ttlMs, encode } });
  }

  /** What lies there is no longer true. */
  remove(space: string, text: string, limits: TierPlan): void {
    if (!this.#mayWrite(0, limits)) return this.#count(TIER.dropped);
    this.#writes.add({ key: this.#keyOf(space, text).inRedis, bytes: HEAD_BYTES, record: null });
  }

  #keyOf(space: string, text: string): RecordKey {
    const name = this.#codec.name(text);
    return { name, inRedis: `${space}${name.toString("base64url")}` };
  }

  #mayWrite(bytes: number, { queueBytes }: TierPlan): boolean {
    return !this.#breaker.isOpen && performance.now() >= this.#restUntilMs && this.#writes.hasRoom(bytes + HEAD_BYTES, queueBytes);
  }

  #writeFailed(error: unknown): void {
    this.#count(TIER.writeErrors);
    if (error instanceof StoreError && error.kind === "refused") this.#restUntilMs = performance.now() + REFUSED_REST_MS;
    else this.#breaker.failed();
  }

  #count(count: TierCount, by = 1): void {
    this.#counts.add(this.#worker, count, by);
  }
}

/** What a record's head is taken to be while it waits. */
const HEAD_BYTES = 1024;
const NOTHING = Buffer.alloc(0);

interface RecordKey {
  readonly name: Buffer;
  readonly inRedis: string;
}

interface NewRecord {
  readonly record: Omit<TierRecord, "coding" | "bodyBytes">;
  readonly body: Buffer;
  readonly ttlMs: number;
}

/** Somebody keeps something else under this key: Redis is well. */
const isWrongType = (error: unknown): boolean => error instanceof StoreError && error.message.startsWith("WRONGTYPE");

class Patience extends WheelEntry {
  isOver = false;
  readonly #over: () => void;

  constructor(over: () => void) {
    super();
    this.#over = over;
  }

  onDeadline(): void {
    this.isOver = true;
    this.#over();
  }
}
