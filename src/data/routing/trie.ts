// Owns the tries of a route table: built from the matches of a plan, in rank order. Nothing here sees a request.
import type { MatchPlan } from "../../plan/plan.ts";
import { type Capture, capturesOf } from "./captures.ts";
import { type Conditions, compileConditions } from "./conditions.ts";
import type { Edge } from "./edge-table.ts";
import type { RoutingTerms } from "./negotiation.ts";
import { sortMatches } from "./order.ts";
import { type PartSegment, partShape } from "./part.ts";
import { PartTable } from "./part-table.ts";
import { commonParamNames, type Pattern, parsePattern } from "./pattern.ts";
import { pathVariants } from "./versioned-paths.ts";

/** A route at the node where one of its patterns ends: of its paths, with a version in the path or without. */
export interface Entry {
  /** Index in the plan. */
  readonly id: number;
  /** Place in the total order among routes that one host reaches; lower wins. */
  readonly rank: number;
  readonly conditions: Conditions;
  /** See PathVariant.refuses. */
  readonly refuses: boolean;
  /** Of the parameters that all paths of the route have. */
  readonly captures: readonly Capture[];
  /** The next in rank order that ends at the same node. */
  next: Entry | null;
}

/** A pattern prefix. Entries are chained in rank order: lists would be two more objects to look at. */
export interface Node {
  readonly id: number;
  /** Lowest rank at or below this node: nothing here can beat a better one found elsewhere. */
  bestRank: number;
  /** Along one segment with literal text around a parameter, or that a constraint matches. */
  parts: PartTable<Node> | null;
  /** Along any one non-empty segment. */
  single: Node | null;
  /** Patterns that end here. */
  leaf: Entry | null;
  /** Patterns that end here in `**`. */
  rest: Entry | null;
}

export const NO_RANK = 0x7fffffff;

/** The tries of all host sets. */
export interface Tries {
  readonly nodes: readonly Node[];
  readonly edges: readonly Edge[];
  /** By host: '' for any, `*.suffix`, or an exact name. */
  readonly roots: ReadonlyMap<string, Node>;
}

/** @throws RangeError for a path, SyntaxError for a regular expression that the configuration should have refused */
export function buildTries(matches: readonly MatchPlan[], terms: RoutingTerms): Tries {
  const variants = pathVariants(matches, terms.versioning);
  const common = matches.map(({ paths }) => (paths.length === 1 ? null : commonParamNames(paths)));
  const builder = new TrieBuilder();
  const roots = new Map<string, Node>();
  const order = sortMatches(
    variants.map((variant) => variant.match),
    "below-host",
  );
  for (const [rank, i] of order.entries()) {
    const variant = variants[i]!; // sortMatches returns indexes of variants
    const { match } = variant;
    const pattern = patternOf(match);
    const entry: Entry = {
      id: variant.route,
      rank,
      conditions: compileConditions(match),
      refuses: variant.refuses,
      captures: capturesOf(pattern, common[variant.route] ?? pattern.paramNames),
      next: null,
    };
    for (const host of match.hosts.length === 0 ? [""] : new Set(match.hosts)) {
      let root = roots.get(host);
      if (root === undefined) roots.set(host, (root = builder.newNode()));
      builder.insert(root, pattern, { ...entry });
    }
  }
  return { nodes: builder.nodes, edges: builder.edges, roots };
}

/**
 * How many nodes of the tries a path may be looked for at, in the worst case: each literal excludes the others at its place, and so do literal texts of
 * equal lengths around parameters.
 */
export function visitsMax({ nodes, edges, roots }: Tries): number {
  const literals = new Map<number, number[]>();
  for (const { parent, child } of edges) {
    const children = literals.get(parent);
    if (children === undefined) literals.set(parent, [child]);
    else children.push(child);
  }
  const known: number[] = [];
  const visits = (node: Node): number => known[node.id] ?? Number.NaN;
  // Children are made after their parents.
  for (const node of nodes.toReversed()) {
    const byLiteral = (literals.get(node.id) ?? []).reduce((most, child) => Math.max(most, known[child] ?? Number.NaN), 0);
    known[node.id] = 1 + byLiteral + (node.parts?.sumOf(visits) ?? 0) + (node.single === null ? 0 : visits(node.single));
  }
  return [...roots.values()].reduce((most, root) => Math.max(most, visits(root)), 0);
}

/** Grows the tries of all host sets, which share one numbering of nodes and one list of edges. */
class TrieBuilder {
  readonly nodes: Node[] = [];
  readonly edges: Edge[] = [];
  readonly #children = new Map<string, Node>();
  /** First entry of a chain -> last one. */
  readonly #lasts = new Map<Entry, Entry>();

  newNode(): Node {
    const node: Node = { id: this.nodes.length, bestRank: NO_RANK, parts: null, single: null, leaf: null, rest: null };
    this.nodes.push(node);
    return node;
  }

  /** Entries must come in rank order, and each only once: it is in one chain. */
  insert(root: Node, pattern: Pattern, entry: Entry): void {
    let node = root;
    node.bestRank = Math.min(node.bestRank, entry.rank);
    for (const segment of pattern.segments) {
      if (segment.kind === "literal") node = this.#child(node, segment.key);
      else node = segment.kind === "part" ? this.#partChild(node, segment) : (node.single ??= this.newNode());
      node.bestRank = Math.min(node.bestRank, entry.rank);
    }
    if (pattern.rest) node.rest = this.#chained(node.rest, entry);
    else node.leaf = this.#chained(node.leaf, entry);
  }

  /** @returns the chain with one more at its end */
  #chained(first: Entry | null, entry: Entry): Entry {
    const last = first === null ? null : (this.#lasts.get(first) ?? first);
    if (last !== null) last.next = entry;
    this.#lasts.set(first ?? entry, entry);
    return first ?? entry;
  }

  #child(parent: Node, literal: string): Node {
    const key = `${parent.id}/${literal}`;
    const known = this.#children.get(key);
    if (known !== undefined) return known;
    const child = this.newNode();
    this.#children.set(key, child);
    this.edges.push({ parent: parent.id, literal, child: child.id });
    return child;
  }

  /** Parts that match alike share a node, whatever their parameters are called. */
  #partChild(parent: Node, part: PartSegment): Node {
    const key = `${parent.id}/${partShape(part)}`; // with braces, which no literal has
    const known = this.#children.get(key);
    if (known !== undefined) return known;
    const child = this.newNode();
    this.#children.set(key, child);
    (parent.parts ??= new PartTable()).add(part, child);
    return child;
  }
}

/** Of a match with one path. @throws RangeError for a path that the configuration should have refused */
function patternOf({ paths: [path = ""] }: MatchPlan): Pattern {
  const pattern = parsePattern(path);
  if ("error" in pattern) throw new RangeError(`path ${JSON.stringify(path)}: ${pattern.error}`);
  return pattern;
}
