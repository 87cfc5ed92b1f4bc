// Owns memory of the thread in which what is written at once lies: most of it is the kernel's when the write returns, and the same memory serves the next one.
// Must never be used again while a write that has not ended lies in it.

/** Sizes: what is written takes at least half of one, so that a slow client holds at most twice of what waits for it. */
const SIZES = [32 * 1024, 64 * 1024, 128 * 1024] as const;

/** More than this has memory of its own. */
export const SCRATCH_BYTES_MAX: number = SIZES[SIZES.length - 1] ?? 0;

const buffers: (Buffer | null)[] = SIZES.map(() => null);

/** @param bytes at most {@link SCRATCH_BYTES_MAX}. @returns memory of at least that size: the same again unless {@link retire} was called */
export function scratchFor(bytes: number): Buffer {
  const i = SIZES.findIndex((size) => bytes <= size);
  return (buffers[i] ??= Buffer.allocUnsafeSlow(SIZES[i] ?? bytes));
}

/** A write that has not ended lies in it. @param buffer of {@link scratchFor} */
export function retire(buffer: Buffer): void {
  const i = buffers.indexOf(buffer);
  if (i >= 0) buffers[i] = null;
}
