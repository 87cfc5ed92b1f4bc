// Places of upstreams over all workers.
import { describe, expect, it, vi } from "vitest";
import { monotonicMs } from "../../../../src/base/clock.ts";
import { OVERLOAD_SLOTS_MAX } from "../../../../src/shared/overload/layout.ts";
import { OverloadTable } from "../../../../src/shared/overload/overload-table.ts";

const SLOT = 2;
const BOUNDS = { minimum: 1, maximum: 100, shadow: false };
const table = (workers = 3) => new OverloadTable(OverloadTable.allocate(workers));

describe("places", () => {
  it("are as many as the limit, whoever takes them", () => {
    const of = table();
    const [one, two] = [of.places(SLOT, 0), of.places(SLOT, 1)];
    let taken = 0;
    for (let i = 0; i < 10; i++) if ((i % 2 === 0 ? one : two).take(7, false)) taken++;
    expect(taken).toBe(7);
    expect(of.read(SLOT).inFlight).toBe(7);
    one.give();
    expect(two.take(7, false)).toBe(true);
    expect(one.take(7, false)).toBe(false);
  });

  it("of one upstream are none of another's, up to the last slot", () => {
    const of = table();
    of.places(SLOT, 0).take(5, false);
    of.places(OVERLOAD_SLOTS_MAX - 1, 2).take(5, false);
    expect(of.read(SLOT + 1).inFlight).toBe(0);
    expect(of.read(OVERLOAD_SLOTS_MAX - 1).inFlight).toBe(1);
  });

  it("of a worker that was killed come back, and so do its place in line and its hold on the limit", () => {
    const of = table();
    const [dead, alive] = [of.places(SLOT, 0), of.places(SLOT, 1)];
    for (let i = 0; i < 5; i++) dead.take(5, false);
    dead.countApart(1);
    dead.publish(3, 2, 0);
    alive.publish(1, 2, 4);
    expect(alive.take(5, false)).toBe(false);
    expect(alive.before(2, 4, performance.now())).toBe(0);
    of.clearWorker(0, [SLOT]);
    expect(of.read(SLOT)).toMatchObject({ inFlight: 0, apart: 0, waiting: 1 });
    expect(alive.before(2, 4, performance.now())).toBe(-1);
    expect(alive.anybodyWaits).toBe(true);
    alive.publish(0, 5, 0);
    expect(alive.anybodyWaits).toBe(false);
    expect(alive.take(5, false)).toBe(true);
  });
});

it("who is next of all workers is the one of the highest class, then of the smallest tag", () => {
  const of = table();
  const [one, two, three] = [of.places(SLOT, 0), of.places(SLOT, 1), of.places(SLOT, 2)];
  two.publish(4, 2, 10);
  three.publish(4, 1, 99);
  expect(one.before(2, 5, performance.now())).toBe(2);
  three.publish(0, 5, 0);
  expect(one.before(2, 5, performance.now())).toBe(-1);
  expect(one.before(2, 11, performance.now())).toBe(1);
  expect(one.before(5, Number.POSITIVE_INFINITY, performance.now())).toBe(1);
});

it.each([0, 1, 2, 3])(
  "somebody waits exactly while a worker has somebody in line, also when that changes within the clearing of another's cells (step %d)",
  (step) => {
    const of = table();
    const [looks, dead, alive] = [of.places(SLOT, 0), of.places(SLOT, 1), of.places(SLOT, 2)];
    for (const waits of [false, true]) {
      dead.publish(1, 2, 0);
      alive.publish(waits ? 0 : 1, 2, 0);
      const { store } = Atomics;
      let stores = 0;
      const changes = ((words: Int32Array, index: number, value: number) => {
        if (stores++ === step) alive.publish(waits ? 1 : 0, 2, 0);
        return store(words, index, value);
      }) as typeof store;
      const spy = vi.spyOn(Atomics, "store").mockImplementation(changes);
      of.clearWorker(1, [SLOT]);
      spy.mockRestore();
      alive.publish(waits ? 1 : 0, 2, 0);
      expect(looks.anybodyWaits).toBe(waits);
      alive.publish(0, 6, 0);
      expect(looks.anybodyWaits).toBe(false);
    }
  },
);

it("a worker that ends before it has said that somebody waits, or no more, leaves nobody waiting", () => {
  const of = table();
  const [looks, dead] = [of.places(SLOT, 0), of.places(SLOT, 1)];
  for (const method of ["or", "and"] as const) {
    const ends = vi.spyOn(Atomics, method).mockImplementationOnce(() => {
      throw new Error("ended");
    });
    expect(() => {
      dead.publish(1, 2, 0);
      dead.publish(0, 6, 0);
    }).toThrow("ended");
    ends.mockRestore();
    of.clearWorker(1, [SLOT]);
    expect(looks.anybodyWaits).toBe(false);
  }
});

it("of as many workers as there can be each is seen to have somebody in line", () => {
  const of = table(70);
  const looks = of.places(SLOT, 0);
  for (const worker of [0, 31, 32, 63, 64, 69]) {
    const places = of.places(SLOT, worker);
    places.publish(1, 2, 0);
    expect(looks.anybodyWaits).toBe(true);
    places.publish(0, 6, 0);
    expect(looks.anybodyWaits).toBe(false);
  }
  expect(of.read(SLOT)).toMatchObject({ limit: 0, inFlight: 0, waiting: 0, shedAtS: 0 });
});

it("a worker that has not said for long who is next in its line is passed over until it does, and one that says so each tick is not", () => {
  const of = table();
  const [one, two] = [of.places(SLOT, 0), of.places(SLOT, 1)];
  two.publish(4, 0, 1);
  const at = performance.now();
  expect(one.before(2, 5, at + 50)).toBe(1);
  expect(one.before(2, 5, at + 150)).toBe(-1);
  two.publish(4, 0, 1);
  expect(one.before(2, 5, performance.now() + 50)).toBe(1);
});

it("the limit is moved by what the calls of all workers have shown", () => {
  const of = table();
  const [one, two] = [of.places(SLOT, 0), of.places(SLOT, 1)];
  const startMs = monotonicMs();
  const originMs = startMs - performance.now();
  one.step({ nowMs: startMs, wallMs: 1e12 }, BOUNDS);
  const before = of.read(SLOT).limit;
  expect(before).toBeGreaterThan(1);
  // As many as may be are in flight, half of them in each worker, and all are as quick as they were before: there is no queue.
  for (const places of [one, two]) {
    places.accrue(startMs - originMs);
    for (let i = 0; i < before / 2; i++) places.take(before, false);
  }
  for (let window = 1; window <= 3; window++) {
    for (const places of [one, two]) {
      for (let i = 0; i < 200; i++) places.sample(0, (1000 * before) / 4000);
      places.blocked();
    }
    one.step({ nowMs: startMs + window * 100, wallMs: 1e12 + window * 100 }, { ...BOUNDS, shadow: true });
  }
  expect(of.read(SLOT)).toMatchObject({ limit: 100, inFlight: before });
});

it("a worker is woken by whoever rings for it, also while it does not listen", async () => {
  const of = table();
  of.ring(1);
  let resolve = (): void => {};
  const rung = new Promise<void>((done) => (resolve = done));
  void of.listen(1, () => resolve());
  of.ring(1);
  await rung;
  expect(of.read(SLOT).waiting).toBe(0);
});

it("the limit keeps within bounds that a reload has moved", () => {
  const places = table().places(SLOT, 0);
  places.step({ nowMs: 1000, wallMs: 1e12 }, BOUNDS);
  expect(places.limit).toBe(64);
  places.step({ nowMs: 1010, wallMs: 1e12 }, { ...BOUNDS, maximum: 7 });
  expect(places.limit).toBe(7);
  places.step({ nowMs: 1020, wallMs: 1e12 }, { ...BOUNDS, minimum: 80 });
  expect(places.limit).toBe(80);
});
