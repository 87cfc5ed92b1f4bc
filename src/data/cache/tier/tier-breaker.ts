// Owns whether Redis is asked at all. While it is not, nobody waits for it: it is tried by a question of the gateway's own, in the background.

/** How much one more look counts in the share of those that fail, and the share that opens it: five in a row from nothing, or one in five for long, as of a cluster that has lost a node. */
const WEIGHT = 0.05;
const SHARE_MAX = 0.2;
/** How long (ms) it stays open before a trial: the first time, and at most. It doubles when a trial fails, and when it opens again soon. */
const OPEN_MS_FIRST = 500;
const OPEN_MS_MAX = 10_000;
/** How soon, ms. */
const AGAIN_MS = 10_000;

export interface TierBreakerOptions {
  /** Asks Redis something. Rejects when it does not answer in time. */
  trial(): Promise<void>;
  /** It has opened, or closed. */
  changed(open: boolean): void;
}

/** Begins open: there is no connection yet. */
export class TierBreaker {
  readonly #options: TierBreakerOptions;
  #open = true;
  /** Of looks that fail, the latest counting most. */
  #share = 0;
  #openMs = OPEN_MS_FIRST;
  /** performance.now() ms. */
  #closedMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #trying = false;
  #stopped = false;

  constructor(options: TierBreakerOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  succeeded(): void {
    this.#share -= this.#share * WEIGHT;
  }

  failed(): void {
    this.#share += (1 - this.#share) * WEIGHT;
    if (this.#share > SHARE_MAX) this.open();
  }

  /** There is nothing to be asked. */
  open(): void {
    if (!this.#open) {
      this.#open = true;
      this.#openMs = performance.now() - this.#closedMs < AGAIN_MS ? doubled(this.#openMs) : OPEN_MS_FIRST;
      this.#options.changed(true);
    }
    this.#wait();
  }

  /** There is something to be asked again. */
  async try(): Promise<void> {
    if (this.#trying || this.#stopped) return;
    this.#trying = true;
    this.#forget();
    try {
      await this.#options.trial();
      this.#close();
    } catch {
      this.#openMs = doubled(this.#openMs);
      this.#wait();
    } finally {
      this.#trying = false;
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#forget();
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#share = 0;
    this.#closedMs = performance.now();
    this.#options.changed(false);
  }

  #wait(): void {
    if (this.#timer !== null || this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.try();
    }, this.#openMs);
    this.#timer.unref();
  }

  #forget(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

const doubled = (ms: number): number => Math.min(OPEN_MS_MAX, ms * 2);
