// Owns what `npm run build` makes of the sources: one bundle for each entry, CommonJS, which threads start sooner with than with ES modules. What an entry
// imports lazily is in its bundle, and begins when it is used. What is native stays outside.
import fs from "node:fs";
import path from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { sectionPresets } from "../control/config/schema/sections.ts";
import { lazyBuiltins } from "./lazy-builtins.ts";
import { NATIVE, writeLicences, writeNative } from "./packaged.ts";

/** Bundle (a file in dist/) -> source. The control plane; a lazy import of one of these by another loads its file. */
const CONTROL: Readonly<Record<string, string>> = {
  "command-line": "src/main.ts",
  primary: "src/start/primary-process.ts",
  "load-task": "src/control/plan/load-task.ts",
  "module-task": "src/control/config/modules/module-task.ts",
  validate: "src/cli/commands/validate.ts",
  routes: "src/cli/commands/routes.ts",
  key: "src/cli/commands/key.ts",
  password: "src/cli/commands/password.ts",
  remote: "src/cli/commands/remote.ts",
  cache: "src/cli/commands/cache.ts",
  completion: "src/cli/commands/completion.ts",
  help: "src/cli/commands/help.ts",
  bench: "src/cli/commands/bench.ts",
  policy: "src/cli/commands/policy.ts",
  demo: "src/cli/demo/demo.ts",
};
/** The data plane, and further threads. Workers and the primary load `expression` by its name when a configuration has one. */
const DATA: Readonly<Record<string, string>> = {
  "data-plane": "src/data/worker/worker.ts",
  "verify-task": "src/offload/verify-task.ts",
  "password-task": "src/offload/password-task.ts",
  expression: "src/data/routing/expression/expression.ts",
};
/** Where import() stays what it is: what it loads is known to nobody when this is built. */
const IMPORTING: Readonly<Record<string, string>> = { "import-modules": "src/modules/import-modules.ts" };
/** Libraries that most configurations never use, or that find a file of theirs by its place beside another: with their own file names. */
const LIBRARIES: Readonly<Record<string, string>> = {
  undici: "undici/lib/dispatcher/client.js",
  ioredis: "ioredis",
  "piscina/main": "node_modules/piscina/dist/main.js",
  "piscina/worker": "node_modules/piscina/dist/worker.js",
};
/** Import in the sources -> library. */
const LIBRARY_OF: Readonly<Record<string, string>> = {
  "undici/lib/dispatcher/client.js": "undici",
  ioredis: "ioredis",
  piscina: "piscina/main",
};
/** What Node runs: entry -> the bundle that it loads. */
const ENTRIES: Readonly<Record<string, string>> = { main: "command-line", worker: "data-plane" };

/** Loaded by piscina only when it was told to change niceness, which it is not. */
const NEVER_LOADED = "@napi-rs/nice";

/** Of the oldest Node that still gets to say that it is too old. */
const ENTRY_TARGET = "node12";
const ROOT = path.join(import.meta.dirname, "../..");

const COMMON = {
  absWorkingDir: ROOT,
  bundle: true,
  format: "cjs",
  platform: "node",
  target: "node24",
  supported: { "dynamic-import": false },
  define: { "import.meta.filename": "__filename", "import.meta.dirname": "__dirname", "import.meta.main": "false" },
  external: [NATIVE, NEVER_LOADED],
  // Less text to read at start-up; names stay, for stacks and profiles.
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: "external",
  metafile: true,
  logLevel: "warning",
} as const satisfies BuildOptions;

/** What has a bundle of its own is loaded from there. */
const bundlesApart: Plugin = {
  name: "bundles-apart",
  setup(bundle) {
    const bundleOf = new Map(Object.entries(CONTROL).map(([name, source]) => [path.join(ROOT, source), name]));
    bundle.onResolve({ filter: /^\.\.?\// }, ({ path: id, kind, resolveDir }) => {
      const name = kind === "dynamic-import" ? bundleOf.get(path.join(resolveDir, id)) : undefined;
      return name === undefined ? undefined : { path: `./${name}.js`, external: true };
    });
    bundle.onResolve({ filter: /^(undici\/|ioredis$|piscina$)/ }, ({ path: id, kind }) => {
      const name = kind === "entry-point" ? undefined : LIBRARY_OF[id];
      return name === undefined ? undefined : { path: `./${name}.js`, external: true };
    });
  },
};

/** @param out an empty directory */
export async function writeBundles(out: string): Promise<void> {
  const options = { ...COMMON, outdir: out, plugins: [lazyBuiltins, bundlesApart] };
  const control = await build({
    ...options,
    entryPoints: CONTROL,
    define: { ...COMMON.define, SECTION_PRESETS: JSON.stringify(sectionPresets()) },
  });
  const data = await build({ ...options, entryPoints: DATA, inject: ["src/base/node-globals.ts"] });
  const importing = await build({ ...options, entryPoints: IMPORTING, supported: {} });
  const libraries = await build({ ...options, entryPoints: LIBRARIES, inject: ["src/base/node-globals.ts"] });
  for (const [entry, bundle] of Object.entries(ENTRIES)) {
    await build({
      ...COMMON,
      outdir: out,
      target: ENTRY_TARGET,
      entryPoints: { [entry]: "src/start/entry.ts" },
      define: { BUNDLE: JSON.stringify(`./${bundle}.js`) },
      external: [`./${bundle}.js`],
      banner: entry === "main" ? { js: "#!/usr/bin/env node" } : {},
    });
  }
  writeNative(out, path.join(ROOT, "node_modules"));
  writeLicences(
    out,
    ROOT,
    [control, data, importing, libraries].map(({ metafile }) => metafile.inputs),
  );
  fs.chmodSync(path.join(out, "main.js"), 0o755);
  fs.copyFileSync(path.join(ROOT, "src/start/sluice.sh"), path.join(out, "sluice"));
  fs.chmodSync(path.join(out, "sluice"), 0o755);
  // The package as a whole is ES modules.
  fs.writeFileSync(path.join(out, "package.json"), '{ "type": "commonjs" }\n');
}
