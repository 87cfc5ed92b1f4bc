// The gates of one worker, by slot: they outlive plans. Must never decide who passes one.
import type { OverloadPlan } from "../../../plan/overload-plan.ts";
import { Gate, type OverloadTables } from "./gate.ts";

/** How often calls that take long are looked for, ms. */
const LONG_LOOK_MS = 500;

export class Gates {
  readonly #tables: OverloadTables;
  readonly #worker: number;
  readonly #gates = new Map<number, Gate>();

  constructor(tables: OverloadTables, worker: number) {
    this.#tables = tables;
    this.#worker = worker;
  }

  /** null where there is nothing to count. */
  gateFor(plan: OverloadPlan | null): Gate | null {
    if (plan === null) return null;
    let gate = this.#gates.get(plan.slot);
    if (gate === undefined) {
      if (this.#gates.size === 0) this.#begin();
      gate = new Gate(plan, this.#tables, this.#worker);
      this.#gates.set(plan.slot, gate);
    }
    return gate;
  }

  #begin(): void {
    void this.#tables.upstreams.listen(this.#worker, () => this.#rung());
    setInterval(() => {
      for (const gate of this.#gates.values()) gate.lookForLong();
    }, LONG_LOOK_MS).unref();
  }

  #rung(): void {
    for (const gate of this.#gates.values()) if (gate.waiting > 0) gate.pump();
  }
}
