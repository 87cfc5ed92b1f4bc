// Owns what one name means over time: asks again when the TTL is over, keeps the last good answer when asking fails.
// Must never know who uses the name.
import { backoffMs } from "../../base/backoff.ts";
import type { Answer, NameResolver, NameSource } from "./resolve-name.ts";

/** A name that fails is asked again after this, doubling, with jitter. */
const RETRY_BASE_MS = 1000;
const RETRY_MAX_MS = 30_000;

/** What a watch needs. */
export interface NameWatchDeps {
  readonly resolver: NameResolver;
  /** TTLs are raised and lowered to these. */
  readonly ttlMinMs: number;
  readonly ttlMaxMs: number;
  random(): number;
  /** The answer is another than before. */
  onChange(watch: NameWatch): void;
  /** Asking failed where it had not before, or works again (`null`). */
  onTrouble(watch: NameWatch, error: Error | null): void;
}

/** Starts asking at once. */
export class NameWatch {
  readonly source: NameSource;
  /** Settles when the first attempt is over, whatever came of it. */
  readonly firstAttempt: Promise<void>;
  readonly #deps: NameWatchDeps;
  #answer: Answer | null = null;
  #failures = 0;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(source: NameSource, deps: NameWatchDeps) {
    this.source = source;
    this.#deps = deps;
    this.firstAttempt = this.#ask();
  }

  /** The last good answer; null while there never was one. */
  get answer(): Answer | null {
    return this.#answer;
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    try {
      const answer = await this.#deps.resolver.resolve(this.source);
      if (!this.#stopped) this.#answered(answer);
    } catch (error) {
      if (!this.#stopped) this.#failed(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #answered(answer: Answer): void {
    if (this.#failures > 0) this.#deps.onTrouble(this, null);
    this.#failures = 0;
    this.#again(Math.min(Math.max(answer.ttlMs, this.#deps.ttlMinMs), this.#deps.ttlMaxMs));
    const changed = JSON.stringify(answer.addresses) !== JSON.stringify(this.#answer?.addresses);
    this.#answer = answer;
    if (changed) this.#deps.onChange(this);
  }

  #failed(error: Error): void {
    // Half of the delay is fixed, so that a dead server is not hammered by an unlucky draw.
    const delayMs = backoffMs(this.#failures, RETRY_BASE_MS, RETRY_MAX_MS, () => 0.5 + this.#deps.random() / 2);
    this.#failures += 1;
    this.#again(delayMs);
    if (this.#failures === 1) this.#deps.onTrouble(this, error);
  }

  #again(delayMs: number): void {
    this.#timer = setTimeout(() => void this.#ask(), delayMs);
    this.#timer.unref();
  }
}
