// Owns one open-addressing hash table for all literal edges of the route tables: (node, segment) -> node.
// One flat table keeps a lookup at two cache lines whatever the number of routes; keys are hashed in place, so a lookup allocates nothing.

/** FNV-1a (Fowler, Noll, Vo): the offset basis with which a segment's hash begins. */
export const HASH_SEED = 0x811c9dc5 | 0;

/** One FNV-1a step. Clients cannot put keys into the table, only operators can, so the hash needs no secret. */
export const hashStep = (hash: number, code: number): number => Math.imul(hash ^ code, 0x01000193);

/** The hash that {@link EdgeTable.find} expects. */
export function hashText(text: string): number {
  let hash = HASH_SEED;
  for (let i = 0; i < text.length; i++) hash = hashStep(hash, text.charCodeAt(i));
  return hash;
}

/** Spreads node and segment hash over all bits (the finaliser of MurmurHash3, public domain, A. Appleby). */
function mix(node: number, hash: number): number {
  let h = hash ^ Math.imul(node + 1, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Entries stored side by side: mixed hash, parent node, child node, index of the literal. */
const WIDTH = 4;
const HASH = 0;
const PARENT = 1;
const CHILD = 2;
const LITERAL = 3;
const EMPTY = -1;

/** One edge, before the table is built. */
export interface Edge {
  readonly parent: number;
  readonly literal: string;
  readonly child: number;
}

export class EdgeTable {
  readonly #slots: Int32Array;
  readonly #literals: readonly string[];
  readonly #mask: number;
  /** Length of the longest literal. */
  readonly longest: number;

  /** @param edges distinct by (parent, literal) */
  constructor(edges: readonly Edge[]) {
    // At most one slot in four is taken: a search that fails ends after 1.2 probes on average.
    let capacity = 16;
    while (capacity < edges.length * 4) capacity *= 2;
    this.#mask = capacity - 1;
    this.#slots = new Int32Array(capacity * WIDTH).fill(EMPTY);
    this.#literals = edges.map((edge) => edge.literal);
    this.longest = this.#literals.reduce((most, literal) => Math.max(most, literal.length), 0);
    for (const [i, edge] of edges.entries()) {
      const hash = mix(edge.parent, hashText(edge.literal));
      let slot = (hash & this.#mask) * WIDTH;
      while (this.#slots[slot + CHILD] !== EMPTY) slot = (slot + WIDTH) & (this.#mask * WIDTH + WIDTH - 1);
      this.#slots.set([hash, edge.parent, edge.child, i], slot);
    }
  }

  /**
   * The child of `parent` along the literal `text[start, end)`.
   * @param hash {@link hashText} of that part
   * @returns -1 when there is none
   */
  find(parent: number, hash: number, text: string, start: number, end: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    const mixed = mix(parent, hash);
    for (let at = mixed & mask; ; at = (at + 1) & mask) {
      const slot = at * WIDTH;
      const child = slots[slot + CHILD]!; // at <= mask, so inside the table
      if (child === EMPTY) return -1;
      if (slots[slot + HASH] !== mixed || slots[slot + PARENT] !== parent) continue;
      const literal = this.#literals[slots[slot + LITERAL]!]!; // written with the slot
      if (literal.length === end - start && text.startsWith(literal, start)) return child;
    }
  }
}
