// Owns how a key says what is to be changed: by one map, or by a list of maps that are done in order, each with its own condition. Types and bounds
// only: workers load it, so that it must never load zod.

/** Maps in one list. */
export const CHANGES_MAX = 15;

/** One of them. */
export interface Conditional {
  readonly when?: string | undefined;
}

/** @property at keys from what holds them to the map, for error positions */
export interface Placed<T> {
  readonly at: readonly number[];
  readonly change: T;
}

/** What is written as one map or several, in order. */
export const changesIn = <T extends object>(written: T | readonly T[]): readonly Placed<T>[] =>
  isList(written) ? written.map((change, i) => ({ at: [i], change })) : [{ at: [], change: written }];

const isList = <T extends object>(written: T | readonly T[]): written is readonly T[] => Array.isArray(written);

/** The names that a list sets on a condition: where it does not hold, what a client sent under them must not pass for the operator's. */
export const setOnCondition = (
  changes: readonly (Conditional & { readonly set: Readonly<Record<string, string>> })[],
): ReadonlySet<string> => new Set(changes.flatMap(({ when, set }) => (when === undefined ? [] : Object.keys(set))));
