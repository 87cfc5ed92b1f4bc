// Owns what the configuration may read from disk: secrets by `file:`, certificates, static answers. Paths are relative to the file that names them.
// Remembers everything it read, so that a change of any of it can lead to a reload.
import { createHash } from "node:crypto";
import { type Dir, opendirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileErrorText, readRegularFile, stampOf } from "../../../base/read-file.ts";
import { decodeUtf8 } from "../../../base/utf8.ts";

/** All files of one configuration together. */
export const FILES_BYTES_MAX = 256 * 1024 ** 2;
/** Names in a directory, wanted or not. */
const NAMES_MAX = 100_000;

/** A file as it was read, for noticing that it changed. Plain data: it passes between threads. */
export interface WatchedFile {
  /** Absolute. */
  readonly path: string;
  /** As {@link stampOf}; '' when it could not be read. */
  readonly stamp: string;
  /** Differs when the content does; of a directory: its list of names. */
  readonly digest: string;
  /** The directory that was listed and has this file in it, itself and not by a symbolic link; null: it was named, or is a link. */
  readonly within: string | null;
  readonly isDirectory: boolean;
}

interface Read {
  readonly content: Buffer | Error;
  readonly stamp: string;
  readonly within: string | null;
}

interface Listed {
  readonly names: readonly string[] | Error;
  readonly stamp: string;
}

/** What was read, as plain data: what passes to another thread and makes {@link ConfigFiles} there. */
export interface ConfigFilesSnapshot {
  readonly read: ReadonlyMap<string, Omit<Read, "content"> & { readonly content: Uint8Array | string }>;
  readonly listed: ReadonlyMap<string, Omit<Listed, "names"> & { readonly names: readonly string[] | string }>;
}

/** Reads files for one load. @throws nothing: errors are results. */
export class ConfigFiles {
  readonly #read = new Map<string, Read>();
  readonly #listed = new Map<string, Listed>();
  /** Members of listed directories that are no links -> the directory. */
  readonly #members = new Map<string, string>();
  #bytes = 0;

  /** The absolute path of `path` as written in `file`. */
  resolve(file: string, path: string): string {
    return resolve(dirname(file), path);
  }

  /** @param path absolute. @returns the content, or why there is none. */
  read(path: string): Buffer | Error {
    const known = this.#read.get(path);
    if (known !== undefined) return known.content;
    const found = readRegularFile(path);
    const [content, stamp] = found instanceof Error ? [found, currentStamp(path)] : [found.bytes, found.stamp];
    return this.#remember(path, { content: this.#bounded(content), stamp, within: this.#members.get(path) ?? null });
  }

  #remember(path: string, read: Read): Buffer | Error {
    this.#read.set(path, read);
    return read.content;
  }

  #bounded(content: Buffer | Error): Buffer | Error {
    this.#bytes += content instanceof Error ? 0 : content.length;
    return this.#bytes > FILES_BYTES_MAX
      ? new Error(`all files of the configuration together are larger than ${FILES_BYTES_MAX / 1024 ** 2} MiB`)
      : content;
  }

  /** @param path absolute. @returns the names of the YAML files in a directory, sorted, or why there are none. */
  list(path: string): readonly string[] | Error {
    const known = this.#listed.get(path);
    if (known !== undefined) return known.names;
    const stamp = currentStamp(path);
    const entries = listYaml(path);
    if (!(entries instanceof Error)) for (const { name, isLink } of entries) if (!isLink) this.#members.set(join(path, name), path);
    const names = entries instanceof Error ? entries : entries.map(({ name }) => name);
    this.#listed.set(path, { names, stamp });
    return names;
  }

  /** Every path asked for, found or not, directories included. */
  get paths(): readonly string[] {
    return [...this.#read.keys(), ...this.#listed.keys()];
  }

  /** Every path asked for as it was found: what to watch. */
  watched(): readonly WatchedFile[] {
    return [
      ...Array.from(this.#read, ([path, { content, stamp, within }]) => ({
        path,
        stamp,
        within,
        digest: digestOf(content),
        isDirectory: false,
      })),
      ...Array.from(this.#listed, ([path, { names, stamp }]) => ({
        path,
        stamp,
        within: null,
        digest: digestOf(names),
        isDirectory: true,
      })),
    ];
  }

  /** Path -> content, each character a byte, for those of these files that could be read. */
  contents(paths: readonly string[]): Record<string, string> {
    const contents: Record<string, string> = {};
    for (const path of paths) {
      const content = this.#read.get(path)?.content;
      if (Buffer.isBuffer(content)) contents[path] = content.toString("latin1");
    }
    return contents;
  }

  /** Path -> text, for those of these files that could be read and are text (UTF-8). */
  texts(paths: readonly string[]): Record<string, string> {
    const texts: Record<string, string> = {};
    for (const path of paths) {
      const content = this.#read.get(path)?.content;
      const text = Buffer.isBuffer(content) ? decodeUtf8(content) : null;
      if (typeof text === "string") texts[path] = text;
    }
    return texts;
  }

  snapshot(): ConfigFilesSnapshot {
    return {
      read: new Map(
        Array.from(this.#read, ([path, { content, ...rest }]) => [
          path,
          { ...rest, content: content instanceof Error ? content.message : content },
        ]),
      ),
      listed: new Map(
        Array.from(this.#listed, ([path, { names, ...rest }]) => [
          path,
          { ...rest, names: names instanceof Error ? names.message : names },
        ]),
      ),
    };
  }

  /** As they were read when the snapshot was taken. */
  static from({ read, listed }: ConfigFilesSnapshot): ConfigFiles {
    const files = new ConfigFiles();
    for (const [path, { content, ...rest }] of read)
      files.#read.set(path, {
        ...rest,
        content: typeof content === "string" ? new Error(content) : Buffer.from(content.buffer, content.byteOffset, content.byteLength),
      });
    for (const [path, { names, ...rest }] of listed)
      files.#listed.set(path, { ...rest, names: typeof names === "string" ? new Error(names) : names });
    return files;
  }
}

/** The digest of a file or directory as it is now: see {@link WatchedFile}. */
export function currentDigest({ path, isDirectory }: Pick<WatchedFile, "path" | "isDirectory">): string {
  if (!isDirectory) {
    const found = readRegularFile(path);
    return digestOf(found instanceof Error ? found : found.bytes);
  }
  const entries = listYaml(path);
  return digestOf(entries instanceof Error ? entries : entries.map(({ name }) => name));
}

/** What editors and copying tools leave behind (`.acme.yaml.swp`, `acme.yaml~`) is none. */
export const isYamlName = (name: string): boolean => name.endsWith(".yaml") && !name.startsWith(".");

/** Why a file cannot be read is content, too: it is worth a message of its own when it changes. */
function digestOf(content: Buffer | Error | readonly string[]): string {
  if (content instanceof Error) return `! ${content.message}`;
  return createHash("sha256")
    .update(Buffer.isBuffer(content) ? content : content.join("/"))
    .digest("base64");
}

/** @returns '' when there is none. */
function currentStamp(path: string): string {
  try {
    return stampOf(statSync(path, { bigint: true }));
  } catch {
    return "";
  }
}

function listYaml(path: string): readonly { readonly name: string; readonly isLink: boolean }[] | Error {
  let directory: Dir | null = null;
  try {
    directory = opendirSync(path);
    const found: { name: string; isLink: boolean }[] = [];
    for (let count = 0; ; count++) {
      const entry = directory.readSync();
      if (entry === null) return found.sort((a, b) => (a.name < b.name ? -1 : 1));
      if (count >= NAMES_MAX) return new Error(`it holds more than ${NAMES_MAX} names`);
      if (isYamlName(entry.name)) found.push({ name: entry.name, isLink: !entry.isFile() });
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    return new Error(code === "ENOTDIR" ? "it is not a directory" : fileErrorText(error));
  } finally {
    directory?.closeSync();
  }
}
