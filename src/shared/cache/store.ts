// Owns whole responses in memory that all workers share: found by a text key, read where they lie, pushed out when the memory is full.
// Must never know what HTTP makes of a response, and never give out bytes that may change while they are read.
//
// Who does what:
// - One lock (lock.ts) for whoever stores, moves or removes. Readers take none.
// - A reader finds an entry of the index, pins its object (pins.ts), and looks at the entry again: is it still there, then the object is whole and stays until the
//   pin is cleared. Whoever wants an object's memory takes its entry out first and looks for pins then. All these accesses are sequentially consistent
//   (Atomics), so at least one of the two sees the other: the reader finds the entry gone, or the other finds the pin, and lets the object be.
// - A writer takes memory, which is hidden and pinned, fills it without the lock, and enters it in the index with the lock.
// - A worker that dies leaves pins and perhaps memory that it was filling: clearWorker(), called by the primary, ends both. When it held the lock, the store
//   is emptied: only then rings or index may be half changed.
import { SipHash } from "../../base/sip-hash.ts";
import { Accounts } from "./accounts.ts";
import type { StoreCounts } from "./counts.ts";
import { StoreIndex } from "./index.ts";
import { allocateStore, FACTS, HEAD, REC, STATE_HIDDEN, STATE_LIVE, UNIT_BYTES, unitsFor, WAYS } from "./layout.ts";
import { StoreLock } from "./lock.ts";
import { clearPins, countPins, Pins } from "./pins.ts";
import { hashKey, Records } from "./records.ts";
import { Rings } from "./rings.ts";

/** Longest key, chars: one char a byte. */
export const STORE_KEY_CHARS_MAX = 16 * 1024;
/** READ is counted up to this. */
const READ_MAX = 3;

/** What an object needs, and whose it is. */
export interface ObjectRoom {
  /** An opaque word of whoever stores it: the account that its memory counts for, if there is one of this owner. */
  readonly owner: number;
  readonly headBytes: number;
  readonly bodyBytes: number;
}

export class ResponseStore {
  readonly #records: Records;
  readonly #index: StoreIndex;
  readonly #rings: Rings;
  /** Who has how much of it, and may have. */
  readonly accounts: Accounts;
  readonly #lock: StoreLock;
  readonly #hash: SipHash;
  readonly #pins: Pins | null;

  static readonly allocate = allocateStore;

  /** @param workerIndex -1 for the primary, which reads no object */
  constructor(buffer: SharedArrayBuffer, workerIndex = -1) {
    this.#records = new Records(buffer);
    this.#index = new StoreIndex(this.#records);
    this.accounts = new Accounts(this.#records);
    this.#rings = new Rings(this.#records, this.#index, this.accounts);
    this.#lock = new StoreLock(this.#records.words, workerIndex);
    this.#hash = new SipHash(hashKey(buffer));
    this.#pins = workerIndex < 0 ? null : new Pins(this.#records.words, this.#records.layout, workerIndex);
  }

  /** Bytes of the largest object, with its key and head. */
  get objectBytesMax(): number {
    return this.#rings.unitsMax * UNIT_BYTES;
  }

  /** Pins that this worker holds: back at zero when nothing is being read or written. */
  get pinned(): number {
    return this.#pins?.count ?? 0;
  }

  /** @param key a byte string. @returns null when there is none, or too many are being read. Must be released, once. */
  find(key: string): StoredObject | null {
    const pins = this.#pins;
    if (pins === null) return null;
    this.#hash.hash(key);
    const { high: tag, low } = this.#hash;
    const first = this.#index.bucket(low);
    for (let entry = first; entry < first + WAYS * 2; entry += 2) {
      const unit = this.#index.unitIn(entry, tag);
      if (unit < 0) continue;
      const pin = pins.set(unit);
      if (pin < 0) return null;
      if (this.#index.unitIn(entry, tag) === unit && this.#isOf(unit, key, low)) {
        const read = this.#records.get(unit, REC.read);
        if (read < READ_MAX) this.#records.set(unit, REC.read, read + 1);
        return new StoredObject(this.#records, pins, unit, pin);
      }
      pins.clear(pin);
    }
    return null;
  }

  #isOf(unit: number, key: string, low: number): boolean {
    const records = this.#records;
    if (records.get(unit, REC.low) !== low || records.get(unit, REC.keyBytes) !== key.length) return false;
    const { bytes } = records;
    const start = records.headAt(unit) - key.length;
    for (let i = 0; i < key.length; i++) if (bytes[start + i] !== key.charCodeAt(i)) return false;
    return true;
  }

  /**
   * Memory for an object.
   * @param key a byte string of at most {@link STORE_KEY_CHARS_MAX} chars
   * @returns null when it is too large, or there is no room: too much is being read, or its account may have no more. Else it must be released, once.
   */
  reserve(key: string, { owner, headBytes, bodyBytes }: ObjectRoom): ObjectWriter | null {
    const pins = this.#pins;
    const units = unitsFor(key.length, headBytes, bodyBytes);
    if (pins === null || key.length > STORE_KEY_CHARS_MAX || units > this.#rings.unitsMax || !this.#lock.take()) return null;
    const records = this.#records;
    this.#hash.hash(key);
    const { high: tag, low } = this.#hash;
    const account = this.accounts.of(owner);
    const unit = this.#rings.take({ units, tag, low, account });
    const pin = unit < 0 ? -1 : pins.set(unit);
    if (unit >= 0) {
      records.set(unit, REC.size, units);
      records.set(unit, REC.account, account);
      records.set(unit, REC.state, STATE_HIDDEN); // without a pin it is free again
    }
    this.#lock.give();
    if (pin < 0) return null;
    records.set(unit, REC.read, 0);
    records.set(unit, REC.tag, tag);
    records.set(unit, REC.low, low);
    records.set(unit, REC.keyBytes, key.length);
    records.set(unit, REC.headBytes, headBytes);
    records.set(unit, REC.bodyBytes, bodyBytes);
    records.set(unit, REC.owner, owner);
    records.set(unit, REC.mark, 0);
    const start = records.headAt(unit) - key.length;
    for (let i = 0; i < key.length; i++) records.bytes[start + i] = key.charCodeAt(i);
    return new ObjectWriter(this, records, { unit, pin });
  }

  /** @internal {@link ObjectWriter} */
  enter(unit: number, replaces: number | null): boolean {
    const records = this.#records;
    if (!this.#lock.take()) return false;
    const before = replaces === null ? -1 : this.#index.before(unit);
    const isThere = replaces === null || (before >= 0 && records.get(before, REC.sequence) === replaces);
    if (isThere) {
      const sequence = (records.words[HEAD.sequence]! += 1);
      records.set(unit, REC.sequence, sequence);
      records.set(unit, REC.body, before < 0 ? sequence : records.get(before, REC.body)); // what renews another has its body
      records.set(unit, REC.state, STATE_LIVE);
      const replaced = this.#index.add(unit, this.accounts.boundOf(records.get(unit, REC.account)));
      records.count(HEAD.stored);
      this.#count(unit, 1);
      if (replaced >= 0) this.#replaced(unit, replaced);
    }
    this.#lock.give();
    return isThere;
  }

  /** An object can be found from now on, or no longer (-1). */
  #count(unit: number, by: 1 | -1): void {
    this.#records.count(HEAD.objects, by);
    this.#records.count(HEAD.unitsLive, by * this.#records.get(unit, REC.size));
    this.accounts.found(unit, by);
  }

  /** By a newer one of its key, or by one that has its bucket in common. */
  #replaced(unit: number, old: number): void {
    const records = this.#records;
    this.#count(old, -1);
    if (records.get(old, REC.low) === records.get(unit, REC.low) && records.get(old, REC.tag) === records.get(unit, REC.tag)) return;
    records.count(HEAD.evicted);
    this.accounts.evicted(old);
  }

  /** @internal {@link ObjectWriter} */
  leave(pin: number): void {
    this.#pins?.clear(pin);
  }

  /** Removes the object of a key. @returns whether there was one */
  remove(key: string): boolean {
    this.#hash.hash(key);
    const { high: tag, low } = this.#hash;
    if (!this.#lock.take()) return false;
    const first = this.#index.bucket(low);
    let found = false;
    for (let entry = first; entry < first + WAYS * 2; entry += 2) {
      const unit = this.#index.unitIn(entry, tag);
      if (unit >= 0 && this.#isOf(unit, key, low)) {
        this.#drop(entry, unit);
        found = true;
      }
    }
    this.#lock.give();
    return found;
  }

  #drop(entry: number, unit: number): void {
    const records = this.#records;
    this.#index.hide(entry);
    records.set(unit, REC.state, STATE_HIDDEN);
    records.count(HEAD.removed);
    this.#count(unit, -1);
  }

  /** Buckets of the index: what {@link removeWhere} goes over. */
  get buckets(): number {
    return this.#index.buckets;
  }

  /**
   * Removes objects of some buckets, with the lock. An object that is there before the first call and until the last is asked about once.
   * @param isToGo may look at the object while it is called; must be quick, and not throw
   * @returns how many went; -1 when the lock could not be had
   */
  removeWhere(fromBucket: number, count: number, isToGo: (object: ObjectView) => boolean): number {
    if (!this.#lock.take()) return -1;
    const view = new ObjectView(this.#records);
    const first = this.#index.bucket(0) + fromBucket * WAYS * 2;
    const end = Math.min(first + count * WAYS * 2, this.#index.bucket(0) + this.buckets * WAYS * 2);
    let gone = 0;
    try {
      for (let entry = first; entry < end; entry += 2) {
        view.unit = this.#index.anyUnitIn(entry);
        if (view.unit < 0 || !isToGo(view)) continue;
        this.#drop(entry, view.unit);
        gone++;
      }
    } finally {
      this.#lock.give();
    }
    return gone;
  }

  /** Ends what a dead worker was at. After its thread is gone and before its index is given to another. For the primary. */
  clearWorker(index: number): void {
    if (index < 0 || index >= this.#records.layout.workers) return;
    const isBroken = this.#lock.inherit(index);
    clearPins(this.#records.words, this.#records.layout, index);
    if (!isBroken) return;
    this.#index.clear();
    this.#rings.reset();
    this.#records.count(HEAD.broken);
    this.#lock.give();
  }

  counts(): StoreCounts {
    const { words, layout } = this.#records;
    const at = (word: number): number => words[word]! >>> 0; // of the header
    return {
      objects: at(HEAD.objects),
      bytes: at(HEAD.unitsLive) * UNIT_BYTES,
      capacityBytes: (layout.unitsSmall + layout.unitsMain) * UNIT_BYTES,
      stored: at(HEAD.stored),
      evicted: at(HEAD.evicted),
      promoted: at(HEAD.promoted),
      ghostHits: at(HEAD.ghostHits),
      removed: at(HEAD.removed),
      emptied: at(HEAD.broken),
      pinned: countPins(words, layout),
    };
  }
}

/** Looks at an object. Its bytes are views into shared memory: true for as long as the object cannot be replaced. */
export class ObjectView {
  protected readonly records: Records;
  unit = -1;

  constructor(records: Records) {
    this.records = records;
  }

  get owner(): number {
    return this.records.get(this.unit, REC.owner);
  }

  /** Number of the object: no other has had it, in 2^32. */
  get sequence(): number {
    return this.records.get(this.unit, REC.sequence);
  }

  /** The same for objects whose bodies are the same because one was made of the other. */
  get bodyNumber(): number {
    return this.records.get(this.unit, REC.body);
  }

  get mark(): number {
    return Atomics.load(this.records.words, this.records.at(this.unit) + REC.mark);
  }

  setMark(value: number): void {
    Atomics.store(this.records.words, this.records.at(this.unit) + REC.mark, value);
  }

  /** @param index below {@link FACTS} */
  fact(index: number): number {
    return this.records.floats[this.records.factsAt(this.unit) + index]!; // inside the record
  }

  get key(): string {
    const start = this.records.headAt(this.unit);
    const length = this.records.get(this.unit, REC.keyBytes);
    return Buffer.from(this.records.buffer, start - length, length).toString("latin1");
  }

  /** Whether the key begins with these bytes; copies nothing. */
  keyBegins(bytes: Uint8Array): boolean {
    const length = this.records.get(this.unit, REC.keyBytes);
    if (length < bytes.length) return false;
    const start = this.records.headAt(this.unit) - length;
    const all = this.records.bytes;
    // From behind: most URLs begin alike.
    for (let i = bytes.length - 1; i >= 0; i--) if (all[start + i] !== bytes[i]) return false;
    return true;
  }

  /** Of all of it, in whole units. */
  get occupiedBytes(): number {
    return this.records.get(this.unit, REC.size) * UNIT_BYTES;
  }

  get head(): Buffer {
    return Buffer.from(this.records.buffer, this.records.headAt(this.unit), this.records.get(this.unit, REC.headBytes));
  }

  get bodyBytes(): number {
    return this.records.get(this.unit, REC.bodyBytes);
  }

  get body(): Buffer {
    return Buffer.from(this.records.buffer, this.records.bodyAt(this.unit), this.bodyBytes);
  }
}

/** An object that this worker has pinned. */
export class StoredObject extends ObjectView {
  readonly #pins: Pins;
  #pin: number;

  constructor(records: Records, pins: Pins, unit: number, pin: number) {
    super(records);
    this.unit = unit;
    this.#pins = pins;
    this.#pin = pin;
  }

  /** Its bytes must not be looked at any more. Idempotent. */
  release(): void {
    if (this.#pin < 0) return;
    this.#pins.clear(this.#pin);
    this.#pin = -1;
  }
}

/** Memory that is being filled, and may be read until it is released. */
export class ObjectWriter {
  readonly head: Buffer;
  readonly body: Buffer;
  readonly #store: ResponseStore;
  readonly #records: Records;
  readonly #unit: number;
  #pin: number;
  #committed = false;

  constructor(store: ResponseStore, records: Records, { unit, pin }: { readonly unit: number; readonly pin: number }) {
    this.#store = store;
    this.#records = records;
    this.#unit = unit;
    this.#pin = pin;
    const view = new ObjectView(records);
    view.unit = unit;
    this.head = view.head;
    this.body = view.body;
  }

  /**
   * Makes it findable, in the place of what had its key; nothing of it may be written any more. Once.
   * @param facts at most {@link FACTS}
   * @param replaces sequence of the object in whose place it is to come, with the same body; it does not come when that one is gone. null: whatever there is
   * @returns false when that was not possible in time, or what it was to replace is gone
   */
  commit(facts: readonly number[], replaces: number | null = null): boolean {
    if (this.#pin < 0 || this.#committed) return false;
    this.#committed = true;
    const records = this.#records;
    const first = records.factsAt(this.#unit);
    for (let i = 0; i < FACTS; i++) records.floats[first + i] = facts[i] ?? 0;
    return this.#store.enter(this.#unit, replaces);
  }

  /** Neither read nor written any more; what is not committed is gone. Idempotent. */
  release(): void {
    if (this.#pin < 0) return;
    this.#store.leave(this.#pin);
    this.#pin = -1;
  }
}
