// Owns reading scopes, roles and groups out of a claim in every form in which providers send them. Pure.
// Must never make a grant of a part of a name, and never refuse a whole token for one name: what cannot be used is left out, and that is said.
import { callerName, SCOPE } from "../../../../base/caller-name.ts";

/** Scopes, roles or groups of one token. */
export const GRANTS_MAX = 1000;
/** Members of a map in a list that hold its name, the first that does. */
export const NAME_MEMBERS = ["name", "value", "id"] as const;

export interface Grants {
  readonly names: readonly string[];
  /** Something in the claim could not be used. */
  readonly partial: boolean;
}

const NOTHING: Grants = { names: [], partial: false };
const UNUSABLE: Grants = { names: [], partial: true };

/**
 * - A text is one name; of scopes it is a list with blanks between them (RFC 6749 section 3.3, RFC 8693 section 4.2).
 * - A whole number is a name.
 * - Of a list each entry: a text or number as it is, of a map its member `name`, `value` or `id`, the first that names something.
 * - Of a map that stands alone the keys, but for those whose value is `false` or `null`.
 * @param of scopes have fewer characters than other names
 */
export function grantsOf(claim: unknown, of: "scope" | "name"): Grants {
  if (claim === undefined || claim === null || claim === "") return NOTHING;
  const list = entriesOf(claim, of);
  if (list === null) return UNUSABLE;
  const names: string[] = [];
  let partial = false;
  for (const entry of list) {
    if (entry === null || entry === "") continue;
    const name = nameOf(entry);
    if (name === null || (of === "scope" && !SCOPE.test(name)) || names.length === GRANTS_MAX) partial = true;
    else names.push(name);
  }
  return { names, partial };
}

function entriesOf(claim: unknown, of: "scope" | "name"): readonly unknown[] | null {
  if (typeof claim === "string") return of === "scope" ? claim.split(" ").filter((word) => word !== "") : [claim];
  if (typeof claim === "number") return [claim];
  if (Array.isArray(claim)) return claim;
  if (typeof claim !== "object" || claim === null) return null;
  return Object.entries(claim).flatMap(([name, value]) => (value === false || value === null ? [] : [name]));
}

function nameOf(entry: unknown): string | null {
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) return callerName(entry);
  for (const member of NAME_MEMBERS) {
    const name = Object.hasOwn(entry, member) ? callerName((entry as Readonly<Record<string, unknown>>)[member]) : null; // it has the member
    if (name !== null) return name;
  }
  return null;
}
