// Owns a worker thread that hammers a shared response store until it is killed. Started by store-threads.test.ts only. Every byte of a body says whose it is.
import { parentPort, workerData } from "node:worker_threads";
import type { AccountHolder } from "../../src/shared/cache/accounts.ts";
import { Leases } from "../../src/shared/cache/leases.ts";
import { ResponseStore, type StoredObject } from "../../src/shared/cache/store.ts";
import { seededRandom } from "./upstreams.ts";

/** Words of the gate: writes, reads that found something, removals, faults, stop; then one for each lease key: 1 + the worker that holds it. */
export const GATE = { writes: 0, hits: 1, removed: 2, faults: 3, stop: 4, leased: 16 } as const;
export const LEASE_KEYS = 64;

export interface HammerTask {
  readonly store: SharedArrayBuffer;
  readonly leases: SharedArrayBuffer;
  readonly gate: SharedArrayBuffer;
  readonly worker: number;
  readonly seed: number;
  readonly keys: number;
}

const HELD_MAX = 32;

/** @returns the body that a key has in a version */
export function bodyOf(key: string, version: number, length: number): Buffer {
  const text = `${key}#${version};`;
  return Buffer.from(text.repeat(Math.ceil(length / text.length)).slice(0, length), "latin1");
}

/** Owners of keys, a share each; the last one has no account. */
export const OWNERS: readonly AccountHolder[] = [
  { owner: 101, share: 0.1 },
  { owner: 102, share: 0.3 },
  { owner: 103, share: 1 },
];

/** Whose a key is. */
export const ownerOf = (key: string): number => 101 + (Number(key.slice(3)) % (OWNERS.length + 1));

function put(store: ResponseStore, key: string, version: number, length: number): void {
  const writer = store.reserve(key, { owner: ownerOf(key), headBytes: 16, bodyBytes: length });
  if (writer === null) return;
  writer.head.write(String(version).padStart(16), "latin1");
  bodyOf(key, version, length).copy(writer.body);
  writer.commit([version, length]);
  writer.release();
}

/** @returns what is wrong with it; '' for nothing */
function faultOf(object: StoredObject, key: string): string {
  const version = object.fact(0);
  if (object.key !== key) return `key ${object.key} instead of ${key}`;
  if (Number(object.head.toString("latin1")) !== version) return `head of another version of ${key}`;
  if (object.owner !== ownerOf(key)) return `owner of another object in ${key}`;
  if (object.bodyBytes !== object.fact(1)) return `length of another version of ${key}`;
  return object.body.equals(bodyOf(key, version, object.fact(1))) ? "" : `bytes of another object in ${key}`;
}

function hammer({ store: buffer, leases: leaseBuffer, gate: gateBuffer, worker, seed, keys }: HammerTask): void {
  const gate = new Int32Array(gateBuffer);
  const store = new ResponseStore(buffer, worker);
  const leases = new Leases(leaseBuffer, worker);
  const random = seededRandom(seed);
  const held: { readonly object: StoredObject; readonly key: string }[] = [];
  let version = seed * 1_000_000;
  const fault = (what: string): void => {
    Atomics.add(gate, GATE.faults, 1);
    parentPort?.postMessage(what);
  };
  const check = (object: StoredObject, key: string): void => {
    const what = faultOf(object, key);
    if (what !== "") fault(what);
  };
  while (Atomics.load(gate, GATE.stop) === 0) {
    const key = `key${Math.floor(random() ** 2 * keys)}`;
    const dice = random();
    if (dice < 0.4) {
      put(store, key, ++version, Math.floor(random() ** 4 * 20_000));
      Atomics.add(gate, GATE.writes, 1);
    } else if (dice < 0.9) {
      const object = store.find(key);
      if (object === null) continue;
      Atomics.add(gate, GATE.hits, 1);
      check(object, key);
      if (held.length < HELD_MAX && dice > 0.87) held.push({ object, key });
      else object.release();
    } else if (dice < 0.95) {
      const one = held.splice(Math.floor(random() * held.length), 1)[0];
      if (one === undefined) continue;
      check(one.object, one.key);
      one.object.release();
    } else if (dice < 0.96) {
      if (store.remove(key)) Atomics.add(gate, GATE.removed, 1);
    } else if (dice < 0.97) {
      const gone = store.removeWhere(Math.floor(random() * store.buckets), 4, (object) => object.fact(0) % 3 === 0);
      if (gone > 0) Atomics.add(gate, GATE.removed, gone);
    } else for (let i = 0; i < 20; i++) lease({ leases, gate, worker }, Math.floor(random() * LEASE_KEYS), fault);
  }
  for (const { object, key } of held) {
    check(object, key);
    object.release();
  }
  parentPort?.postMessage({ pinned: store.pinned });
}

/** Holds one for a moment: of its key there is no other holder meanwhile. */
function lease(
  { leases, gate, worker }: { readonly leases: Leases; readonly gate: Int32Array; readonly worker: number },
  key: number,
  fault: (what: string) => void,
): void {
  const taken = leases.take((key + 1) << 9, key & 3); // few slots: keys push each other about
  if (taken.kind !== "mine") return;
  const holder = Atomics.compareExchange(gate, GATE.leased + key, 0, worker + 1);
  if (holder !== 0) fault(`${worker} and ${holder - 1} hold the lease of ${key}`);
  Atomics.compareExchange(gate, GATE.leased + key, worker + 1, 0);
  leases.give(taken.slot);
}

if (workerData !== null && parentPort !== null) hammer(workerData as HammerTask); // only started with this data
