// Owns how the in-flight limit of one upstream follows what its calls show: latency by class of route, places in use, throughput.
// Pure: state and totals are doubles given to it, time is a parameter. Must never count places or know who waits.
//
// What is in flight beyond `throughput x base latency` is a queue at the service (Little's law; TCP Vegas, Brakmo & Peterson 1995). The base latency of
// each class of routes is learnt while unsaturated; while saturated it can't be seen, and probes look for it (limit-probe.ts): no limit is cut for what
// latency says before one has shown that there is a queue. All instances aim at one length of queue, so that they share alike.
import { LimitProbe } from "./limit-probe.ts";
import {
  AFTER_PROBE,
  BASES,
  CLASSES,
  type Clocks,
  CONFIRMED_UNTIL,
  CV2,
  LIMIT,
  type LimitBounds,
  LimitState,
  MEAN,
  PHASE,
  PROBE_AT,
  PROBE_LIMIT,
  PROBE_UNTIL,
  queueOf,
  RAMPING,
  SATURATED,
  SEEN,
  SLOW_PACE,
  SLOW_RATIO,
  UNKNOWN,
  WINDOW_START,
} from "./limit-state.ts";

/** Where the limit begins: enough for most services at once, and a queue of tolerable length for those of few servers. */
const START = 64;
/** A window is at least this long, ms, and as long as what is in flight takes one and a half times. */
const WINDOW_MS = 100;
const WINDOW_MS_RAMPING = 25;
const GENERATIONS = 1.5;
/** And at most this long, however few calls there were, ms. */
const WINDOW_MS_MAX = 1000;
const WINDOW_MS_FORGOTTEN = 60_000;
const SAMPLES_MIN = 30;
/** A window that is as long as it may be counts with so many. */
const SAMPLES_FEW = 8;
/** Of the queue that is aimed at: with less the limit grows quickly, with more it is cut. */
const QUEUE_LEAST = 0.5;
const QUEUE_MOST = 2;
/** How fast it is approached in between. */
const GAIN = 0.4;
const GROWTH = 1.25;
const CUT_MOST = 0.6;
/** A limit that nobody needs rises by this part of its root. */
const RELAX = 0.1;
/** A base is the mean of the last so many calls; of more where they vary. */
const MEMORY = 200;
const MEMORY_VARIED = 1000;
/** How fast it follows what is not noise: less is news; more may be a queue that others make, and is not needed before there is a limit. */
const FALL = 0.3;
const RISE = 0.01;
const RISE_LEAST = 0.02;
/** A change of latency or throughput while saturated that is looked into. */
const MARKED = 0.25;
const SLOWLY = 0.2;

/** Moves a limit. One for all upstreams: the state is a parameter. */
export class LimitControl {
  readonly #s: LimitState;
  readonly #probe: LimitProbe;

  /** @param state STATE_WORDS of doubles at `at`, zero for nothing known */
  constructor(state: Float64Array, at: number) {
    this.#s = new LimitState(state, at);
    this.#probe = new LimitProbe(this.#s);
  }

  /** The limit that is to be enforced, requests. */
  limit({ minimum, maximum }: LimitBounds): number {
    const s = this.#s;
    const limit = s.get(PHASE) > 0 ? s.get(PROBE_LIMIT) : s.get(LIMIT) || START;
    return Math.max(1, Math.floor(Math.min(maximum, Math.max(minimum, limit)))); // a reload may have moved the bounds
  }

  /** Mean base latency of the classes as they are asked for at present, ms; 0 for unknown. */
  get baseMs(): number {
    return this.#s.get(MEAN);
  }

  /** That of one class, ms; 0 for unknown. */
  baseOf(k: number): number {
    return this.#s.base(k);
  }

  /** Coefficient of variation of latency: how far apart calls of one class are. */
  get variation(): number {
    return Math.sqrt(this.#s.get(CV2));
  }

  /** When step() has something to do at the earliest, monotonic ms. */
  get dueMs(): number {
    const s = this.#s;
    if (s.get(PHASE) > 0) return 0;
    const windowMs = s.get(WINDOW_START) + (s.get(RAMPING) === 1 ? WINDOW_MS_RAMPING : WINDOW_MS);
    return s.get(PROBE_AT) > 0 ? Math.min(windowMs, s.get(PROBE_AT)) : windowMs;
  }

  /** @param totals what all workers' calls have shown, ever: TOTAL_WORDS @returns whether the limit may have changed */
  step(totals: Float64Array, clocks: Clocks, bounds: LimitBounds): boolean {
    const s = this.#s;
    const { nowMs } = clocks;
    if (s.get(LIMIT) === 0) return this.#begin(totals, nowMs, bounds);
    s.difference(totals);
    if (s.get(PHASE) > 0) return this.#probe.step(totals, nowMs, bounds);
    if (s.get(PROBE_AT) > 0 && nowMs >= s.get(PROBE_AT) && this.#probe.begin(totals, nowMs, bounds)) return true;
    const elapsedMs = nowMs - s.get(WINDOW_START);
    if (elapsedMs > WINDOW_MS_FORGOTTEN) {
      s.restart(totals, nowMs); // there was next to nothing to see for so long that what is seen now is something else
      return false;
    }
    const inFlight = s.heldMs / elapsedMs;
    if (!this.#enough(inFlight, elapsedMs)) return false;
    this.#learnVariance();
    if (inFlight > SATURATED * this.limit(bounds) && s.blocked > 0) this.#saturated({ inFlight, elapsedMs }, clocks, bounds);
    else this.#unsaturated(inFlight, bounds);
    s.set(MEAN, s.expectedMs / s.samples);
    s.restart(totals, nowMs);
    return true;
  }

  #begin(totals: Float64Array, nowMs: number, bounds: LimitBounds): boolean {
    const s = this.#s;
    s.move(START, bounds);
    s.set(RAMPING, 1);
    s.set(UNKNOWN, 1);
    s.restart(totals, nowMs);
    return true;
  }

  /** Is the window long enough to say something? */
  #enough(inFlight: number, elapsedMs: number): boolean {
    const s = this.#s;
    const { samples, observedMs } = s;
    if (elapsedMs < (s.get(RAMPING) === 1 ? WINDOW_MS_RAMPING : WINDOW_MS) || samples < SAMPLES_FEW) return false;
    if (s.get(UNKNOWN) === 1 && samples >= SAMPLES_MIN && elapsedMs * samples >= GENERATIONS * observedMs) return true;
    if (samples < GENERATIONS * inFlight) return false;
    if (elapsedMs >= WINDOW_MS_MAX) return true;
    // So many that the queue is known to half of what it should be.
    const wanted = (4 * s.get(CV2) * inFlight) / queueOf(1) ** 2 / Math.max(1, s.ratio) ** 3;
    return samples >= Math.max(SAMPLES_MIN, wanted);
  }

  #learnVariance(): void {
    const s = this.#s;
    const known = s.get(CV2);
    const weight = known === 0 ? 1 : Math.max(0.05, s.samples / (s.samples + MEMORY_VARIED));
    s.set(CV2, known + weight * (s.variance - known));
  }

  /** There is no queue to speak of: latency is the base. Even-handed, or noise would pull it to one side. */
  #unsaturated(inFlight: number, bounds: LimitBounds): void {
    const s = this.#s;
    const cv2 = s.get(CV2);
    for (let k = 0; k < CLASSES; k++) {
      const n = s.n(k);
      if (n === 0) continue;
      const mean = s.sum(k) / n;
      const base = s.base(k);
      const seen = Math.min(s.get(SEEN + k), MEMORY + MEMORY_VARIED * cv2);
      const off = base === 0 ? 0 : mean / base - 1;
      const noise = 3 * Math.sqrt(cv2 / n);
      const weight = off < -noise ? FALL : off > noise + RISE_LEAST ? RISE : n / (n + seen);
      s.set(SEEN + k, seen + n);
      s.set(BASES + k, base + weight * (mean - base));
    }
    s.expect();
    s.set(SLOW_RATIO, 0);
    s.set(PROBE_AT, 0);
    s.set(UNKNOWN, 0);
    // A limit that nobody needs goes back to where bursts find room.
    const limit = s.get(LIMIT);
    if (limit < Math.max(START, 2 * inFlight)) s.move(limit + RELAX * Math.sqrt(limit), bounds);
  }

  /** The queue at the service is held to one length. */
  #saturated(
    { inFlight, elapsedMs }: { readonly inFlight: number; readonly elapsedMs: number },
    clocks: Clocks,
    bounds: LimitBounds,
  ): void {
    const s = this.#s;
    const { nowMs } = clocks;
    this.#suppose(inFlight * elapsedMs);
    const { ratio } = s;
    const limit = s.get(LIMIT);
    const queue = inFlight * (1 - Math.min(1, 1 / ratio));
    const noise = (inFlight * Math.sqrt(s.get(CV2) / s.samples)) / (ratio * ratio);
    const aim = queueOf(limit);
    this.#watch(ratio, s.expectedMs / elapsedMs, nowMs);
    const unseen = s.get(UNKNOWN) === 1 && s.get(PROBE_UNTIL) === 0 && !bounds.shadow;
    if (unseen && this.#probe.first(inFlight, nowMs, bounds)) return;
    if (queue < QUEUE_LEAST * aim) {
      // Nothing has shown yet where it ends: twice as much, so that a cold start refuses nobody.
      s.move(s.get(RAMPING) === 1 ? 2 * limit : Math.max(limit + 1, GROWTH * limit), bounds);
    } else if (queue - 2 * noise > QUEUE_MOST * aim) {
      if (bounds.shadow || nowMs < s.get(CONFIRMED_UNTIL)) s.move(Math.max(CUT_MOST * limit, inFlight / ratio + aim), bounds);
      else s.quick(nowMs);
    } else {
      s.set(RAMPING, 0);
      s.move(limit + GAIN * (aim - queue), bounds);
    }
    // Without probes it never will be known.
    if (bounds.shadow) s.set(UNKNOWN, 0);
    else this.#probe.schedule(inFlight, elapsedMs, clocks);
  }

  /** The base of a class that was never seen. Of calls that began together the quick ones are seen first: there Little's law knows better. */
  #suppose(heldMs: number): void {
    const s = this.#s;
    const unseen = Math.max(1, heldMs / s.observedMs);
    for (let k = 0; k < CLASSES; k++) if (s.n(k) > 0 && s.base(k) === 0) s.set(BASES + k, (unseen * s.sum(k)) / s.n(k));
    s.expect();
  }

  /** A marked change while saturated: of the service, or of who else asks it. */
  #watch(ratio: number, pace: number, nowMs: number): void {
    const s = this.#s;
    const slowRatio = s.get(SLOW_RATIO);
    const slowPace = s.get(SLOW_PACE);
    const probed = s.get(AFTER_PROBE) === 1;
    s.set(AFTER_PROBE, 0);
    if (probed && slowRatio > 0) return; // the window began in what the probe has left
    const marked = MARKED + 3 * Math.sqrt(s.get(CV2) / s.samples);
    const changed = slowRatio > 0 && (Math.abs(ratio / slowRatio - 1) > marked || Math.abs(pace / slowPace - 1) > marked);
    if (changed) s.quick(nowMs);
    const weight = changed || slowRatio === 0 ? 1 : SLOWLY;
    s.set(SLOW_RATIO, slowRatio + weight * (ratio - slowRatio));
    s.set(SLOW_PACE, slowPace + weight * (pace - slowPace));
  }
}
