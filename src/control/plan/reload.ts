// Owns the order of reloads: one at a time, and requests that arrive meanwhile share the next one.
// What a reload does is handed in; this file must never know.

export type ReloadResult =
  | {
      readonly ok: true;
      readonly version: number;
      /** What changed, for people: `route users-read changed`, `upstream orders added`. */
      readonly changes: readonly string[];
      /** What could not take effect (needs a restart) or deserves a look. */
      readonly warnings: readonly string[];
    }
  | { readonly ok: false; readonly problems: readonly (ReloadProblem | string)[] };

/** One reason why a configuration was refused. ConfigProblem is one; a worker's refusal has only a message. */
export interface ReloadProblem {
  readonly message: string;
  readonly at?: { readonly file: string; readonly line: number; readonly column: number };
  readonly path?: string;
  readonly remedy?: string;
}

const SHUTTING_DOWN: ReloadResult = { ok: false, problems: [{ message: "the gateway is shutting down" }] };

export class Reloader {
  readonly #apply: (reasons: readonly string[]) => Promise<ReloadResult>;
  #running: Promise<ReloadResult> | null = null;
  #next: Promise<ReloadResult> | null = null;
  #nextReasons: string[] = [];
  #stopped = false;

  /** @param apply must not reject */
  constructor(apply: (reasons: readonly string[]) => Promise<ReloadResult>) {
    this.#apply = apply;
  }

  /** @returns the result of a reload that began after this call, so that it has seen every change made before. */
  request(reason: string): Promise<ReloadResult> {
    if (this.#stopped) return Promise.resolve(SHUTTING_DOWN);
    if (this.#running === null) return this.#run([reason]);
    this.#nextReasons.push(reason);
    this.#next ??= this.#running.then(() => {
      const reasons = [...new Set(this.#nextReasons)];
      this.#next = null;
      this.#nextReasons = [];
      return this.#stopped ? SHUTTING_DOWN : this.#run(reasons);
    });
    return this.#next;
  }

  /** No more reloads. @returns when the one under way is over */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  #run(reasons: readonly string[]): Promise<ReloadResult> {
    const run = this.#apply(reasons).finally(() => {
      if (this.#running === run) this.#running = null;
    });
    this.#running = run;
    return run;
  }
}
