// Owns how many instances the fleet is taken to have. Must never shrink it on hearsay: a number that is too small lets too much through.

/** Time (ms) between two signs of life. */
export const MEET_EVERY_MS = 500;
/** Silence (ms) after which an instance is held to be dead. */
export const MEMBER_TTL_MS = 5000;
/** Signs of life in a row that may fail to come, when there is one only every interval. */
const SIGNS_MISSED_MAX = 3;

/** @param syncIntervalMs an instance says nothing between two rounds @returns silence after which it is dead, ms */
export const memberTtlMs = (syncIntervalMs: number): number => Math.max(MEMBER_TTL_MS, SIGNS_MISSED_MAX * syncIntervalMs);

export class Membership {
  readonly #ttlMs: number;
  #size: number;
  #smallerSinceMs: number | null = null;

  /** @param expected what to assume until it is known @param ttlMs see {@link memberTtlMs} */
  constructor(expected: number, ttlMs: number) {
    this.#size = expected;
    this.#ttlMs = ttlMs;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Redis has counted. A larger number holds at once. A smaller one only when it was smaller for a whole time to live: after an outage everybody
   * comes back one by one, and who comes first counts alone.
   * @returns whether the size changed
   */
  counted(instances: number, nowMs: number): boolean {
    const before = this.#size;
    if (instances >= this.#size) {
      this.#size = instances;
      this.#smallerSinceMs = null;
    } else if (this.#smallerSinceMs === null) this.#smallerSinceMs = nowMs;
    else if (nowMs - this.#smallerSinceMs >= this.#ttlMs) {
      this.#size = Math.max(1, instances);
      this.#smallerSinceMs = null;
    }
    return this.#size !== before;
  }

  /** Contact was lost: what was heard of late counts for nothing. */
  lost(): void {
    this.#smallerSinceMs = null;
  }
}
