// Owns the compiled route table: host -> segment trie -> first route in the total order. Built when a plan arrives, immutable afterwards.
// match() must allocate nothing but params, and must cost the same for ten routes and ten thousand.
import type { MatchPlan } from "../../plan/plan.ts";
import { acceptsMethod, type Conditions, compileConditions, conditionsHold } from "./conditions.ts";
import { type Edge, EdgeTable, HASH_SEED, hashStep, hashText } from "./edge-table.ts";
import { HostTable } from "./host-table.ts";
import { segmentKey } from "./normalise.ts";
import { sortMatches } from "./order.ts";
import { type Pattern, parsePattern } from "./pattern.ts";
import type { RequestView, RoutableRequest } from "./request-view.ts";
import { MATCH_METHOD, MATCH_NONE, type Router } from "./router.ts";

/** A route at the node where its pattern ends. */
interface Entry {
  /** Index in the plan. */
  readonly id: number;
  /** Place in the total order among routes that one host reaches; lower wins. */
  readonly rank: number;
  readonly conditions: Conditions;
  /** Indexes of the segments that are parameters. */
  readonly paramSegments: readonly number[];
  /** Index of the first segment of the rest; -1 without `**`. */
  readonly restSegment: number;
  /** The next in rank order that ends at the same node. */
  next: Entry | null;
}

/** A pattern prefix. Entries are chained in rank order: lists would be two more objects to look at. */
interface Node {
  readonly id: number;
  /** Lowest rank at or below this node: nothing here can beat a better one found elsewhere. */
  bestRank: number;
  /** Along any one non-empty segment. */
  single: Node | null;
  /** Patterns that end here. */
  leaf: Entry | null;
  /** Patterns that end here in `**`. */
  rest: Entry | null;
}

const NO_RANK = 0x7fffffff;
const NO_PARAMS: readonly string[] = [];
const NO_METHODS: readonly string[] = [];
const NO_SEGMENTS: readonly number[] = [];

/**
 * Compiles the routes of a plan.
 *
 * Hosts go from the most specific to the least: exact, then wildcards with the longest suffix first, then routes for any host; a host set in which
 * nothing matches falls through to the next. `*.example.com` matches any name below example.com, at any depth, and not example.com itself.
 * Within one host set, the first route in the order of order.ts wins, whatever the order of `routes`.
 * @throws RangeError for a path, SyntaxError for a regular expression that the configuration should have refused
 */
export function compileRouter(routes: readonly { readonly match: MatchPlan }[]): Router {
  return new TrieRouter(routes.map((route) => route.match));
}

/** Grows the tries of all host sets, which share one numbering of nodes and one list of edges. */
class TrieBuilder {
  readonly nodes: Node[] = [];
  readonly edges: Edge[] = [];
  readonly #children = new Map<string, Node>();
  /** First entry of a chain -> last one. */
  readonly #lasts = new Map<Entry, Entry>();

  newNode(): Node {
    const node: Node = { id: this.nodes.length, bestRank: NO_RANK, single: null, leaf: null, rest: null };
    this.nodes.push(node);
    return node;
  }

  /** Entries must come in rank order, and each only once: it is in one chain. */
  insert(root: Node, pattern: Pattern, entry: Entry): void {
    let node = root;
    node.bestRank = Math.min(node.bestRank, entry.rank);
    for (const segment of pattern.segments) {
      node = segment.kind === "literal" ? this.#child(node, segment.key) : (node.single ??= this.newNode());
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
}

function entryOf(match: MatchPlan, pattern: Pattern, id: number, rank: number): Entry {
  const params = pattern.segments.flatMap((segment, i) => (segment.kind === "single" && segment.name !== null ? [i] : []));
  return {
    id,
    rank,
    conditions: compileConditions(match),
    paramSegments: params.length === 0 ? NO_SEGMENTS : params,
    restSegment: pattern.rest ? pattern.segments.length : -1,
    next: null,
  };
}

class TrieRouter implements Router {
  readonly #nodes: readonly Node[];
  readonly #edges: EdgeTable;
  readonly #hosts: HostTable<Node>;

  // State of the match under way. One thread, never re-entered, so fields do instead of a context object.
  #x: RequestView | null = null;
  #path = "";
  #best: Entry | null = null;
  #bestRank = NO_RANK;
  #sawPath = false;
  #sawMethod = false;
  /** Told of each route that has the host and the path; null for the usual match. */
  #passing: ((entry: Entry) => void) | null = null;

  constructor(matches: readonly MatchPlan[]) {
    const builder = new TrieBuilder();
    const roots = new Map<string, Node>();
    for (const [rank, id] of sortMatches(matches, "below-host").entries()) {
      const match = matches[id]!; // sortMatches returns indexes of matches
      const pattern = parsePattern(match.path);
      if ("error" in pattern) throw new RangeError(`path ${JSON.stringify(match.path)}: ${pattern.error}`);
      const entry = entryOf(match, pattern, id, rank);
      for (const host of match.hosts.length === 0 ? [""] : new Set(match.hosts)) {
        let root = roots.get(host);
        if (root === undefined) roots.set(host, (root = builder.newNode()));
        builder.insert(root, pattern, { ...entry });
      }
    }
    this.#nodes = builder.nodes;
    this.#edges = new EdgeTable(builder.edges);
    this.#hosts = new HostTable(roots);
  }

  match(x: RoutableRequest): number {
    this.#x = x;
    this.#path = x.path;
    this.#best = null;
    this.#bestRank = NO_RANK;
    this.#sawPath = false;
    this.#sawMethod = false;
    this.#visitHosts(x.host);
    const best = this.#best as Entry | null; // #visitHosts may have set it, which narrowing does not see
    this.#x = null;
    this.#best = null;
    if (best === null) return this.#sawPath && !this.#sawMethod ? MATCH_METHOD : MATCH_NONE;
    x.params = best.paramSegments.length === 0 && best.restSegment < 0 ? NO_PARAMS : captureParams(x.path, best);
    return best.id;
  }

  allowedMethods(x: RoutableRequest): readonly string[] {
    const methods = new Set<string>();
    const found = this.#matchTelling(x, (entry) => {
      for (const method of entry.conditions.methods ?? NO_METHODS) methods.add(method);
    });
    return found === MATCH_METHOD ? [...methods].sort() : NO_METHODS;
  }

  nearest(x: RoutableRequest): number {
    let byPath = MATCH_NONE;
    let byMethod = MATCH_NONE;
    const found = this.#matchTelling(x, ({ conditions, id }) => {
      if (byPath < 0) byPath = id;
      if (byMethod < 0 && acceptsMethod(conditions, x.method)) byMethod = id;
    });
    return found >= 0 ? found : byMethod >= 0 ? byMethod : byPath;
  }

  #matchTelling(x: RoutableRequest, passing: (entry: Entry) => void): number {
    this.#passing = passing;
    const found = this.match(x);
    this.#passing = null;
    return found;
  }

  /** From the most specific host set to the least, until one has a match. */
  #visitHosts(host: string): void {
    const hosts = this.#hosts;
    const exact = hosts.exact(host);
    if (exact !== null) this.#visit(exact, 1);
    if (this.#best !== null) return;
    for (let i = hosts.countWildcards(host) - 1; i >= 0 && this.#best === null; i--) this.#visit(hosts.wildcard(i), 1);
    if (this.#best === null && hosts.any !== null) this.#visit(hosts.any, 1);
  }

  /** @param start where the next segment begins; one past the end of the path when all segments are consumed. */
  #visit(node: Node, start: number): void {
    const path = this.#path;
    const length = path.length;
    if (start > length) {
      if (node.leaf !== null) this.#consider(node.leaf);
    } else {
      let hash = HASH_SEED;
      let encoded = false;
      let end = start;
      for (; end < length; end++) {
        const c = path.charCodeAt(end);
        if (c === 47) break;
        if (c === 37) encoded = true;
        hash = hashStep(hash, c);
      }
      const child = encoded ? this.#findEncoded(node.id, start, end) : this.#edges.find(node.id, hash, path, start, end);
      if (child >= 0) {
        const next = this.#nodes[child]!; // edges lead to nodes
        if (next.bestRank < this.#bestRank) this.#visit(next, end + 1);
      }
      const single = node.single;
      if (single !== null && end > start && single.bestRank < this.#bestRank) this.#visit(single, end + 1);
    }
    if (node.rest !== null) this.#consider(node.rest);
  }

  /** A segment with percent-encoding may spell a literal's reserved characters differently. */
  #findEncoded(parent: number, start: number, end: number): number {
    if (end - start > 3 * this.#edges.longest) return -1; // each character has three at most
    const key = segmentKey(this.#path.slice(start, end));
    return this.#edges.find(parent, hashText(key), key, 0, key.length);
  }

  /** Takes the first of the entries whose conditions hold, if it beats what was found so far. */
  #consider(first: Entry): void {
    const x = this.#x!; // set by match() for the time of the visit
    this.#sawPath = true;
    for (let entry: Entry | null = first; entry !== null; entry = entry.next) {
      if (entry.rank >= this.#bestRank) return;
      if (this.#passing !== null) this.#passing(entry);
      if (!acceptsMethod(entry.conditions, x.method)) continue;
      this.#sawMethod = true;
      if (!conditionsHold(entry.conditions, x)) continue;
      this.#best = entry;
      this.#bestRank = entry.rank;
      return;
    }
  }
}

/** Values of the parameters in pattern order, the rest last and without its leading slash ('' for nothing). */
function captureParams(path: string, entry: Entry): readonly string[] {
  const { paramSegments, restSegment } = entry;
  const params: string[] = [];
  let start = 1;
  let next = 0;
  for (let segment = 0; next < paramSegments.length || segment < restSegment; segment++) {
    let end = path.indexOf("/", start);
    if (end < 0) end = path.length;
    if (segment === paramSegments[next]) {
      params.push(path.slice(start, end));
      next++;
    }
    start = end + 1;
  }
  if (restSegment >= 0) params.push(path.slice(start));
  return params;
}
