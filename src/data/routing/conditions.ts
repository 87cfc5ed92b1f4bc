// Owns what a route asks besides host and path: method, headers, query, client type. Compiled once, tested per request.
// Must not allocate unless a query value really is encoded or has a `;` in it.
import type { ClientType, MatchPlan, ValueMatch } from "../../plan/plan.ts";
import { clientType } from "./client-type.ts";
import { compileValueRegex } from "./order.ts";
import { decodeQuery, QueryWalk } from "./request/query-walk.ts";
import { isLookAlike } from "./request/sent-once.ts";
import type { RequestView } from "./request-view.ts";

/** A {@link ValueMatch} ready to test. */
export interface ValueTest {
  readonly name: string;
  holds(value: string): boolean;
}

/** What a route asks besides host and path; null where it asks nothing. */
export interface Conditions {
  /** HEAD is added where GET stands. */
  readonly methods: readonly string[] | null;
  readonly headers: readonly ValueTest[] | null;
  readonly query: readonly ValueTest[] | null;
  readonly client: ClientType | null;
}

/** One for all routes that ask nothing else. */
const NO_CONDITIONS: Conditions = { methods: null, headers: null, query: null, client: null };

/** @throws SyntaxError for a regular expression the configuration should have refused */
export function compileConditions(match: MatchPlan): Conditions {
  if (match.methods.length + match.headers.length + match.query.length === 0 && match.client === null) return NO_CONDITIONS;
  const methods = match.methods.includes("GET") ? [...new Set([...match.methods, "HEAD"])] : match.methods;
  return {
    methods: methods.length === 0 ? null : methods,
    headers: match.headers.length === 0 ? null : match.headers.map(compileValue),
    query: match.query.length === 0 ? null : match.query.map(compileValue),
    client: match.client,
  };
}

function compileValue(match: ValueMatch): ValueTest {
  switch (match.kind) {
    case "exact":
      return { name: match.name, holds: (value) => value === match.value };
    case "prefix":
      return { name: match.name, holds: (value) => value.startsWith(match.value) };
    case "regex": {
      const regex = compileValueRegex(match.value);
      return { name: match.name, holds: (value) => regex.test(value) };
    }
    case "present":
      return { name: match.name, holds: () => true };
  }
}

export function acceptsMethod(conditions: Conditions, method: string): boolean {
  const { methods } = conditions;
  if (methods === null) return true;
  for (let i = 0; i < methods.length; i++) if (methods[i] === method) return true;
  return false;
}

/** Headers, query and client type; the method is {@link acceptsMethod}'s. */
export function conditionsHold(conditions: Conditions, x: RequestView): boolean {
  if (conditions.headers !== null) for (const test of conditions.headers) if (!headerHolds(test, x)) return false;
  if (conditions.query !== null) for (const test of conditions.query) if (!queryHolds(test, x.query)) return false;
  return conditions.client === null || clientType(x) === conditions.client;
}

/** A repeated header must hold on every line, its look-alikes too: the upstream may read any of them. */
function headerHolds(test: ValueTest, x: RequestView): boolean {
  const { headers, oddNames } = x;
  let found = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    const exact = name === test.name;
    if (!exact && !(oddNames && isLookAlike(name, test.name))) continue;
    if (!test.holds(headers[i + 1] as string)) return false;
    found ||= exact;
  }
  return found;
}

const walk = new QueryWalk();

/** A repeated parameter must hold each time: the upstream may read the first or the last, and `;` as a separator or not. */
function queryHolds(test: ValueTest, query: string): boolean {
  if (query === "") return false;
  let found = false;
  walk.begin(query, test.name);
  while (walk.next()) {
    if (!test.holds(decodeQuery(walk.value()))) return false;
    found ||= !walk.part;
  }
  return found;
}
