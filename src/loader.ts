// The entry of every bundled process and thread (dist/main.js, dist/worker.js): loads the chunks that build.ts made, each with what V8 compiled
// of it at build time. Must load nothing that Node has not loaded already, and must do as well, only slower, when that code does not fit.
import { LAUNCH_ENV } from "./plan/messages.ts";

/** Set by build.ts: the chunk to begin with. */
declare const ENTRY_CHUNK: string;
/** Set by build.ts: this is the run that writes the compiled code of what it has loaded. */
declare const WRITES_CODE: boolean;

const fs = process.getBuiltinModule("node:fs");
const { Script } = process.getBuiltinModule("node:vm");

/** Supervisor, primary and worker share chunks, but use different functions of them: each has its own compiled code. */
const ROLE = ENTRY_CHUNK.startsWith("worker") ? "worker" : process.env[LAUNCH_ENV] === undefined ? "outer" : "primary";

type Chunk = (exports: object, require: (id: string) => unknown, module: { exports: object }, filename: string, dirname: string) => void;

const modules = new Map<string, { exports: object }>();
const scripts = new Map<string, InstanceType<typeof Script>>();

const codeFile = (name: string): string => `${__dirname}/${name}.${ROLE}.code`;

/** What CommonJS does, for files that are wrapped already. */
function load(name: string): object {
  const known = modules.get(name);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  modules.set(name, module);
  const filename = `${__dirname}/${name}`;
  // esbuild writes ASCII. V8 checks that the code was made by itself, with its present flags, from a text of this length; else it compiles anew.
  const cachedData = WRITES_CODE ? undefined : codeOf(name);
  const script = new Script(fs.readFileSync(filename, "latin1"), { filename, ...(cachedData === undefined ? {} : { cachedData }) });
  if (WRITES_CODE) scripts.set(name, script);
  const chunk = script.runInThisContext() as Chunk; // build.ts wrapped it so
  chunk(module.exports, requireHere, module, filename, __dirname);
  return module.exports;
}

function codeOf(name: string): Buffer | undefined {
  try {
    return fs.readFileSync(codeFile(name));
  } catch {
    return undefined; // seldom used, or built where it could not be run
  }
}

const requireHere = (id: string): unknown => (id.startsWith("./") ? load(id.slice(2)) : require(id));

if (WRITES_CODE) {
  process.once("exit", () => {
    for (const [name, script] of scripts) fs.writeFileSync(codeFile(name), script.createCachedData());
  });
}

load(ENTRY_CHUNK);
