// Owns loading expression.ts, and with it the CEL library, when the first expression needs it: most configurations have none, and it is a fifth of a
// thread's start-up. Synchronous, for the loader of the configuration and the building of a runtime are.
import type { Expression, ExpressionProblem } from "./expression.ts";

interface Loaded {
  readonly compileExpression: (text: string) => Expression | ExpressionProblem;
}

let loaded: Loaded | null = null;

/** As compileExpression in expression.ts. */
export function compileExpression(text: string): Expression | ExpressionProblem {
  loaded ??= load();
  return loaded.compileExpression(text);
}

/** In dist/ it is an entry of its own, beside the chunk that this stands in. */
function load(): Loaded {
  const require = process.getBuiltinModule("node:module").createRequire(import.meta.filename);
  return require(import.meta.filename.endsWith(".ts") ? "./expression.ts" : "./expression.js") as Loaded; // the module's own exports
}
