// Owns asking the compiled route table which route a request would take, as a worker asks it. Never serves anything.
import { Exchange } from "../../../data/exchange/exchange.ts";
import type { Runtime } from "../../../data/exchange/runtime.ts";
import { compileRouter } from "../../../data/routing/compile.ts";
import type { Router } from "../../../data/routing/router.ts";
import type { MatchPlan } from "../../../plan/plan.ts";

export interface ProbedRequest {
  readonly method: string;
  /** Lowercase, without port. */
  readonly host: string;
  /** Normalised. */
  readonly path: string;
  readonly query: string;
  /** Flat, names lowercase. */
  readonly headers: readonly string[];
}

const unreachable = (): never => {
  throw new Error("a probe is only matched, never answered");
};

/** What the route table reads of a request, and nothing that could answer it. */
class ProbeExchange extends Exchange {
  readonly started = false;
  readonly closed = false;
  peerAddress = unreachable;
  readBody = unreachable;
  redirectBody = unreachable;
  pauseBody = unreachable;
  resumeBody = unreachable;
  start = unreachable;
  write = unreachable;
  end = unreachable;
  abort = unreachable;
  acceptWebSocket = unreachable;

  constructor({ method, host, path, query, headers }: ProbedRequest) {
    super({} as Runtime); // matching reads nothing of it
    this.method = method;
    this.host = host;
    this.authority = host;
    this.path = path;
    this.query = query;
    this.headers = [...headers];
  }
}

export class RouteProbe<R extends { readonly match: MatchPlan }> {
  readonly #router: Router;
  readonly #routes: readonly R[];

  constructor(routes: readonly R[]) {
    this.#router = compileRouter(routes);
    this.#routes = routes;
  }

  /** @returns null when no route takes it */
  routeOf(request: ProbedRequest): R | null {
    return this.#routes[this.#router.match(new ProbeExchange(request))] ?? null;
  }
}
