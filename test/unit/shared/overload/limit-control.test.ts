// The limit of one upstream, fed with what calls may show: also what no service would do.
import { describe, expect, it } from "vitest";
import { LimitControl } from "../../../../src/shared/overload/limit-control.ts";
import {
  type LimitBounds,
  STATE_WORDS,
  TOTAL_BLOCKED,
  TOTAL_HELD,
  TOTAL_SQUARES,
  TOTAL_WORDS,
} from "../../../../src/shared/overload/limit-state.ts";
import { seeded } from "../../../support/overload-sim.ts";

const BOUNDS = { minimum: 3, maximum: 200, shadow: false };
const WALL_MS = 1_800_000_000_000;

/** A limit, and calls that show something: by default as many in flight as it lets in, all of one latency. */
class Shown {
  readonly control = new LimitControl(new Float64Array(STATE_WORDS), 0);
  readonly totals = new Float64Array(TOTAL_WORDS);
  nowMs = 1000;
  readonly bounds: LimitBounds;

  constructor(bounds: LimitBounds = BOUNDS) {
    this.bounds = bounds;
    this.step();
  }

  get limit(): number {
    return this.control.limit(this.bounds);
  }

  step(): void {
    this.control.step(this.totals, { nowMs: this.nowMs, wallMs: WALL_MS + this.nowMs }, this.bounds);
  }

  /** @param inFlight on average, for `ms` */
  pass(
    ms: number,
    { inFlight, calls, latencyMs }: { readonly inFlight: number; readonly calls: number; readonly latencyMs: number },
  ): void {
    const add = (word: number, by: number) => (this.totals[word] = (this.totals[word] ?? 0) + by);
    add(0, calls);
    add(1, calls * latencyMs);
    add(TOTAL_SQUARES, calls * latencyMs ** 2);
    add(TOTAL_HELD, inFlight * ms);
    add(TOTAL_BLOCKED, 1);
    this.nowMs += ms;
    this.step();
  }
}

describe("a limit", () => {
  it.each([1, 2, 3, 4, 5])("is a whole number within its bounds whatever calls show (seed %i)", (seed) => {
    const random = seeded(seed);
    const shown = new Shown();
    for (let i = 0; i < 20_000; i++) {
      const wild = random() < 0.1;
      const latencyMs = wild ? random() ** 8 * 1e6 * Math.round(random()) : 20 * random();
      shown.pass(random() * (wild ? 90_000 : 120), {
        inFlight: random() * shown.limit * 1.2,
        calls: Math.floor(random() * 200),
        latencyMs,
      });
      expect(Number.isInteger(shown.limit)).toBe(true);
      expect(shown.limit).toBeGreaterThanOrEqual(BOUNDS.minimum);
      expect(shown.limit).toBeLessThanOrEqual(BOUNDS.maximum);
    }
  });

  it("of a service that is quicker than the clock rises", () => {
    const shown = new Shown();
    const before = shown.limit;
    for (let i = 0; i < 100; i++) shown.pass(10, { inFlight: shown.limit, calls: 100 * shown.limit, latencyMs: 0 });
    expect(shown.limit).toBeGreaterThan(before);
  });

  it.each([1, 50, 58, 64, 100])("rises at a service of many servers that is saturated from the start, with a minimum of %d", (minimum) => {
    const shown = new Shown({ minimum, maximum: 1000, shadow: false });
    for (let i = 0; i < 500; i++) shown.pass(10, { inFlight: shown.limit, calls: shown.limit / 10, latencyMs: 100 });
    expect(shown.limit).toBeGreaterThan(500);
  });

  it("is let down by a probe when it is due, but not by one that was due while there was nothing to do", () => {
    for (const [lateMs, letDown] of [
      [0, true],
      [20_000, false],
    ] as const) {
      const shown = new Shown();
      const steady = () => shown.pass(100, { inFlight: shown.limit, calls: 5 * shown.limit, latencyMs: 20 });
      for (let i = 0; i < 25; i++) steady();
      const before = shown.limit;
      shown.nowMs = Math.ceil(shown.nowMs / 1000) * 1000 + lateMs; // probes come at whole seconds of the wall clock
      shown.step();
      expect(shown.limit < before).toBe(letDown);
    }
  });
});
