// Owns the memory layout of the shared response store and its size: where which word lies. No decisions here.
// The protocol by which threads use it is written down in store.ts.

/*
 * Layout of the one SharedArrayBuffer, in 32-bit words unless said otherwise. Everything starts as zero.
 *
 *   header, 64 words
 *     0 UNITS_SMALL, 1 UNITS_MAIN, 2 BUCKETS, 3 GHOSTS, 4 PINS_WORKERS   sizes                 written once by allocateStore()
 *     5-8 key of the hash                                                                       written once by allocateStore()
 *     16 LOCK        0 free, else 1 + index of the thread that holds it                         writers: all (compare and exchange)
 *     17 BROKEN      times that the store was emptied because a thread had died with the lock   writer: primary
 *     18 SEQUENCE    number of the object that was stored last, modulo 2^32                     writers: holder of the lock
 *     20 HEAD_SMALL, 21 HEAD_MAIN   unit of each ring at which the next object goes             writers: holder of the lock
 *     22 USED_SMALL, 23 USED_MAIN   units of each ring that are no filler                        writers: holder of the lock
 *     24 ACCOUNT_CHANGES   times that accounts were given to others                              writer: primary (atomic)
 *     32 OBJECTS, 33 UNITS_LIVE, 34 STORED, 35 EVICTED, 36 PROMOTED, 37 GHOST_HITS, 38 REMOVED  counts; writers: holder of the lock
 *   pins, PINS words for each worker: 1 + unit of an object whose bytes that worker reads or writes, 0 for none   writer: that worker; primary when it is gone
 *   pin marks, one word for each worker: pins below it may be in use                            writer: that worker
 *   pin filter, as many words as there are ghosts, at most PIN_FILTER_MAX: pins of the units whose hash has that place, or more; a worker that dies between
 *   two words of pins.ts leaves one too many                                                    writers: all (atomic add)
 *   accounts, ACCOUNTS of ACCOUNT_WORDS words: what the objects of one route have of the memory, and may have (accounts.ts)
 *   ghosts, GHOSTS words: tags of objects that left the small ring unread                       writers: holder of the lock
 *   index, BUCKETS buckets of WAYS entries of two words: tag (upper half of the key's hash), 1 + unit (0: free)   writers: holder of the lock; readers: all
 *   units of 64 bytes: first the small ring, then the main ring
 *
 *   An object begins with RECORD_BYTES: 0 SIZE (units), 1 STATE, 2 READ (0..3, how often it was read since it was moved or stored; writers: all, plain),
 *   3 SEQUENCE, 4 tag, 5 lower half of the hash, 6 key bytes, 7 head bytes, 8 body bytes, 9 OWNER (an opaque word), 10 MARK (an opaque word that may change: writers: all, atomic),
 *   11 ACCOUNT (whose memory it is), 28 BODY (number of the object that the body was stored with first), 12-27 eight float64 of the user's. Behind it key, head and body, the body on the next multiple of 8 bytes.
 *   Rings are walkable: at each head, and behind each object, another object or filler begins, up to the ring's end.
 */

export const UNIT_BYTES = 64;
export const HEADER_WORDS = 64;
export const HEAD = {
  unitsSmall: 0,
  unitsMain: 1,
  buckets: 2,
  ghosts: 3,
  workers: 4,
  key: 5,
  lock: 16,
  broken: 17,
  sequence: 18,
  headSmall: 20,
  headMain: 21,
  usedSmall: 22,
  usedMain: 23,
  accountChanges: 24,
  objects: 32,
  unitsLive: 33,
  stored: 34,
  evicted: 35,
  promoted: 36,
  ghostHits: 37,
  removed: 38,
} as const;

/** Words of a record. */
export const REC = {
  size: 0,
  state: 1,
  read: 2,
  sequence: 3,
  tag: 4,
  low: 5,
  keyBytes: 6,
  headBytes: 7,
  bodyBytes: 8,
  owner: 9,
  mark: 10,
  account: 11,
  facts: 12,
  body: 28,
} as const;
/** Words of an account: see accounts.ts. */
export const ACCOUNT = {
  owner: 0,
  used: 1,
  limitSmall: 2,
  limitMain: 3,
  small: 4,
  main: 5,
  objects: 6,
  unitsLive: 7,
  evicted: 8,
} as const;
export const ACCOUNT_WORDS = 16;
/** Accounts; the first one is everybody's who has none of his own. */
export const ACCOUNTS = 1024;
/** Numbers that the user of the store keeps beside a response. */
export const FACTS = 8;
export const RECORD_BYTES = 128;

export const STATE_FILLER = 0;
/** Its bytes are being written, or it is no longer to be found. */
export const STATE_HIDDEN = 1;
export const STATE_LIVE = 2;

/** Entries of a bucket. */
export const WAYS = 8;
/** Responses whose bytes one worker can be sending at once: one that finds no pin free is answered by the origin. */
export const PINS = 4096;
/** Words of the filter that tells which units nobody has pinned. */
const PIN_FILTER_MAX = 2 ** 16;
/** Share of the small ring, in which an object waits for its second reader (S3-FIFO, Yang et al., SOSP 2023: 10 %). */
const SMALL_SHARE = 0.1;
/** One entry of the index for so many bytes of objects, at most twice as many: beyond, those that share a bucket push each other out. 12 bytes with its ghost. */
const BYTES_PER_ENTRY = 512;

export const STORE_BYTES_MIN = 1024 * 1024;
export const STORE_BYTES_MAX = 64 * 1024 ** 3;

export interface StoreLayout {
  readonly unitsSmall: number;
  readonly unitsMain: number;
  readonly buckets: number;
  readonly ghosts: number;
  readonly workers: number;
  /** In words. */
  readonly pins: number;
  readonly pinMarks: number;
  readonly pinFilter: number;
  /** A power of two. */
  readonly pinFilterWords: number;
  readonly accounts: number;
  readonly ghost: number;
  readonly index: number;
  /** In units: unit 0 is the first of the small ring. */
  readonly firstUnitByte: number;
  readonly bytes: number;
}

function layoutOf(unitsSmall: number, unitsMain: number, buckets: number, workers: number): StoreLayout {
  const ghosts = buckets * WAYS;
  const pins = HEADER_WORDS;
  const pinMarks = pins + workers * PINS;
  const pinFilter = pinMarks + workers;
  const pinFilterWords = Math.min(ghosts, PIN_FILTER_MAX);
  const accounts = pinFilter + pinFilterWords;
  const ghost = accounts + ACCOUNTS * ACCOUNT_WORDS;
  const index = ghost + ghosts;
  const firstUnitByte = Math.ceil(((index + buckets * WAYS * 2) * 4) / UNIT_BYTES) * UNIT_BYTES;
  const bytes = firstUnitByte + (unitsSmall + unitsMain) * UNIT_BYTES;
  return {
    unitsSmall,
    unitsMain,
    buckets,
    ghosts,
    workers,
    pins,
    pinMarks,
    pinFilter,
    pinFilterWords,
    accounts,
    ghost,
    index,
    firstUnitByte,
    bytes,
  };
}

/** @param bytes of all of it: objects, index and pins. @throws RangeError beyond the bounds */
export function allocateStore(bytes: number, workers: number, key: Uint8Array): SharedArrayBuffer {
  if (bytes < STORE_BYTES_MIN || bytes > STORE_BYTES_MAX)
    throw new RangeError(`response store: ${bytes} bytes, not ${STORE_BYTES_MIN} to ${STORE_BYTES_MAX}`);
  let buckets = 64;
  while (buckets * WAYS * 2 * BYTES_PER_ENTRY <= bytes) buckets *= 2;
  const fixed = layoutOf(0, 0, buckets, workers).bytes;
  const units = Math.floor((bytes - fixed) / UNIT_BYTES);
  if (units < 4096) throw new RangeError(`response store: ${bytes} bytes leave no room for objects beside the pins of ${workers} workers`);
  const unitsSmall = Math.max(1024, Math.floor(units * SMALL_SHARE));
  const layout = layoutOf(unitsSmall, units - unitsSmall, buckets, workers);
  const buffer = new SharedArrayBuffer(layout.bytes);
  const words = new Int32Array(buffer, 0, HEADER_WORDS);
  words[HEAD.unitsSmall] = layout.unitsSmall;
  words[HEAD.unitsMain] = layout.unitsMain;
  words[HEAD.buckets] = buckets;
  words[HEAD.ghosts] = layout.ghosts;
  words[HEAD.workers] = workers;
  words[HEAD.headMain] = layout.unitsSmall;
  new Uint8Array(buffer, HEAD.key * 4, 16).set(key);
  makeFiller(buffer, layout, 0, layout.unitsSmall);
  makeFiller(buffer, layout, layout.unitsSmall, layout.unitsMain);
  return buffer;
}

/** @returns where the parts of an allocated store begin */
export function layoutIn(buffer: SharedArrayBuffer): StoreLayout {
  const words = new Int32Array(buffer, 0, HEADER_WORDS);
  const at = (word: number): number => words[word] ?? 0;
  return layoutOf(at(HEAD.unitsSmall), at(HEAD.unitsMain), at(HEAD.buckets), at(HEAD.workers));
}

function makeFiller(buffer: SharedArrayBuffer, layout: StoreLayout, unit: number, units: number): void {
  const record = new Int32Array(buffer, layout.firstUnitByte + unit * UNIT_BYTES, 2);
  record[REC.size] = units;
  record[REC.state] = STATE_FILLER;
}

/** Units of an object. */
export function unitsFor(keyBytes: number, headBytes: number, bodyBytes: number): number {
  return Math.ceil((bodyStart(keyBytes, headBytes) + bodyBytes) / UNIT_BYTES);
}

/** Where the body begins, in bytes from the object's first. */
export const bodyStart = (keyBytes: number, headBytes: number): number => (RECORD_BYTES + keyBytes + headBytes + 7) & ~7;
