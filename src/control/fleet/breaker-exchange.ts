// Owns telling the fleet of this instance's breakers and hearing of the others', through Redis. Primary only.
// Must never reach a breaker, never be waited for by limits, and never take what Redis says for true before it was read (breaker-report.ts).
import type { OthersBreakers } from "../../observe/instance-state.ts";
import type { Log } from "../../observe/log.ts";
import { REPORT, REPORT_HEAD_REPLIES, REPORT_TTL_MS_MAX } from "../../store/fleet-scripts.ts";
import { type ScriptStore, StoreError } from "../../store/redis-client.ts";
import { type BreakerReport, REPORT_BYTES_MAX, type ReportedBreaker, readReport, writeReport } from "./breaker-report.ts";
import { MEET_EVERY_MS, memberTtlMs } from "./membership.ts";
import { OthersSummary } from "./others-breakers.ts";

/** Instances that are remembered: FLEET_SIZE_MAX of the configuration. */
const REPORTS_MAX = 1000;
/** Reports in one answer, at most a megabyte, and answers in one round. Further ones come with the next. */
export const PAGE = 128;
const PAGES_MAX = 4;
/** All are asked for anew, whatever we believe to know: then nothing that went wrong stays wrong, ms. */
const REFRESH_MS = 30_000;
/** Rounds without an answer after which what is known is stale. It is forgotten when an instance that is silent for so long is held to be dead. */
const STALE_ROUNDS = 3;

export interface BreakerExchangeOptions {
  readonly store: ScriptStore;
  /** Of the shard of Redis that all instances share. */
  readonly key: (name: string) => string;
  readonly instance: string;
  /** What operators know the instance by. */
  readonly name: string;
  readonly syncIntervalMs: number;
  /** This instance's breakers that are not closed, now. */
  readonly read: () => readonly ReportedBreaker[];
  readonly log: Log;
  readonly now: () => number;
}

/**
 * Every round leaves the own report, and takes the news of the others: those with a number above the highest that was seen. When that does
 * not add up to the instances that Redis counts, somebody has left: the next rounds ask for all, and who is not among them is forgotten.
 */
export class BreakerExchange {
  readonly #options: BreakerExchangeOptions;
  readonly #keys: readonly string[];
  readonly #ttlMs: number;
  readonly #staleMs: number;
  readonly #summary: OthersSummary;
  /** By instance; null for what could not be read. */
  readonly #reports = new Map<string, BreakerReport | null>();
  /** Highest number seen. */
  #known = 0;
  /** Instances met since all were asked for; null when only news is. */
  #met: Set<string> | null = new Set();
  #metAllMs = Number.NEGATIVE_INFINITY;
  /** When the last answer was asked for that left nothing out; -Infinity while nothing is known. */
  #heardMs = Number.NEGATIVE_INFINITY;
  #everHeardMs = Number.NEGATIVE_INFINITY;
  #lost = false;
  #running: Promise<void> | null = null;
  #ignored = 0;
  #failures = 0;
  #trouble: string | null = null;

  constructor(options: BreakerExchangeOptions) {
    const { key, log, syncIntervalMs } = options;
    const everyMs = Math.max(MEET_EVERY_MS, syncIntervalMs);
    this.#options = options;
    this.#keys = [key("breakers:ends"), key("breakers:news"), key("breakers:reports")];
    this.#ttlMs = Math.min(REPORT_TTL_MS_MAX, memberTtlMs(syncIntervalMs));
    this.#staleMs = STALE_ROUNDS * everyMs;
    this.#summary = new OthersSummary(log);
  }

  /** Begins a round, unless one is under way. Never throws, and nobody waits for it. */
  round(): void {
    this.#dropOld();
    this.#running ??= this.#exchange()
      .catch((error: unknown) => {
        this.#failures += 1;
        this.#trouble = error instanceof Error ? error.message : String(error);
      })
      .finally(() => {
        this.#running = null;
      });
  }

  /** The connection is gone: what is known may be old. */
  lost(): void {
    this.#lost = true;
  }

  /** Takes the own report away. @throws StoreError */
  async leave(): Promise<void> {
    await this.#running;
    await this.#run("");
  }

  state(): OthersBreakers {
    this.#dropOld();
    const nowMs = this.#options.now();
    const known = Number.isFinite(this.#heardMs);
    return {
      knowledge: !known ? "unknown" : this.#lost || nowMs - this.#heardMs > this.#staleMs ? "stale" : "fresh",
      ageMs: Number.isFinite(this.#everHeardMs) ? Math.round(nowMs - this.#everHeardMs) : null,
      instances: known ? this.#readable().length : null,
      breakers: this.#summary.breakers,
      leftOut: this.#summary.leftOut,
      ignored: this.#ignored,
      failures: this.#failures,
      trouble: this.#trouble,
    };
  }

  async #exchange(): Promise<void> {
    if (this.#met === null && this.#options.now() - this.#metAllMs >= REFRESH_MS) this.#askForAll();
    for (let page = 0; page < PAGES_MAX; page++) if (!(await this.#page())) return;
  }

  /** @returns whether there is more to hear */
  async #page(): Promise<boolean> {
    const { now, name, read, instance } = this.#options;
    const sentMs = now();
    const [highest, count, more, foreign, news] = answerOf(await this.#run(writeReport(name, read())));
    this.#known = highest;
    this.#ignored += foreign;
    let changed = false;
    for (const [id, text] of news) if (id !== instance) changed = this.#take(id, readReport(text)) || changed;
    if (!more) changed = this.#settle(count, sentMs) || changed;
    this.#lost = false;
    this.#trouble = null;
    // Not before all were heard once: the log would call new what is only late.
    if (changed && Number.isFinite(this.#heardMs)) this.#summary.update(this.#readable());
    return more;
  }

  #readable(): BreakerReport[] {
    return [...this.#reports.values()].filter((each) => each !== null);
  }

  #run(report: string): Promise<unknown> {
    const { store, instance } = this.#options;
    return store.run(REPORT, this.#keys, [instance, this.#ttlMs, report, this.#known, PAGE, REPORT_BYTES_MAX]);
  }

  /** @returns whether anything is different */
  #take(id: string, report: BreakerReport | null): boolean {
    this.#met?.add(id);
    if (report === null) this.#ignored += 1;
    if (!this.#reports.has(id) && this.#reports.size >= REPORTS_MAX) return false;
    this.#reports.set(id, report);
    return true;
  }

  /** Everything there was to hear is heard. @returns whether somebody has left */
  #settle(count: number, sentMs: number): boolean {
    const first = !Number.isFinite(this.#heardMs);
    this.#heardMs = this.#everHeardMs = sentMs;
    let left = false;
    if (this.#met !== null) {
      for (const id of this.#reports.keys()) if (!this.#met.has(id)) left = this.#reports.delete(id);
      this.#met = null;
      this.#metAllMs = sentMs;
    } else if (count !== this.#reports.size + 1) this.#askForAll();
    return left || first;
  }

  #askForAll(): void {
    this.#known = 0;
    this.#met = new Set();
  }

  /** What was heard holds no longer than what we say ourselves. */
  #dropOld(): void {
    if (this.#options.now() - this.#heardMs <= this.#ttlMs || !Number.isFinite(this.#heardMs)) return;
    this.#heardMs = Number.NEGATIVE_INFINITY;
    this.#reports.clear();
    this.#summary.forget();
    this.#askForAll();
  }
}

type Answer = readonly [highest: number, count: number, more: boolean, foreign: number, news: readonly (readonly [string, unknown])[]];

/** @throws StoreError for what the script does not answer */
function answerOf(reply: unknown): Answer {
  const parts: unknown[] = Array.isArray(reply) ? reply : [];
  const [highest, count, more, foreign] = parts.slice(0, REPORT_HEAD_REPLIES).map(Number);
  const rest = parts.slice(REPORT_HEAD_REPLIES);
  const isWhole = [highest, count, more, foreign].every((each) => Number.isFinite(each)) && rest.length % 2 === 0;
  if (!isWhole) throw new StoreError("refused", "Redis answers something else than was asked");
  const news = Array.from({ length: rest.length / 2 }, (_, i) => [String(rest[2 * i]), rest[2 * i + 1]] as const);
  return [highest ?? 0, count ?? 0, more === 1, foreign ?? 0, news];
}
