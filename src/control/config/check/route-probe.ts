// Owns asking the compiled route table which route a request would take, as a worker asks it. Never serves anything.
import { compileRouter } from "../../../data/routing/compile.ts";
import type { RoutingTerms } from "../../../data/routing/negotiation.ts";
import type { RoutableRequest } from "../../../data/routing/request-view.ts";
import type { Router } from "../../../data/routing/router.ts";
import type { MatchPlan } from "../../../plan/plan.ts";

export interface ProbedRequest {
  readonly method: string;
  /** Lowercase, without port. */
  readonly host: string;
  /** Normalised. */
  readonly path: string;
  readonly query: string;
  /** Name of the listener; '' for one without. */
  readonly listener: string;
  readonly scheme: "http" | "https";
  /** Flat, names lowercase. */
  readonly headers: readonly string[];
}

/** What the route table reads of a request. */
const probeView = (request: ProbedRequest): RoutableRequest => ({
  ...request,
  headers: [...request.headers],
  hasAmbiguousFieldNames: false,
  requestId: "",
  route: null,
  params: [],
  identity: null,
  clientInfo: () => ({ ip: "", scheme: request.scheme }),
});

export class RouteProbe<R extends { readonly match: MatchPlan }> {
  readonly #router: Router;
  readonly #routes: readonly R[];

  constructor(routes: readonly R[], terms: RoutingTerms) {
    this.#router = compileRouter(routes, terms);
    this.#routes = routes;
  }

  /** @returns null when no route takes it */
  routeOf(request: ProbedRequest): R | null {
    return this.#routes[this.#router.match(probeView(request))] ?? null;
  }
}
