// Owns what routes may demand of a request that takes work to find out: the type of its client and the version it names. Read at most once a match, and
// only when a route asks for it. Must never guess: a request whose places name different versions has none.
import type { MatchPlan } from "../../plan/plan.ts";
import type { ClientTypePlan, VersioningPlan } from "../../plan/routing-terms.ts";
import { ClientTypes } from "./client-type.ts";
import type { RequestView } from "./request-view.ts";
import { VersionReader } from "./version.ts";

/** The parts of a plan by which routes are found, besides the routes. */
export interface RoutingTerms {
  readonly clients: readonly ClientTypePlan[];
  readonly versioning: VersioningPlan | null;
}

export const NO_TERMS: RoutingTerms = { clients: [], versioning: null };

/** @returns null when no route asks for a client type or a version */
export function negotiationFor(matches: readonly MatchPlan[], terms: RoutingTerms): Negotiation | null {
  const clients = new Set(matches.flatMap(({ client }) => (client === null ? [] : [client])));
  const versions = new Set(matches.flatMap((match) => match.versions));
  return clients.size + versions.size === 0 ? null : new Negotiation(terms, clients, versions);
}

/** State of the match under way: one thread, never re-entered. */
export class Negotiation {
  readonly version: VersionReader;
  readonly #clients: ClientTypes;
  /** Of {@link vary}, by 1 for the client type and 2 for the version. */
  readonly #varyTexts: readonly string[];
  #x: RequestView | null = null;
  /** null until it is read. */
  #client: string | null = null;

  constructor({ clients, versioning }: RoutingTerms, namedClients: ReadonlySet<string>, namedVersions: ReadonlySet<string>) {
    this.#clients = new ClientTypes(clients, namedClients);
    this.version = new VersionReader(versioning, namedVersions);
    const [byClient, byVersion] = [this.#clients.headers, this.version.headers];
    this.#varyTexts = [[], byClient, byVersion, [...new Set([...byClient, ...byVersion])]].map((names) => names.join(", "));
  }

  begin(x: RequestView): void {
    this.#x = x;
    this.#client = null;
    this.version.begin(x);
  }

  /** Keeps nothing of the request but {@link vary}. */
  end(): void {
    this.#x = null;
    this.version.end();
  }

  isClient(name: string): boolean {
    return (this.#client ??= this.#x === null ? "" : this.#clients.typeOf(this.#x)) === name;
  }

  /** Header names on which the outcome of the last match rested, as `Vary` lists them; '' for none. */
  get vary(): string {
    return this.#varyTexts[(this.#client === null ? 0 : 1) + (this.version.wasRead ? 2 : 0)] as string; // 0 to 3
  }
}
