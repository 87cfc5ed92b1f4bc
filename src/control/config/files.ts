// Owns what the configuration may read from disk: secrets by `file:`, certificates, static answers. Paths are relative to the file that names them.
// Remembers everything it read, so that a change of any of it can lead to a reload.
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, type Stats, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** Largest file a configuration may name. */
export const FILE_BYTES_MAX = 16 * 1024 ** 2;

/** Reads files for one load. @throws nothing: errors are results. */
export class ConfigFiles {
  readonly #read = new Map<string, Buffer | Error>();
  readonly #stamps = new Map<string, string>();
  readonly #listed = new Map<string, readonly string[] | Error>();

  /** The absolute path of `path` as written in `file`. */
  resolve(file: string, path: string): string {
    return resolve(dirname(file), path);
  }

  /** @param path absolute. @returns the content, or why there is none. */
  read(path: string): Buffer | Error {
    const known = this.#read.get(path);
    if (known !== undefined) return known;
    const content = readBounded(path, (stamp) => this.#stamps.set(path, stamp));
    this.#read.set(path, content);
    return content;
  }

  /** @param path absolute. @returns the names in a directory, sorted, or why there are none. */
  list(path: string): readonly string[] | Error {
    let names = this.#listed.get(path);
    if (names === undefined) {
      try {
        this.#stamps.set(path, stampOf(path));
        names = readdirSync(path).sort();
      } catch (error) {
        names = new Error(reason(error));
      }
      this.#listed.set(path, names);
    }
    return names;
  }

  /** Every path asked for, found or not, directories included: what to watch. */
  get paths(): readonly string[] {
    return [...this.#read.keys(), ...this.#listed.keys()];
  }

  /** For each of {@link paths}: {@link stampOf} it when it was read. */
  get stamps(): readonly string[] {
    return this.paths.map((path) => this.#stamps.get(path) ?? "");
  }

  /** Path -> SHA-256 of the content, for those of these files that could be read. */
  hashes(paths: readonly string[]): Record<string, string> {
    const hashes: Record<string, string> = {};
    for (const path of paths) {
      const content = this.#read.get(path);
      if (Buffer.isBuffer(content)) hashes[path] = createHash("sha256").update(content).digest("hex");
    }
    return hashes;
  }
}

/** @returns what differs when a file has been written or replaced since; '' when there is none. */
export function stampOf(path: string): string {
  try {
    return stamp(statSync(path));
  } catch {
    return "";
  }
}

const stamp = ({ ino, size, mtimeMs }: Stats): string => `${ino} ${size} ${mtimeMs}`;

function readBounded(path: string, stamped: (stamp: string) => void): Buffer | Error {
  let fd: number | null = null;
  try {
    fd = openSync(path, "r");
    const stat = fstatSync(fd);
    stamped(stamp(stat));
    if (!stat.isFile()) return new Error("it is not a regular file");
    if (stat.size > FILE_BYTES_MAX) return new Error(`it is larger than ${FILE_BYTES_MAX / 1024 ** 2} MiB`);
    return readFileSync(fd);
  } catch (error) {
    return new Error(reason(error));
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

/** What a file error means, without system call names. */
function reason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : null;
  if (code === "ENOENT" || code === "ENOTDIR") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "reading it is not permitted";
  if (code === "EISDIR") return "it is a directory";
  return error instanceof Error ? error.message : String(error);
}
