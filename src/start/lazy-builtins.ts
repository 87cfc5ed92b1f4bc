// Owns which modules of Node's own a bundle loads when they are first used, not when the bundle is: a plugin of the build.
import type { Plugin } from "esbuild";

/** Each takes ms to load, and no thread needs it before it serves. */
const SELDOM = ["child_process", "crypto", "http", "https", "tls", "zlib", "v8", "dns", "dns/promises", "fs/promises"];

/** An import of one of these loads it when it is used. */
export const lazyBuiltins: Plugin = {
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
