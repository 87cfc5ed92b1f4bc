// Owns what is known of one upstream's limit, as doubles in memory that threads share: which word is what, the window under way, the base latencies.
// Must never decide anything: limit-control.ts and limit-probe.ts do.

/** Classes of routes: a change of what is asked for is no change of how fast it is answered. */
export const CLASSES = 8;
/** Of what calls have shown, in doubles: n and sum of latency for each class, then these. */
export const TOTAL_SQUARES = 2 * CLASSES;
/** Integral of places in use over time, ms. */
export const TOTAL_HELD = TOTAL_SQUARES + 1;
/** Calls that found no place. */
export const TOTAL_BLOCKED = TOTAL_SQUARES + 2;
export const TOTAL_WORDS = TOTAL_SQUARES + 3;

/** Words of the state. */
export const LIMIT = 0;
/** Variance of latency within classes, in base latencies squared. */
export const CV2 = 1;
export const WINDOW_START = 2;
/** Nobody has seen yet where the service ends. */
export const RAMPING = 3;
export const MEAN = 4;
/** When a probe has shown last that what is cut off is a queue; cuts until then need no further one. */
export const CONFIRMED_UNTIL = 5;
/** Something has changed: until then probes come quickly. */
export const QUICK_UNTIL = 6;
/** When the next probe is due; 0 for none. */
export const PROBE_AT = 7;
/** Latency against the base, and throughput in base latencies, while saturated; slowly. 0: unknown. */
export const SLOW_RATIO = 8;
export const SLOW_PACE = 9;
/** The probe: 0 none, else how far it is (limit-probe.ts). */
export const PHASE = 10;
export const PROBE_LIMIT = 11;
export const PROBE_SINCE = 12;
/** In flight before it, and throughput. */
export const PROBE_FROM = 13;
export const PROBE_PACE = 14;
/** When the last one ended, ms. */
export const PROBE_UNTIL = 15;
/** The base was never seen apart from a queue. */
export const UNKNOWN = 16;
/** The next window begins in what a probe has left. */
export const AFTER_PROBE = 17;
/** Of the probe that is due or under way (limit-probe.ts). */
export const PROBE_KIND = 18;
export const BASES = 19;
export const SEEN = BASES + CLASSES;
export const PREVIOUS = SEEN + CLASSES;
export const STATE_WORDS = PREVIOUS + TOTAL_WORDS;

export interface LimitBounds {
  readonly minimum: number;
  readonly maximum: number;
  /** The limit is not enforced: what is in flight may exceed it, and letting it down would show nothing. */
  readonly shadow: boolean;
}

/** What is known of the wall clock; instances with clocks that agree probe together. */
export interface Clocks {
  /** Monotonic, ms. */
  readonly nowMs: number;
  /** Date.now(). */
  readonly wallMs: number;
}

/** A call takes at least this, ms: what is quicker than the clock is not infinitely quick. */
const LATENCY_MS_MIN = 0.001;
const VARIANCE_MAX = 30;
/** How long probes come quickly after a change, ms. */
const QUICK_MS = 4000;
/** In flight of the limit: saturated beyond, if calls found no place. */
export const SATURATED = 0.85;

/** One thread's view. Whoever calls what writes holds the upstream's lock. */
export class LimitState {
  readonly #f: Float64Array;
  readonly #at: number;
  readonly #delta = new Float64Array(TOTAL_WORDS);
  // Of the window, by difference().
  #samples = 0;
  #observedMs = 0;
  #expectedMs = 0;

  /** @param state STATE_WORDS of doubles at `at`, zero for nothing known */
  constructor(state: Float64Array, at: number) {
    this.#f = state;
    this.#at = at;
  }

  get(word: number): number {
    return this.#f[this.#at + word] ?? 0;
  }

  set(word: number, value: number): void {
    this.#f[this.#at + word] = value;
  }

  // --- The window: what calls have shown since restart() ---

  get samples(): number {
    return this.#samples;
  }

  /** Sum of the window's latencies, ms; and what it would be without a queue, as far as is known. */
  get observedMs(): number {
    return this.#observedMs;
  }

  get expectedMs(): number {
    return this.#expectedMs;
  }

  /** Latency of the window against the base. */
  get ratio(): number {
    return this.#observedMs / this.#expectedMs;
  }

  /** Integral of places in use, ms. */
  get heldMs(): number {
    return this.#delta[TOTAL_HELD] ?? 0;
  }

  get blocked(): number {
    return this.#delta[TOTAL_BLOCKED] ?? 0;
  }

  n(k: number): number {
    return this.#delta[2 * k] ?? 0;
  }

  sum(k: number): number {
    return Math.max(LATENCY_MS_MIN * this.n(k), this.#delta[2 * k + 1] ?? 0);
  }

  /** @param totals what all workers' calls have shown, ever */
  difference(totals: Float64Array): void {
    this.#samples = 0;
    for (let i = 0; i < TOTAL_WORDS; i++) this.#delta[i] = Math.max(0, (totals[i] ?? 0) - this.get(PREVIOUS + i)); // a slot given to another upstream begins anew
    for (let k = 0; k < CLASSES; k++) this.#samples += this.n(k);
    this.expect();
  }

  /** To be called again when a base has changed. */
  expect(): void {
    this.#observedMs = this.#expectedMs = 0;
    for (let k = 0; k < CLASSES; k++) {
      this.#observedMs += this.sum(k);
      this.#expectedMs += this.base(k) === 0 ? this.sum(k) : this.n(k) * this.base(k);
    }
  }

  restart(totals: Float64Array, nowMs: number): void {
    this.#f.set(totals.subarray(0, TOTAL_WORDS), this.#at + PREVIOUS);
    this.set(WINDOW_START, nowMs);
  }

  /** Of latency within classes, in base latencies squared. */
  get variance(): number {
    const samples = this.#samples;
    if (samples === 0) return 0;
    let within = this.#delta[TOTAL_SQUARES] ?? 0;
    for (let k = 0; k < CLASSES; k++) if (this.n(k) > 0) within -= this.sum(k) ** 2 / this.n(k);
    const base = this.#expectedMs / samples;
    return Math.min(VARIANCE_MAX, Math.max(0, within / samples / (base * base)));
  }

  /** Standard deviation of `ratio` as it is seen in the window. */
  get noise(): number {
    return Math.sqrt(Math.max(this.get(CV2), this.variance) / this.#samples);
  }

  // --- What is known ---

  base(k: number): number {
    return this.get(BASES + k);
  }

  /** The bases of all classes: how far they are apart is known from quieter times. */
  scale(by: number): void {
    for (let k = 0; k < CLASSES; k++) this.set(BASES + k, this.base(k) * by);
    this.set(SLOW_RATIO, this.get(SLOW_RATIO) / by);
    this.set(SLOW_PACE, this.get(SLOW_PACE) * by);
  }

  move(limit: number, { minimum, maximum }: LimitBounds): void {
    this.set(LIMIT, Math.min(maximum, Math.max(minimum, limit)));
  }

  /** Something has changed, or is not known: probes come quickly for a while. */
  quick(nowMs: number): void {
    this.set(QUICK_UNTIL, nowMs + QUICK_MS);
  }
}

/** The queue that is kept at the service, requests: so many roots of the limit. */
export const queueOf = (limit: number): number => 1.5 * Math.sqrt(limit);

/** One answer. @param totals TOTAL_WORDS of one worker @param k class of its route */
export function addSample(totals: Float64Array, k: number, latencyMs: number): void {
  totals[2 * k] = (totals[2 * k] ?? 0) + 1;
  totals[2 * k + 1] = (totals[2 * k + 1] ?? 0) + latencyMs;
  totals[TOTAL_SQUARES] = (totals[TOTAL_SQUARES] ?? 0) + latencyMs * latencyMs;
}

/** Adds what one worker's calls have shown. @param sums TOTAL_WORDS @param at where its TOTAL_WORDS begin */
export function addTotals(sums: Float64Array, doubles: Float64Array, at: number): void {
  for (let word = 0; word < TOTAL_WORDS; word++) sums[word] = (sums[word] ?? 0) + (doubles[at + word] ?? 0);
}
