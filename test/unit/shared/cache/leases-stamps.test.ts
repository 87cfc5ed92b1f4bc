import { describe, expect, it } from "vitest";
import { Leases } from "../../../../src/shared/cache/leases.ts";
import { Stamps } from "../../../../src/shared/cache/stamps.ts";
import { seededRandom } from "../../../support/upstreams.ts";

describe("leases", () => {
  const open = (): { readonly buffer: SharedArrayBuffer; readonly workers: readonly Leases[] } => {
    const buffer = Leases.allocate();
    return { buffer, workers: [0, 1, 2].map((worker) => new Leases(buffer, worker)) };
  };

  it("belong to the first, and the others are told to whom", () => {
    const [a, b] = open().workers as [Leases, Leases];
    const mine = a.take(0x1200, 5);
    expect(mine).toMatchObject({ kind: "mine" });
    expect(b.take(0x1200, 5)).toEqual({ kind: "other", worker: 0 });
    if (mine.kind === "mine") a.give(mine.slot);
    expect(b.take(0x1200, 5)).toMatchObject({ kind: "mine" });
  });

  it("of a worker's own other key with the same bits send it to nobody", () => {
    const [a] = open().workers as [Leases];
    a.take(0x1200, 5);
    expect(a.take(0x1201, 5)).toEqual({ kind: "full" });
  });

  it("for which there is no slot keep nobody from asking", () => {
    const [a, b] = open().workers as [Leases, Leases];
    for (let key = 1; key <= 4; key++) expect(a.take(key << 9, 7).kind).toBe("mine");
    expect(b.take(5 << 9, 7)).toEqual({ kind: "full" });
  });

  it("of a worker that is gone are free, and those of the others stay", () => {
    const { buffer, workers } = open();
    const [a, b] = workers as [Leases, Leases];
    a.take(0x1200, 5);
    b.take(0x2200, 9);
    new Leases(buffer).clearWorker(0);
    expect(b.take(0x1200, 5).kind).toBe("mine");
    expect(a.take(0x2200, 9)).toEqual({ kind: "other", worker: 1 });
  });

  it("are not held twice when another worker takes one in another slot between look and take", () => {
    const { buffer, workers } = open();
    const [a, b] = workers as [Leases, Leases];
    const other = a.take(0x2200, 5);
    class Interrupted extends Leases {
      protected override swap(slot: number, word: number): number {
        if (other.kind === "mine") b.give(other.slot);
        expect(b.take(0x1200, 5).kind).toBe("mine");
        return super.swap(slot, word);
      }
    }
    expect(new Interrupted(buffer, 2).take(0x1200, 5)).toEqual({ kind: "other", worker: 1 });
    expect(a.take(0x1200, 5)).toEqual({ kind: "other", worker: 1 });
  });

  it("are never held twice for one key, in any order of taking and giving", () => {
    const { workers } = open();
    const random = seededRandom(3);
    const held = new Map<number, { readonly worker: number; readonly slot: number }>();
    for (let step = 0; step < 20_000; step++) {
      const key = Math.floor(random() * 40);
      const worker = Math.floor(random() * 3);
      const own = held.get(key);
      if (own !== undefined && random() < 0.5) {
        workers[own.worker]?.give(own.slot);
        held.delete(key);
        continue;
      }
      const lease = workers[worker]?.take((key + 1) << 9, key >> 1);
      if (lease?.kind !== "mine") continue;
      expect(own).toBeUndefined();
      held.set(key, { worker, slot: lease.slot });
    }
  });
});

describe("stamps", () => {
  const both = (): readonly [Stamps, Stamps] => {
    const buffer = Stamps.allocate();
    return [new Stamps(buffer), new Stamps(buffer)];
  };

  it("of a URL and its tags change with a purge of any of them, in every worker, and only of the kind that it was", () => {
    const [a, b] = both();
    const names = [1, 2, 3];
    for (const purge of [(): void => a.purgeUrl(1, false), (): void => a.purgeTag(3, false)]) {
      const [hard, soft] = [b.hard(names), b.soft(names)];
      purge();
      expect([b.hard(names) === hard, b.soft(names) === soft]).toEqual([false, true]);
    }
    const [hard, soft, other] = [b.hard(names), b.soft(names), b.hard([4, 5])];
    a.purgeTag(2, true);
    expect([b.hard(names) === hard, b.soft(names) === soft, b.hard([4, 5]) === other]).toEqual([true, false, true]);
  });

  it("count purges of tags and walks, before what they make void", () => {
    const [a, b] = both();
    a.purgeTag(1, false);
    a.purgeTag(2, true);
    a.beginWalk();
    expect([b.tagPurges, b.walks]).toEqual([2, 1]);
  });

  it("of negative numbers, which hashes are, have a place", () => {
    const [a] = both();
    const before = a.hard([-5]);
    a.purgeUrl(-5, false);
    expect(a.hard([-5])).toBe(before + 1);
  });
});
