// Owns random bytes for keys that are made while the gateway starts: straight from the system's generator, since node:crypto takes 12 ms to load.
import { closeSync, openSync, readSync } from "node:fs";

/** random(4): reads of up to this many bytes are never short. */
const BYTES_MAX = 256;
const GENERATOR = "/dev/urandom";

/** @returns bytes that nobody can predict. @param count at most 256 */
export function earlyRandomBytes(count: number): Uint8Array<ArrayBuffer> {
  if (count > BYTES_MAX) throw new RangeError(`earlyRandomBytes: ${count} bytes, more than ${BYTES_MAX}`);
  const bytes = new Uint8Array(count);
  if (!fill(bytes)) bytes.set(process.getBuiltinModule("node:crypto").randomBytes(count));
  return bytes;
}

/** @returns false where there is no such file, as in a jail without devices */
function fill(bytes: Uint8Array): boolean {
  let fd: number;
  try {
    fd = openSync(GENERATOR, "r");
  } catch {
    return false;
  }
  try {
    return readSync(fd, bytes) === bytes.length;
  } finally {
    closeSync(fd);
  }
}
