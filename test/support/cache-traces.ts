// Owns traces of keys that caches are compared by, and what the response store and a plain LRU of as many bytes make of them.
import { UNIT_BYTES } from "../../src/shared/cache/layout.ts";
import { ResponseStore } from "../../src/shared/cache/store.ts";
import { seededRandom } from "./upstreams.ts";

export interface Trace {
  readonly name: string;
  /** Exponent of Zipf's law. */
  readonly skew: number;
  /** Share of requests for objects that come once, one after the other. */
  readonly scan: number;
}

export const TRACES: readonly Trace[] = [
  { name: "Zipf 0.8", skew: 0.8, scan: 0 },
  { name: "Zipf 1.0", skew: 1, scan: 0 },
  { name: "Zipf 0.8, 30 % scan", skew: 0.8, scan: 0.3 },
  { name: "Zipf 1.0, 30 % scan", skew: 1, scan: 0.3 },
];

export interface TraceSize {
  readonly requests: number;
  readonly objects: number;
  /** Share of the objects that fit. */
  readonly share: number;
}

const HEAD_BYTES = 200;
const BODY_BYTES = 1700;
/** What one takes in the store: record, key, head and body, in units. */
const OBJECT_BYTES = 2048;

/** @returns hits for each request, after as many requests that warm up */
export function hitRatios(trace: Trace, { requests, objects, share }: TraceSize): { readonly store: number; readonly lru: number } {
  const capacityBytes = Math.ceil(objects * share) * OBJECT_BYTES;
  const store = new ResponseStore(ResponseStore.allocate(storeBytes(capacityBytes), 1, new Uint8Array(16)), 0);
  const entries = Math.floor(store.counts().capacityBytes / OBJECT_BYTES);
  const lru = new Map<string, true>();
  const next = keysOf(trace, objects);
  let [storeHits, lruHits] = [0, 0];
  for (let i = 0; i < 2 * requests; i++) {
    const key = next();
    const isCounted = i >= requests;
    if (askStore(store, key) && isCounted) storeHits++;
    if (askLru(lru, key, entries) && isCounted) lruHits++;
  }
  return { store: storeHits / requests, lru: lruHits / requests };
}

/** Of a store with so many bytes for objects, beside index and pins. */
const storeBytes = (capacityBytes: number): number => Math.max(1024 * 1024, Math.ceil((capacityBytes * 1.02) / UNIT_BYTES) * UNIT_BYTES);

function askStore(store: ResponseStore, key: string): boolean {
  const object = store.find(key);
  if (object !== null) {
    object.release();
    return true;
  }
  const writer = store.reserve(key, { owner: 0, headBytes: HEAD_BYTES, bodyBytes: BODY_BYTES });
  writer?.commit([]);
  writer?.release();
  return false;
}

function askLru(lru: Map<string, true>, key: string, entries: number): boolean {
  const isThere = lru.delete(key);
  lru.set(key, true);
  if (lru.size > entries) for (const oldest of lru.keys()) return lru.delete(oldest) && isThere;
  return isThere;
}

/** The same keys for every cache. */
function keysOf({ skew, scan }: Trace, objects: number): () => string {
  const random = seededRandom(1);
  const sums = new Float64Array(objects);
  let sum = 0;
  for (let i = 0; i < objects; i++) sums[i] = sum += 1 / (i + 1) ** skew;
  let scanned = 0;
  return () => {
    if (random() < scan) return `scan-${String(scanned++).padStart(12, "0")}`;
    const point = random() * sum;
    let [low, high] = [0, objects - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < point) low = middle + 1;
      else high = middle;
    }
    return `zipf-${String(low).padStart(12, "0")}`;
  };
}
