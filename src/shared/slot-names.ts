// Owns which route name counts in which metric slot. Primary only; plain memory, though the slots number shared cells.
// Must never give one slot to two names of the running plan.
import { METRIC_ROUTES_MAX, ROUTE_SLOT_OVERFLOW } from "./metric-layout.ts";

/** First slot that a name can have: 0 is "no route", 1 the overflow. */
const FIRST_SLOT = ROUTE_SLOT_OVERFLOW + 1;

/**
 * Route name -> slot, stable across reloads: a name keeps its slot while it lives, and afterwards until the slot is needed.
 * When all slots are taken by living names, further names share {@link ROUTE_SLOT_OVERFLOW}.
 */
export class SlotNames {
  private readonly slots = new Map<string, number>();
  /** Names that the running plan does not have, longest gone first. */
  private readonly retired = new Set<string>();
  private readonly overflow = new Set<string>();
  private readonly capacity: number;
  private readonly onRecycle: (slot: number) => void;
  private next = FIRST_SLOT;

  /** @param onRecycle told before a slot counts for another name: what it holds so far belongs to the old one. */
  constructor(onRecycle: (slot: number) => void = () => {}, capacity = METRIC_ROUTES_MAX) {
    this.onRecycle = onRecycle;
    this.capacity = capacity;
  }

  /** @returns the slot of a route, given one when it has none. For compiling a plan, which may still be refused. */
  slot(name: string): number {
    const known = this.slots.get(name);
    if (known !== undefined) {
      this.retired.delete(name);
      return known;
    }
    const slot = this.next < this.capacity ? this.next++ : this.recycle();
    if (slot === ROUTE_SLOT_OVERFLOW) this.overflow.add(name);
    else {
      this.overflow.delete(name);
      this.slots.set(name, slot);
    }
    return slot;
  }

  /** The plan with these routes is in force (or stays, after another was refused): all other names may lose their slots. */
  keepOnly(names: Iterable<string>): void {
    const living = new Set(names);
    for (const name of this.slots.keys()) {
      if (living.has(name)) this.retired.delete(name);
      else this.retired.add(name);
    }
    for (const name of this.overflow) if (!living.has(name)) this.overflow.delete(name);
  }

  /** Names that share the overflow slot now: more than 0 deserves a warning. */
  get overflowed(): number {
    return this.overflow.size;
  }

  /** Names with a slot of their own, those of removed routes included until the slot is reused. */
  entries(): IterableIterator<[string, number]> {
    return this.slots.entries();
  }

  /** @returns whose slot it is; null for nobody's */
  nameOf(slot: number): string | null {
    for (const [name, each] of this.slots) if (each === slot) return name;
    return null;
  }

  private recycle(): number {
    const [oldest] = this.retired;
    if (oldest === undefined) return ROUTE_SLOT_OVERFLOW;
    const slot = this.slots.get(oldest) ?? ROUTE_SLOT_OVERFLOW;
    this.retired.delete(oldest);
    this.slots.delete(oldest);
    this.onRecycle(slot);
    return slot;
  }
}
