// Owns noticing that a file's content changed: configuration, certificates. Watches directories, because editors and
// orchestrators replace files (rename, symlink swap) rather than write them. Must never report a change of time stamps only.
import { createHash } from "node:crypto";
import { type FSWatcher, readdirSync, readFileSync, statSync, watch } from "node:fs";
import { dirname } from "node:path";
import { stampOf } from "../config/files.ts";

/** Quiet time (ms) after the last event before the files are looked at: one save is many events. */
const SETTLE_MS = 100;
/** Directories watched; the files of others change only with SIGHUP. */
const DIRECTORIES_MAX = 256;

/** Stands for content that was never looked at: no digest is like it. */
const OTHER = "?";

export interface FileWatchEvents {
  /** The content of at least one file differs from when it was last looked at. */
  changed(files: readonly string[]): void;
  /** A directory cannot be watched: changes there go unnoticed. */
  problem(message: string): void;
}

export class FileWatch {
  readonly #events: FileWatchEvents;
  readonly #watchers = new Map<string, FSWatcher>();
  #digests = new Map<string, string>();
  #timer: NodeJS.Timeout | null = null;

  constructor(events: FileWatchEvents) {
    this.#events = events;
  }

  /** Call before reading the files: what changes from now on is reported. */
  remember(): void {
    this.#digests = digestAll(this.#digests.keys());
  }

  /**
   * Watch these from now on, and no others; of a directory, which names it holds. What was watched before keeps its remembered content.
   * @param stamps of each file, when it was read longer ago: one that was written since is reported
   */
  update(files: readonly string[], stamps: readonly string[] = []): void {
    const unchanged = (i: number, file: string): boolean => stamps[i] === undefined || stamps[i] === stampOf(file);
    this.#digests = new Map(files.map((file, i) => [file, this.#digests.get(file) ?? (unchanged(i, file) ? digest(file) : OTHER)]));
    if ([...this.#digests.values()].includes(OTHER)) this.#stir();
    const wanted = new Set(files.flatMap((file) => (isDirectory(file) ? [file, dirname(file)] : [dirname(file)])));
    for (const [directory, watcher] of this.#watchers) {
      if (wanted.has(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    for (const directory of wanted) if (!this.#watchers.has(directory)) this.#watch(directory);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(directory: string): void {
    if (this.#watchers.size >= DIRECTORIES_MAX) {
      this.#events.problem(`too many directories to watch: changes in ${directory} need SIGHUP`);
      return;
    }
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#stir());
      watcher.on("error", (error) => {
        this.#watchers.delete(directory);
        watcher.close();
        this.#events.problem(`cannot watch ${directory} any more (${error.message}): changes there need SIGHUP`);
      });
      this.#watchers.set(directory, watcher);
    } catch (error) {
      this.#events.problem(
        `cannot watch ${directory} (${error instanceof Error ? error.message : String(error)}): changes there need SIGHUP`,
      );
    }
  }

  #stir(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), SETTLE_MS).unref();
  }

  #look(): void {
    this.#timer = null;
    const now = digestAll(this.#digests.keys());
    const changed = [...now].filter(([file, content]) => this.#digests.get(file) !== content).map(([file]) => file);
    this.#digests = now;
    if (changed.length > 0) this.#events.changed(changed);
  }
}

function digestAll(files: Iterable<string>): Map<string, string> {
  return new Map(Array.from(files, (file) => [file, digest(file)]));
}

/** @returns '' for what cannot be read. */
function digest(path: string): string {
  try {
    const content = isDirectory(path) ? readdirSync(path).filter(isNamed).sort().join("/") : readFileSync(path);
    return createHash("sha256").update(content).digest("base64");
  } catch {
    return "";
  }
}

/** Not what editors put beside a file while they write it. */
const isNamed = (name: string): boolean => !name.startsWith(".") && !name.endsWith("~");

const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
