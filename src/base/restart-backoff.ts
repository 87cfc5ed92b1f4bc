// Owns the decision how long to wait before something that died is started again. Pure: the clock is an argument.

/** First wait of a crash loop, in ms; doubles with every further death. */
const DELAY_MIN_MS = 200;
/** Longest wait between two starts, in ms. */
export const DELAY_MAX_MS = 30_000;
/** Something that lived this long (ms) is not in a crash loop. */
const HEALTHY_AFTER_MS = 30_000;

/** Counts deaths that follow each other quickly. The first one is answered at once, later ones wait ever longer. */
export class RestartBackoff {
  #deaths = 0;

  /** @param livedMs how long the thing lived. @returns ms to wait before the next start: 0 for a first death. */
  next(livedMs: number): number {
    if (livedMs >= HEALTHY_AFTER_MS) this.#deaths = 0;
    this.#deaths++;
    return this.#deaths === 1 ? 0 : Math.min(DELAY_MAX_MS, DELAY_MIN_MS * 2 ** (this.#deaths - 2));
  }

  /** Deaths in a row that came too soon after the start; 2 or more is a crash loop. */
  get deaths(): number {
    return this.#deaths;
  }

  /** Call with the present life's length: a long enough life ends the loop. */
  forgive(livedMs: number): void {
    if (livedMs >= HEALTHY_AFTER_MS) this.#deaths = 0;
  }
}
