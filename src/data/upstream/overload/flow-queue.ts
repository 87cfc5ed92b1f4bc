// The flows of one class in which somebody waits: whose turn it is, and which is the longest. Each step costs as much as the logarithm of their number.
// Must never know who waits in them.
import type { FlowRanks } from "../../../shared/overload/flow-ranks.ts";
import { HeapNode, MinHeap } from "./min-heap.ts";

/** What a flow must have to stand here. */
export interface QueuedFlow {
  readonly key: number;
  readonly size: number;
  /** @internal */
  readonly turn: Turn;
}

/** Where a flow stands. */
export class Turn {
  readonly flow: QueuedFlow;
  /** By when it has paid for what it had, while that is ahead. */
  readonly debt: HeapNode<Turn>;
  /** By its size: the longest first. */
  readonly length: HeapNode<Turn>;
  ready = false;
  next: Turn | null = null;
  previous: Turn | null = null;

  constructor(flow: QueuedFlow) {
    this.flow = flow;
    this.debt = new HeapNode<Turn>(this);
    this.length = new HeapNode<Turn>(this);
  }
}

/** Those that owe nothing take turns in the order in which they came to that; then comes who has paid first. */
export class FlowQueue {
  readonly #ranks: FlowRanks;
  readonly #debts = new MinHeap<Turn>();
  readonly #lengths = new MinHeap<Turn>();
  #first: Turn | null = null;
  #last: Turn | null = null;

  constructor(ranks: FlowRanks) {
    this.#ranks = ranks;
  }

  /** Somebody waits in it, or somebody else. */
  grown(flow: QueuedFlow): void {
    const { turn } = flow;
    if (!turn.length.inHeap) this.#place(turn);
    this.#lengths.put(turn.length, -flow.size);
  }

  /** One waits no more. */
  shrunk(flow: QueuedFlow): void {
    const { turn } = flow;
    if (flow.size > 0) return this.#lengths.put(turn.length, -flow.size);
    this.#lengths.remove(turn.length);
    if (turn.ready) this.#unlink(turn);
    else this.#debts.remove(turn.debt);
  }

  /** null: nobody waits. */
  get longest(): QueuedFlow | null {
    return this.#lengths.top?.item.flow ?? null;
  }

  /** Whose turn it is. Workers share ranks: what is known of a flow here may be old, and is looked up when it comes to it. */
  get next(): QueuedFlow | null {
    const ranks = this.#ranks;
    for (;;) {
      const { virtual } = ranks;
      for (let paid = this.#debts.top; paid !== null && paid.key <= virtual; paid = this.#debts.top) {
        this.#debts.remove(paid);
        this.#place(paid.item);
      }
      const turn = this.#first ?? this.#debts.top?.item;
      if (turn === undefined) return null;
      const finish = ranks.finish(turn.flow.key);
      if (turn.ready ? finish <= virtual : finish <= turn.debt.key) return turn.flow;
      if (turn.ready) this.#unlink(turn);
      this.#debts.put(turn.debt, finish);
    }
  }

  #place(turn: Turn): void {
    const finish = this.#ranks.finish(turn.flow.key);
    if (finish > this.#ranks.virtual) return this.#debts.put(turn.debt, finish);
    turn.ready = true;
    turn.previous = this.#last;
    if (this.#last === null) this.#first = turn;
    else this.#last.next = turn;
    this.#last = turn;
  }

  #unlink(turn: Turn): void {
    turn.ready = false;
    if (turn.previous === null) this.#first = turn.next;
    else turn.previous.next = turn.next;
    if (turn.next === null) this.#last = turn.previous;
    else turn.next.previous = turn.previous;
    turn.next = turn.previous = null;
  }
}
