// Owns `npm run build`: bundles the sources into dist/: chunks that processes and threads load at once or lazily, the loader that each begins
// with (main.js, worker.js), the entries of further threads, the code that V8 compiles for them, and the launcher (sluice). uWebSockets.js stays outside: it is native.
// dist/ is replaced whole, and only by a build that succeeded.
import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { build, type Metafile, type Plugin, transform } from "esbuild";
import { sectionPresets } from "./control/config/sections.ts";
import type { Packs, Role } from "./loader.ts";

const OUT = "dist";
const FRESH = "dist.new";
/** Less text to read at start-up; names stay, for stacks and profiles. */
const SMALLER = { minifySyntax: true, minifyWhitespace: true } as const;
const TARGET = "node24";

/** Modules of Node's own that take ms to load and that no thread needs before it serves. */
const SELDOM = ["child_process", "crypto", "http", "https", "tls", "zlib", "v8", "dns", "dns/promises", "fs/promises"];

/** An import of one of these loads it when it is used. */
const lazyBuiltins: Plugin = {
  name: "lazy-builtins",
  setup(bundle) {
    const filter = new RegExp(`^node:(${SELDOM.join("|")})$`);
    bundle.onResolve({ filter }, ({ path: id, kind }) =>
      kind === "import-statement" ? { path: id, namespace: "lazy-builtin" } : undefined,
    );
    bundle.onLoad({ filter: /.*/, namespace: "lazy-builtin" }, ({ path: id }) => ({ contents: lazily(id), loader: "js" }));
  },
};

/** A module that has the same exports, as getters. */
function lazily(id: string): string {
  const names = Object.keys(process.getBuiltinModule(id) ?? {}).filter((name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== "default");
  return `let loaded; const load = () => loaded ??= process.getBuiltinModule(${JSON.stringify(id)});
module.exports = { ${names.map((name) => `get ${name}() { return load().${name}; }`).join(", ")} };`;
}

interface Replacement {
  /** Of a library. */
  readonly file: RegExp;
  readonly from: string;
  readonly to: string;
  /** What to say when `from` is not there exactly once. */
  readonly otherwise: string;
}

/** Bundles one file of a library with another text in one place; fails when the library has changed there. */
function replaced(name: string, { file, from, to, otherwise }: Replacement): Plugin {
  return {
    name,
    setup(bundle) {
      bundle.onLoad({ filter: file }, ({ path }) => {
        const text = fs.readFileSync(path, "utf8");
        if (text.split(from).length !== 2) throw new Error(`${otherwise}: see src/build.ts`);
        return { contents: text.replace(from, () => to), loader: "js" };
      });
    },
  };
}

/** What each role begins with, in packs that are loaded one after the other: sources, with all that they import. Everything else stays alone. */
const BEGINNINGS: Readonly<Record<"outer" | "primary", Readonly<Record<string, readonly string[]>>>> = {
  outer: {
    "start.pack.js": ["src/main.ts", "src/control/commands/start.ts", "src/control/supervisor/supervise.ts"],
  },
  primary: {
    "nursery.pack.js": ["src/main.ts", "src/control/commands/start.ts", "src/control/workers/nursery.ts"],
    "primary.pack.js": ["src/control/supervisor/supervisor-link.ts", "src/control/primary/primary.ts"],
    "admin.pack.js": ["src/control/admin/server.ts"],
  },
};

interface Chunk {
  /** A function for loader.ts to call. */
  readonly code: string;
  /** Source map, JSON. */
  readonly map: string;
}

/** CommonJS, which threads start 10 ms sooner with than with ES modules. */
const COMMON_JS = {
  format: "cjs",
  platform: "node",
  target: TARGET,
  define: { "import.meta.filename": "__filename", "import.meta.dirname": "__dirname", "import.meta.main": "false" },
  ...SMALLER,
  logLevel: "warning",
} as const;
const WRAP_BEGIN = '(function (exports, require, module, __filename, __dirname) { "use strict";';
const WRAP_END = "})";

/** Nothing in a bundle reads what a schema is described with, and every description is a copy of its schema: a third of all that a start makes. */
const undescribed = replaced("undescribed", {
  file: /[\\/]zod[\\/]v4[\\/]classic[\\/]schemas\.js$/,
  from: "const cl = this.clone();\n        core.globalRegistry.add(cl, args[0]);\n        return cl;",
  to: "return this;",
  otherwise: "zod no longer copies a schema to describe it",
});

interface Split {
  /** Name -> text of an ES module. */
  readonly modules: ReadonlyMap<string, string>;
  readonly outputs: Metafile["outputs"];
}

/** The control plane, with all commands: ES modules, as only those can be split. */
async function splitControl(): Promise<Split> {
  const { outputFiles, metafile } = await build({
    entryPoints: { "main-chunk": "src/main.ts" },
    outdir: FRESH,
    entryNames: "[name]",
    chunkNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: TARGET,
    define: { SECTION_PRESETS: JSON.stringify(sectionPresets()) },
    ...SMALLER,
    sourcemap: "inline",
    logLevel: "warning",
    plugins: [lazyBuiltins, undescribed],
    metafile: true,
    write: false,
  });
  return { modules: new Map(outputFiles.map((file) => [path.basename(file.path), file.text])), outputs: metafile.outputs };
}

/** piscina starts its threads from a file beside its own; in the bundle that is an entry of its own, under a name that is free. */
const PISCINA_THREAD = "piscina-thread";
const piscinaThread = replaced("piscina-thread", {
  file: /[\\/]piscina[\\/]dist[\\/]index\.js$/,
  from: "(__dirname, 'worker.js')",
  to: `(__dirname, "${PISCINA_THREAD}.js")`,
  otherwise: "piscina no longer starts its threads by (__dirname, 'worker.js')",
});

/** What is native, and what piscina loads only when told to change niceness. */
const EXTERNAL = ["uWebSockets.js", "@napi-rs/nice"];

const WORKER = "worker-chunk.js";
const UNDICI = "undici-chunk.js";
const stem = (name: string): string => path.basename(name, ".js");

/** undici is large and seldom wanted: it stays a file of its own. */
const undiciApart: Plugin = {
  name: "undici-apart",
  setup(bundle) {
    bundle.onResolve({ filter: /^undici\// }, ({ kind }) => (kind === "entry-point" ? undefined : { path: `./${UNDICI}`, external: true }));
  },
};

/**
 * The data plane in one piece, what it loads lazily included: between split chunks every use of an import is a call, too dear for what each
 * request runs through.
 */
async function bundleData(): Promise<ReadonlyMap<string, Chunk>> {
  const { outputFiles } = await build({
    ...COMMON_JS,
    entryPoints: { [stem(WORKER)]: "src/data/worker.ts", [stem(UNDICI)]: "undici/lib/dispatcher/client.js" },
    outdir: FRESH,
    entryNames: "[name]",
    bundle: true,
    inject: ["src/base/node-globals.ts"],
    external: EXTERNAL,
    sourcemap: "external",
    banner: { js: WRAP_BEGIN },
    footer: { js: WRAP_END },
    plugins: [lazyBuiltins, undiciApart, piscinaThread],
    write: false,
  });
  const text = (name: string): string => outputFiles.find((file) => path.basename(file.path) === name)?.text ?? "";
  return new Map([WORKER, UNDICI].map((name) => [name, { code: text(name).trimEnd(), map: text(`${name}.map`) }]));
}

/** What Node itself loads, by file name: the code of further threads, and what both planes load by require when a configuration asks for it. */
async function buildEntries(): Promise<void> {
  await build({
    ...COMMON_JS,
    entryPoints: [
      "src/offload/verify-task.ts",
      "src/control/plan/load-task.ts",
      "src/data/policies/authorize/expression.ts",
      { in: "node_modules/piscina/dist/worker.js", out: PISCINA_THREAD },
    ],
    outdir: FRESH,
    entryNames: "[name]",
    bundle: true,
    inject: ["src/base/node-globals.ts"],
    external: EXTERNAL,
    sourcemap: "external",
  });
}

/** @returns the chunks in each pack of each role */
function packs({ outputs }: Split): Record<keyof typeof BEGINNINGS, Packs> {
  const reachable = (file: string): string[] => [
    file,
    ...(outputs[file]?.imports ?? []).flatMap((each) => (each.kind === "import-statement" && !each.external ? reachable(each.path) : [])),
  ];
  const outputOf = (source: string): string => {
    const found = Object.keys(outputs).find((file) => outputs[file]?.entryPoint === source);
    if (found === undefined) throw new Error(`${source} is no chunk of its own: nothing imports it lazily`);
    return found;
  };
  const packsOf = (role: keyof typeof BEGINNINGS): Packs => {
    const taken = new Set<string>();
    const entries = Object.entries(BEGINNINGS[role]).map(([pack, sources]) => {
      const names = [...new Set(sources.map(outputOf).flatMap(reachable))].map((file) => path.basename(file));
      return [pack, names.filter((name) => !taken.has(name) && taken.add(name))] as const;
    });
    return Object.fromEntries(entries);
  };
  return { outer: packsOf("outer"), primary: packsOf("primary") };
}

async function wrap({ modules }: Split): Promise<ReadonlyMap<string, Chunk>> {
  const chunks = new Map<string, Chunk>();
  for (const [name, text] of modules) {
    const { code, map } = await transform(text.replace(/^#!.*\n/, "\n"), {
      ...COMMON_JS,
      supported: { "dynamic-import": false },
      sourcefile: name,
      sourcemap: "external",
      banner: WRAP_BEGIN,
      footer: WRAP_END,
    });
    chunks.set(name, { code: code.trimEnd(), map });
  }
  return chunks;
}

function writeChunks(chunks: ReadonlyMap<string, Chunk>): void {
  for (const [name, { code, map }] of chunks) {
    fs.writeFileSync(path.join(FRESH, name), code);
    fs.writeFileSync(path.join(FRESH, `${name}.map`), map);
  }
}

/** A pack is a list of chunks, each beginning on a line of its own, where its part of the source map begins. */
function writePack(name: string, chunks: readonly Chunk[]): void {
  let line = 1;
  const sections = chunks.map(({ code, map }) => {
    const section = { offset: { line, column: 0 }, map: JSON.parse(map) as unknown };
    line += code.split("\n").length;
    return section;
  });
  fs.writeFileSync(path.join(FRESH, name), `[\n${chunks.map(({ code }) => `${code},\n`).join("")}]`);
  fs.writeFileSync(path.join(FRESH, `${name}.map`), JSON.stringify({ version: 3, sections }));
}

/** @param writesCode for the run that compiles */
async function writeLoaders(packed: Record<Role, Packs>, writesCode: boolean): Promise<void> {
  for (const entry of ["main", "worker"]) {
    await build({
      entryPoints: { [entry]: "src/loader.ts" },
      outdir: FRESH,
      bundle: true,
      format: "cjs",
      platform: "node",
      target: TARGET,
      define: { ENTRY: JSON.stringify(`${entry}-chunk.js`), PACKS: JSON.stringify(packed), WRITES_CODE: String(writesCode) },
      banner: entry === "main" ? { js: "#!/usr/bin/env node" } : {},
      ...SMALLER,
      logLevel: "warning",
    });
  }
  fs.chmodSync(path.join(FRESH, "main.js"), 0o755);
}

/** Longest wait (ms) for a gateway that runs to be compiled. */
const RUN_MS_MAX = 30_000;

/** Runs the gateway up to its first answers and ends it: then each process and thread writes what V8 compiled by then. @throws Error when it does not run */
async function runOnce(args: readonly string[], url: string, env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn(process.execPath, [path.join(FRESH, "main.js"), ...args], { stdio: ["ignore", "pipe", "pipe"], env });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const over = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS_MAX);
  let output = "";
  for await (const text of child.stdout.setEncoding("utf8")) {
    output += text;
    if (child.killed || !output.includes("\n") || !/^ready /m.test(output)) continue;
    for (let i = 0; i < 8; i++) await fetch(url, { headers: { connection: "close" } }).then((response) => response.text());
    child.kill("SIGTERM");
  }
  const code = await over;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`\`${args[0]}\` ended with ${code}: ${log}`);
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Free ports are found and let go: somebody else may be quicker. */
const TRIES_MAX = 3;

/** Without the compiled code everything works too: a machine that cannot run the gateway can still build it. */
async function compile(): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await runGateways();
    } catch (error) {
      if (tries < TRIES_MAX) continue;
      return console.warn(`the gateway does not run here, so the bundle has no compiled code and will start slower: ${error}`);
    }
  }
}

async function runGateways(): Promise<void> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-build-"));
  const env = { ...process.env, SLUICE_RUN_DIR: directory };
  try {
    for (const command of ["start", "demo"]) {
      const port = String(await freePort());
      const file = path.join(directory, "sluice.yaml");
      fs.writeFileSync(
        file,
        `version: 1\nlisteners: [ { address: "127.0.0.1:${port}" } ]\nadmin: false\nroutes: [ { name: all, match: { path: /** }, respond: {} } ]\n`,
      );
      const args = command === "start" ? ["start", "-c", file] : ["demo", "--port", port, "--admin-port", "0"];
      await runOnce(args, `http://127.0.0.1:${port}/users/7`, env);
    }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

fs.rmSync(FRESH, { recursive: true, force: true });
fs.mkdirSync(FRESH);
// The package as a whole is ES modules.
fs.writeFileSync(path.join(FRESH, "package.json"), '{ "type": "commonjs" }\n');
const control = await splitControl();
const packed = { ...packs(control), worker: { "worker.pack.js": [WORKER] } };
const chunks = new Map([...(await wrap(control)), ...(await bundleData())]);
// The worker's one chunk is only ever loaded with its pack.
writeChunks(new Map([...chunks].filter(([name]) => name !== WORKER)));
for (const [name, names] of Object.values(packed).flatMap((each) => Object.entries(each)))
  writePack(
    name,
    names.flatMap((each) => chunks.get(each) ?? []),
  );
await buildEntries();
fs.copyFileSync("src/sluice.sh", path.join(FRESH, "sluice"));
fs.chmodSync(path.join(FRESH, "sluice"), 0o755);
await writeLoaders(packed, true);
await compile();
await writeLoaders(packed, false);
fs.rmSync(OUT, { recursive: true, force: true });
fs.renameSync(FRESH, OUT);
