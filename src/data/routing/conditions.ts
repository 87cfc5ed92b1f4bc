// Owns what a route demands besides host and path: listener, scheme, method, headers, query, client type, version. Compiled once, tested per request.
// Must not allocate unless a query value really is encoded or has a `;` in it.
import type { MatchPlan } from "../../plan/plan.ts";
import type { Negotiation } from "./negotiation.ts";
import type { RequestView } from "./request-view.ts";
import { compileValue, headerHolds, queryHolds, type ValueTest } from "./value-test.ts";

/** What a route demands besides host and path; null where it demands nothing. */
export interface Conditions {
  readonly place: Place | null;
  /** HEAD is added where GET stands. */
  readonly methods: readonly string[] | null;
  readonly headers: readonly ValueTest[] | null;
  readonly query: readonly ValueTest[] | null;
  readonly client: string | null;
  readonly versions: readonly string[] | null;
}

/** Where a request came in. A route of another place is none to it: it is not told of, not even by its methods. */
export interface Place {
  readonly listeners: readonly string[] | null;
  readonly scheme: "http" | "https" | null;
}

/** One for all routes that demand nothing else. */
const NO_CONDITIONS: Conditions = { place: null, methods: null, headers: null, query: null, client: null, versions: null };

/** @throws SyntaxError for a regular expression the configuration should have refused */
export function compileConditions(match: MatchPlan): Conditions {
  const lists = match.methods.length + match.headers.length + match.query.length + match.versions.length + match.listeners.length;
  if (lists === 0 && match.client === null && match.scheme === null) return NO_CONDITIONS;
  const methods = match.methods.includes("GET") ? [...new Set([...match.methods, "HEAD"])] : match.methods;
  const hasPlace = match.listeners.length > 0 || match.scheme !== null;
  return {
    place: hasPlace ? { listeners: match.listeners.length === 0 ? null : match.listeners, scheme: match.scheme } : null,
    methods: methods.length === 0 ? null : methods,
    headers: match.headers.length === 0 ? null : match.headers.map(compileValue),
    query: match.query.length === 0 ? null : match.query.map(compileValue),
    client: match.client,
    versions: match.versions.length === 0 ? null : match.versions,
  };
}

export const isPlace = ({ listeners, scheme }: Place, x: RequestView): boolean =>
  (listeners === null || listeners.includes(x.listener)) && (scheme === null || x.clientInfo().scheme === scheme);

export function acceptsMethod(conditions: Conditions, method: string): boolean {
  const { methods } = conditions;
  if (methods === null) return true;
  for (let i = 0; i < methods.length; i++) if (methods[i] === method) return true;
  return false;
}

/** Headers, query and client type; the method is {@link acceptsMethod}'s, the version the table's. @param negotiation null: no route has a client type */
export function conditionsHold(conditions: Conditions, x: RequestView, negotiation: Negotiation | null): boolean {
  if (conditions.headers !== null) for (const test of conditions.headers) if (!headerHolds(test, x)) return false;
  if (conditions.query !== null) for (const test of conditions.query) if (!queryHolds(test, x.query)) return false;
  return conditions.client === null || negotiation?.isClient(conditions.client) === true;
}
