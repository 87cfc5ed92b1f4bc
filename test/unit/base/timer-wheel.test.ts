import { describe, expect, it } from "vitest";
import { TimerWheel, WHEEL_TICK_MS, WheelEntry } from "../../../src/base/timer-wheel.ts";

class Probe extends WheelEntry {
  readonly fired: number[] = [];
  readonly clock: { ms: number };
  onFire: () => void = () => {};
  constructor(clock: { ms: number }) {
    super();
    this.clock = clock;
  }
  onDeadline(): void {
    this.fired.push(this.clock.ms);
    this.onFire();
  }
}

function setUp(): { clock: { ms: number }; wheel: TimerWheel; probe: () => Probe; run: (toMs: number, stepMs?: number) => void } {
  const clock = { ms: 1000 };
  const wheel = new TimerWheel(() => clock.ms);
  const run = (toMs: number, stepMs = WHEEL_TICK_MS): void => {
    while (clock.ms < toMs) {
      clock.ms = Math.min(toMs, clock.ms + stepMs);
      wheel.advance();
    }
  };
  return { clock, wheel, probe: () => new Probe(clock), run };
}

describe("TimerWheel", () => {
  const delays = [0, 1, 9, 10, 11, 250, 5000, 5120, 5121, 60_000];
  it.each(delays)("fires a %d ms deadline once, never early and at most a tick late", (delayMs) => {
    const { wheel, probe, run } = setUp();
    const entry = probe();
    wheel.arm(entry, delayMs);
    run(1000 + delayMs + 3 * WHEEL_TICK_MS);
    expect(entry.fired).toHaveLength(1);
    expect(entry.fired[0]).toBeGreaterThanOrEqual(1000 + delayMs);
    expect(entry.fired[0]).toBeLessThanOrEqual(1000 + Math.max(delayMs, WHEEL_TICK_MS) + WHEEL_TICK_MS);
    expect(wheel.size).toBe(0);
    wheel.stop();
  });

  it("forgets a disarmed entry and moves a re-armed one", () => {
    const { wheel, probe, run } = setUp();
    const [gone, moved] = [probe(), probe()];
    wheel.arm(gone, 50);
    wheel.arm(moved, 50);
    wheel.disarm(gone);
    wheel.disarm(gone);
    wheel.arm(moved, 500);
    run(1400);
    expect(gone.fired).toEqual([]);
    expect(moved.fired).toEqual([]);
    run(1600);
    expect(moved.fired).toHaveLength(1);
    wheel.stop();
  });

  it("fires an entry that was armed again for later, for sooner, or after it had moved, once and when it was armed for last", () => {
    const delays = [0, 40, 300, 5200, 20_000];
    for (const first of delays) {
      for (const second of delays) {
        for (const third of delays) {
          const { wheel, probe, run } = setUp();
          const entry = probe();
          wheel.arm(entry, first);
          wheel.arm(entry, second);
          run(1000 + Math.max(0, Math.min(first, second) - WHEEL_TICK_MS)); // before either
          const atMs = entry.clock.ms + third;
          wheel.arm(entry, third);
          run(atMs + 3 * WHEEL_TICK_MS);
          expect(entry.fired, `${first}, ${second}, ${third}`).toHaveLength(1);
          expect(entry.fired[0]).toBeGreaterThanOrEqual(atMs);
          expect(entry.fired[0]).toBeLessThanOrEqual(atMs + 2 * WHEEL_TICK_MS);
          expect(wheel.size).toBe(0);
          wheel.stop();
        }
      }
    }
  });

  it("lets a deadline disarm and re-arm its neighbours in the same slot", () => {
    const { wheel, probe, run } = setUp();
    const [first, second, third] = [probe(), probe(), probe()];
    for (const entry of [third, second, first]) wheel.arm(entry, 100); // the last armed is visited first
    first.onFire = () => {
      wheel.disarm(second);
      wheel.arm(third, 300);
    };
    run(1200);
    expect([first.fired.length, second.fired.length, third.fired.length]).toEqual([1, 0, 0]);
    run(1500);
    expect(third.fired).toHaveLength(1);
    wheel.stop();
  });

  it("catches up after a stall longer than a whole turn", () => {
    const { wheel, probe, run } = setUp();
    const entries = [10, 3000, 7000, 20_000, 90_000].map((delayMs) => {
      const entry = probe();
      wheel.arm(entry, delayMs);
      return entry;
    });
    run(1000 + 30_000, 30_000);
    expect(entries.map((entry) => entry.fired.length)).toEqual([1, 1, 1, 1, 0]);
    run(1000 + 90_010);
    expect(entries.at(-1)?.fired).toHaveLength(1);
    wheel.stop();
  });

  it("agrees with a sorted list over thousands of random operations", () => {
    const { clock, wheel, probe } = setUp();
    let seed = 42;
    const random = (): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
    const due = new Map<Probe, number>();
    const pool = Array.from({ length: 200 }, probe);
    for (let step = 0; step < 5000; step++) {
      const entry = pool[Math.floor(random() * pool.length)] as Probe; // the index is in range
      const before = entry.fired.length;
      if (random() < 0.7) {
        const delayMs = random() * 12_000;
        wheel.arm(entry, delayMs);
        due.set(entry, clock.ms + delayMs);
      } else {
        wheel.disarm(entry);
        due.delete(entry);
      }
      expect(entry.fired.length).toBe(before);
      const counts = new Map(pool.map((each) => [each, each.fired.length]));
      clock.ms += random() * 30;
      wheel.advance();
      for (const each of pool) {
        if (each.fired.length === counts.get(each)) continue;
        expect(due.get(each)).toBeLessThanOrEqual(clock.ms);
        due.delete(each);
      }
      for (const [each, atMs] of due)
        if (atMs + 2 * WHEEL_TICK_MS < clock.ms) expect(each.fired, `due at ${atMs}, now ${clock.ms}`).toContain(clock.ms);
      expect(wheel.size).toBe(due.size);
    }
    wheel.stop();
  });
});
