// What part of its requests a worker takes, in simulated time: one event loop, requests that cost so much each, refusals that cost a tenth of it.
import { describe, expect, it } from "vitest";
import { ShedControl } from "../../../../src/data/load/shed-control.ts";
import { NORMAL, PRIORITIES, STARVATION_MS } from "../../../../src/plan/overload-plan.ts";
import { seeded } from "../../../support/overload-sim.ts";

const BOUND_MS = 50;
const LOOK_MS = 20;
/** A served request, and a refused one, ms. */
const SERVED_MS = 1;
const REFUSED_MS = 0.05;
const CLASSES = PRIORITIES.length;

interface Offered {
  /** Of what the worker can serve. */
  readonly load: number;
  readonly ms: number;
  /** Part of each class of priority; left out: all normal. */
  readonly mix?: readonly number[];
  /** At the beginning, the loop stands still for so long, ms. */
  readonly stallMs?: number;
}

interface Seen {
  readonly served: readonly number[];
  readonly refused: readonly number[];
  /** Longest time between two of a class that were served, ms. */
  readonly gaps: readonly number[];
  /** Delays in the second half. */
  readonly delays: readonly number[];
}

/** A loop takes all that has come in its last turn; timers run between turns. */
class Loop {
  now = 0;
  readonly control: ShedControl;
  #idleMs = 0;
  #seenMs = 0;
  #dueMs = LOOK_MS;
  #credit = 0;
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seeded(seed);
    this.control = new ShedControl(() => {
      const busy = 1 - this.#idleMs / Math.max(1e-9, this.now - this.#seenMs);
      this.#idleMs = 0;
      this.#seenMs = this.now;
      return busy;
    });
    this.control.boundMs = BOUND_MS;
  }

  run({ load, ms, mix = [0, 0, 1], stallMs = 0 }: Offered): Seen {
    const zero = () => new Array<number>(CLASSES).fill(0);
    const seen = { served: zero(), refused: zero(), gaps: zero(), delays: [] as number[] };
    const last = zero().fill(this.now);
    const endMs = this.now + ms;
    const halfMs = this.now + ms / 2;
    this.now += stallMs;
    let turnMs = stallMs;
    while (this.now < endMs) {
      this.#look(seen.delays, halfMs);
      this.#credit += (load / SERVED_MS) * turnMs;
      const fromMs = this.now;
      for (; this.#credit >= 1; this.#credit--) {
        const c = this.#classOf(mix);
        const refused = this.control.active && this.control.refuses(c, this.now);
        this.now += refused ? REFUSED_MS : SERVED_MS * (0.5 + this.#random());
        const counts = refused ? seen.refused : seen.served;
        counts[c] = (counts[c] ?? 0) + 1;
        if (refused) continue;
        seen.gaps[c] = Math.max(seen.gaps[c] ?? 0, this.now - (last[c] ?? 0));
        last[c] = this.now;
      }
      if (this.now === fromMs) {
        this.#idleMs++;
        this.now++;
      }
      turnMs = this.now - fromMs;
    }
    return seen;
  }

  #look(delays: number[], fromMs: number): void {
    if (this.now < this.#dueMs) return;
    const delay = this.now - this.#dueMs;
    this.control.sample(this.now, delay, false);
    if (this.now >= fromMs) delays.push(delay);
    this.#dueMs = this.now + LOOK_MS;
  }

  #classOf(mix: readonly number[]): number {
    let left = this.#random();
    for (const [c, part] of mix.entries()) if ((left -= part) < 0) return c;
    return mix.length - 1;
  }
}

const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);

describe("a worker", () => {
  it.each([1.5, 3, 10])("that is offered %d times what it can goes on with nine tenths of it, and is not late", (load) => {
    const loop = new Loop(1);
    loop.run({ load, ms: 3000 });
    const { served, delays } = loop.run({ load, ms: 10_000 });
    // Refusals cost their part.
    const possible = (1 - (load * REFUSED_MS) / SERVED_MS) / (1 - REFUSED_MS / SERVED_MS);
    expect(sum(served) / (10_000 / SERVED_MS) / possible).toBeGreaterThan(0.9);
    expect(delays.filter((delay) => delay > 3 * BOUND_MS).length / delays.length).toBeLessThan(0.01);
  });

  it("refuses nothing at nine tenths of what it can", () => {
    expect(sum(new Loop(2).run({ load: 0.9, ms: 60_000 }).refused)).toBe(0);
  });

  it.each([100, 200, 500, 1000])("that stood still for %d ms refuses nothing at half load: it gets over it by itself", (stallMs) => {
    const loop = new Loop(3);
    loop.run({ load: 0.5, ms: 1000 });
    expect(sum(loop.run({ load: 0.5, ms: 10_000, stallMs }).refused)).toBe(0);
  });

  it("takes everything again soon after a spike", () => {
    const loop = new Loop(4);
    loop.run({ load: 5, ms: 10_000 });
    loop.run({ load: 0.7, ms: 1500 });
    expect(loop.control.active).toBe(false);
    expect(sum(loop.run({ load: 0.7, ms: 10_000 }).refused)).toBe(0);
  });

  it("refuses the lowest classes first, and none for longer than the named time", () => {
    const loop = new Loop(5);
    const mix = [0.1, 0.1, 0.4, 0.4];
    loop.run({ load: 2, ms: 3000, mix });
    const { served, refused, gaps } = loop.run({ load: 2, ms: 20_000, mix });
    const part = (c: number) => (served[c] ?? 0) / Math.max(1, (served[c] ?? 0) + (refused[c] ?? 0));
    expect(part(0)).toBe(1);
    expect(part(1)).toBe(1);
    expect(part(NORMAL)).toBeGreaterThan(0.5);
    expect(part(NORMAL + 1)).toBeLessThan(0.1);
    expect(gaps[NORMAL + 1]).toBeLessThan(STARVATION_MS + 2 * BOUND_MS);
  });

  it("takes no retries and no background work while it refuses anything, but for what may not starve", () => {
    const loop = new Loop(6);
    loop.run({ load: 2, ms: 3000 });
    const { control } = loop;
    expect(control.active).toBe(true);
    const retry = PRIORITIES.indexOf("retry");
    const taken = Array.from({ length: 1000 }, (_, i) => control.refuses(retry, loop.now + i)).filter((refused) => !refused);
    expect(taken.length).toBeLessThanOrEqual(1000 / STARVATION_MS);
    expect(control.closes(retry, loop.now + 999)).toBe(true);
  });
});

it("in the shadow it is over as soon as the delay is", () => {
  const control = new ShedControl(() => 1);
  control.boundMs = BOUND_MS;
  control.shadow = true;
  for (let now = 0; now <= 1000; now += LOOK_MS) control.sample(now, 2 * BOUND_MS, false);
  expect(control.active).toBe(true);
  for (let now = 1000; now <= 1200; now += LOOK_MS) control.sample(now, 0, false);
  expect(control.active).toBe(false);
});

it("memory above its bound lets less and less in, and never nothing: V8 has to go on to collect", () => {
  const control = new ShedControl(() => 0.5);
  control.boundMs = BOUND_MS;
  for (let now = 0; now <= 10_000; now += LOOK_MS) control.sample(now, 0, true);
  expect(control.part).toBeCloseTo(0.1);
  for (let now = 10_000; now <= 20_000; now += LOOK_MS) control.sample(now, 0, false);
  expect(control.active).toBe(false);
});
