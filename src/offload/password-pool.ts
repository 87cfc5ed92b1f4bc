// Owns the way from a worker to the thread that checks passwords against hashes that people brought along (bcrypt above all): one piscina pool with one
// thread, begun when it is first needed and ended when it has been idle. Apart from the thread for tokens, which must not wait behind a password.
// Must never check a password on the worker's own event loop.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Piscina } from "piscina";
import type { PasswordJob } from "./password-task.ts";

/** Jobs that wait for the thread. Whoever asks has a bound of its own (`concurrency`), which is smaller. */
const QUEUE_MAX = 2048;
/** Longest time (ms) that the thread works at one password; then it is taken for broken and replaced. The dearest takes some 215 ms of CPU. */
const JOB_MS_MAX = 30_000;
/** The thread ends when it had nothing to do for so long, ms. */
const IDLE_MS = 60_000;

interface Job extends PasswordJob {
  readonly resolve: (fits: boolean) => void;
  readonly reject: (reason: Error) => void;
}

export class PasswordPool {
  readonly #warn: (message: string) => void;
  readonly #queue: Job[] = [];
  #pool: Piscina | null = null;
  #busy = false;

  /** @param warn told when the thread breaks */
  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /** Rejects when the thread cannot tell. */
  check({ password, scheme, cost, salt, hash }: PasswordJob): Promise<boolean> {
    if (this.#queue.length >= QUEUE_MAX) return Promise.reject(new Error("too many passwords wait"));
    return new Promise((resolve, reject) => {
      // As plain bytes: what crosses to the thread must not take a whole pool of buffers along.
      this.#queue.push({ password, scheme, cost, salt: Uint8Array.from(salt), hash: Uint8Array.from(hash), resolve, reject });
      void this.#next();
    });
  }

  /** Ends the thread; what waits fails. */
  async close(): Promise<void> {
    for (const { reject } of this.#queue.splice(0)) reject(new Error("closed"));
    const pool = this.#pool;
    this.#pool = null;
    await pool?.destroy();
  }

  async #next(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) await this.#run(job);
    this.#busy = false;
  }

  async #run({ resolve, reject, ...job }: Job): Promise<void> {
    const pool = (this.#pool ??= this.#open());
    const signal = AbortSignal.timeout(JOB_MS_MAX);
    try {
      resolve((await pool.run(job, { signal })) === true);
    } catch (error) {
      this.#broke(pool, signal.aborted ? `no answer within ${JOB_MS_MAX} ms` : error);
      reject(new Error("the thread broke"));
    }
  }

  #broke(pool: Piscina, error: unknown): void {
    if (this.#pool !== pool) return;
    this.#pool = null;
    this.#warn(`the thread that checks passwords broke and is replaced: ${error instanceof Error ? error.message : error}`);
    pool.destroy().catch(() => undefined);
  }

  #open(): Piscina {
    const pool = new Piscina({
      filename: taskFile(),
      name: "checkPassword",
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: IDLE_MS,
      recordTiming: false,
    });
    pool.on("error", (error) => this.#broke(pool, error));
    return pool;
  }
}

/** password-task.ts in source, password-task.js beside the bundle. */
function taskFile(): string {
  const name = import.meta.filename.endsWith(".ts") ? "password-task.ts" : "password-task.js";
  return pathToFileURL(path.join(import.meta.dirname, name)).href;
}
