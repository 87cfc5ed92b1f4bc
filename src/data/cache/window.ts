// Owns how much is kept of a body that outgrew its bounds: what its slowest reader has not read, and no more than that may be. Pure.
import type { PieceBudget } from "./growing-body.ts";

/** What is kept for one reader alone: as much as a relay does. */
const ALONE_BYTES = 256 * 1024;

interface Reader {
  /** Next byte that it wants. */
  readonly at: number;
}

/** @returns the byte up to which all have read; Infinity without readers */
export function readByAll(readers: ReadonlySet<Reader>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const reader of readers) least = Math.min(least, reader.at);
  return least;
}

/** Whether the origin may go on: as for one client alone once memory is short. @param available bytes that have come */
export function hasRoom(
  available: number,
  readers: ReadonlySet<Reader>,
  limits: { readonly budget: PieceBudget; readonly maxObjectBytes: number },
): boolean {
  const { budget, maxObjectBytes } = limits;
  const isShort = readers.size === 1 || budget.used > budget.max;
  return available - readByAll(readers) <= (isShort ? Math.min(ALONE_BYTES, maxObjectBytes) : maxObjectBytes);
}
