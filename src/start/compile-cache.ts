// Owns where V8's compiled code of the bundles lies (Node's module.enableCompileCache): filled by the build, and by the first process of a user that finds
// none of its own. Must never be in the way of a start: whatever is wrong with the cache, a process without it works, only slower, and says nothing.
import { lstatSync, mkdirSync } from "node:fs";

/** Beside the bundles, so that it goes where they go. */
const BESIDE = "compiled";
const OTHERS_MAY_WRITE = 0o022;

/**
 * Once in each process and thread, before it loads anything. Node keeps a directory for each user, version and kind of CPU in it; code that does not fit is
 * compiled anew. Portable: entries are found by their place relative to the cache, so that a renamed installation keeps them.
 */
export function useCompileCache(directory: string): void {
  const { enableCompileCache, constants } = process.getBuiltinModule("node:module");
  const enable = (at: string): boolean =>
    enableCompileCache({ directory: at, portable: true }).status !== constants.compileCacheStatus.FAILED;
  if (enable(`${directory}/${BESIDE}`)) return;
  // Installed by root, run by somebody else: nothing was compiled for this user, and nothing can be written there.
  const own = ownCache(process.env);
  if (own !== null) enable(`${own}/${BESIDE}`);
}

/** @returns our part of the user's directory for caches: ours, and nobody else may write to it; what lies there is executed. */
function ownCache({ XDG_CACHE_HOME: caches = "", HOME: home = "" }: Readonly<Record<string, string | undefined>>): string | null {
  const directory = caches.startsWith("/") ? `${caches}/sluice` : `${home}/.cache/sluice`;
  if (!directory.startsWith("/")) return null;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const stat = lstatSync(directory);
    return stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & OTHERS_MAY_WRITE) === 0 ? directory : null;
  } catch {
    return null; // a user without a home
  }
}
