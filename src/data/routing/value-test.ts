// Owns the conditions on one header or query parameter: compiled once, tested per request.
// Must not allocate unless a query value really is encoded or has a `;` in it.
import type { ValueMatch } from "../../plan/routing-terms.ts";
import { compileValueRegex } from "./order.ts";
import { decodeQuery, QueryWalk } from "./request/query-walk.ts";
import { isLookAlike } from "./request/single-value.ts";
import type { RequestView } from "./request-view.ts";

/** A {@link ValueMatch} ready to test. */
export interface ValueTest {
  readonly name: string;
  holds(value: string): boolean;
}

/** @throws SyntaxError for a regular expression the configuration should have refused */
export function compileValue(match: ValueMatch): ValueTest {
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

/** A repeated header must hold on every line, its look-alikes too: the upstream may read any of them. */
export function headerHolds(test: ValueTest, x: RequestView): boolean {
  const { headers, hasAmbiguousFieldNames } = x;
  let found = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    const exact = name === test.name;
    if (!exact && !(hasAmbiguousFieldNames && isLookAlike(name, test.name))) continue;
    if (!test.holds(headers[i + 1] as string)) return false;
    found ||= exact;
  }
  return found;
}

const walk = new QueryWalk();

/** A repeated parameter must hold each time: the upstream may read the first or the last, and `;` as a separator or not. */
export function queryHolds(test: ValueTest, query: string): boolean {
  if (query === "") return false;
  let found = false;
  walk.begin(query, test.name);
  while (walk.next()) {
    if (!test.holds(decodeQuery(walk.value()))) return false;
    found ||= !walk.part;
  }
  return found;
}
