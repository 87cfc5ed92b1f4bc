// Owns what is asked for ahead of clients: when that begins, how much of it at once, and what came of it. Must never begin before the instance serves, be in the way
// of anybody, or end anything by its failures.
import type { Log } from "../../observe/log.ts";
import type { Plan } from "../../plan/plan.ts";
import type { WarmOutcome, WarmPlan, WarmRequest } from "../../plan/warm-plan.ts";

/** Failures of one run that are logged and shown; others are counted. */
const FAILURES_MAX = 100;

export interface WarmState {
  readonly running: boolean;
  /** Why it began: `start`, `reload` or `order`. */
  readonly cause: string;
  readonly startedAt: string;
  /** null while it runs. */
  readonly finishedAt: string | null;
  /** Requests: URLs times variants. */
  readonly requests: number;
  readonly done: number;
  readonly stored: number;
  /** There already, fresh. */
  readonly present: number;
  readonly failed: number;
  readonly failures: readonly WarmFailure[];
}

interface WarmFailure {
  readonly url: string;
  /** Of the variant, flat. */
  readonly headers: Readonly<WarmRequest["headers"]>;
  readonly reason: string;
}

export interface WarmUpParts {
  /** Has a worker make one request. Never rejects. */
  ask(request: WarmRequest): Promise<WarmOutcome>;
  readonly log: Log;
}

/** One time through the list. */
class Run {
  readonly #list: WarmPlan;
  readonly #parts: WarmUpParts;
  readonly #cause: string;
  readonly #startedAt = new Date().toISOString();
  #finishedAt: string | null = null;
  #next = 0;
  #done = 0;
  readonly #counts = { stored: 0, present: 0, failed: 0 };
  readonly #failures: WarmFailure[] = [];
  #cancelled = false;

  constructor(list: WarmPlan, cause: string, parts: WarmUpParts) {
    this.#list = list;
    this.#cause = cause;
    this.#parts = parts;
  }

  async go(): Promise<void> {
    const { requests, concurrency } = this.#list;
    this.#parts.log.info("warm-up begins", { cause: this.#cause, requests: requests.length });
    await Promise.all(Array.from({ length: Math.min(concurrency, requests.length) }, () => this.#lane()));
    this.#finishedAt = new Date().toISOString();
    const { stored, present, failed } = this.#counts;
    this.#parts.log.info(this.#cancelled ? "warm-up ended early" : "warm-up is over", { cause: this.#cause, stored, present, failed });
  }

  async #lane(): Promise<void> {
    const { requests } = this.#list;
    while (!this.#cancelled) {
      const request = requests[this.#next++];
      if (request === undefined) return;
      const { result, reason } = await this.#parts.ask(request);
      this.#done++;
      this.#counts[result]++;
      if (result === "failed" && !this.#cancelled) this.#failed(request, reason);
    }
  }

  #failed({ url, headers }: WarmRequest, reason: string): void {
    if (this.#failures.length >= FAILURES_MAX) return;
    this.#failures.push({ url, headers: headers.slice(2), reason }); // behind User-Agent
    this.#parts.log.warn("a URL of cache.warm is not stored", { url, reason });
    if (this.#failures.length === FAILURES_MAX) this.#parts.log.warn("further URLs of cache.warm that are not stored are only counted", {});
  }

  cancel(): void {
    this.#cancelled = true;
  }

  get state(): WarmState {
    return {
      running: this.#finishedAt === null,
      cause: this.#cause,
      startedAt: this.#startedAt,
      finishedAt: this.#finishedAt,
      requests: this.#list.requests.length,
      done: this.#done,
      ...this.#counts,
      failures: this.#failures,
    };
  }
}

export class WarmUp {
  readonly #parts: WarmUpParts;
  #list: WarmPlan | null = null;
  /** The list as a text. */
  #text = "";
  #run: Run | null = null;
  #isReady = false;
  #isOver = false;

  constructor(parts: WarmUpParts) {
    this.#parts = parts;
  }

  /** A plan is in force. */
  follow({ cache }: Pick<Plan, "cache">): void {
    const text = JSON.stringify(cache.warm);
    if (text === this.#text) return;
    this.#text = text;
    this.#list = cache.warm;
    if (this.#isReady) this.#begin("reload");
  }

  /** The instance serves, and says so. */
  ready(): void {
    this.#isReady = true;
    this.#begin("start");
  }

  /** An operator wants it. A run that is under way goes on, and nothing else happens. @returns null without a list */
  order(): WarmState | null {
    if (this.#list === null || !this.#isReady) return null;
    if (this.#run?.state.running !== true) this.#begin("order");
    return this.state();
  }

  #begin(cause: string): void {
    this.#run?.cancel();
    if (this.#list === null || this.#isOver) return;
    this.#run = new Run(this.#list, cause, this.#parts);
    void this.#run.go();
  }

  /** null before the first run. */
  state(): WarmState | null {
    return this.#run?.state ?? null;
  }

  /** The instance drains. */
  stop(): void {
    this.#isOver = true;
    this.#run?.cancel();
  }
}
