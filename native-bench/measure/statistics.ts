// Owns the few statistics that the reports quote: medians with their spread, and ratios taken within one round. Pure.

/** A median and how far single rounds lay from it. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** How many values. */
  readonly count: number;
}

/** @returns the middle value, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Values that are no numbers are left out. @returns null when nothing is left */
export function spreadOf(values: readonly number[]): Spread | null {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return null;
  return { median: median(finite), min: Math.min(...finite), max: Math.max(...finite), count: finite.length };
}

/** A value measured in a round. */
export interface InRound {
  readonly round: number;
  readonly value: number;
}

/** Each value over the baseline's of the same round: what disturbs a whole round (another load on the machine) falls out. Rounds without both are left out. */
export function ratiosInRounds(values: readonly InRound[], baseline: readonly InRound[]): readonly number[] {
  const base = new Map(baseline.map(({ round, value }) => [round, value]));
  return values.map(({ round, value }) => value / (base.get(round) ?? Number.NaN)).filter(Number.isFinite);
}

/** Of {@link ratiosInRounds}. @returns null when no round has both */
export const ratioSpread = (values: readonly InRound[], baseline: readonly InRound[]): Spread | null =>
  spreadOf(ratiosInRounds(values, baseline));

/** The list turned by `by` places: in each round somebody else begins, so that no one always follows the same neighbour's load. */
export function rotated<T>(list: readonly T[], by: number): readonly T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
