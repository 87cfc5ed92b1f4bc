// Types of what routes may match by besides the request line: conditions on values, client types and versions. No logic.
/** Header names lowercase. `present` matches any value. */
export type ValueMatch =
  | { readonly name: string; readonly kind: "exact"; readonly value: string }
  | { readonly name: string; readonly kind: "prefix"; readonly value: string }
  | { readonly name: string; readonly kind: "regex"; readonly value: string }
  | { readonly name: string; readonly kind: "present" };

/** Types of clients that need no definition. A definition of the same name takes one's place. */
export const BUILT_IN_CLIENTS = ["mobile", "desktop", "bot"] as const;
export type BuiltInClient = (typeof BUILT_IN_CLIENTS)[number];

/** A type of client. All that it has must hold. */
export interface ClientTypePlan {
  readonly name: string;
  readonly headers: readonly ValueMatch[];
  /** Any of these; empty: whatever the User-Agent. */
  readonly userAgents: readonly UserAgentMatch[];
}

/** `glob`: lowercase, `*` for any text. `regex`: of base/linear-regex.ts, for the whole value. */
export interface UserAgentMatch {
  readonly kind: "glob" | "regex";
  readonly value: string;
}

/** null for each place that does not count. */
export interface VersioningPlan {
  /** What stands before the version in a path, such as `/v` or `/api/v`: the version is the rest of that segment. */
  readonly path: string | null;
  /** Name of a header, lowercase. */
  readonly header: string | null;
  /** Name of a query parameter. */
  readonly query: string | null;
  readonly accept: AcceptVersionPlan | null;
  /** The version of a request that names none; null: it has none. */
  readonly default: string | null;
}

/** How media types in Accept name a version. */
export interface AcceptVersionPlan {
  /** Lowercase name of a parameter: `application/json;version=2`. */
  readonly parameter: string;
  /** Lowercase: only `application/vnd.VENDOR...v2+json` names one; null: any vendor's. */
  readonly vendor: string | null;
}
