// Owns how the in-flight limit of one upstream follows what its calls show: latency by class of route, held places, throughput.
// Pure: state and totals are doubles given to it, time is a parameter. Must never count places or know who waits.
//
// What is in flight beyond `throughput x base latency` is a queue at the service (Little's law; TCP Vegas, Brakmo & Peterson 1995, keeps such a
// queue between two bounds). The base latency of each class of routes is learnt while unsaturated. While saturated it can't be seen, so the limit is let
// down now and then for about one round trip: what then gets faster was a queue, what does not is the service. Instances let it down at the same
// moments of the wall clock, so that they see the service rather than each other.

/** Classes of routes: a change of what is asked for is no change of how fast it is answered. */
export const CLASSES = 8;
/** Of what calls have shown, in doubles: n and sum of latency for each class, then these. */
export const TOTAL_SQUARES = 2 * CLASSES;
/** Milliseconds that places were held. */
export const TOTAL_HELD = TOTAL_SQUARES + 1;
/** Calls that found no place. */
export const TOTAL_BLOCKED = TOTAL_SQUARES + 2;
export const TOTAL_WORDS = TOTAL_SQUARES + 3;

/** Words of the state. */
const LIMIT = 0;
const CV2 = 1;
const WINDOW_START = 2;
const PROBE_DRAINED = 3;
const SAVED = 4;
const GRID = 5;
const QUICK_UNTIL = 6;
const SLOW = 7;
const RAMPING = 8;
const MEAN = 9;
const PROBE_UNTIL = 10;
const BEFORE_PROBE = 11;
const DONE = 12;
const DEPTH = 13;
const BASES = 14;
const PREVIOUS = BASES + CLASSES;
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

/** Where the limit begins: enough for most services at once, and a queue of tolerable length for those of few servers. */
const START = 32;
/** A window is at least this long, ms, and at least two mean latencies. */
const WINDOW_MS = 100;
/** And at most this long, however few calls there were, ms. */
const WINDOW_MS_MAX = 1000;
const WINDOW_MS_FORGOTTEN = 60_000;
const SAMPLES_MIN = 30;
/** A window that is as long as it may be counts with so many. */
const SAMPLES_FEW = 10;
/** In flight of the limit: saturated beyond, certainly not below. */
const SATURATED = 0.85;
const IDLE = 0.5;
/** Bounds of the queue that is kept at the service, in steps. */
const QUEUE_LEAST = 2;
const QUEUE_MOST = 4;
/** To which part of the limit a probe goes: deeper while all that it shows is a queue, shallower where it costs throughput. */
const PROBE_PART = 0.6;
const PROBE_PART_LEAST = 0.3;
const PROBE_PART_MOST = 0.7;
const DEEPER = 0.8;
const SHALLOWER = 1.1;
/** Moments of the wall clock at which a probe may begin, ms; each so-manieth in quiet times, each after a change. */
const GRID_MS = 1000;
const GRID_QUIET = 32;
/** How long after a change probes come quickly, ms. */
const QUICK_MS = 4000;
/** A change of the limit against its own slow mean, or of the base by a probe. */
const MARKED = 0.2;

/** How far the limit moves at once. */
export const stepOf = (limit: number): number => Math.max(1, 2 * Math.log10(limit));

/** Moves a limit. One for all upstreams: the state is a parameter. */
export class LimitControl {
  readonly #f: Float64Array;
  readonly #at: number;
  readonly #delta = new Float64Array(TOTAL_WORDS);

  /** @param state STATE_WORDS of doubles at `at`, zero for nothing known */
  constructor(state: Float64Array, at: number) {
    this.#f = state;
    this.#at = at;
  }

  /** The limit that is to be enforced, requests. */
  limit({ minimum, maximum }: LimitBounds): number {
    const limit = this.#get(LIMIT) || Math.min(maximum, Math.max(minimum, START));
    const down = this.#get(PROBE_UNTIL) > 0 ? Math.max(minimum, limit * this.#depth) : limit;
    return Math.max(1, Math.floor(Math.min(maximum, Math.max(minimum, down)))); // a reload may have moved the bounds
  }

  /** Mean base latency of the classes as they are asked for at present, ms; 0 for unknown. */
  get baseMs(): number {
    return this.#get(MEAN);
  }

  /** Coefficient of variation of latency: how far apart calls of one class are. */
  get variation(): number {
    return Math.sqrt(this.#get(CV2));
  }

  /** When step() has something to do at the earliest, monotonic ms. */
  get dueMs(): number {
    return this.#get(PROBE_UNTIL) > 0
      ? this.#get(PROBE_DRAINED)
      : this.#get(WINDOW_START) + (this.#get(RAMPING) === 1 ? WINDOW_MS / 2 : WINDOW_MS);
  }

  /** @param totals what all workers' calls have shown, ever: TOTAL_WORDS @returns whether the limit may have changed */
  step(totals: Float64Array, clocks: Clocks, bounds: LimitBounds): boolean {
    const { nowMs } = clocks;
    if (this.#get(LIMIT) === 0) return this.#begin(totals, nowMs, bounds);
    const { samples, observedMs } = this.#difference(totals);
    if (this.#get(PROBE_UNTIL) > 0) return this.#probing(totals, samples, clocks);
    const elapsedMs = nowMs - this.#get(WINDOW_START);
    if (elapsedMs > WINDOW_MS_FORGOTTEN) {
      this.#restart(totals, nowMs); // there was next to nothing to see for so long that what is seen now is something else
      return false;
    }
    const mean = samples === 0 ? 0 : observedMs / samples;
    const shortest = this.#get(RAMPING) === 1 ? WINDOW_MS / 2 : WINDOW_MS;
    if (elapsedMs < Math.max(shortest, 2 * mean) || samples < SAMPLES_FEW) return false;
    this.#learnVariance(samples);
    if (samples < this.#wanted() && elapsedMs < WINDOW_MS_MAX) return false;
    const inFlight = (this.#delta[TOTAL_HELD] ?? 0) / elapsedMs;
    const blocked = this.#delta[TOTAL_BLOCKED] ?? 0;
    const part = inFlight / this.#get(LIMIT);
    const saturated = part > SATURATED;
    this.#learn(samples, saturated, part);
    this.#restart(totals, nowMs);
    if (saturated && blocked > 0) this.#move(inFlight, observedMs, samples, bounds);
    this.#watch(saturated, nowMs);
    if (saturated && blocked > 0 && !bounds.shadow) this.#mayProbe(clocks, mean);
    return true;
  }

  #begin(totals: Float64Array, nowMs: number, { minimum, maximum }: LimitBounds): boolean {
    const start = Math.min(maximum, Math.max(minimum, START));
    this.#set(LIMIT, start);
    this.#set(SLOW, start);
    this.#set(RAMPING, 1);
    this.#set(QUICK_UNTIL, nowMs + QUICK_MS);
    this.#restart(totals, nowMs);
    return true;
  }

  /** Of the window: n and sum, by class in #delta. */
  #difference(totals: Float64Array): { samples: number; observedMs: number } {
    let samples = 0;
    let observedMs = 0;
    for (let i = 0; i < TOTAL_WORDS; i++) {
      const delta = Math.max(0, (totals[i] ?? 0) - this.#get(PREVIOUS + i)); // a slot given to another upstream begins anew
      this.#delta[i] = delta;
      if (i >= TOTAL_SQUARES) continue;
      if (i % 2 === 0) samples += delta;
      else observedMs += delta;
    }
    return { samples, observedMs };
  }

  /** Squared coefficient of variation of latency within classes. */
  #learnVariance(samples: number): void {
    let within = this.#delta[TOTAL_SQUARES] ?? 0;
    let observedMs = 0;
    for (let k = 0; k < CLASSES; k++) {
      const n = this.#n(k);
      if (n > 0) within -= this.#sum(k) ** 2 / n;
      observedMs += this.#sum(k);
    }
    const mean = observedMs / samples;
    if (mean <= 0) return;
    const cv2 = Math.min(100, Math.max(0, within / samples / (mean * mean)));
    const known = this.#get(CV2);
    this.#set(CV2, known === 0 ? cv2 : known + 0.05 * (cv2 - known));
  }

  /** Samples by which the queue is known to a step. */
  #wanted(): number {
    const limit = this.#get(LIMIT);
    return Math.max(SAMPLES_MIN, this.#get(CV2) * (limit / stepOf(limit)) ** 2);
  }

  #learn(samples: number, saturated: boolean, part: number): void {
    const trust = Math.min(1, samples / this.#wanted());
    let expectedMs = 0;
    for (let k = 0; k < CLASSES; k++) {
      const n = this.#n(k);
      if (n === 0) continue;
      const mean = this.#sum(k) / n;
      const base = this.#base(k);
      const up = saturated ? 0 : part < IDLE ? 0.3 : 0.03;
      const down = 0.3;
      const weight = base === 0 ? 1 : (mean < base ? down : up) * trust * Math.sqrt(n / samples);
      // Noise around a base that is right must not pull it down: while saturated it could not come up again.
      const margin = saturated && base > 0 ? mean * Math.sqrt(this.#get(CV2) / n) : 0;
      const target = mean < base ? Math.min(base, mean + margin) : mean;
      this.#setBase(k, base + weight * (target - base));
      expectedMs += n * this.#base(k);
    }
    this.#set(MEAN, expectedMs / samples);
  }

  /** Saturated: the queue at the service is kept between two bounds. */
  #move(inFlight: number, observedMs: number, samples: number, { minimum, maximum, shadow }: LimitBounds): void {
    const limit = this.#get(LIMIT);
    const at = shadow ? Math.min(inFlight, 2 * limit) : limit;
    const queue = at * (1 - Math.min(1, (this.baseMs * samples) / observedMs));
    const noise = at * Math.sqrt(this.#get(CV2) / samples);
    const step = stepOf(limit);
    if (queue < QUEUE_LEAST * step) {
      // Nothing has shown yet where it ends: twice as much, so that a cold start refuses nobody.
      this.#set(LIMIT, Math.min(maximum, this.#get(RAMPING) === 1 ? limit * 2 : limit + step));
    } else if (queue - noise > QUEUE_MOST * step) {
      this.#set(RAMPING, 0);
      const down = Math.min(0.4 * limit, Math.max(step, (queue - QUEUE_MOST * step) / 2));
      this.#set(LIMIT, Math.max(minimum, limit - down));
    } else this.#set(RAMPING, 0);
  }

  /** After a marked change probes come quickly. */
  #watch(saturated: boolean, nowMs: number): void {
    const limit = this.#get(LIMIT);
    const slow = this.#get(SLOW);
    if (saturated && Math.abs(limit - slow) > MARKED * slow) this.#set(QUICK_UNTIL, nowMs + QUICK_MS);
    this.#set(SLOW, slow + 0.1 * (limit - slow));
  }

  #mayProbe({ nowMs, wallMs }: Clocks, meanMs: number): void {
    const grid = Math.floor(wallMs / GRID_MS);
    const last = this.#get(GRID);
    const quick = nowMs < this.#get(QUICK_UNTIL);
    if (last === 0 || (quick ? grid === last : Math.floor(grid / GRID_QUIET) === Math.floor(last / GRID_QUIET))) {
      if (last === 0) this.#set(GRID, grid);
      return;
    }
    this.#set(GRID, grid);
    this.#set(BEFORE_PROBE, meanMs);
    this.#set(SAVED, this.#get(LIMIT));
    // What was sent before the limit came down is answered first, and teaches nothing.
    this.#set(PROBE_DRAINED, nowMs + meanMs);
    this.#set(PROBE_UNTIL, nowMs + 2 * meanMs + WINDOW_MS_MAX);
    this.#set(DONE, 0);
  }

  /** @returns whether it is over */
  #probing(totals: Float64Array, samples: number, { nowMs }: Clocks): boolean {
    const before = this.#get(BEFORE_PROBE);
    if (this.#get(DONE) === 0) {
      if (nowMs < this.#get(PROBE_DRAINED)) return false;
      this.#set(DONE, 1);
      this.#set(PROBE_DRAINED, nowMs + 0.5 * before);
      this.#restart(totals, nowMs);
      return false;
    }
    const late = nowMs >= this.#get(PROBE_UNTIL);
    const wanted = Math.min(this.#wanted(), 500);
    if (nowMs < this.#get(PROBE_DRAINED) || (samples < wanted && !late && nowMs < this.#get(PROBE_DRAINED) + before)) return false;
    this.#set(PROBE_UNTIL, 0);
    if (samples >= 4) this.#judge(samples, wanted, nowMs);
    this.#restart(totals, nowMs);
    return true;
  }

  /** What the probe has shown. */
  #judge(samples: number, wanted: number, nowMs: number): void {
    let observedMs = 0;
    let expectedMs = 0;
    for (let k = 0; k < CLASSES; k++) {
      observedMs += this.#sum(k);
      expectedMs += this.#n(k) * this.#base(k);
    }
    const mean = observedMs / samples;
    const before = this.#get(BEFORE_PROBE);
    // As much faster as less was in flight: a queue was all that there was to see, and the base is below this, not at it.
    const depth = this.#depth;
    const part = mean / before;
    const noise = Math.sqrt(this.#get(CV2) / samples);
    const onlyQueue = part < depth + 0.3 * (1 - depth);
    const ratio = expectedMs > 0 ? observedMs / expectedMs : 1;
    if (onlyQueue && depth > PROBE_PART_LEAST) {
      this.#set(DEPTH, Math.max(PROBE_PART_LEAST, depth * DEEPER));
    } else if (part > depth + 0.6 * (1 - depth)) this.#set(DEPTH, Math.min(PROBE_PART_MOST, depth * SHALLOWER));
    if (onlyQueue && ratio > 1) return;
    const trust = Math.min(1, samples / wanted);
    for (let k = 0; k < CLASSES; k++) {
      const n = this.#n(k);
      if (n === 0) continue;
      const base = this.#base(k);
      this.#setBase(k, base + trust * 0.7 * Math.sqrt(n / samples) * (this.#sum(k) / n - base));
    }
    if (Math.abs(ratio - 1) > MARKED + 2 * noise) this.#set(QUICK_UNTIL, nowMs + QUICK_MS);
  }

  #restart(totals: Float64Array, nowMs: number): void {
    this.#f.set(totals.subarray(0, TOTAL_WORDS), this.#at + PREVIOUS);
    this.#set(WINDOW_START, nowMs);
  }

  get #depth(): number {
    return this.#get(DEPTH) || PROBE_PART;
  }

  #n(k: number): number {
    return this.#delta[2 * k] ?? 0;
  }

  #sum(k: number): number {
    return this.#delta[2 * k + 1] ?? 0;
  }

  #base(k: number): number {
    return this.#get(BASES + k);
  }

  #setBase(k: number, ms: number): void {
    this.#set(BASES + k, ms);
  }

  #get(word: number): number {
    return this.#f[this.#at + word] ?? 0;
  }

  #set(word: number, value: number): void {
    this.#f[this.#at + word] = value;
  }
}
