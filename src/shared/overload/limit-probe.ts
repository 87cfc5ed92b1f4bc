// Owns the probes of one upstream's limit: for a moment fewer are let in, or more, and what throughput and latency then do tells a queue from work.
// Must never move the limit otherwise, and none where the limit is not enforced.
//
// Where throughput stays, what was taken away was a queue; where it falls as much, it was work, and the latency that is seen is the base. A base that is too
// low makes a limit that is too low, at which little is to be seen: so some go up, and where throughput rises with it, there was no queue. Instances
// probe at the same moments of the wall clock, or each would see what the others make: one of many sees its throughput fall with what it lets in.
import {
  AFTER_PROBE,
  type Clocks,
  CONFIRMED_UNTIL,
  CV2,
  LIMIT,
  type LimitBounds,
  type LimitState,
  MEAN,
  PHASE,
  PROBE_AT,
  PROBE_FROM,
  PROBE_KIND,
  PROBE_LIMIT,
  PROBE_PACE,
  PROBE_SINCE,
  PROBE_UNTIL,
  QUICK_UNTIL,
  queueOf,
  RAMPING,
  SATURATED,
  SLOW_PACE,
  SLOW_RATIO,
  UNKNOWN,
  WINDOW_START,
} from "./limit-state.ts";

/** Kinds: those that other instances may not make as well can only lower the base; the others can do both, or look whether it is too low. */
const LOWER = 0;
const BOTH = 1;
const UP = 2;
/** A probe goes below what would be in flight without a queue, as far as is known: to this part of it, and within these parts of what is. */
const DEPTH = 0.7;
const DEPTH_LEAST = 0.25;
const DEPTH_MOST = 0.65;
/** Those at which all instances probe that are saturated go up instead, so far. */
const HEIGHT = 1.5;
/** Where there is nothing but a queue, it goes on to this part. */
const DEEPER = 0.4;
/** Throughput of which so much is left is left whole; of which more is, there was no steady state before. */
const KEPT = 0.85;
const UNSTEADY = 1.4;
/** Samples by which that is known, for latency that varies by its mean; and at least. */
const SAMPLES = 40;
const SAMPLES_MIN = 8;
const SAMPLES_FEW = 4;
/** Longest, ms, and besides in latencies. */
const MS_MAX = 200;
/** One that goes up costs no throughput, and is in no hurry. */
const MS_MAX_UP = 1500;
const SAMPLES_UP = 160;
const LATENCIES_MAX = 3;
/** Moments of the wall clock at which a probe may begin, ms: multiples of these, by powers of 2. */
const QUICK_APART_MS = 1000;
const QUIET_APART_MS = 2000;
const QUIET_APART_MS_MAX = 16_000;
/** One that is later than this, ms, is left out: nobody has looked. */
const LATE_MS = 500;
/** And so many lengths of a probe apart. */
const PAUSE = 30;
const PAUSE_QUICK = 2;
/** For so long after a probe that has seen a queue the limit may be cut without another. */
const CONFIRMED_MS = 10_000;
const CORRECTION_MOST = 3;
/** A base that is off by this is worth another look. */
const MARKED = 0.25;
const DRAINING = 1;
const MEASURING = 2;

export class LimitProbe {
  readonly #s: LimitState;

  constructor(state: LimitState) {
    this.#s = state;
  }

  /** To the moment: those of all instances must fall together. @param elapsedMs of the window */
  schedule(inFlight: number, elapsedMs: number, { nowMs, wallMs }: Clocks): void {
    const s = this.#s;
    const spread = (SAMPLES * s.get(CV2)) / Math.max(1, s.get(SLOW_RATIO)) ** 2;
    const lengthMs = 2 * s.get(MEAN) + (spread * elapsedMs) / s.samples;
    let quietMs = QUIET_APART_MS;
    while (quietMs < Math.min(PAUSE * lengthMs, QUIET_APART_MS_MAX)) quietMs *= 2;
    let quickMs = QUICK_APART_MS;
    while (quickMs < Math.min(PAUSE_QUICK * lengthMs, QUIET_APART_MS)) quickMs *= 2;
    const apartMs = nowMs < s.get(QUICK_UNTIL) || s.get(UNKNOWN) === 1 ? quickMs : quietMs;
    const atMs = Math.ceil(wallMs / apartMs) * apartMs;
    s.set(PROBE_AT, nowMs + atMs - wallMs);
    s.set(PROBE_FROM, inFlight);
    s.set(PROBE_KIND, atMs % QUIET_APART_MS_MAX === 0 ? UP : atMs % quietMs === 0 ? BOTH : LOWER);
  }

  /** The one that is due. @returns whether it has begun */
  begin(totals: Float64Array, nowMs: number, bounds: LimitBounds): boolean {
    const s = this.#s;
    const late = nowMs > s.get(PROBE_AT) + LATE_MS;
    const part = Math.min(DEPTH_MOST, Math.max(DEPTH_LEAST, DEPTH / Math.max(1, s.get(SLOW_RATIO))));
    const from = s.get(PROBE_FROM);
    s.set(PROBE_AT, 0);
    if (late || !this.#start(from, (s.get(PROBE_KIND) === UP ? HEIGHT : part) * from, nowMs, bounds)) return false;
    s.restart(totals, nowMs);
    return true;
  }

  /** Nothing is known yet but that there is too much: how much of it is a queue? @returns whether it has begun: not where `minimum` leaves nothing to take away */
  first(inFlight: number, nowMs: number, bounds: LimitBounds): boolean {
    this.#s.quick(nowMs);
    this.#s.set(PROBE_KIND, BOTH);
    return this.#start(inFlight, DEPTH_MOST * inFlight, nowMs, bounds);
  }

  #start(from: number, to: number, nowMs: number, { minimum, maximum }: LimitBounds): boolean {
    const s = this.#s;
    const level = Math.min(maximum, Math.max(1, minimum, Math.round(to)));
    if (Math.abs(level - from) < 0.1 * from || s.get(SLOW_PACE) <= 0) return false;
    s.set(PROBE_FROM, from);
    s.set(PROBE_PACE, s.get(SLOW_PACE));
    s.set(PROBE_LIMIT, level);
    s.set(PROBE_SINCE, nowMs);
    s.set(PHASE, DRAINING);
    return true;
  }

  /** While one is under way. @returns whether the limit may have changed */
  step(totals: Float64Array, nowMs: number, bounds: LimitBounds): boolean {
    const s = this.#s;
    const { samples } = s;
    const from = s.get(PROBE_FROM);
    const latencyMs = (from / s.get(PROBE_PACE)) * (samples > 0 ? s.expectedMs / samples : s.get(MEAN));
    const up = s.get(PROBE_LIMIT) > from;
    const late = nowMs >= s.get(PROBE_SINCE) + (up ? MS_MAX_UP : MS_MAX) + LATENCIES_MAX * latencyMs;
    if (s.get(PHASE) === DRAINING) {
      // What was sent before the limit changed is answered first, and teaches nothing.
      if (samples < from && !late) return false;
      s.set(PHASE, MEASURING);
      s.restart(totals, nowMs);
      return false;
    }
    const ratio = samples > 0 ? Math.max(1, s.ratio) : 1;
    const spread = ((up ? SAMPLES_UP : SAMPLES) * Math.max(s.get(CV2), s.variance)) / ratio ** 2;
    const wanted = Math.max(SAMPLES_MIN, Math.min(from, s.get(PROBE_LIMIT)), spread);
    if (samples < wanted && !late) return false;
    s.set(PHASE, 0);
    if (samples >= SAMPLES_FEW) this.#judge(Math.min(1, samples / wanted), nowMs, bounds);
    s.set(PROBE_UNTIL, nowMs);
    s.set(AFTER_PROBE, 1);
    s.restart(totals, nowMs);
    return true;
  }

  /** What it has shown. */
  #judge(trust: number, nowMs: number, bounds: LimitBounds): void {
    const s = this.#s;
    const level = s.get(PROBE_LIMIT);
    const from = s.get(PROBE_FROM);
    const elapsedMs = nowMs - s.get(WINDOW_START);
    if (s.heldMs < SATURATED * level * elapsedMs) return; // nobody waits any longer
    const before = s.get(PROBE_PACE);
    const kept = s.expectedMs / elapsedMs / before;
    if (level > from) return this.#judgeUp(kept, nowMs, bounds);
    if (kept > UNSTEADY) return;
    const { ratio } = s;
    const noise = s.noise / Math.max(1, ratio);
    const unknown = s.get(UNKNOWN) === 1;
    // Throughput that stays was made by a queue even so: the base is at most what is seen. Else it is what is seen.
    const queue = kept > KEPT;
    const by = queue && ratio > 1 ? 1 : this.#correction({ ratio, noise, trust, fell: (ratio * before) / from });
    s.scale(by);
    if (Math.abs(by - 1) > MARKED) s.quick(nowMs);
    if (!queue || level <= 1) s.set(UNKNOWN, 0);
    if (from < 1.1 * before * ratio) return; // there was no queue before either
    const work = before * by;
    this.#confirm(nowMs);
    s.move(Math.min(s.get(LIMIT), Math.max(level, work + queueOf(work + queueOf(work)))), bounds);
    if (!queue || level <= 1 || (!unknown && ratio > 0.95 - 2 * noise)) return;
    this.#goOn({ from: level, pace: work, to: Math.max(1, bounds.minimum, Math.round(level * DEEPER)) }, nowMs);
  }

  /** Further, at once. @param pace throughput at the level so far */
  #goOn({ from, pace, to }: { readonly from: number; readonly pace: number; readonly to: number }, nowMs: number): void {
    const s = this.#s;
    s.set(PROBE_FROM, from);
    s.set(PROBE_PACE, pace);
    s.set(PROBE_LIMIT, to);
    s.set(PROBE_SINCE, nowMs);
    s.set(PHASE, DRAINING);
  }

  /** More was let in. Where throughput has risen with it there was no queue before, whatever latency seemed to say. */
  #judgeUp(kept: number, nowMs: number, bounds: LimitBounds): void {
    const s = this.#s;
    const from = s.get(PROBE_FROM);
    const level = s.get(PROBE_LIMIT);
    const work = Math.log(kept / Math.exp((Math.SQRT2 * s.noise) / Math.max(1, s.ratio))) / Math.log(level / from);
    const believed = Math.min(1, Math.max(0, (work - 0.15) / 0.35));
    const most = s.get(RAMPING) === 1 ? CORRECTION_MOST : HEIGHT;
    const by = 1 + believed * (Math.min(most, Math.max(1, from / s.get(PROBE_PACE))) - 1);
    s.scale(by);
    if (by - 1 > MARKED) s.quick(nowMs);
    if (work < 0.15) this.#confirm(nowMs);
    if (work <= 0.5) return;
    s.move(Math.max(s.get(LIMIT), level), bounds);
    const next = Math.min(bounds.maximum, Math.round(level * HEIGHT));
    if (next > level) this.#goOn({ from: level, pace: kept * s.get(PROBE_PACE) * by, to: next }, nowMs);
  }

  /** There is a queue: it is known where the service ends. */
  #confirm(nowMs: number): void {
    this.#s.set(RAMPING, 0);
    this.#s.set(CONFIRMED_UNTIL, nowMs + CONFIRMED_MS);
  }

  /**
   * What the base is off by. Down to what is seen: there is no less than the base. Up only where latency has not fallen with what was in flight: else others
   * may have kept the queue up. @param fell latency, against the one before
   */
  #correction({
    ratio,
    noise,
    trust,
    fell,
  }: {
    readonly ratio: number;
    readonly noise: number;
    readonly trust: number;
    readonly fell: number;
  }): number {
    const near = Math.min(1 + 2 * noise, Math.max(1 - 2 * noise, ratio));
    const far = ratio / near;
    const up = this.#s.get(PROBE_KIND) === LOWER ? 0 : Math.min(1, Math.max(0, (fell - 0.9) / 0.1));
    return (1 + 0.3 * trust * (near - 1)) * (1 + (far < 1 ? 1 : up) * (Math.min(CORRECTION_MOST, far) - 1));
  }
}
