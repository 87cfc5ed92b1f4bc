// Owns the end of a gateway whose supervisor is gone and whose primary does nothing about it: it is stuck, and nobody else is left to end it. Must never
// end one that was told to drain, or that nobody supervises.

/** Between two looks, ms. */
const LOOK_MS = 500;
/** A primary that lives learns of its supervisor's end at once, and tells its workers to drain. This long (ms) after, it is stuck. */
const STUCK_MS = 10_000;

export class OrphanWatch {
  readonly #supervisor: number | null;
  readonly #timer: NodeJS.Timeout;
  #orphanedAtMs: number | null = null;

  /** @param supervisor pid of this process's parent; null: it is not supervised */
  constructor(supervisor: number | null) {
    this.#supervisor = supervisor;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
    if (supervisor === null) this.rest();
  }

  /** The primary has spoken: it sees to the end itself. */
  rest(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    if (process.ppid === this.#supervisor) return;
    this.#orphanedAtMs ??= performance.now();
    if (performance.now() - this.#orphanedAtMs >= STUCK_MS) process.kill(process.pid, "SIGKILL");
  }
}
