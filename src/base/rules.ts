// Owns the rules between the keys of one object of the configuration: such a rule is told beside whatever else is wrong with the object, unless a key
// that it reads is itself in doubt. Imported by config schemas only (primary), as base/schema.ts is.
import type * as z from "zod";

/** Says that the object breaks a rule. @param path of the key in question, from the object on; none for the object itself */
export type Objection = (message: string, path?: readonly PropertyKey[], remedy?: string) => void;

/** Looks at an object whose keys are each right by themselves, as far as it reads them. */
export type Rule<T> = (value: T, object: Objection) => void;

/** Thrown at a rule that reads a key which is wrong by itself: what the rule would say follows from that. */
const IN_DOUBT = Symbol("in doubt");

/**
 * An object's schema with rules between its keys. Zod would leave out every rule once a single key is wrong, so that its author hears of them one by one.
 * The schema made so can't be extended any more.
 */
export function withRules<S extends z.ZodType<object>>(schema: S, ...rules: readonly Rule<z.output<S>>[]): S {
  return rules.reduce<S>((made, rule) => made.superRefine((value, ctx) => apply(rule, value, ctx), { when: isObject }), schema);
}

const isObject = ({ value }: { readonly value: unknown }): boolean => typeof value === "object" && value !== null && !Array.isArray(value);

type Context<T> = z.core.$RefinementCtx<T>;

function apply<T extends object>(rule: Rule<T>, value: T, ctx: Context<T>): void {
  const objection: Objection = (message, path = [], remedy = "") =>
    ctx.addIssue({ code: "custom", message, path: [...path], params: { remedy } });
  const doubtful = keysInDoubt(ctx.issues);
  try {
    rule(
      doubtful === null ? value : new Proxy(value, { get: (target, key) => (doubtful(key) ? inDoubt() : Reflect.get(target, key)) }),
      objection,
    );
  } catch (error) {
    if (error !== IN_DOUBT) throw error;
  }
}

function inDoubt(): never {
  throw IN_DOUBT;
}

/** @returns which keys are; null for none. With a misspelt key every key that is absent is in doubt: it may be the one that was meant. */
function keysInDoubt(issues: readonly z.core.$ZodRawIssue[]): ((key: PropertyKey) => boolean) | null {
  const wrong = new Set<PropertyKey>();
  let written: object | null = null;
  for (const issue of issues) {
    const [key] = issue.path ?? [];
    if (issue.code === "custom" && issue.continue === true && key === undefined) continue; // what another rule has said
    if (key !== undefined) wrong.add(key);
    else if (issue.code === "unrecognized_keys") written = issue.input as object; // the object that has the keys
  }
  if (written !== null) return (key) => wrong.has(key) || !Object.hasOwn(written, key);
  return wrong.size === 0 ? null : (key) => wrong.has(key);
}
