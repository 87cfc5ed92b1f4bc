// Owns lists of status codes: how they are written, and the test whether a status is in one. The only such form in configuration and plan.
// Must never know what a list is for, nor load a schema: status-schema.ts has that.

/** Both included. */
export interface StatusRange {
  readonly min: number;
  readonly max: number;
}

/** RFC 9110 section 15: a status has three digits, and no class begins with another one than 1 to 5. */
export const STATUS_MIN = 100;
export const STATUS_MAX = 599;

/** @returns null for what is neither a status nor a range of them in ascending order */
export function parseStatusRange(text: string): StatusRange | null {
  const [, from = "", to = from] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(text) ?? [];
  const range = { min: Number(from), max: Number(to) };
  return from === "" || range.min > range.max ? null : range;
}

/** For lists that are rarely looked at: in time linear in their length. */
export function hasStatus(list: readonly StatusRange[], status: number): boolean {
  for (const { min, max } of list) if (status >= min && status <= max) return true;
  return false;
}

/** As it may be written: `200-299, 302`. */
export const formatStatuses = (list: readonly StatusRange[]): string => list.map(formatStatusRange).join(", ");

export const formatStatusRange = ({ min, max }: StatusRange): string => (min === max ? String(min) : `${min}-${max}`);

/** Values for ranges as values for statuses: of ranges that hold the same one, the narrower counts. @throws nothing; two as narrow as each other: the later */
export function byStatus<T>(entries: readonly (readonly [StatusRange, T])[]): ReadonlyMap<number, T> {
  const values = new Map<number, T>();
  const widest = entries.toSorted(([a], [b]) => b.max - b.min - (a.max - a.min));
  for (const [{ min, max }, value] of widest) for (let status = min; status <= max; status++) values.set(status, value);
  return values;
}

/** Whether two ranges have a status in common and neither is narrower. */
export const areTied = (a: StatusRange, b: StatusRange): boolean => a.max - a.min === b.max - b.min && a.min <= b.max && b.min <= a.max;

/** A list for the hot path: one look-up whatever its length. Immutable. */
export class StatusSet {
  /** 1 for those in it. */
  readonly #table = new Uint8Array(STATUS_MAX + 1);

  constructor(list: readonly StatusRange[]) {
    for (const { min, max } of list) this.#table.fill(1, min, max + 1);
  }

  /** @param status any number: what is no status is in no list */
  has(status: number): boolean {
    return this.#table[status] === 1;
  }
}
