// What one route may have of the response store: held exactly, whatever is stored, read, removed or left half done, and to nobody else's cost.
import { describe, expect, test } from "vitest";
import { type AccountHolder, BOUNDED_MAX } from "../../../../src/shared/cache/accounts.ts";
import { ACCOUNTS, HEAD } from "../../../../src/shared/cache/layout.ts";
import { ResponseStore } from "../../../../src/shared/cache/store.ts";
import { auditAccounts } from "../../../support/store-audit.ts";
import { seededRandom } from "../../../support/upstreams.ts";

const MIB = 1024 * 1024;
const FLOOD = 7;
const OTHERS = 8;

function open(holders: readonly AccountHolder[], bytes = 4 * MIB) {
  const buffer = ResponseStore.allocate(bytes, 2, new Uint8Array(16).fill(5));
  const primary = new ResponseStore(buffer);
  primary.accounts.open(holders, new Set());
  return { buffer, primary, store: new ResponseStore(buffer, 0) };
}

function put(store: ResponseStore, key: string, owner: number, bodyBytes: number): boolean {
  const writer = store.reserve(key, { owner, headBytes: 100, bodyBytes });
  const stored = writer?.commit([]) ?? false;
  writer?.release();
  return stored;
}

function read(store: ResponseStore, key: string): boolean {
  const object = store.find(key);
  object?.release();
  return object !== null;
}

const occupied = (store: ResponseStore, owner: number): number => store.accounts.counts(owner)?.occupiedBytes ?? -1;
const limit = (store: ResponseStore, owner: number): number => store.accounts.counts(owner)?.limitBytes ?? -1;

/** Others' objects, some read often and some that have just come; then a flood. @returns how many of each are left */
function flooded(share: number, { isRead }: { readonly isRead: boolean }) {
  const { buffer, primary, store } = open([{ owner: FLOOD, share }]);
  const often = Array.from({ length: 700 }, (_, i) => `often${i}`);
  for (let round = 0; round < 2; round++) for (const key of often) if (!read(store, key)) put(store, key, OTHERS, 2000);
  const once = Array.from({ length: 80 }, (_, i) => `once${i}`);
  for (const key of once) put(store, key, OTHERS, 2000);
  const before = often.filter((key) => read(store, key));
  expect(before.length).toBeGreaterThan(600);
  for (let i = 0; i < 20_000; i++) {
    put(store, `flood${i}`, FLOOD, 1500 + (i % 7) * 300);
    if (isRead && i % 3 > 0) for (let n = 0; n < 3; n++) read(store, `flood${i}`);
  }
  expect(auditAccounts(buffer)).toEqual([]);
  const left = (keys: readonly string[]): number => keys.filter((key) => read(store, key)).length / keys.length;
  return { often: left(before), once: left(once), primary };
}

describe("a route with a share of the store", () => {
  test.each([false, true])("that floods it leaves the others' objects, however often its own are read (%s)", (isRead) => {
    const unbounded = flooded(1, { isRead });
    expect(unbounded.once).toBe(0);
    if (isRead) expect(unbounded.often).toBeLessThan(0.2);
    const bounded = flooded(0.2, { isRead });
    expect(bounded.often).toBeGreaterThan(0.99);
    expect(bounded.once).toBeGreaterThan(0.7); // it may have a fifth of where they wait
    const { occupiedBytes, limitBytes, evicted } = bounded.primary.accounts.counts(FLOOD)!;
    expect(occupiedBytes).toBeLessThanOrEqual(limitBytes!);
    expect(occupiedBytes).toBeGreaterThan(limitBytes! * 0.08);
    expect(evicted).toBeGreaterThan(15_000);
  });

  test("keeps of its own what is read, where a scan of its own passes through", () => {
    const { store } = open([{ owner: FLOOD, share: 0.3 }]);
    const hot = Array.from({ length: 60 }, (_, i) => `hot${i}`);
    for (let round = 0; round < 40; round++) {
      for (const key of hot) if (!read(store, key)) put(store, key, FLOOD, 4000);
      for (let i = 0; i < 300; i++) put(store, `scan${round}/${i}`, FLOOD, 4000);
    }
    expect(hot.filter((key) => read(store, key)).length).toBeGreaterThan(55);
  });

  test("replaces one response over and over without taking anybody else's memory", () => {
    const { store } = open([{ owner: FLOOD, share: 0.05 }]);
    const others = Array.from({ length: 40 }, (_, i) => `once${i}`);
    for (const key of others) put(store, key, OTHERS, 3000);
    for (let i = 0; i < 5000; i++) put(store, "the same", FLOOD, 3000);
    expect(others.every((key) => read(store, key))).toBe(true);
    expect(read(store, "the same")).toBe(true);
  });

  test("stores objects larger than its part of the small ring, and none larger than its part of the main one", () => {
    const { store } = open([{ owner: FLOOD, share: 0.05 }]);
    const part = Math.floor(limit(store, FLOOD) * 0.9);
    for (let i = 0; i < 50; i++) expect(put(store, `large${i}`, FLOOD, 90_000)).toBe(true);
    expect(occupied(store, FLOOD)).toBeLessThanOrEqual(limit(store, FLOOD));
    expect(store.reserve("too large", { owner: FLOOD, headBytes: 0, bodyBytes: part + 2000 })).toBeNull();
    expect(put(store, "as large", OTHERS, store.objectBytesMax - 1000)).toBe(true);
  });

  test("has no more entries of the index than its share, however small its objects are", () => {
    const { store, primary } = open([{ owner: FLOOD, share: 0.1 }]);
    for (let i = 0; i < 20_000; i++) put(store, `tiny${i}`, FLOOD, 1);
    const { objects } = primary.accounts.counts(FLOOD)!;
    expect(objects).toBeLessThanOrEqual(primary.buckets * 8 * 0.11);
    expect(objects).toBeGreaterThan(50);
  });

  test("gives memory back as it stores, once its share is lower, and keeps what it has when it is higher", () => {
    const { store, primary } = open([{ owner: FLOOD, share: 0.5 }]);
    for (let i = 0; i < 3000; i++) {
      put(store, `a${i}`, FLOOD, 1500);
      read(store, `a${i}`);
    }
    const before = occupied(store, FLOOD);
    primary.accounts.setLimits([{ owner: FLOOD, share: 0.1 }]);
    expect(occupied(store, FLOOD)).toBe(before);
    for (let i = 0; i < 3000; i++) {
      put(store, `b${i}`, FLOOD, 1500);
      read(store, `b${i}`);
    }
    expect(occupied(store, FLOOD)).toBeLessThanOrEqual(limit(store, FLOOD));
    const { objects } = primary.accounts.counts(FLOOD)!;
    primary.accounts.setLimits([{ owner: FLOOD, share: 1 }]);
    expect(primary.accounts.counts(FLOOD)).toMatchObject({ objects, limitBytes: null });
  });

  test("finds no room while all that it has is being read, and takes none of the others'", () => {
    const { store, primary } = open([{ owner: FLOOD, share: 0.05 }]);
    put(store, "other", OTHERS, 3000);
    const held = [];
    for (let i = 0; put(store, `held${i}`, FLOOD, 3000); i++) held.push(store.find(`held${i}`)!);
    expect(held.length).toBeGreaterThan(3);
    expect(occupied(primary, FLOOD)).toBeLessThanOrEqual(limit(primary, FLOOD));
    expect(read(store, "other")).toBe(true);
    for (const object of held) object.release();
    expect(put(store, "next", FLOOD, 3000)).toBe(true);
  });
});

describe("the accounts of the store", () => {
  test("agree with what is there, and stay within their limits, whatever is done, left half done, and by whom", () => {
    const owners: readonly AccountHolder[] = [
      { owner: 1, share: 0.05 },
      { owner: 2, share: 0.3 },
      { owner: 3, share: 0.9 },
      { owner: 4, share: 1 },
    ];
    const seeds = Number(process.env["SEEDS"] ?? 8);
    for (let seed = 1; seed <= seeds; seed++) {
      const random = seededRandom(seed);
      const { buffer, primary } = open(owners, 2 * MIB);
      const stores = [new ResponseStore(buffer, 0), new ResponseStore(buffer, 1)];
      const held: { release(): void }[][] = [[], []];
      for (let step = 0; step < 3000; step++) {
        const worker = random() < 0.5 ? 0 : 1;
        const store = stores[worker]!;
        const owner = 1 + Math.floor(random() * 5); // the last one has no account
        const key = `${owner}/${Math.floor(random() ** 3 * 400)}`;
        const dice = random();
        if (dice < 0.55) put(store, key, owner, Math.floor(random() ** 5 * 45_000));
        else if (dice < 0.8) read(store, key);
        else if (dice < 0.84) store.remove(key);
        else if (dice < 0.9) held[worker]!.push(...[store.find(key) ?? []].flat());
        else if (dice < 0.95) held[worker]!.splice(Math.floor(random() * held[worker]!.length), 1)[0]?.release();
        else if (dice < 0.97) held[worker]!.push(...[store.reserve(key, { owner, headBytes: 9, bodyBytes: 5000 }) ?? []].flat());
        else if (dice < 0.98) {
          // It dies, in one of two with the lock.
          if (random() < 0.5) new Int32Array(buffer)[HEAD.lock] = worker + 2;
          primary.clearWorker(worker);
          stores[worker] = new ResponseStore(buffer, worker);
          held[worker] = [];
        } else primary.removeWhere(Math.floor(random() * primary.buckets), 8, () => random() < 0.5);
        for (const each of owners) {
          const { occupiedBytes, limitBytes } = primary.accounts.counts(each.owner)!;
          if (limitBytes !== null) expect(occupiedBytes).toBeLessThanOrEqual(limitBytes);
        }
        if (step % 50 === 0) expect(auditAccounts(buffer)).toEqual([]);
      }
      expect(auditAccounts(buffer)).toEqual([]);
    }
  });

  test("are always there for routes with a share, of a plan and of the one before, however many routes there are", () => {
    const bounded = (from: number): readonly AccountHolder[] =>
      Array.from({ length: BOUNDED_MAX }, (_, i) => ({ owner: from + i, share: 0.1 }));
    const many = Array.from({ length: 2 * ACCOUNTS }, (_, i): AccountHolder => ({ owner: 100_000 + i, share: 1 }));
    const { primary, store } = open([...many, ...bounded(1)]);
    primary.accounts.open([...many, ...bounded(1000)], new Set([...many, ...bounded(1), ...bounded(1000)].map(({ owner }) => owner)));
    for (const { owner } of [...bounded(1), ...bounded(1000)]) expect(store.accounts.counts(owner)?.limitBytes).toBeGreaterThan(0);
    expect(many.filter(({ owner }) => store.accounts.counts(owner) !== null)).toHaveLength(511);
  });

  test("of routes that are gone are given to others, the emptiest first", () => {
    const gone = Array.from({ length: 511 }, (_, i): AccountHolder => ({ owner: 500 + i, share: 1 }));
    const { primary, store } = open(gone);
    put(store, "k", 500, 5000);
    const next = Array.from({ length: 511 }, (_, i): AccountHolder => ({ owner: 2000 + i, share: 1 }));
    primary.accounts.open(next, new Set(next.map(({ owner }) => owner)));
    expect(next.every(({ owner }) => primary.accounts.counts(owner) !== null)).toBe(true);
    expect(primary.accounts.counts(500)).toMatchObject({ objects: 1 });
  });
});
