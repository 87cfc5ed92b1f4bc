// Owns the way from a worker to the thread that checks its tokens' signatures: one piscina pool with one thread, fed in batches,
// with a bounded queue. Must never check a signature on the worker's own event loop, and never lose an answer.
//
// Measured (2 cores, CPU us a token on the event loop / in all): jose inline 27-57 / 45-150; node:crypto inline all of 5-130; one token a
// call to the pool 20-74 on the loop; in batches of 16: 2.4-5.8 on the loop, in all 9 (HS256), 28 (RS256), 85 (ES256), 90 (EdDSA) with
// node:crypto in the thread, 69, 72, 130, 145 with jose's own verify, which also spreads over the process's one libuv pool, where files,
// names and compression would wait behind a flood of tokens. bench/jwt-verify.ts repeats it.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Piscina } from "piscina";
import type { VerificationKeyPlan } from "../plan/keys.ts";
import type { VerifyBatch, VerifyItem } from "./verify-task.ts";

/** Tokens that wait for the thread; more are not taken. */
const QUEUE_MAX = 512;
/** Tokens of one call. */
const BATCH_MAX = 32;
/** Calls under way: one that the thread works at, one that waits beside it. */
const CALLS_MAX = 2;
/** Longest time (ms) of a call; then the thread is taken for broken and replaced. */
const CALL_MS_MAX = 5000;
/** No new thread is tried for this time (ms) after one broke. */
const REST_MS = 1000;

/** failed: nobody can tell now. */
export type Verdict = "good" | "bad" | "failed";

interface Job extends Omit<VerifyItem, "key"> {
  readonly key: VerificationKeyPlan;
  readonly resolve: (verdict: Verdict) => void;
}

export class VerifyPool {
  readonly #warn: (message: string) => void;
  readonly #queue: Job[] = [];
  #pool: Piscina | null = null;
  #calls = 0;
  #restsUntilMs = 0;

  /** Starts the thread at once, so that the first token need not wait for it. @param warn told when the thread breaks */
  constructor(warn: (message: string) => void) {
    this.#warn = warn;
    this.#pool = this.#open();
  }

  /** Tokens that wait for the thread. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Checks the signature of a token, three parts of strict base64url. @returns null when too many wait; never rejects */
  verify(token: string, alg: string, key: VerificationKeyPlan): Promise<Verdict> | null {
    if (this.#queue.length >= QUEUE_MAX) return null;
    return new Promise((resolve) => {
      this.#queue.push({ token, alg, key, resolve });
      this.#next();
    });
  }

  /** Ends the thread; what waits fails. */
  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = null;
    this.#restsUntilMs = Number.POSITIVE_INFINITY;
    this.#next();
    await pool?.destroy();
  }

  #next(): void {
    while (this.#queue.length > 0 && this.#calls < CALLS_MAX) void this.#call(this.#queue.splice(0, BATCH_MAX));
  }

  async #call(jobs: readonly Job[]): Promise<void> {
    this.#calls++;
    const verdicts = await this.#ask(batchOf(jobs));
    this.#calls--;
    for (const [i, job] of jobs.entries()) job.resolve(verdicts === null ? "failed" : verdicts[i] === 1 ? "good" : "bad");
    this.#next();
  }

  /** @returns null when the thread cannot answer */
  async #ask(batch: VerifyBatch): Promise<Uint8Array | null> {
    const pool = this.#usable();
    if (pool === null) return null;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${CALL_MS_MAX} ms`)), CALL_MS_MAX);
    });
    try {
      const verdicts: unknown = await Promise.race([pool.run(batch), late]);
      return verdicts instanceof Uint8Array && verdicts.length === batch.tokens.length ? verdicts : null;
    } catch (error) {
      this.#broke(pool, error);
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  #usable(): Piscina | null {
    if (this.#pool === null && performance.now() >= this.#restsUntilMs) this.#pool = this.#open();
    return this.#pool;
  }

  #broke(pool: Piscina, error: unknown): void {
    if (this.#pool !== pool) return;
    this.#pool = null;
    this.#restsUntilMs = Math.max(this.#restsUntilMs, performance.now() + REST_MS);
    this.#warn(`the thread that verifies tokens broke and is replaced: ${error instanceof Error ? error.message : error}`);
    pool.destroy().catch(() => undefined);
  }

  #open(): Piscina {
    const pool = new Piscina({
      filename: taskFile(),
      name: "verifyBatch",
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: CALLS_MAX,
      maxQueue: CALLS_MAX,
      recordTiming: false,
    });
    pool.on("error", (error) => this.#broke(pool, error));
    return pool;
  }
}

/** verify-task.ts in source, verify-task.js beside the bundle. */
function taskFile(): string {
  const name = import.meta.filename.endsWith(".ts") ? "verify-task.ts" : "verify-task.js";
  return pathToFileURL(path.join(import.meta.dirname, name)).href;
}

function batchOf(jobs: readonly Job[]): VerifyBatch {
  const keys: VerificationKeyPlan[] = [];
  const tokens = jobs.map(({ token, alg, key }): VerifyItem => {
    const known = keys.findIndex((each) => each.id === key.id);
    return { token, alg, key: known < 0 ? keys.push(key) - 1 : known };
  });
  return { keys, tokens };
}
