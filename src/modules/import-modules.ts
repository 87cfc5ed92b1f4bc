// Owns bringing modules of the user's own into this thread: sources that the primary sent, by address, as ES modules. A bundle of its own, in which import()
// stays what it is. An address is imported once and never unloaded, for Node cannot. Must never read a file, and never import what the primary has not seen.
import { registerHooks } from "node:module";
import { MODULE_SCHEME, type ModuleFilePlan } from "../plan/module-plan.ts";
import { isModuleBuiltin, POLICY_SPECIFIER } from "./importable.ts";

const POLICY_URL = `${MODULE_SCHEME}sluice/policy`;
/** As policy/index.js, which stands in the package for editors and tests of modules. */
const POLICY_SOURCE = `export const definePolicy = (policy) => Object.freeze({ ...policy, [Symbol.for("sluice.policy")]: 1 });`;

/** Files that may be imported now, by address. */
const waiting = new Map<string, ModuleFilePlan>();
/** Modules of this thread, by address: what is here stays. */
const imported = new Map<string, unknown>();
let hooked = false;

/** @returns the namespace of a module. @throws what the module throws. @param files it and all that it imports; what is here already is not looked at */
export async function importModule(url: string, files: readonly ModuleFilePlan[]): Promise<unknown> {
  if (imported.has(url)) return imported.get(url);
  if (!hooked) registerHooks({ resolve, load });
  hooked = true;
  for (const file of files) waiting.set(file.url, file);
  try {
    const namespace: unknown = await import(url);
    imported.set(url, namespace);
    return namespace;
  } finally {
    for (const file of files) waiting.delete(file.url);
  }
}

type Resolve = NonNullable<Parameters<typeof registerHooks>[0]["resolve"]>;
type Load = NonNullable<Parameters<typeof registerHooks>[0]["load"]>;

const resolve: Resolve = (specifier, context, next) => {
  const parent = context.parentURL;
  if (specifier.startsWith(MODULE_SCHEME)) return { url: specifier, format: formatOf(specifier), shortCircuit: true };
  if (parent === undefined || !parent.startsWith(MODULE_SCHEME)) return next(specifier, context);
  if (specifier === POLICY_SPECIFIER) return { url: POLICY_URL, format: "module", shortCircuit: true };
  if (isModuleBuiltin(specifier)) return next(specifier, context);
  const url = waiting.get(parent)?.imports[specifier];
  if (url === undefined) throw new Error(`a policy module cannot import ${specifier} while it runs: import it at the top of the file`);
  return { url, format: formatOf(url), shortCircuit: true, importAttributes: context.importAttributes };
};

const load: Load = (url, context, next) => {
  if (!url.startsWith(MODULE_SCHEME)) return next(url, context);
  const source = url === POLICY_URL ? POLICY_SOURCE : waiting.get(url)?.source;
  if (source === undefined) throw new Error(`the primary has not sent ${url}`);
  return { format: formatOf(url), source, shortCircuit: true };
};

const formatOf = (url: string): "module" | "json" => (waiting.get(url)?.format === "json" ? "json" : "module");
