// In-flight limits of targets over all workers.
import { describe, expect, it } from "vitest";
import { TOTAL_WORDS } from "../../../../src/shared/overload/limit-state.ts";
import { meanBaseMs, type TargetPlaces, TargetTable } from "../../../../src/shared/overload/target-table.ts";
import { TARGET_SLOTS_MAX } from "../../../../src/shared/target-health.ts";

const SLOT = 7;
const BOUNDS = { minimum: 1, maximum: 100, shadow: false };
const table = (workers = 3) => new TargetTable(TargetTable.allocate(workers));
const step = (places: TargetPlaces, nowMs: number, bounds = BOUNDS, blocked = 0): void =>
  places.step(new Float64Array(TOTAL_WORDS), blocked, { nowMs, wallMs: 1e12 }, bounds);

/** Where a limit begins. */
const START = ((): number => {
  const places = table().places(SLOT, 0, true);
  step(places, 1000);
  return places.limit;
})();

it("what is in flight to a target is what all workers have there", () => {
  const of = table();
  const [one, two] = [of.places(SLOT, 0, true), of.places(SLOT, 1, true)];
  one.begin(1);
  two.begin(1);
  two.begin(1);
  expect([one.inFlight, two.inFlight, of.read(SLOT).inFlight]).toEqual([3, 3, 3]);
  two.end(1);
  expect(one.inFlight).toBe(2);
  expect(of.places(SLOT + 1, 0, true).inFlight).toBe(0);
});

it("the last slot lies within the table", () => {
  const last = table().places(TARGET_SLOTS_MAX - 1, 2, true);
  step(last, 1000);
  last.begin(1);
  expect([last.inFlight, last.limit]).toEqual([1, START]);
});

describe("a target at its limit", () => {
  const atLimit = (enforced: boolean) => {
    const of = table();
    const places = of.places(SLOT, 0, enforced);
    step(places, 1000, { minimum: 2, maximum: 2, shadow: !enforced });
    for (let i = 0; i < 2; i++) places.begin(1);
    return { of, places };
  };

  it("comes behind others until it has room", () => {
    const { places } = atLimit(true);
    expect([places.full, places.isFull(), places.found()]).toEqual([true, true, true]);
    places.end(1);
    expect([places.full, places.isFull(), places.found()]).toEqual([false, false, false]);
  });

  it("comes behind nobody in the shadow", () => {
    const { places } = atLimit(false);
    expect([places.full, places.isFull(), places.found()]).toEqual([false, true, true]);
  });

  it("may be given more of those who stay with it, up to a multiple", () => {
    const { places } = atLimit(true);
    expect(places.found(2)).toBe(false);
    places.begin(1);
    places.begin(1);
    expect(places.found(2)).toBe(true);
  });

  it("counts those who go elsewhere for it, and not those who only found it so", () => {
    const { of, places } = atLimit(true);
    places.found();
    expect(of.read(SLOT).steered).toBe(0);
    places.countSteered();
    of.places(SLOT, 1, true).countSteered();
    expect(of.read(SLOT).steered).toBe(2);
  });
});

it("has no limit before anybody has looked at what its calls show", () => {
  const places = table().places(SLOT, 0, true);
  for (let i = 0; i < 1000; i++) places.begin(1);
  expect([places.limit, places.full, places.found()]).toEqual([0, false, false]);
});

it("the limit of a target is moved by what the calls of all workers have shown, once somebody found no place", () => {
  const of = table();
  const workers = [of.places(SLOT, 0, true), of.places(SLOT, 1, true)];
  const [one] = workers as [TargetPlaces];
  step(one, 1000);
  for (const places of workers) for (let i = 0; i < START / 2; i++) places.begin(1000);
  for (let window = 1; window <= 5; window++) {
    for (const places of workers) for (let i = 0; i < 200; i++) places.sample(0, 20);
    step(one, 1000 + window * 120, BOUNDS, window); // in line before the upstream
  }
  const { limit, baseMs, steered } = of.read(SLOT);
  expect(limit).toBeGreaterThan(START);
  expect(baseMs).toBeCloseTo(20, 6);
  expect(steered).toBe(0);
});

it("answers that are late by the worker's own doing count for throughput, and leave the base latency of the target as it is", () => {
  const of = table();
  const places = of.places(SLOT, 0, true);
  step(places, 1000);
  for (let i = 0; i < 100; i++) places.sample(0, 20);
  step(places, 2000);
  expect(of.read(SLOT).baseMs).toBeCloseTo(20, 6);
  for (let window = 3; window < 10; window++) {
    for (let i = 0; i < 100; i++) places.sampleLate(0, 60);
    step(places, window * 1000);
  }
  expect(of.read(SLOT).baseMs).toBeCloseTo(20, 6);
  for (let i = 0; i < START; i++) places.begin(9000);
  for (let window = 1; window <= 5; window++) {
    for (let i = 0; i < 400; i++) places.sampleLate(0, 60);
    step(places, 9000 + window * 120, BOUNDS, window);
  }
  expect(of.read(SLOT).limit).toBeGreaterThan(START);
});

describe("a slot that another endpoint has", () => {
  it("begins anew, and whoever still counts for the one before shows nothing for it", () => {
    const of = table();
    const before = of.places(SLOT, 0, true);
    step(before, 1000, { minimum: 1, maximum: 1, shadow: false });
    before.begin(1);
    before.found();
    before.countSteered();
    before.end(1);
    of.reset(SLOT);
    expect(of.read(SLOT)).toEqual({ limit: 0, inFlight: 0, baseMs: 0, steered: 0 });
    const after = of.places(SLOT, 1, true);
    const shown = (nowMs: number): void => {
      for (let i = 0; i < 100; i++) {
        before.sample(0, 5000);
        after.sample(0, 20);
      }
      step(after, nowMs);
    };
    step(before, 1500, { minimum: 50, maximum: 50, shadow: false });
    expect(of.read(SLOT).limit).toBe(0);
    step(after, 2000);
    shown(2200);
    expect(of.read(SLOT)).toMatchObject({ limit: START, baseMs: 20 });
  });

  it("gets back what calls to the one before still had in flight", () => {
    const of = table();
    const before = of.places(SLOT, 0, true);
    before.begin(1);
    of.reset(SLOT);
    before.end(1);
    expect(of.read(SLOT).inFlight).toBe(0);
  });
});

it("what a killed worker had in flight is free, and so is its hold on the limit", () => {
  const of = table();
  const [dead, alive] = [of.places(SLOT, 0, true), of.places(SLOT, 1, true)];
  for (let i = 0; i < 5; i++) dead.begin(1);
  alive.begin(1);
  of.clearWorker(0, [SLOT]);
  expect(of.read(SLOT).inFlight).toBe(1);
  step(alive, 1000);
  expect(alive.limit).toBe(START);
});

it("the time that places are in use counts as it passes, also of calls that are not over", () => {
  const of = table();
  const places = of.places(SLOT, 0, true);
  step(places, 1000);
  for (let i = 0; i < START; i++) places.begin(1000);
  for (let i = 0; i < 10 * START; i++) places.sample(0, 20); // as many as are answered in that time
  step(places, 1200, BOUNDS, 1);
  expect(of.read(SLOT).limit).not.toBe(START); // they are in use all the time, and somebody found no place
  const idle = of.places(SLOT + 1, 0, true);
  step(idle, 1000);
  for (let i = 0; i < 100; i++) idle.sample(0, 20);
  step(idle, 1200, BOUNDS, 1);
  expect(of.read(SLOT + 1).limit).toBe(START);
});

it("the mean of base latencies is weighted by what each target answers", () => {
  expect(meanBaseMs([])).toBe(0);
  expect(meanBaseMs([{ limit: 10, baseMs: 0 }])).toBe(0);
  // 500/s and 10/s, with 12 in flight in all.
  expect(
    meanBaseMs([
      { limit: 10, baseMs: 20 },
      { limit: 2, baseMs: 200 },
    ]),
  ).toBeCloseTo(12_000 / 510, 6);
});
