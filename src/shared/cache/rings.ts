// Owns which memory of the response store an object gets, and which objects go for it: two rings, S3-FIFO (Yang et al., "FIFO queues are all you need for
// cache eviction", SOSP 2023). An object begins in the small ring; read again before its turn comes it moves to the main ring, else it goes, and its tag is kept
// so that it begins in the main ring when it comes back. In the main ring an object that was read stays for another round.
// For the holder of the lock alone. Must never touch the bytes of a pinned object: it stays where it is, and the ring goes on behind it.
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

interface Ring {
  readonly start: number;
  readonly end: number;
  /** Word of the header where the next object's unit stands. */
  readonly head: number;
  readonly isMain: boolean;
}

type Vacated = "gone" | "pinned" | "kept";

export class Rings {
  readonly #records: Records;
  readonly #index: StoreIndex;
  readonly #small: Ring;
  readonly #main: Ring;
  #kept = 0;
  #keptUnits = 0;
  #pinLooks = 0;
  /** Where the object that was kept last is entered. */
  #keptEntry = -1;

  constructor(records: Records, index: StoreIndex) {
    const { unitsSmall, unitsMain } = records.layout;
    this.#records = records;
    this.#index = index;
    this.#small = { start: 0, end: unitsSmall, head: HEAD.headSmall, isMain: false };
    this.#main = { start: unitsSmall, end: unitsSmall + unitsMain, head: HEAD.headMain, isMain: true };
  }

  /** Units of the largest object: a quarter of the small ring. */
  get unitsMax(): number {
    return this.#small.end >> 2;
  }

  /** Memory for an object; what it holds is anybody's leftover. @returns its unit; -1 when too much is pinned */
  take(units: number, tag: number, low: number): number {
    this.#kept = this.#keptUnits = this.#pinLooks = 0;
    return this.#claim(this.#wasSeen(tag, low) ? this.#main : this.#small, units);
  }

  #claim(ring: Ring, units: number): number {
    const records = this.#records;
    let head = records.words[ring.head]!; // of the header
    let at = head;
    let wraps = 0;
    while (at - head < units) {
      if (at >= ring.end) {
        records.fill(head, at - head);
        if (++wraps > 2) {
          records.words[ring.head] = ring.start;
          return -1;
        }
        head = at = ring.start;
        continue;
      }
      const size = records.get(at, REC.size);
      switch (this.#vacate(at, ring)) {
        case "gone":
          break;
        case "kept":
          this.#slide(at, head);
          head += size;
          break;
        case "pinned":
          records.fill(head, at - head);
          head = at + size;
      }
      at += size;
    }
    records.fill(head + units, at - head - units);
    records.words[ring.head] = head + units === ring.end ? ring.start : head + units;
    return head;
  }

  #vacate(unit: number, ring: Ring): Vacated {
    const records = this.#records;
    const state = records.get(unit, REC.state);
    if (state === STATE_FILLER) return "gone";
    if (state === STATE_HIDDEN) return this.#isPinned(unit) ? "pinned" : "gone";
    const entry = this.#index.entryOf(unit);
    const read = records.get(unit, REC.read);
    if (entry >= 0) this.#index.hide(entry);
    if (this.#isPinned(unit)) {
      if (entry >= 0) this.#index.show(entry, records.get(unit, REC.tag), unit);
      return "pinned";
    }
    if (entry < 0) return "gone";
    if (ring.isMain && read > 0 && this.#mayKeep(unit)) {
      records.set(unit, REC.read, read - 1);
      this.#keptEntry = entry;
      return "kept";
    }
    if (!ring.isMain && read >= READS_TO_STAY && this.#promote(unit, entry)) return "gone";
    records.set(unit, REC.state, STATE_HIDDEN);
    if (!ring.isMain) this.#remember(unit);
    records.count(HEAD.evicted);
    records.count(HEAD.objects, -1);
    records.count(HEAD.unitsLive, -records.get(unit, REC.size));
    return "gone";
  }

  /** In doubt it is. */
  #isPinned(unit: number): boolean {
    const { words, layout } = this.#records;
    if (!mayBePinned(words, layout, unit)) return false;
    return ++this.#pinLooks > PIN_LOOKS_MAX || isPinned(words, layout, unit);
  }

  #mayKeep(unit: number): boolean {
    if (this.#kept >= KEPT_MAX || this.#keptUnits >= KEPT_UNITS_MAX) return false;
    this.#kept++;
    this.#keptUnits += this.#records.get(unit, REC.size);
    return true;
  }

  /** Down to where room is made, so that the room stays in one piece. */
  #slide(from: number, to: number): void {
    const records = this.#records;
    if (from !== to) records.move(from, to);
    this.#index.show(this.#keptEntry, records.get(to, REC.tag), to);
  }

  #promote(unit: number, entry: number): boolean {
    const records = this.#records;
    const to = this.#claim(this.#main, records.get(unit, REC.size));
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
    const { words, layout } = this.#records;
    words[layout.ghost + (this.#records.get(unit, REC.low) & (layout.ghosts - 1))] = this.#records.get(unit, REC.tag);
  }

  #wasSeen(tag: number, low: number): boolean {
    const { words, layout } = this.#records;
    const place = layout.ghost + (low & (layout.ghosts - 1));
    if (tag === 0 || words[place] !== tag) return false;
    words[place] = 0;
    this.#records.count(HEAD.ghostHits);
    return true;
  }

  // --- Beginning anew ---

  /** Empties both rings. What is pinned keeps its bytes; nothing is to be found any more. */
  reset(): void {
    for (const ring of [this.#small, this.#main]) this.#clear(ring);
    this.#records.words[HEAD.objects] = 0;
    this.#records.words[HEAD.unitsLive] = 0;
  }

  #clear(ring: Ring): void {
    const records = this.#records;
    const { words, layout } = records;
    const pinned: number[] = [];
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
      at = unit + size;
    }
    records.fill(at, ring.end - at);
    words[ring.head] = ring.start;
  }
}
