// Owns the schema of conditions on headers and query parameters: `match.headers`, `match.query`, `clients.NAME.headers`.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { once } from "../../../base/schema.ts";
import { patternProblem } from "../../../data/routing/safe-pattern.ts";
import type { ValueMatch } from "../../../plan/routing-terms.ts";

const CONDITIONS_MAX = 32;

type Condition = { kind: "exact" | "prefix" | "regex"; value: string } | { kind: "present" };

/** A plain text is exact; else exactly one of prefix, regex, present. */
const condition = once(() =>
  z
    .union([
      z.string().max(1024),
      withRules(
        z.strictObject({
          prefix: z.string().min(1).max(1024).optional().meta({ description: "The value starts with this." }),
          regex: z.string().min(1).max(1024).optional().meta({
            description:
              "The whole value matches this regular expression (ECMAScript, `u` flag); patterns that could take more than linear time are refused.",
          }),
          present: z.literal(true).optional().meta({ description: "There is a value, whatever it is." }),
        }),
        ({ prefix, regex, present }, object) => {
          if ([prefix, regex, present].filter((v) => v !== undefined).length !== 1)
            object("expected a text, or exactly one of prefix, regex and present");
        },
        ({ regex }, object) => {
          const problem = regex === undefined ? null : patternProblem(regex.startsWith("^") ? regex : `^${regex}`);
          if (problem !== null) object(problem, ["regex"]);
        },
      ),
    ])
    .transform((value): Condition => {
      if (typeof value === "string") return { kind: "exact", value };
      const { prefix, regex } = value;
      if (prefix !== undefined) return { kind: "prefix", value: prefix };
      return regex === undefined ? { kind: "present" } : { kind: "regex", value: regex };
    }),
);

/** Conditions by name. */
export const conditions = (key: z.ZodType<string, string>) =>
  z
    .record(key, condition())
    .refine((record) => Object.keys(record).length <= CONDITIONS_MAX, `expected at most ${CONDITIONS_MAX} conditions`)
    .transform((record): ValueMatch[] => Object.entries(record).map(([key, value]) => ({ name: key, ...value })));
