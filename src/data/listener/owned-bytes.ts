// Owns copies of what is lent: the bytes of request bodies, out of the buffer that all reads of the thread share.
// Small ones are cut from slabs, which takes a tenth of what memory of their own does. A slab lives as long as any piece of it: so it must stay small.

/** One slab, and the largest piece of one, bytes. */
const SLAB_BYTES = 32 * 1024;
const PIECE_BYTES_MAX = 8 * 1024;
/** Below, Node's own pool of 8 KiB serves: what is held long must not hold much more. */
const PIECE_BYTES_MIN = 1024;

let slab = Buffer.alloc(0);
let used = 0;

/** @returns memory of the caller's own */
export function ownedBytes(length: number): Buffer {
  if (length < PIECE_BYTES_MIN) return Buffer.allocUnsafe(length);
  if (length > PIECE_BYTES_MAX) return Buffer.allocUnsafeSlow(length);
  if (used + length > slab.length) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    used = 0;
  }
  const at = used;
  used += length;
  return slab.subarray(at, used);
}

export function ownedCopy(bytes: Buffer, from: number, to: number): Buffer {
  const copy = ownedBytes(to - from);
  bytes.copy(copy, 0, from, to);
  return copy;
}
