// Owns which of a route's changes are done for one exchange: each has a condition, or none. Must never be part of a route without conditions.
import type { Exchange } from "../exchange/exchange.ts";
import type { Expression, ResponseView, Sees } from "../routing/expression/expression-view.ts";
import { compileExpression } from "../routing/expression/load-expression.ts";
import { CHANGES_MAX, type Conditional } from "./config-changes.ts";

/** Of each change one bit for "it is to be done", and CHANGES_MAX bits higher one for "nobody can say". */
export type Decision = number;

export const isDone = (decision: Decision, i: number): boolean => (decision & (1 << i)) !== 0;

/** Then what a change takes away is taken away all the same, and nothing is set. */
export const isUndecided = (decision: Decision, i: number): boolean => (decision & (1 << (i + CHANGES_MAX))) !== 0;

/**
 * @param where the route and key, for a fault
 * @returns a function that looks at all conditions, before any change is done
 * @throws Error for a condition that the primary accepted and that cannot be compiled: the plan is then refused
 */
export function compileConditions(
  changes: readonly Conditional[],
  sees: Sees,
  where: string,
): (x: Exchange, response?: ResponseView) => Decision {
  const conditions = changes.map(({ when }) => (when === undefined ? null : compiled(when, sees, where)));
  return (x, response) => {
    const nowMs = Date.now();
    let decision = 0;
    for (let i = 0; i < conditions.length; i++) {
      const condition = conditions[i] ?? null;
      const holds = condition === null || condition.holds(x, nowMs, response);
      if (holds === true) decision |= 1 << i;
      else if (holds === null) decision |= 1 << (i + CHANGES_MAX);
    }
    return decision;
  };
}

function compiled(text: string, sees: Sees, where: string): Expression {
  const expression = compileExpression(text, sees);
  if ("error" in expression) throw new Error(`${where}: ${expression.error}`);
  return expression;
}
