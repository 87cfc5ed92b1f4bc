// Owns which objects' bytes this worker is reading or writing, so that no thread puts others in their place (hazard pointers, Michael 2004).
// A pin is seen by all before its object is looked at again: see store.ts for the order. Must never be left set: the object could not be replaced any more.
// Whoever makes room asks of thousands of objects whether they are pinned, and there may be thousands of pins: a filter says of most that they are not. It counts
// a pin before it is set until after it is cleared, so that it never counts too few.
import { PINS, type StoreLayout } from "./layout.ts";

export class Pins {
  readonly #words: Int32Array;
  readonly #first: number;
  readonly #mark: number;
  readonly #layout: StoreLayout;
  /** Free pins below the mark. */
  readonly #free: number[] = [];
  #used = 0;

  constructor(words: Int32Array, layout: StoreLayout, index: number) {
    this.#words = words;
    this.#layout = layout;
    this.#first = layout.pins + index * PINS;
    this.#mark = layout.pinMarks + index;
  }

  /** @returns the pin; -1 when all are in use */
  set(unit: number): number {
    let pin = this.#free.pop() ?? -1;
    if (pin < 0) {
      if (this.#used === PINS) return -1;
      pin = this.#used++;
      Atomics.store(this.#words, this.#mark, this.#used);
    }
    Atomics.add(this.#words, placeOf(this.#layout, unit), 1);
    Atomics.store(this.#words, this.#first + pin, unit + 1);
    return pin;
  }

  clear(pin: number): void {
    drop(this.#words, this.#layout, this.#first + pin);
    this.#free.push(pin);
  }

  /** Pins in use. */
  get count(): number {
    return this.#used - this.#free.length;
  }
}

/** Word of the filter. @param unit multiplied by 2^32 over the golden ratio: units of objects that are alike in size spread over all of it */
function placeOf({ pinFilter, pinFilterWords }: StoreLayout, unit: number): number {
  return pinFilter + ((Math.imul(unit, 0x9e3779b1) >>> 16) & (pinFilterWords - 1));
}

/** @param word of a pin that is set */
function drop(words: Int32Array, layout: StoreLayout, word: number): void {
  const unit = Atomics.exchange(words, word, 0) - 1;
  Atomics.sub(words, placeOf(layout, unit), 1);
}

/** @returns false when no worker has pinned an object. For the holder of the lock. */
export const mayBePinned = (words: Int32Array, layout: StoreLayout, unit: number): boolean =>
  Atomics.load(words, placeOf(layout, unit)) !== 0;

/** Whether any worker has pinned an object. For the holder of the lock; looks at all pins. */
export function isPinned(words: Int32Array, layout: StoreLayout, unit: number): boolean {
  for (let worker = 0; worker < layout.workers; worker++) {
    const used = Atomics.load(words, layout.pinMarks + worker);
    const first = layout.pins + worker * PINS;
    for (let pin = first; pin < first + used; pin++) if (Atomics.load(words, pin) === unit + 1) return true;
  }
  return false;
}

/** @returns pins in use by all workers: as many as they are at some moment or other */
export function countPins(words: Int32Array, layout: StoreLayout): number {
  let count = 0;
  for (let worker = 0; worker < layout.workers; worker++) {
    const used = Atomics.load(words, layout.pinMarks + worker);
    const first = layout.pins + worker * PINS;
    for (let pin = first; pin < first + used; pin++) if (Atomics.load(words, pin) !== 0) count++;
  }
  return count;
}

/** Pins of a worker that is gone. */
export function clearPins(words: Int32Array, layout: StoreLayout, index: number): void {
  const first = layout.pins + index * PINS;
  for (let pin = first; pin < first + PINS; pin++) if (Atomics.load(words, pin) !== 0) drop(words, layout, pin);
  Atomics.store(words, layout.pinMarks + index, 0);
}
