// The entry of every bundled process and thread (dist/main.js, dist/worker.js): loads the chunks that build.ts made. What a process or thread begins
// with comes in packs of chunks, with what V8 compiled of them at build time. Must load nothing that Node has not loaded already, and must do as
// well, only slower, when that code does not fit.
import { LAUNCH_ENV } from "./plan/messages.ts";

/** Primary, worker and whoever else (the supervisor among them) share chunks, but use different functions of them. */
export type Role = "outer" | "primary" | "worker";
/** Pack file -> its chunks. */
export type Packs = Readonly<Record<string, readonly string[]>>;

/** Set by build.ts: the chunk to begin with. */
declare const ENTRY: string;
/** Set by build.ts: a chunk is in one pack of a role, or in none. */
declare const PACKS: Readonly<Record<Role, Packs>>;
/** Set by build.ts: this is the run that writes the compiled code of what it has loaded. */
declare const WRITES_CODE: boolean;

type Chunk = (exports: object, require: (id: string) => unknown, module: { exports: object }, filename: string, dirname: string) => void;

const fs = process.getBuiltinModule("node:fs");
const { Script } = process.getBuiltinModule("node:vm");

const isPrimary = process.env[LAUNCH_ENV] !== undefined || process.argv.includes("--no-supervisor");
const role: Role = ENTRY.startsWith("worker") ? "worker" : isPrimary ? "primary" : "outer";
const chunks = new Map<string, Chunk>();
const modules = new Map<string, { exports: object }>();
const compiled = new Map<string, InstanceType<typeof Script>>();

/** What CommonJS does, for files that are wrapped already. */
function load(name: string): object {
  const known = modules.get(name);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  modules.set(name, module);
  chunkOf(name)(module.exports, requireHere, module, `${__dirname}/${name}`, __dirname);
  return module.exports;
}

function chunkOf(name: string): Chunk {
  const known = chunks.get(name);
  if (known !== undefined) return known;
  for (const [pack, names] of Object.entries(PACKS[role])) {
    if (!names.includes(name)) continue;
    const functions = compile(pack) as readonly Chunk[]; // build.ts wrote it so, in the order of the names
    for (const [i, each] of functions.entries()) chunks.set(names[i] ?? "", each);
    return chunks.get(name) as Chunk; // it is one of them
  }
  return compile(name) as Chunk; // build.ts wrapped it so
}

function compile(file: string): unknown {
  const filename = `${__dirname}/${file}`;
  const source = read(filename).toString("latin1"); // esbuild writes ASCII
  const cachedData = WRITES_CODE ? undefined : codeOf(filename);
  // V8 checks that the code was made by itself, with its present flags, from a text of this length; else it compiles anew.
  const script = new Script(source, { filename, ...(cachedData === undefined ? {} : { cachedData }) });
  if (WRITES_CODE) compiled.set(filename, script);
  return script.runInThisContext();
}

/** Memory that has been read into once: the first use of each page of it is dear. */
let memory = Buffer.allocUnsafeSlow(0);

/** @returns the content, until the next call. */
function read(filename: string): Buffer {
  const fd = fs.openSync(filename, "r");
  try {
    const { size } = fs.fstatSync(fd);
    if (memory.length < size) memory = Buffer.allocUnsafeSlow(2 * size); // what V8 compiled of a pack comes next, and is longer than its text
    let length = 0;
    for (let more = -1; more !== 0 && length < size; length += more) more = fs.readSync(fd, memory, length, size - length, null);
    return memory.subarray(0, length);
  } finally {
    fs.closeSync(fd);
  }
}

const codeFile = (filename: string): string => `${filename}.code`;

function codeOf(filename: string): Buffer | undefined {
  try {
    return filename.endsWith(".pack.js") ? read(codeFile(filename)) : undefined;
  } catch {
    return undefined; // built where it could not be run
  }
}

const requireHere = Object.assign((id: string): unknown => (id.startsWith("./") ? load(id.slice(2)) : require(id)), {
  resolve: require.resolve,
  cache: require.cache,
});

if (WRITES_CODE) {
  process.once("exit", () => {
    for (const [filename, script] of compiled) {
      if (filename.endsWith(".pack.js")) fs.writeFileSync(codeFile(filename), script.createCachedData());
    }
  });
}

load(ENTRY);
