// A binary heap whose items can be moved and taken out wherever they are: the smallest key is on top.

/** An item's place in one heap. Its owner keeps it. */
export class HeapNode<T> {
  readonly item: T;
  key = 0;
  /** @internal index; -1: not there */ at = -1;

  constructor(item: T) {
    this.item = item;
  }

  get inHeap(): boolean {
    return this.at >= 0;
  }
}

export class MinHeap<T> {
  readonly #nodes: HeapNode<T>[] = [];

  get top(): HeapNode<T> | null {
    return this.#nodes[0] ?? null;
  }

  /** Puts it in, or moves it. */
  put(node: HeapNode<T>, key: number): void {
    node.key = key;
    if (node.at < 0) node.at = this.#nodes.push(node) - 1;
    if (!this.#rise(node)) this.#sink(node);
  }

  /** Harmless when it is not there. */
  remove(node: HeapNode<T>): void {
    const { at } = node;
    if (at < 0) return;
    node.at = -1;
    const last = this.#nodes.pop();
    if (last === undefined || last === node) return;
    this.#set(at, last);
    if (!this.#rise(last)) this.#sink(last);
  }

  #rise(node: HeapNode<T>): boolean {
    const from = node.at;
    for (let parent = this.#nodes[(node.at - 1) >> 1]; parent !== undefined && parent.key > node.key; ) {
      const { at } = parent;
      this.#set(node.at, parent);
      this.#set(at, node);
      parent = this.#nodes[(at - 1) >> 1];
    }
    return node.at !== from;
  }

  #sink(node: HeapNode<T>): void {
    for (;;) {
      const left = this.#nodes[2 * node.at + 1];
      const right = this.#nodes[2 * node.at + 2];
      const least = left !== undefined && right !== undefined && right.key < left.key ? right : left;
      if (least === undefined || least.key >= node.key) return;
      const { at } = least;
      this.#set(node.at, least);
      this.#set(at, node);
    }
  }

  #set(at: number, node: HeapNode<T>): void {
    node.at = at;
    this.#nodes[at] = node;
  }
}
