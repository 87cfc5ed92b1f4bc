// Owns the `query` key of a route: parameters set, removed and let through on the way to the upstream. Schema, type and docs only.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { condition, mapOrList, once } from "../../../base/schema.ts";
import { CHANGES_MAX } from "../config-changes.ts";

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

const change = () =>
  withRules(
    z.strictObject({
      when: condition().meta({
        description:
          "A [condition](#conditions): only where it holds is the rest of this map done. Opens nothing where it does not hold: the client's own parameters of the names under `set` never go upstream then (nor where it holds), and where it cannot be evaluated, what is under `remove` is removed all the same.",
        examples: ["consumer.tier == 'free'"],
      }),
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
    ({ when, allow }, object) => {
      if (when !== undefined && allow !== undefined)
        object("`allow` has no condition", ["allow"], "write it in a map without `when`, or give those requests a route of their own");
    },
    ({ set, setIfAbsent }, object) => {
      for (const name of Object.keys(setIfAbsent))
        if (Object.hasOwn(set, name))
          object(`${name} is under \`set\` too, which replaces it always`, ["setIfAbsent", name], "keep one of them");
    },
  );

export const querySchema = once(() =>
  mapOrList(change(), z.array(change()).min(1).max(CHANGES_MAX), {
    description:
      "Change the query that the upstream gets: by a map, or a list of up to 15, done in order. Values may hold templates. Order: allow, remove, set, setIfAbsent; of a list, every `allow`, then map by map. Names are compared exactly, decoded; `;` within a parameter goes upstream as `%3B`, so that no service finds parameters in it that were not judged. Routes match, and the access log shows, what the client sent. Merged with what is below as `headers` is.",
  }),
);

export type QueryConfig = z.output<ReturnType<typeof querySchema>>;
