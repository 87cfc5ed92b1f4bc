// Owns `npm run build`: bundles the sources into dist/ (main.js, beside it the entries of threads, chunks that they share or load lazily).
// uWebSockets.js stays outside: it is native. dist/ is replaced whole, and only by a build that succeeded.
import fs from "node:fs";
import { build, type Plugin } from "esbuild";

const OUT = "dist";
const FRESH = "dist.new";

/**
 * An ES import of node:http reads every export at once, and some are getters that load Node's own fetch and WebSocket: a third of the primary's
 * start-up time. Taken as an object instead, they are read when used.
 */
const lazyHttp: Plugin = {
  name: "lazy-http",
  setup(bundle) {
    bundle.onResolve({ filter: /^node:https?$/ }, ({ path, kind }) =>
      kind === "import-statement" ? { path, namespace: "lazy-http" } : undefined,
    );
    bundle.onLoad({ filter: /.*/, namespace: "lazy-http" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
      loader: "js",
    }));
  },
};

/** piscina starts its threads from a file beside its own; in the bundle that is an entry of its own, under a name that is free. */
const PISCINA_THREAD = "piscina-thread";
const piscinaThread: Plugin = {
  name: "piscina-thread",
  setup(bundle) {
    bundle.onLoad({ filter: /[\\/]piscina[\\/]dist[\\/]index\.js$/ }, ({ path }) => {
      const text = fs.readFileSync(path, "utf8");
      const start = "(__dirname, 'worker.js')";
      if (text.split(start).length !== 2) throw new Error(`piscina no longer starts its threads by ${start}: see src/build.ts`);
      return { contents: text.replace(start, `(bundleDirectory, "${PISCINA_THREAD}.js")`), loader: "js" };
    });
  },
};

await build({
  entryPoints: [
    "src/main.ts",
    "src/data/worker.ts",
    "src/offload/verify-task.ts",
    "src/data/policies/authorize/expression.ts",
    { in: "node_modules/piscina/dist/worker.js", out: PISCINA_THREAD },
  ],
  outdir: FRESH,
  entryNames: "[name]",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  inject: ["src/base/node-globals.ts"],
  // piscina loads the second one only when told to change niceness.
  external: ["uWebSockets.js", "@napi-rs/nice"],
  // Less text to read at start-up; names stay, for stacks and profiles.
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: "external",
  logLevel: "warning",
  plugins: [lazyHttp, piscinaThread],
  // Bundled CommonJS packages call require for Node's own modules; see piscinaThread for the directory.
  banner: {
    js: 'import { createRequire as bundleRequire } from "node:module"; const require = bundleRequire(import.meta.url), bundleDirectory = import.meta.dirname;',
  },
});
fs.rmSync(OUT, { recursive: true, force: true });
fs.renameSync(FRESH, OUT);
