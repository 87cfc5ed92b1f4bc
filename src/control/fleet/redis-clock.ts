// Owns the translation between this machine's monotonic clock and the clock of one Redis. Must never look at the wall clock.

/**
 * Every answer says what Redis's clock was at some moment between sending and receiving, which bounds the distance of the two clocks from
 * both sides. The estimate stays as it is while it fits those bounds and moves no further than it must when it does not: so times that go there
 * and back stay the same, and neither slow answers nor small drift add up.
 */
export class RedisClock {
  #offsetMs: number | null = null;

  /** Whether anything is known yet. */
  get known(): boolean {
    return this.#offsetMs !== null;
  }

  /** @param redisMs Redis's time @param sentMs,receivedMs monotonicMs() around it */
  sample(redisMs: number, sentMs: number, receivedMs: number): void {
    const least = redisMs - receivedMs;
    const most = redisMs - sentMs;
    this.#offsetMs = this.#offsetMs === null ? (least + most) / 2 : Math.min(most, Math.max(least, this.#offsetMs));
  }

  /** @param monotonic monotonicMs() @returns Redis's time; NaN when nothing is known */
  toRedis(monotonic: number): number {
    return monotonic + (this.#offsetMs ?? Number.NaN);
  }
}
