// Owns a view of the table of limits whose operations others can interrupt at every point that matters: threads without threads, the same each time.
import { LimitTable } from "../../src/shared/limit-table.ts";

/** Runs others at random points of every operation: before each compare-and-swap, and between finding a slot and reading it. */
export class InterruptedTable extends LimitTable {
  interrupt: () => void = () => {};

  override find(high: number, low: number, overflow?: boolean): number {
    const slot = super.find(high, low, overflow);
    this.interrupt();
    return slot;
  }

  protected override swap(word: number): boolean {
    this.interrupt();
    return super.swap(word);
  }
}
