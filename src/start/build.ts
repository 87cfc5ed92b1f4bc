// Owns `npm run build`: dist/ is made in a directory of its own and put in place whole, and only by a build that succeeded. One build at a time in a
// checkout; one that finds dist/ made of what it would make it of does nothing. Must never touch a dist/ that somebody runs, but to replace it.
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { takeTurn } from "../control/instance/turn.ts";
import { writeBundles } from "./bundles.ts";
import { fillCompileCache } from "./fill-cache.ts";

const ROOT = path.join(import.meta.dirname, "../..");
const OUT = path.join(ROOT, "dist");
/** Where builds wait for each other, and what they make until it is whole. */
const WORKSHOP = path.join(ROOT, "dist.building");
/** In dist/: what it was made of. */
const INPUTS_FILE = "inputs";
/** Longest wait (ms) for another build. */
const WAIT_MS_MAX = 300_000;

/** @returns a hash of all that the bundles depend on */
function inputs(): string {
  const hash = createHash("sha256").update(`${process.version} ${process.platform} ${process.arch}`);
  const sources = fs.readdirSync(path.join(ROOT, "src"), { recursive: true, encoding: "utf8", withFileTypes: true });
  const files = sources.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  for (const file of [...files.sort(), path.join(ROOT, "package.json"), path.join(ROOT, "package-lock.json")]) {
    hash.update(`\0${path.relative(ROOT, file)}\0`).update(fs.readFileSync(file));
  }
  return hash.digest("hex");
}

function isMadeOf(wanted: string): boolean {
  try {
    return fs.readFileSync(path.join(OUT, INPUTS_FILE), "utf8") === wanted;
  } catch {
    return false;
  }
}

/** In two steps, since a directory cannot take the place of another; who looks in between finds none. */
function putInPlace(fresh: string): void {
  const old = `${fresh}.old`;
  if (fs.existsSync(OUT)) fs.renameSync(OUT, old);
  fs.renameSync(fresh, OUT);
  fs.rmSync(old, { recursive: true, force: true });
}

/** What builds that were killed have left. */
function clear(): void {
  for (const name of fs.readdirSync(WORKSHOP)) {
    if (name.startsWith("fresh-")) fs.rmSync(path.join(WORKSHOP, name), { recursive: true, force: true });
  }
}

async function make(): Promise<void> {
  const wanted = inputs();
  if (isMadeOf(wanted)) {
    const now = new Date();
    fs.utimesSync(path.join(OUT, "main.js"), now, now); // as new as the sources
    return;
  }
  clear();
  const fresh = fs.mkdtempSync(path.join(WORKSHOP, "fresh-"));
  fs.chmodSync(fresh, 0o755);
  await writeBundles(fresh);
  const failed = await fillCompileCache(fresh);
  // Without compiled code everything works too: a machine that cannot run the gateway can still build it.
  if (failed !== null)
    console.warn(`the gateway does not run here, so the build has no compiled code and starts slower: ${failed.message}`);
  else fs.writeFileSync(path.join(fresh, INPUTS_FILE), wanted);
  putInPlace(fresh);
}

fs.mkdirSync(WORKSHOP, { recursive: true });
using _ = await takeTurn({ directory: WORKSHOP, waitMsMax: WAIT_MS_MAX });
await make();
