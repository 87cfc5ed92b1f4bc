// Owns loading import-modules.ts when the first configuration has a policy of the user's own: most have none.
import type { ModuleFilePlan } from "../plan/module-plan.ts";

interface Loaded {
  readonly importModule: (url: string, files: readonly ModuleFilePlan[]) => Promise<unknown>;
}

let loaded: Loaded | null = null;

/** As importModule in import-modules.ts. */
export function importModule(url: string, files: readonly ModuleFilePlan[]): Promise<unknown> {
  loaded ??= load();
  return loaded.importModule(url, files);
}

/** In dist/ it is a bundle of its own, beside the one that this stands in. */
function load(): Loaded {
  const require = process.getBuiltinModule("node:module").createRequire(import.meta.filename);
  return require(import.meta.filename.endsWith(".ts") ? "./import-modules.ts" : "./import-modules.js") as Loaded; // the module's own exports
}
