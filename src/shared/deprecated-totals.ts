// Owns how often each consumer called each deprecated route: in a worker since its last report, in the primary since the start. In ordinary memory: reports are messages.
// Must never have more series than its bounds, whoever calls.

/** Series with a consumer of their own; whoever comes later is counted together, for each route. */
export const DEPRECATED_SERIES_MAX = 1000;
/** Routes that have a series for those. */
const ROUTES_MAX = 1000;
/** Label of consumers, and of routes, that are counted together. No route can be called so. */
export const DEPRECATED_OTHERS = "_other";

/** One series: as plan/deprecated-calls.ts has it in a report. */
export interface DeprecatedSeries {
  readonly route: string;
  /** '' for nobody known. */
  readonly consumer: string;
  readonly count: number;
}

export class DeprecatedTotals {
  /** By route, then by consumer. */
  readonly #counts = new Map<string, Map<string, number>>();
  #series = 0;

  add(route: string, consumer: string, count: number): void {
    const consumers = this.#counts.get(route);
    const known = consumers?.get(consumer);
    if (consumers !== undefined && known !== undefined) consumers.set(consumer, known + count);
    else if (this.#series < DEPRECATED_SERIES_MAX) {
      this.#series++;
      this.#addTo(route, consumer, count);
    } else this.#addTo(consumers !== undefined || this.#counts.size < ROUTES_MAX ? route : DEPRECATED_OTHERS, DEPRECATED_OTHERS, count);
  }

  #addTo(route: string, consumer: string, count: number): void {
    let consumers = this.#counts.get(route);
    if (consumers === undefined) this.#counts.set(route, (consumers = new Map()));
    consumers.set(consumer, (consumers.get(consumer) ?? 0) + count);
  }

  /** Every series. */
  all(): DeprecatedSeries[] {
    return [...this.#counts].flatMap(([route, consumers]) => [...consumers].map(([consumer, count]) => ({ route, consumer, count })));
  }

  /** What was added since the last time, which is then forgotten. @returns null for nothing */
  take(): readonly DeprecatedSeries[] | null {
    if (this.#counts.size === 0) return null;
    const all = this.all();
    this.#counts.clear();
    this.#series = 0;
    return all;
  }
}
