// Owns the compiled route table: host -> segment trie -> first route in the total order. Built when a plan arrives, immutable afterwards.
// match() must allocate nothing but params, and must cost the same for ten routes and ten thousand.
import type { MatchPlan } from "../../plan/plan.ts";
import { captureParams } from "./captures.ts";
import { acceptsMethod, conditionsHold, isPlace } from "./conditions.ts";
import { EdgeTable, HASH_SEED, hashStep, hashText } from "./edge-table.ts";
import { HostTable } from "./host-table.ts";
import { type Negotiation, NO_TERMS, negotiationFor, type RoutingTerms } from "./negotiation.ts";
import { segmentKey } from "./normalise.ts";
import { edgeMatches, type PartTable } from "./part-table.ts";
import type { RequestView, RoutableRequest } from "./request-view.ts";
import { MATCH_METHOD, MATCH_NONE, MATCH_VERSION, type Router } from "./router.ts";
import { buildTries, type Entry, NO_RANK, type Node } from "./trie.ts";
import type { VersionRefusal } from "./version.ts";

const NO_PARAMS: readonly string[] = [];
const NO_METHODS: readonly string[] = [];

/**
 * Compiles the routes of a plan.
 *
 * Hosts go from the most specific to the least: exact, then wildcards with the longest suffix first, then routes for any host; a host set in which
 * nothing matches falls through to the next. `*.example.com` matches any name below example.com, at any depth, and not example.com itself.
 * Within one host set, the first route in the order of order.ts wins, whatever the order of `routes`. Each path of a route has its own place in it.
 *
 * A request that names a version never falls through a route that demands another one to a route that demands none: it is refused, or takes a route of its
 * version that is less specific. A request that names none is one of the default version, or of none.
 * @param terms what routes' client types and versions mean
 * @throws RangeError for a path, SyntaxError for a regular expression that the configuration should have refused
 */
export function compileRouter(routes: readonly { readonly match: MatchPlan }[], terms: RoutingTerms = NO_TERMS): Router {
  return new TrieRouter(
    routes.map((route) => route.match),
    terms,
  );
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
  /** null: no route asks for a client type or a version, and the members below stay as they are. */
  readonly #negotiation: Negotiation | null;
  /** Some route was not taken because of its version alone. */
  #versionRefused = false;
  /** Lowest rank among those, in the present host set, when the client has named its version. */
  #refusedRank = NO_RANK;
  /** Routes without a version are taken up to this rank only. */
  #unversionedEnd = NO_RANK;
  /** Told of each route that has the host and the path; null for the usual match. */
  #passing: ((entry: Entry) => void) | null = null;

  constructor(matches: readonly MatchPlan[], terms: RoutingTerms) {
    this.#negotiation = negotiationFor(matches, terms);
    const { nodes, edges, roots } = buildTries(matches, terms);
    this.#nodes = nodes;
    this.#edges = new EdgeTable(edges);
    this.#hosts = new HostTable(roots);
  }

  match(x: RoutableRequest): number {
    this.#x = x;
    this.#path = x.path;
    if (this.#negotiation === null) this.#find(x.host);
    else this.#negotiate(this.#negotiation, x);
    const best = this.#best;
    this.#x = null;
    this.#best = null;
    if (best === null) {
      if (this.#versionRefused) return MATCH_VERSION;
      return this.#sawPath && !this.#sawMethod ? MATCH_METHOD : MATCH_NONE;
    }
    x.params = best.captures.length === 0 ? NO_PARAMS : captureParams(x.path, best.captures);
    return best.id;
  }

  /** With the version that the request names; when no route has it, with the next that the client would take. */
  #negotiate(negotiation: Negotiation, x: RequestView): void {
    negotiation.begin(x);
    do {
      this.#versionRefused = false;
      this.#unversionedEnd = NO_RANK;
      this.#find(x.host);
    } while (this.#best === null && this.#versionRefused && negotiation.version.next());
    negotiation.end();
  }

  #find(host: string): void {
    this.#best = null;
    this.#bestRank = NO_RANK;
    this.#sawPath = false;
    this.#sawMethod = false;
    this.#visitHosts(host);
  }

  get vary(): string {
    return this.#negotiation === null ? "" : this.#negotiation.vary;
  }

  versionRefusal(x: RoutableRequest): VersionRefusal {
    const served = new Set<string>();
    this.#matchTelling(x, ({ conditions }) => {
      for (const version of conditions.versions ?? NO_METHODS) served.add(version);
    });
    if (this.#negotiation === null) throw new Error("a table without versions refuses none");
    return this.#negotiation.version.refusal([...served].sort());
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
    if (exact !== null) this.#visitSet(exact);
    if (this.#best !== null) return;
    for (let i = hosts.countWildcards(host) - 1; i >= 0 && this.#best === null; i--) this.#visitSet(hosts.wildcard(i));
    if (this.#best === null && hosts.any !== null) this.#visitSet(hosts.any);
  }

  #visitSet(root: Node): void {
    this.#refusedRank = NO_RANK;
    this.#visit(root, 1);
    if (this.#refusedRank === NO_RANK) return;
    const best = this.#best;
    if (best !== null && best.conditions.versions === null && this.#refusedRank < best.rank) {
      // What was found must not take the request, and may have hidden a route that has its version.
      this.#unversionedEnd = this.#refusedRank;
      this.#best = null;
      this.#bestRank = NO_RANK;
      this.#visit(root, 1);
    }
    this.#unversionedEnd = 0; // nor may a less specific host
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
      if (node.parts !== null) this.#visitParts(node.parts, start, end);
      const single = node.single;
      if (single !== null && end > start && single.bestRank < this.#bestRank) this.#visit(single, end + 1);
    }
    if (node.rest !== null) this.#consider(node.rest);
  }

  #visitParts(parts: PartTable<Node>, start: number, end: number): void {
    const path = this.#path;
    const encoded = path.indexOf("%", start);
    const isPlain = encoded < 0 || encoded >= end;
    const key = isPlain ? path : segmentKey(path.slice(start, end));
    const from = isPlain ? start : 0;
    const to = isPlain ? end : key.length;
    for (let group = 0; group < parts.groupCount; group++)
      for (const edge of parts.candidates(group, key, from, to))
        if (edge.node.bestRank < this.#bestRank && edgeMatches(edge, key, from, to)) this.#visit(edge.node, end + 1);
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
    const negotiation = this.#negotiation;
    for (let entry: Entry | null = first; entry !== null; entry = entry.next) {
      if (entry.rank >= this.#bestRank) return;
      const { conditions } = entry;
      if (conditions.place !== null && !isPlace(conditions.place, x)) continue;
      if (negotiation !== null && entry.refuses && !negotiation.version.isInPath) continue;
      this.#sawPath = true;
      if (this.#passing !== null) this.#passing(entry);
      if (!acceptsMethod(conditions, x.method)) continue;
      this.#sawMethod = true;
      if (!conditionsHold(conditions, x, negotiation)) continue;
      if (negotiation !== null && !this.#versionHolds(entry, negotiation)) continue;
      this.#best = entry;
      this.#bestRank = entry.rank;
      return;
    }
  }

  #versionHolds({ conditions, refuses, rank }: Entry, { version }: Negotiation): boolean {
    if (conditions.versions === null) return rank < this.#unversionedEnd;
    if (!refuses && version.isOneOf(conditions.versions)) return true;
    this.#versionRefused = true;
    if (version.isNamed && rank < this.#refusedRank) this.#refusedRank = rank;
    return false;
  }
}
