// Owns loading uWebSockets.js, on systems older than its build too (see glibc.ts). Works in any thread, from source and bundled.
// Must never change anything when the plain load works, nor load a file that another user could have written.
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { OperatorError } from "../../../base/errors.ts";
import { hash32 } from "../../../base/hash32.ts";
import { ElfError, GLIBC_WANTED, patchGlibc } from "./glibc.ts";

/** The module as its own types describe it. */
export type Uws = typeof import("uWebSockets.js");

const MODULE_NAME = "uWebSockets.js";
const MAIN_FILE = "uws.js";
const PATCHED_NAME = /^uws-[0-9a-f]{32}\.node$/;
/** Patched copies kept in the cache directory (7 MB each): one for each build in use; the least recently made goes first. */
const PATCHED_FILES_MAX = 4;
const OTHERS_MAY_WRITE = 0o022;
const REMEDY = "Use Debian 13 or another system with glibc 2.38 or newer, or the upstream uWebSockets.js release (docs/start.md).";

/** A bundle has `require`. From source it is made, by a module that takes a thread 4 ms to load. */
const requireCjs: NodeJS.Require =
  typeof require === "function" ? require : process.getBuiltinModule("node:module").createRequire(import.meta.filename);

/**
 * @returns uWebSockets.js; the same object on every call in one thread.
 * @throws OperatorError when this system cannot load it; the message names the cause and the remedy.
 */
export function loadUws(): Uws {
  try {
    const entry = packageEntry();
    try {
      return requireCjs(entry) as Uws; // an untyped require
    } catch (error) {
      if (!lacksGlibc(error)) throw error;
    }
    loadPatched(entry, cacheDirectories(process.env, os.homedir(), os.tmpdir()));
    return requireCjs(entry) as Uws; // an untyped require
  } catch (error) {
    throw error instanceof OperatorError ? error : new OperatorError(`uWebSockets.js does not load: ${reason(error)}`);
  }
}

/** For this system and this Node. */
const BINARY = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;

/**
 * The package's main file: beside the bundle, where the build put what this system needs of it, else where Node looks for packages. By its name alone Node
 * would load 5 ms of resolving first, in each thread.
 */
function packageEntry(): string {
  const bundled = path.join(import.meta.dirname, MODULE_NAME);
  if (fs.existsSync(path.join(bundled, BINARY))) return path.join(bundled, MAIN_FILE);
  for (let directory = import.meta.dirname; directory !== path.dirname(directory); directory = path.dirname(directory)) {
    const file = path.join(directory, "node_modules", MODULE_NAME, MAIN_FILE);
    if (fs.existsSync(file)) return fs.realpathSync.native(file);
  }
  return requireCjs.resolve(MODULE_NAME);
}

/** @returns whether a failed load failed only because the system's glibc is older than 2.38. */
export function lacksGlibc(error: unknown): boolean {
  return process.platform === "linux" && reason(error).includes(`version \`${GLIBC_WANTED}' not found`);
}

/** @returns where a patched copy may be kept, in order of preference. A relative XDG_CACHE_HOME is ignored, as its specification says. */
export function cacheDirectories(env: Readonly<Record<string, string | undefined>>, home: string, tmp: string): readonly string[] {
  const xdg = env["XDG_CACHE_HOME"];
  const caches = xdg !== undefined && path.isAbsolute(xdg) ? xdg : path.join(home, ".cache");
  return [path.join(caches, "sluice"), path.join(tmp, `sluice-cache-${process.getuid?.() ?? 0}`)];
}

/** Loads a patched copy and lets it stand for the original in this thread's module cache, so that the package's own code finds it. */
function loadPatched(entry: string, directories: readonly string[]): void {
  const original = path.join(path.dirname(entry), BINARY);
  const failures: string[] = [];
  for (const directory of directories) {
    try {
      const patched = ensurePatched(original, process.arch, directory);
      requireCjs(patched);
      requireCjs.cache[original] = requireCjs.cache[patched];
      return;
    } catch (error) {
      if (error instanceof ElfError)
        throw new OperatorError(`${original} cannot be made to load on this glibc: ${error.message}. ${REMEDY}`);
      if (reason(error).includes("GLIBC_")) throw new OperatorError(`uWebSockets.js does not load: ${reason(error)}. ${REMEDY}`);
      failures.push(`${directory}: ${reason(error)}`); // e.g. read-only, mounted noexec, someone else's: try the next place
    }
  }
  throw new OperatorError(
    `uWebSockets.js needs ${GLIBC_WANTED} and no directory would take a patched copy (${failures.join("; ")}). ` +
      `Set XDG_CACHE_HOME to a directory that this user owns and may execute from. ${REMEDY}`,
  );
}

/**
 * Puts the patched form of the file `original` into `directory`, or finds it there. Safe to call in several threads and processes at once.
 * Every worker asks at its start, so a copy that is there is checked without reading its 7 MB: its name says which build it was made from,
 * and its modification time is the one it was given then, which any later change would move.
 * @returns the path of the patched copy.
 * @throws ElfError when the file cannot be patched; a file system error or Error when the directory will not do.
 */
export function ensurePatched(original: string, arch: string, directory: string): string {
  claimDirectory(directory);
  const identity = identityOf(original);
  const target = path.join(directory, `uws-${identity}.node`);
  if (isIntact(target, fs.statSync(original).size, identity)) return target;

  const patched = patchGlibc(fs.readFileSync(original), arch);
  const temporary = `${target}.${process.pid}-${randomBytes(6).toString("hex")}`;
  try {
    fs.writeFileSync(temporary, patched, { mode: 0o600, flag: "wx" });
    const seconds = stampSeconds(identity);
    fs.utimesSync(temporary, seconds, seconds);
    fs.renameSync(temporary, target);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
  prune(directory, target);
  return target;
}

/**
 * 128 bits over what tells one build from another: the package's release, the file's name and size. npm gives all files the same time.
 * Nobody else can write these files, so that no cryptographic hash is needed, which takes a new thread 5 ms to load.
 */
function identityOf(original: string): string {
  const manifest = fs.readFileSync(path.join(path.dirname(original), "package.json"), "latin1");
  const { size } = fs.statSync(original);
  const parts = [0, 1, 2, 3].map((part) => hash32(`${part} ${path.basename(original)} ${size} ${manifest}`));
  return parts.map((part) => part.toString(16).padStart(8, "0")).join("");
}

/** The modification time of an intact copy, s since the epoch: between 1970 and 2004, so never that of an accident. */
const stampSeconds = (identity: string): number => Number.parseInt(identity.slice(0, 7), 16) * 4;

/** Makes the directory if need be. @throws Error unless it is a real directory, ours, and writable by nobody else. */
function claimDirectory(directory: string): void {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const stat = fs.lstatSync(directory);
  if (!stat.isDirectory()) throw new Error("not a directory");
  if (stat.uid !== process.getuid?.()) throw new Error("owned by another user");
  if ((stat.mode & OTHERS_MAY_WRITE) !== 0) throw new Error("writable by other users (chmod go-w it)");
}

function isIntact(file: string, size: number, identity: string): boolean {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stat?.isFile() !== true || stat.uid !== process.getuid?.() || (stat.mode & OTHERS_MAY_WRITE) !== 0) return false;
  return stat.size === size && stat.mtimeMs === stampSeconds(identity) * 1000;
}

/** Removing a copy that a running process has mapped is harmless; one that needs it again writes it again. */
function prune(directory: string, keep: string): void {
  const others = fs.readdirSync(directory).filter((name) => PATCHED_NAME.test(name) && path.join(directory, name) !== keep);
  const aged = others.map((name) => ({ name, madeMs: fs.statSync(path.join(directory, name), { throwIfNoEntry: false })?.ctimeMs ?? 0 }));
  aged.sort((a, b) => b.madeMs - a.madeMs);
  for (const { name } of aged.slice(PATCHED_FILES_MAX - 1)) fs.rmSync(path.join(directory, name), { force: true });
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
