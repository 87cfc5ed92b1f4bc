// Owns the `query` key of a route: parameters set, removed and let through on the way to the upstream. Schema, type and docs only.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { once } from "../../../base/schema.ts";

const PARAMETERS_MAX = 100;
const NAME_CHARS_MAX = 256;
const VALUE_CHARS_MAX = 8192;

const name = () =>
  z
    .string()
    .min(1)
    .max(NAME_CHARS_MAX)
    .refine((text) => !text.endsWith("*"), { error: "only `remove` and `allow` take a prefix with `*`" });

const values = (description: string, example: Record<string, string>) =>
  z
    .record(name(), z.string().max(VALUE_CHARS_MAX))
    .refine((map) => Object.keys(map).length <= PARAMETERS_MAX, { error: `at most ${PARAMETERS_MAX} parameters` })
    .prefault({})
    .meta({ description, examples: [example] });

const names = () => z.array(z.string().min(1).max(NAME_CHARS_MAX)).max(PARAMETERS_MAX);

export const querySchema = once(() =>
  withRules(
    z.strictObject({
      allow: names()
        .optional()
        .meta({
          description:
            "The client's parameters that go upstream: names, or prefixes such as `filter_*`; `[]` for none. Done first. Left out: all. What `rewrite` adds stays.",
          examples: [["page", "filter_*"]],
        }),
      remove: names()
        .prefault([])
        .meta({ description: "Parameters to remove: names, or prefixes such as `utm_*`. Done before `set`.", examples: [["utm_*"]] }),
      set: values("Parameters to replace, whatever was there. A template without a value removes the parameter.", {
        tenant: "{claims.tenant}",
      }),
      setIfAbsent: values("Parameters to add where there is none of that name.", { page: "1" }),
    }),
    ({ allow, remove, set, setIfAbsent }, object) => {
      if (allow === undefined && remove.length + Object.keys(set).length + Object.keys(setIfAbsent).length === 0)
        object("changes nothing", [], "give it `allow`, `remove`, `set` or `setIfAbsent`, or leave `query` out");
    },
    ({ set, setIfAbsent }, object) => {
      for (const name of Object.keys(setIfAbsent))
        if (Object.hasOwn(set, name))
          object(`${name} is under \`set\` too, which replaces it always`, ["setIfAbsent", name], "keep one of them");
    },
  ).meta({
    description:
      "Change the query that the upstream gets. Values may hold templates. Order: allow, remove, set, setIfAbsent. Names are compared exactly, decoded; `;` within a parameter goes upstream as `%3B`, so that no service finds parameters in it that were not judged. Routes match, and the access log shows, what the client sent.",
  }),
);

export type QueryConfig = z.output<ReturnType<typeof querySchema>>;
