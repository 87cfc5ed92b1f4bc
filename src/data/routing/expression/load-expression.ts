// Owns loading expression.ts, and with it the CEL library, when the first expression needs it: most configurations have none, and it is a fifth of a
// thread's start-up. Synchronous, for the loader of the configuration and the building of a runtime are.
import type { Expression, ExpressionProblem, Sees } from "./expression-view.ts";

interface Loaded {
  readonly compileExpression: (text: string, sees: Sees) => Expression | ExpressionProblem;
}

let loaded: Loaded | null = null;

/** Conditions that are kept compiled: one in the defaults belongs to every route. */
const KEPT_MAX = 1000;
const kept = new Map<string, Expression | ExpressionProblem>();

/** As compileExpression in expression.ts. */
export function compileExpression(text: string, sees: Sees): Expression | ExpressionProblem {
  const key = `${sees} ${text}`;
  const known = kept.get(key);
  if (known !== undefined) return known;
  loaded ??= load();
  const made = loaded.compileExpression(text, sees);
  if (kept.size >= KEPT_MAX) kept.clear();
  kept.set(key, made);
  return made;
}

/** In dist/ it is an entry of its own, beside the chunk that this stands in. */
function load(): Loaded {
  const require = process.getBuiltinModule("node:module").createRequire(import.meta.filename);
  return require(import.meta.filename.endsWith(".ts") ? "./expression.ts" : "./expression.js") as Loaded; // the module's own exports
}
