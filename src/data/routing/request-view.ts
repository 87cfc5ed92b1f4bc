// Owns what may be known of a request below the exchange: by routing, conditions, templates, hash keys and balancers. An exchange is one.
// Must never tell how a request is answered.
import type { HeaderList } from "../../base/header-list.ts";

/** What the log, metrics and policies know about who asked, after trusted proxies were taken into account. */
export interface ClientInfo {
  /** IP of the caller in canonical text; '' when it came over a Unix socket. */
  readonly ip: string;
  readonly scheme: "http" | "https";
  /** Why a trusted proxy's word about the client can't be read: then the request is refused. '' or absent when it can. */
  readonly fault?: string;
}

/** What a template may show of a proven caller. */
export interface CallerView {
  readonly consumer: string;
  /** null for none. */
  readonly tier: string | null;
  /** Plain JSON; null when the credential carries none. */
  readonly claims: Readonly<Record<string, unknown>> | null;
}

/** What may be known of the route by what lies below. */
export interface RouteView {
  readonly name: string;
  /** Index in the plan: tells routes apart, left out where there is none. */
  readonly id?: number;
  /** Index of PRIORITIES (plan/overload-plan.ts); null or left out: its caller's. */
  readonly priority?: number | null;
}

export interface RequestView {
  readonly method: string;
  /** Normalised; starts with `/`. */
  readonly path: string;
  /** Without `?`; '' for none. */
  readonly query: string;
  /** Lowercase host without port, '' when the request has none. */
  readonly host: string;
  /** Name of the listener that it came to; '' for one without. */
  readonly listener: string;
  readonly headers: HeaderList;
  /** Some header's name isAmbiguousFieldName() (base/http.ts): services may read it as another one. */
  readonly hasAmbiguousFieldNames: boolean;
  readonly requestId: string;
  /** null until a route is found. */
  readonly route: RouteView | null;
  /** Values of the route's path parameters, in pattern order (`**` included), still percent-encoded. */
  readonly params: readonly string[];
  /** null on public routes and until the caller is proven. */
  readonly identity: CallerView | null;
  /** Nobody waits for its answer: whatever is asked of upstreams for it comes after all else. Left out: somebody does. */
  readonly isBackground?: boolean;
  /** Who asked, as far as trusted proxies are believed. */
  clientInfo(): ClientInfo;
}

/** A request whose route is still to be found. */
export interface RoutableRequest extends RequestView {
  params: readonly string[];
}
