// Owns reading a file whose path somebody else chose: an operator, a configuration, another process. The one way in which the gateway does so.
// Must never wait for what may not come: a writer of a FIFO, a device, a lease that another process holds, the end of a file that grows for ever.
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";

/** Largest file read unless the caller says otherwise. */
export const FILE_BYTES_MAX = 16 * 1024 ** 2;
/** Longest time (ms) that the reads of one file may take together; looked at between two of them. */
const READ_MS_MAX = 10_000;
/** Bytes of one read at most, so that time is looked at now and then. */
const READ_BYTES = 1024 ** 2;
/** Room for files that say they are empty and are not (/proc). */
const ROOM_BYTES_MIN = 1024;

/** Sends neither for a writer (FIFO) nor for a modem (terminal), and makes no terminal ours. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** @property stamp see {@link stampOf}, from before the content was read */
export interface FileContent {
  readonly bytes: Buffer;
  readonly stamp: string;
}

/**
 * Reads a regular file, through symbolic links. What is no regular file is not even opened, as opening a device may do something.
 * @returns the content, or an error that says in plain words why there is none. Never throws.
 */
export function readRegularFile(path: string, bytesMax = FILE_BYTES_MAX): FileContent | Error {
  let fd: number | null = null;
  try {
    requireRegular(statSync(path, { bigint: true }));
    fd = openSync(path, OPEN_FLAGS);
    const stat = fstatSync(fd, { bigint: true }); // it may have been replaced in between
    requireRegular(stat);
    if (stat.size > bytesMax) throw tooLarge(bytesMax);
    return { bytes: readBounded(fd, Number(stat.size), bytesMax), stamp: stampOf(stat) };
  } catch (error) {
    return error instanceof Unusable ? error : new Error(fileErrorText(error));
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

/** @returns what differs when a file has been written or replaced since, however its time stamps were set */
export const stampOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string => `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;

/** What an error of the file system means, without names of system calls. */
export function fileErrorText(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : null;
  if (code === "ENOENT" || code === "ENOTDIR") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "reading it is not permitted";
  if (code === "EISDIR") return "it is a directory";
  if (code === "ELOOP") return "its symbolic links lead in a circle";
  if (code === "EAGAIN") return "it has nothing to read now, and the gateway does not wait for a file";
  return error instanceof Error ? error.message : String(error);
}

class Unusable extends Error {}

function requireRegular(stat: BigIntStats): void {
  if (stat.isFile()) return;
  const kind = stat.isDirectory()
    ? "it is a directory"
    : stat.isFIFO()
      ? "it is a named pipe (FIFO), not a regular file"
      : stat.isSocket()
        ? "it is a socket, not a regular file"
        : "it is a device, not a regular file";
  throw new Unusable(kind);
}

const tooLarge = (bytesMax: number): Unusable => new Unusable(`it is larger than ${Math.floor(bytesMax / 1024 ** 2)} MiB`);

/** Up to the end of the file, wherever that is by now. @param size where it was */
function readBounded(fd: number, size: number, bytesMax: number): Buffer {
  const endMs = performance.now() + READ_MS_MAX;
  let memory = Buffer.allocUnsafe(Math.max(size + 1, ROOM_BYTES_MIN));
  let length = 0;
  for (;;) {
    const more = readSync(fd, memory, length, Math.min(memory.length - length, READ_BYTES), null);
    length += more;
    if (length > bytesMax) throw tooLarge(bytesMax);
    if (more === 0) return memory.subarray(0, length);
    if (performance.now() > endMs) throw new Unusable(`reading it takes longer than ${READ_MS_MAX / 1000} s`);
    if (length === memory.length) memory = Buffer.concat([memory], Math.min(2 * memory.length, bytesMax + 1));
  }
}
