// The entry of every bundled process and worker thread (dist/main.js, dist/worker.js): what must be before the first bundle is loaded. Must parse and run on
// versions of Node that are too old for the bundle, and load nothing that Node has not loaded already.
import { useCompileCache } from "./compile-cache.ts";
import { nodeTooOld } from "./node-version.ts";

/** Set by build.ts: the bundle that follows, a file beside this one. */
declare const BUNDLE: string;

const tooOld = nodeTooOld(process.version, process.execPath);
if (tooOld === null) {
  useCompileCache(__dirname);
  require(BUNDLE);
} else {
  console.error(tooOld);
  process.exitCode = 1;
}
