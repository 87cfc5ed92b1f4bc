import { describe, expect, test, vi } from "vitest";
import { HEAD, layoutIn, UNIT_BYTES } from "../../../../src/shared/cache/layout.ts";
import { ResponseStore } from "../../../../src/shared/cache/store.ts";

const KEY = new Uint8Array(16).fill(7);
const MIB = 1024 * 1024;

const open = (bytes = 2 * MIB, workers = 2): { buffer: SharedArrayBuffer; stores: ResponseStore[] } => {
  const buffer = ResponseStore.allocate(bytes, workers, KEY);
  return { buffer, stores: Array.from({ length: workers }, (_, index) => new ResponseStore(buffer, index)) };
};

/** A body that says whose it is in every byte. */
const bodyOf = (key: string, version: number, length: number): Buffer => {
  const text = `${key}#${version};`;
  return Buffer.from(text.repeat(Math.ceil(length / text.length)).slice(0, length), "latin1");
};

function put(store: ResponseStore, key: string, version: number, length: number): boolean {
  const writer = store.reserve(key, { owner: 3, headBytes: 8, bodyBytes: length });
  if (writer === null) return false;
  writer.head.write(String(version).padStart(8), "latin1");
  bodyOf(key, version, length).copy(writer.body);
  const stored = writer.commit([version, length]);
  writer.release();
  return stored;
}

function expectWhole(store: ResponseStore, key: string): number {
  const object = store.find(key);
  if (object === null) return -1;
  const version = Number(object.head.toString("latin1"));
  expect(object.key).toBe(key);
  expect(object.fact(0)).toBe(version);
  expect(object.body.equals(bodyOf(key, version, object.fact(1)))).toBe(true);
  object.release();
  return version;
}

/** A generator of numbers that a seed repeats (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe("the shared response store", () => {
  test("gives every worker what one of them has stored", () => {
    const { stores } = open();
    expect(put(stores[0]!, "GET https://a/x", 1, 5000)).toBe(true);
    expect(expectWhole(stores[1]!, "GET https://a/x")).toBe(1);
    expect(stores[1]!.find("GET https://a/y")).toBeNull();
    expect(stores.map((each) => each.pinned)).toEqual([0, 0]);
  });

  test("puts a newer response in the place of the older one, of which a reader keeps the bytes", () => {
    const { stores } = open();
    put(stores[0]!, "k", 1, 3000);
    const reader = stores[1]!.find("k")!;
    put(stores[0]!, "k", 2, 100);
    for (let i = 0; i < 3000; i++) put(stores[0]!, `other${i}`, i, 2000);
    expect(reader.body.equals(bodyOf("k", 1, 3000))).toBe(true);
    reader.release();
    put(stores[0]!, "k", 3, 100);
    expect(expectWhole(stores[1]!, "k")).toBe(3);
  });

  test("hides an object until it is committed, and forgets it when it is released before", () => {
    const { stores } = open();
    const writer = stores[0]!.reserve("k", { owner: 3, headBytes: 8, bodyBytes: 10 })!;
    expect(stores[1]!.find("k")).toBeNull();
    writer.release();
    writer.release();
    expect(writer.commit([])).toBe(false);
    expect(stores[1]!.find("k")).toBeNull();
    expect(stores[0]!.pinned).toBe(0);
  });

  test("refuses an object that is larger than a quarter of the small ring", () => {
    const [store] = open().stores;
    expect(store!.reserve("k", { owner: 3, headBytes: 0, bodyBytes: store!.objectBytesMax })).toBeNull();
    const writer = store!.reserve("k", { owner: 3, headBytes: 0, bodyBytes: store!.objectBytesMax - 200 });
    expect(writer).not.toBeNull();
    writer!.release();
  });

  test("removes an object, and those that a condition names", () => {
    const [store] = open().stores;
    for (let i = 0; i < 200; i++) put(store!, `k${i}`, i, 50);
    expect(store!.remove("k7")).toBe(true);
    expect(store!.remove("k7")).toBe(false);
    let gone = 0;
    for (let at = 0; at < store!.buckets; at += 10) gone += store!.removeWhere(at, 10, (each) => each.fact(0) % 2 === 0);
    expect(gone).toBe(100);
    for (let i = 0; i < 200; i++) expect(expectWhole(store!, `k${i}`)).toBe(i % 2 === 0 || i === 7 ? -1 : i);
    expect(store!.counts()).toMatchObject({ objects: 99, removed: 101 });
  });

  test("puts a renewal in the place of the object that it renews, and of no other", () => {
    const { stores } = open();
    const [store] = stores;
    put(store!, "k", 1, 100);
    const first = store!.find("k")!;
    const renew = (replaces: number, version: number): boolean => {
      const writer = store!.reserve("k", { owner: 3, headBytes: 8, bodyBytes: 100 }) ?? expect.fail("there is no room");
      writer.head.write(String(version).padStart(8), "latin1");
      bodyOf("k", version, 100).copy(writer.body);
      const stored = writer.commit([version, 100], replaces);
      writer.release();
      return stored;
    };
    expect(renew(first.sequence, 2)).toBe(true);
    expect(renew(first.sequence, 3)).toBe(false);
    expect(expectWhole(store!, "k")).toBe(2);
    const second = store!.find("k")!;
    store!.remove("k");
    expect(renew(second.sequence, 4)).toBe(false);
    expect(store!.find("k")).toBeNull();
    first.release();
    second.release();
    expect([store!.pinned, store!.counts().objects]).toEqual([0, 0]);
  });

  test("frees what a worker had pinned and was writing when it died", () => {
    const { buffer, stores } = open(MIB, 2);
    const primary = new ResponseStore(buffer);
    put(stores[0]!, "k", 1, 1000);
    stores[1]!.find("k");
    stores[1]!.reserve("half", { owner: 3, headBytes: 8, bodyBytes: 1000 });
    expect(primary.counts().pinned).toBe(2);
    primary.clearWorker(1);
    expect(primary.counts().pinned).toBe(0);
    const again = new ResponseStore(buffer, 1);
    expect(again.pinned).toBe(0);
    expect(again.find("half")).toBeNull();
    const { pins, pinMarks } = layoutIn(buffer);
    expect(new Int32Array(buffer).subarray(pins, pinMarks).every((word) => word === 0)).toBe(true);
    const { pinFilter, accounts } = layoutIn(buffer);
    expect(new Int32Array(buffer).subarray(pinFilter, accounts).every((word) => word === 0)).toBe(true);
    for (let i = 0; i < 5000; i++) expect(put(stores[0]!, `n${i}`, i, 900)).toBe(true);
  });

  test("makes room beside thousands of slow readers without looking at each one's pin for each object", () => {
    const { buffer, stores } = open(64 * MIB, 2);
    const [writer, reader] = [stores[0]!, stores[1]!];
    for (let i = 0; i < 120_000; i++) put(writer, `k${i}`, i, 300);
    const read = [];
    for (let i = 119_999; read.length < 4000; i--) {
      const object = reader.find(`k${i}`);
      if (object !== null) read.push({ object, i });
    }
    const looks = vi.spyOn(Atomics, "load");
    put(writer, "large", 1, 100_000); // in the place of some 200 objects, each of which may be one of those
    expect(looks.mock.calls.length).toBeLessThan(100 * read.length);
    looks.mockRestore();
    expect(expectWhole(reader, "large")).toBe(1);
    for (let i = 0; i < 60; i++) put(writer, `n${i}`, i, 500_000);
    for (const { object, i } of read) {
      expect(object.body.equals(bodyOf(`k${i}`, i, 300))).toBe(true);
      object.release();
    }
    const { pinFilter, accounts } = layoutIn(buffer);
    expect(new Int32Array(buffer).subarray(pinFilter, accounts).every((word) => word === 0)).toBe(true);
  });

  test("is emptied when a worker died with the lock, and what another reads keeps its bytes", () => {
    const { buffer, stores } = open(MIB, 2);
    const primary = new ResponseStore(buffer);
    for (let i = 0; i < 3000; i++) put(stores[0]!, `n${i}`, i, 900);
    put(stores[0]!, "kept", 4, 2000);
    const reader = stores[0]!.find("kept")!;
    new Int32Array(buffer)[HEAD.lock] = 3; // worker 1
    expect(stores[0]!.reserve("x", { owner: 3, headBytes: 0, bodyBytes: 10 })).toBeNull();
    primary.clearWorker(1);
    expect(primary.counts()).toMatchObject({ objects: 0, bytes: 0, emptied: 1 });
    expect(stores[0]!.find("kept")).toBeNull();
    for (let i = 0; i < 3000; i++) expect(put(stores[0]!, `m${i}`, i, 900)).toBe(true);
    expect(reader.body.equals(bodyOf("kept", 4, 2000))).toBe(true);
  });

  test("never gives out bytes of another object, whatever is stored, read, held and removed by whom", () => {
    const seeds = Number(process.env["SEEDS"] ?? 20);
    for (let seed = 1; seed <= seeds; seed++) {
      const random = randomFrom(seed);
      const { stores } = open(MIB, 3);
      const versions = new Map<string, number>();
      const held: { object: NonNullable<ReturnType<ResponseStore["find"]>>; bytes: Buffer }[] = [];
      for (let step = 0; step < 4000; step++) {
        const store = stores[Math.floor(random() * 3)]!;
        const key = `key${Math.floor(random() ** 3 * 600)}`;
        const dice = random();
        if (dice < 0.45) {
          const version = (versions.get(key) ?? 0) + 1;
          if (put(store, key, version, Math.floor(random() ** 4 * 20_000))) versions.set(key, version);
        } else if (dice < 0.9) {
          const found = expectWhole(store, key);
          if (found >= 0) expect(found).toBe(versions.get(key));
        } else if (dice < 0.93) {
          store.remove(key);
        } else if (dice < 0.97) {
          const object = store.find(key);
          if (object !== null) held.push({ object, bytes: Buffer.from(object.body) });
        } else {
          const one = held.splice(Math.floor(random() * held.length), 1)[0];
          if (one !== undefined) {
            expect(one.object.body.equals(one.bytes)).toBe(true);
            one.object.release();
          }
        }
      }
      for (const { object, bytes } of held) {
        expect(object.body.equals(bytes)).toBe(true);
        object.release();
      }
      expect(stores.map((each) => each.pinned)).toEqual([0, 0, 0]);
      const { bytes, capacityBytes } = stores[0]!.counts();
      expect(bytes).toBeLessThanOrEqual(capacityBytes);
    }
  });

  test("keeps what is read often, where a scan of objects that nobody reads again passes through", () => {
    const [store] = open(4 * MIB, 1).stores;
    const hot = Array.from({ length: 200 }, (_, i) => `hot${i}`);
    for (let round = 0; round < 40; round++) {
      for (const key of hot) if (expectWhole(store!, key) < 0) put(store!, key, round, 4000);
      for (let i = 0; i < 500; i++) put(store!, `scan${round}/${i}`, 0, 4000);
    }
    const kept = hot.filter((key) => expectWhole(store!, key) >= 0).length;
    expect(kept).toBeGreaterThan(190);
  });

  test("accounts for all memory by units", () => {
    const { buffer, stores } = open(8 * MIB, 4);
    expect(buffer.byteLength).toBeLessThanOrEqual(8 * MIB);
    expect(stores[0]!.counts().capacityBytes % UNIT_BYTES).toBe(0);
    expect(stores[0]!.counts().capacityBytes).toBeGreaterThan(7 * MIB);
  });
});
