// Owns the look-up of a segment among the parameters with literal text or a constraint that stand at one place of the route table.
// A look-up allocates nothing, and costs the same however many different literals stand there: it goes by their lengths.
import type { LinearRegex } from "../../base/linear-regex.ts";
import { HASH_SEED, hashStep, hashText } from "./edge-table.ts";
import { constraintOf, matchesPart, type PartSegment } from "./part.ts";

/** An edge of the table: what a segment must be to lead on to a node. */
export interface PartEdge<T> {
  readonly part: PartSegment;
  readonly regex: LinearRegex | null;
  readonly node: T;
}

/** Edges whose literal texts are of the same lengths. */
interface Group<T> {
  readonly prefixLength: number;
  readonly suffixLength: number;
  /** By the hash of prefix and suffix. */
  readonly byText: Map<number, PartEdge<T>[]>;
}

const NO_EDGES: readonly never[] = [];

export class PartTable<T> {
  readonly #groups: Group<T>[] = [];

  add(part: PartSegment, node: T): void {
    const [prefixLength, suffixLength] = [part.prefix.length, part.suffix.length];
    let group = this.#groups.find((each) => each.prefixLength === prefixLength && each.suffixLength === suffixLength);
    if (group === undefined) this.#groups.push((group = { prefixLength, suffixLength, byText: new Map() }));
    const hash = hashText(part.prefix + part.suffix);
    const edges = group.byText.get(hash);
    const edge = { part, regex: constraintOf(part), node };
    if (edges === undefined) group.byText.set(hash, [edge]);
    else edges.push(edge);
  }

  /** Of the nodes that one segment may lead to, in the worst case. */
  sumOf(weigh: (node: T) => number): number {
    let sum = 0;
    for (const { byText } of this.#groups) {
      const sums = new Map<string, number>();
      for (const { part, node } of [...byText.values()].flat()) {
        const text = `${part.prefix}{}${part.suffix}`;
        sums.set(text, (sums.get(text) ?? 0) + weigh(node));
      }
      sum += [...sums.values()].reduce((most, each) => Math.max(most, each), 0);
    }
    return sum;
  }

  /** Most constraints that stand around one literal text: each is tried on a segment with it. */
  get constraintsMax(): number {
    const counts = this.#groups.flatMap(({ byText }) => [...byText.values()].map((edges) => edges.length));
    return counts.reduce((most, count) => Math.max(most, count), 0);
  }

  /** A part that stands here, for messages. */
  get example(): PartSegment | null {
    for (const { byText } of this.#groups) for (const [edge] of byText.values()) if (edge !== undefined) return edge.part;
    return null;
  }

  get groupCount(): number {
    return this.#groups.length;
  }

  /** Edges by group whose text may be that of `key[start, end)`: each is to be tested with {@link edgeMatches}. */
  candidates(group: number, key: string, start: number, end: number): readonly PartEdge<T>[] {
    const { prefixLength, suffixLength, byText } = this.#groups[group]!; // callers stay below groupCount
    if (end - start <= prefixLength + suffixLength) return NO_EDGES;
    let hash = HASH_SEED;
    for (let i = start; i < start + prefixLength; i++) hash = hashStep(hash, key.charCodeAt(i));
    for (let i = end - suffixLength; i < end; i++) hash = hashStep(hash, key.charCodeAt(i));
    return byText.get(hash) ?? NO_EDGES;
  }
}

export const edgeMatches = <T>({ part, regex }: PartEdge<T>, key: string, start: number, end: number): boolean =>
  matchesPart(part, regex, key, start, end);
