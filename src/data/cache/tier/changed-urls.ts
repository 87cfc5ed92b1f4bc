// Owns which URLs this worker's unsafe requests have made untrue and the fleet is still to be told of: the primary is, once a turn. Until the fleet knows, nothing of
// them is taken from Redis here.
import type { TierPurges } from "../../../shared/cache/tier-purges.ts";

/** In one message. */
const URLS_MAX = 256;

export class ChangedUrls {
  readonly #purges: TierPurges;
  readonly #tell: (numbers: readonly number[]) => void;
  readonly #numbers = new Set<number>();
  #due = false;

  /** @param tell the primary, which lets go of each (TierPurges.releaseUrl) when the fleet's log has it */
  constructor(purges: TierPurges, tell: (numbers: readonly number[]) => void) {
    this.#purges = purges;
    this.#tell = tell;
  }

  /** @param number of a URL, as names.ts has it */
  add(number: number): void {
    if (this.#numbers.has(number)) return;
    this.#numbers.add(number);
    this.#purges.holdUrl(number);
    if (this.#numbers.size >= URLS_MAX) this.#flush();
    else if (!this.#due) {
      this.#due = true;
      setImmediate(() => {
        this.#due = false;
        this.#flush();
      });
    }
  }

  #flush(): void {
    if (this.#numbers.size === 0) return;
    const numbers = [...this.#numbers];
    this.#numbers.clear();
    this.#tell(numbers);
  }
}
