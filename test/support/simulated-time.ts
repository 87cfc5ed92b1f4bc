// Owns simulated time: what is to be done when, in order.

export class SimulatedTime {
  nowMs = 0;
  readonly #heap: { readonly ms: number; readonly work: () => void }[] = [];

  at(ms: number, work: () => void): void {
    const heap = this.#heap;
    const each = { ms, work };
    let i = heap.push(each) - 1;
    for (let parent = (i - 1) >> 1; i > 0 && this.#ms(parent) > ms; parent = (i - 1) >> 1) {
      heap[i] = heap[parent] as typeof each;
      i = parent;
    }
    heap[i] = each;
  }

  /** Until nothing is left to do. */
  run(): void {
    for (let next = this.#shift(); next !== null; next = this.#shift()) {
      this.nowMs = next.ms;
      next.work();
    }
  }

  #ms(i: number): number {
    return this.#heap[i]?.ms ?? Number.POSITIVE_INFINITY;
  }

  #shift() {
    const heap = this.#heap;
    const first = heap[0] ?? null;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let least = 2 * i + 1;
      if (this.#ms(least + 1) < this.#ms(least)) least++;
      if (this.#ms(least) >= last.ms) break;
      heap[i] = heap[least] as typeof last;
      i = least;
    }
    heap[i] = last;
    return first;
  }
}
