// Owns which memory of the response store an object gets, and which objects go for it: two rings, S3-FIFO (Yang et al., "FIFO queues are all you need for
// cache eviction", SOSP 2023). An object begins in the small ring; read again before its turn comes it moves to the main ring, else it goes, and its tag is kept
// so that it begins in the main ring when it comes back. In the main ring an object that was read stays for another round.
// Who would occupy more of a ring than its account may (accounts.ts) gets room among its own objects: the ring's head passes those of others, which slide.
// For the holder of the lock alone. Must never touch the bytes of a pinned object: it stays where it is, and the ring goes on behind it.
import { type Accounts, NO_ACCOUNT } from "./accounts.ts";
import type { StoreIndex } from "./index.ts";
import { HEAD, REC, STATE_FILLER, STATE_HIDDEN, STATE_LIVE } from "./layout.ts";
import { isPinned, mayBePinned } from "./pins.ts";
import type { Records } from "./records.ts";

/** Reads by which an object of the small ring moves on. */
const READS_TO_STAY = 1;
/** Objects that stay for another round while room is made for one, and units of them: beyond, what comes next goes, read or not. Bounds the time with the lock. */
const KEPT_MAX = 32;
const KEPT_UNITS_MAX = 64 * 1024;
/** Objects of which all pins are looked at while room is made for one, as the filter says that they may be pinned: beyond, it is believed. The same bound. */
const PIN_LOOKS_MAX = 64;
/** Objects of others that are passed while room is made among the own ones, and units of those that are moved for it: beyond, there is no room this time. */
const PASSED_MAX = 4096;
const PASSED_UNITS_MAX = 32 * 1024;

interface Ring {
  readonly start: number;
  readonly end: number;
  /** Word of the header where the next object's unit stands. */
  readonly head: number;
  /** Word of the header that counts what is no filler, in units. */
  readonly used: number;
  readonly isMain: boolean;
}

type Vacated = "gone" | "pinned" | "kept" | "refused";

/** An object that needs memory. @property tag and low of its key's hash */
export interface Newcomer {
  readonly units: number;
  readonly tag: number;
  readonly low: number;
  readonly account: number;
}

/** Whose objects go: anybody's. */
const ANYBODY = -1;

export class Rings {
  readonly #records: Records;
  readonly #index: StoreIndex;
  readonly #accounts: Accounts;
  readonly #small: Ring;
  readonly #main: Ring;
  #kept = 0;
  #keptUnits = 0;
  #pinLooks = 0;
  #passed = 0;
  #passedUnits = 0;
  /** Where the object that was kept last was entered; -1 when it still is. */
  #keptEntry = -1;

  constructor(records: Records, index: StoreIndex, accounts: Accounts) {
    const { unitsSmall, unitsMain } = records.layout;
    this.#records = records;
    this.#index = index;
    this.#accounts = accounts;
    this.#small = { start: 0, end: unitsSmall, head: HEAD.headSmall, used: HEAD.usedSmall, isMain: false };
    this.#main = { start: unitsSmall, end: unitsSmall + unitsMain, head: HEAD.headMain, used: HEAD.usedMain, isMain: true };
  }

  /** Units of the largest object: a quarter of the small ring. */
  get unitsMax(): number {
    return this.#small.end >> 2;
  }

  /** Memory for an object; what it holds is anybody's leftover. It is charged to the account. @returns its unit; -1 when too much is pinned, or its account may not have it */
  take({ units, tag, low, account }: Newcomer): number {
    this.#kept = this.#keptUnits = this.#passed = this.#passedUnits = this.#pinLooks = 0;
    // What is larger than the account's part of the small ring has no place to wait in.
    const isSeen = this.#wasSeen(tag, this.#ghostOf(low, account)) || this.#accounts.cost(units) > this.#accounts.limit(account, false);
    return this.#claim(isSeen ? this.#main : this.#small, units, account);
  }

  #claim(ring: Ring, units: number, account: number): number {
    const records = this.#records;
    const accounts = this.#accounts;
    const free = accounts.limit(account, ring.isMain) - accounts.cost(units); // occupied so much at most, it may have more
    if (free < 0) return -1;
    const isOwnTurn = accounts.occupied(account, ring.isMain) > free || (Number.isFinite(free) && this.#unused(ring) >= units);
    const whose = isOwnTurn ? account : ANYBODY;
    let head = records.words[ring.head]!; // of the header
    let at = head;
    let wraps = 0;
    // Room at the ring's end that is kept while an account still has too much: it would be passed by each time else.
    let [spot, spotUnits] = [-1, 0];
    while ((spot < 0 && at - head < units) || accounts.occupied(account, ring.isMain) > free) {
      if (at >= (spot < 0 ? ring.end : spot)) {
        records.fill(head, at - head);
        if (spot >= 0 || ++wraps > 2) {
          records.words[ring.head] = ring.start;
          return -1;
        }
        if (at - head >= units) [spot, spotUnits] = [head, at - head];
        head = at = ring.start;
        continue;
      }
      const size = records.get(at, REC.size);
      switch (this.#vacate(at, ring, { whose, isMoved: at !== head })) {
        case "gone":
          break;
        case "kept":
          this.#slide(at, head);
          head += size;
          break;
        case "pinned":
          records.fill(head, at - head);
          head = at + size;
          break;
        case "refused":
          records.fill(head, at - head);
          records.words[ring.head] = head;
          return -1;
      }
      at += size;
    }
    accounts.charge(account, ring.isMain, units);
    records.count(ring.used, units);
    if (spot >= 0) {
      records.fill(head, at - head);
      records.words[ring.head] = head;
      records.fill(spot + units, spotUnits - units);
      return spot;
    }
    records.fill(head + units, at - head - units);
    records.words[ring.head] = head + units === ring.end ? ring.start : head + units;
    return head;
  }

  /** @param isMoved there is room below it */
  #vacate(unit: number, ring: Ring, { whose, isMoved }: { readonly whose: number; readonly isMoved: boolean }): Vacated {
    const records = this.#records;
    const state = records.get(unit, REC.state);
    if (state === STATE_FILLER) return "gone";
    if (state === STATE_HIDDEN) return this.#isPinned(unit) ? "pinned" : this.#free(unit, ring);
    const isPassed = whose !== ANYBODY && records.get(unit, REC.account) !== whose;
    if (isPassed && !this.#mayPass(isMoved ? records.get(unit, REC.size) : 0)) return "refused";
    this.#keptEntry = -1;
    if (isPassed && !isMoved) return "kept";
    const entry = this.#index.entryOf(unit);
    const read = records.get(unit, REC.read);
    if (entry >= 0) this.#index.hide(entry);
    if (this.#isPinned(unit)) {
      if (entry >= 0) this.#index.show(entry, records.get(unit, REC.tag), unit);
      return "pinned";
    }
    if (entry < 0) return this.#free(unit, ring);
    this.#keptEntry = entry;
    if (isPassed) return "kept";
    if (ring.isMain && read > 0 && this.#mayKeep(unit)) {
      records.set(unit, REC.read, read - 1);
      return "kept";
    }
    if (!ring.isMain && read >= READS_TO_STAY && this.#promote(unit, entry)) return this.#free(unit, ring);
    records.set(unit, REC.state, STATE_HIDDEN);
    if (!ring.isMain) this.#remember(unit);
    records.count(HEAD.evicted);
    records.count(HEAD.objects, -1);
    records.count(HEAD.unitsLive, -records.get(unit, REC.size));
    this.#accounts.evicted(unit);
    this.#accounts.found(unit, -1);
    return this.#free(unit, ring);
  }

  /** Its memory is nobody's any more. */
  #free(unit: number, ring: Ring): Vacated {
    const records = this.#records;
    const size = records.get(unit, REC.size);
    this.#accounts.charge(records.get(unit, REC.account), ring.isMain, -size);
    records.count(ring.used, -size);
    return "gone";
  }

  /** In doubt it is. */
  #isPinned(unit: number): boolean {
    const { words, layout } = this.#records;
    if (!mayBePinned(words, layout, unit)) return false;
    return ++this.#pinLooks > PIN_LOOKS_MAX || isPinned(words, layout, unit);
  }

  /** Units that lie about in between, and are nobody's: an account with a bound takes those before it takes others'. */
  #unused(ring: Ring): number {
    return ring.end - ring.start - this.#records.words[ring.used]!; // of the header
  }

  #mayPass(movedUnits: number): boolean {
    if (this.#passed >= PASSED_MAX || (movedUnits > 0 && this.#passedUnits >= PASSED_UNITS_MAX)) return false;
    this.#passed++;
    this.#passedUnits += movedUnits;
    return true;
  }

  #mayKeep(unit: number): boolean {
    if (this.#kept >= KEPT_MAX || this.#keptUnits >= KEPT_UNITS_MAX) return false;
    this.#kept++;
    this.#keptUnits += this.#records.get(unit, REC.size);
    return true;
  }

  /** Down to where room is made, so that the room stays in one piece. */
  #slide(from: number, to: number): void {
    if (from !== to) this.#records.move(from, to);
    if (this.#keptEntry >= 0) this.#index.show(this.#keptEntry, this.#records.get(to, REC.tag), to);
  }

  #promote(unit: number, entry: number): boolean {
    const records = this.#records;
    const to = this.#claim(this.#main, records.get(unit, REC.size), records.get(unit, REC.account));
    if (to < 0) return false;
    records.move(unit, to);
    records.set(to, REC.read, 0);
    records.set(to, REC.state, STATE_LIVE);
    records.set(unit, REC.state, STATE_HIDDEN);
    this.#index.show(entry, records.get(to, REC.tag), to);
    records.count(HEAD.promoted);
    return true;
  }

  // --- Tags of objects that left the small ring unread ---

  #remember(unit: number): void {
    const { words } = this.#records;
    words[this.#ghostOf(this.#records.get(unit, REC.low), this.#records.get(unit, REC.account))] = this.#records.get(unit, REC.tag);
  }

  /** The word where a tag stands. Those of a bounded account stand in its part of them: it pushes out no more of others' than of their objects. */
  #ghostOf(low: number, account: number): number {
    const { ghost, ghosts, unitsMain } = this.#records.layout;
    const limit = this.#accounts.limit(account, true);
    if (!Number.isFinite(limit)) return ghost + (low & (ghosts - 1));
    return ghost + ((low >>> 0) % Math.max(1, Math.floor((ghosts * limit) / unitsMain)));
  }

  #wasSeen(tag: number, place: number): boolean {
    const { words } = this.#records;
    if (tag === 0 || words[place] !== tag) return false;
    words[place] = 0;
    this.#records.count(HEAD.ghostHits);
    return true;
  }

  // --- Beginning anew ---

  /** Empties both rings. What is pinned keeps its bytes; nothing is to be found any more. */
  reset(): void {
    this.#accounts.clear();
    for (const ring of [this.#small, this.#main]) this.#clear(ring);
    this.#records.words[HEAD.objects] = 0;
    this.#records.words[HEAD.unitsLive] = 0;
  }

  #clear(ring: Ring): void {
    const records = this.#records;
    const { words, layout } = records;
    const pinned: number[] = [];
    words[ring.used] = 0;
    for (let word = layout.pins; word < layout.pinMarks; word++) {
      const unit = Atomics.load(words, word) - 1;
      if (unit >= ring.start && unit < ring.end) pinned.push(unit);
    }
    let at = ring.start;
    for (const unit of [...new Set(pinned)].sort((a, b) => a - b)) {
      if (unit < at) continue; // inside another: of a reader that has found nothing there
      records.fill(at, unit - at);
      const size = Math.min(Math.max(1, records.get(unit, REC.size)), ring.end - unit);
      records.set(unit, REC.size, size);
      records.set(unit, REC.state, STATE_HIDDEN);
      records.set(unit, REC.account, NO_ACCOUNT);
      this.#accounts.charge(NO_ACCOUNT, ring.isMain, size);
      records.count(ring.used, size);
      at = unit + size;
    }
    records.fill(at, ring.end - at);
    words[ring.head] = ring.start;
  }
}
