// Owns noticing that a file's content changed: configuration, certificates, secrets, directories of consumers. Two ways together: inotify on the
// file that a path leads to tells of a save in place at once, and asking once a second what the path leads to (stat, through every link) tells of
// everything else: links turned, files and directories replaced or made anew, wherever on the path. So a file written beside a watched one wakes nobody.
// Must never report a change of time stamps only, and never wait on the event loop for a file system that does not answer.
import { type FSWatcher, stat, watch } from "node:fs";
import { join } from "node:path";
import { stampOf } from "../../base/read-file.ts";
import { currentDigest, isYamlName, type WatchedFile } from "../config/source/files.ts";

/** Quiet time (ms) after the last event before a file is looked at: one save is many events. */
const SETTLE_MS = 100;
/** Longest time (ms) that events can put this off: others may be written all the time. */
const SETTLE_MS_MAX = 2000;
/** Between two rounds of asking, ms. */
const ROUND_MS = 1000;
/** Files and directories with a watch of their own; the others are asked about only. */
const WATCHERS_MAX = 512;
/** Paths asked about in one round; more take turns. */
const ASKED_MAX = 256;
/** Files in watched directories asked about in one round, for file systems that tell nothing (NFS); they take turns. */
const MEMBERS_ASKED_MAX = 64;

export interface FileWatchEvents {
  /** The content of at least one file differs from when it was last read. */
  changed(files: readonly string[]): void;
}

interface Watched {
  readonly file: WatchedFile;
  /** As last seen. */
  stamp: string;
  digest: string;
  watcher: FSWatcher | null;
  /** What {@link watcher} was begun for: see {@link identity}. */
  watching: string;
}

export class FileWatch {
  readonly #events: FileWatchEvents;
  #watched = new Map<string, Watched>();
  /** Paths that take part in every round, and files in watched directories. */
  #asked = new Turns([], ASKED_MAX);
  #members = new Turns([], MEMBERS_ASKED_MAX);
  /** Paths to look at when it has been quiet. */
  readonly #stirred = new Set<string>();
  #settling: NodeJS.Timeout | null = null;
  #stirredSinceMs = 0;
  #paused = false;
  #watchers = 0;
  #nextRound: NodeJS.Timeout | null = null;
  /** Contents looked at: what waking up costs. */
  looks = 0;
  /** Changes with every {@link update} and at the end: what began before it is void. */
  #era = 0;

  constructor(events: FileWatchEvents) {
    this.#events = events;
  }

  /** The files are being read: nothing is reported until {@link update} says how they were found. */
  pause(): void {
    this.#paused = true;
    this.#era++;
  }

  /** Watch these from now on, and no others. What was written since they were read is reported. */
  update(files: readonly WatchedFile[]): void {
    this.#paused = false;
    const before = this.#watched;
    // The same objects as before: their watchers point at them.
    this.#watched = new Map(
      files.map((file) => [
        file.path,
        Object.assign(before.get(file.path) ?? { watcher: null, watching: "" }, { file, stamp: file.stamp, digest: file.digest }),
      ]),
    );
    for (const [path, watched] of before) if (!this.#watched.has(path)) this.#disarm(watched);
    const own = files.filter(({ within }) => within === null);
    for (const { path } of own) this.#arm(path);
    this.#asked = new Turns(
      own.map(({ path }) => path),
      ASKED_MAX,
    );
    this.#members = new Turns(
      files.flatMap(({ within, path }) => (within === null ? [] : [path])),
      MEMBERS_ASKED_MAX,
    );
    this.#era++;
    if (this.#stirred.size > 0) this.#settle();
    this.#schedule(0);
  }

  stop(): void {
    this.#era++;
    for (const timer of [this.#settling, this.#nextRound]) if (timer !== null) clearTimeout(timer);
    for (const watched of this.#watched.values()) this.#disarm(watched);
    this.#watched.clear();
  }

  /** Watches what the path leads to now. Without a watch (no such file, no more watches) the rounds tell. */
  #arm(path: string): void {
    const watched = this.#watched.get(path);
    if (watched === undefined || (watched.watcher !== null && watched.watching === identity(watched.stamp))) return;
    this.#disarm(watched);
    watched.watching = identity(watched.stamp);
    if (watched.stamp === "" || this.#watchers >= WATCHERS_MAX) return;
    try {
      const watcher = watch(path, { persistent: false }, (_, name) => this.#stir(watched.file, name));
      watcher.on("error", () => this.#disarm(watched));
      watched.watcher = watcher;
      this.#watchers++;
    } catch {
      // gone meanwhile, or the system has no more watches
    }
  }

  #disarm(watched: Watched): void {
    if (watched.watcher === null) return;
    watched.watcher.close();
    watched.watcher = null;
    this.#watchers--;
  }

  /** @param name in a directory; null when it cannot be told */
  #stir({ path, isDirectory }: WatchedFile, name: string | null): void {
    if (isDirectory && name !== null) {
      if (!isYamlName(name)) return;
      this.#stirred.add(join(path, name));
    }
    this.#stirred.add(path);
    this.#settle();
  }

  #settle(): void {
    const nowMs = performance.now();
    if (this.#settling === null) this.#stirredSinceMs = nowMs;
    else if (nowMs - this.#stirredSinceMs > SETTLE_MS_MAX) return;
    else clearTimeout(this.#settling);
    this.#settling = setTimeout(() => void this.#look(), SETTLE_MS).unref();
  }

  #schedule(ms: number): void {
    if (this.#nextRound !== null) clearTimeout(this.#nextRound);
    this.#nextRound = setTimeout(() => void this.#round(this.#era), ms).unref();
  }

  /** One after the other, as a file system that hangs must not take all threads that the process has for files. */
  async #round(era: number): Promise<void> {
    let found = false;
    for (const path of [...this.#asked.next(), ...this.#members.next()]) {
      const now = await currentStamp(path);
      if (era !== this.#era) return;
      const watched = this.#watched.get(path);
      if (watched === undefined || watched.stamp === now) continue;
      this.#stirred.add(path);
      found = true;
    }
    if (found) this.#settle();
    this.#schedule(ROUND_MS);
  }

  async #look(): Promise<void> {
    this.#settling = null;
    if (this.#paused) return;
    const era = this.#era;
    const changed: string[] = [];
    const paths = [...this.#stirred];
    this.#stirred.clear();
    for (const path of paths) {
      const stamp = await currentStamp(path);
      if (era !== this.#era) {
        for (const each of paths) this.#stirred.add(each); // of the files watched now
        if (this.#watched.size > 0 && !this.#paused) this.#settle();
        return;
      }
      if (this.#isChanged(path, stamp)) changed.push(path);
    }
    if (changed.length > 0) this.#events.changed(changed);
  }

  #isChanged(path: string, stamp: string): boolean {
    const watched = this.#watched.get(path);
    if (watched === undefined || watched.stamp === stamp) return false;
    watched.stamp = stamp;
    if (watched.file.within === null) this.#arm(path);
    this.looks++;
    const digest = currentDigest(watched.file);
    const isOther = digest !== watched.digest;
    watched.digest = digest;
    return isOther;
  }
}

/** The file itself, whatever is written into it: device and inode of a stamp. */
const identity = (stamp: string): string => stamp.split(" ", 2).join(" ");

/** Never rejects. @returns '' when there is none */
const currentStamp = (path: string): Promise<string> =>
  new Promise((resolve) => stat(path, { bigint: true }, (error, found) => resolve(error === null ? stampOf(found) : "")));

/** A long list, some of it at a time. */
class Turns {
  readonly #paths: readonly string[];
  readonly #max: number;
  #at = 0;

  constructor(paths: readonly string[], max: number) {
    this.#paths = paths;
    this.#max = max;
  }

  next(): readonly string[] {
    const part = this.#paths.slice(this.#at, this.#at + this.#max);
    this.#at = this.#at + this.#max >= this.#paths.length ? 0 : this.#at + this.#max;
    return part;
  }
}
