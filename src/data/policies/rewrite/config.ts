// Owns the `rewrite` key of a route: the path the upstream sees, and the way back of what it answers. Schema, type and docs only.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { lazyOptional, once } from "../../../base/schema.ts";
import { patternProblem, replacementProblem } from "../../routing/safe-pattern.ts";
import { type ResponseRewrite, responseRewrite } from "./config-response.ts";

const PATH_CHARS_MAX = 2048;

/** A literal absolute path: what normalisation would leave as it is. */
const literalPath = () =>
  z
    .string()
    .max(PATH_CHARS_MAX)
    .regex(/^(?:\/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+\/?$/, "expected a path such as /v2, without query, empty or encoded segments")
    .refine((text) => !/\/\.\.?(?:\/|$)/.test(text), { error: "a path prefix can't hold dot segments" })
    .transform((text) => text.replace(/\/$/, ""));

const FORMS = ["path", "stripPrefix", "addPrefix", "regex", "to"] as const;

export const rewriteSchema = once(() =>
  withRules(
    z.strictObject({
      path: z
        .string()
        .max(PATH_CHARS_MAX)
        .regex(/^\/(?!\/)[\x21\x22\x24-\x7e]*$/, "expected a path that starts with one `/`")
        .optional()
        .meta({
          description: "The whole path, with templates. A `?` adds query parameters before the request's own.",
          examples: ["/v2/users/{path.id}", "/search?tenant={path.tenant}"],
        }),
      stripPrefix: literalPath()
        .optional()
        .meta({
          description: "Removed from the front of the path, at a segment boundary; a path without it is left alone.",
          examples: ["/api"],
        }),
      addPrefix: literalPath()
        .optional()
        .meta({ description: "Put in front of the path, after stripPrefix.", examples: ["/v2"] }),
      regex: z
        .string()
        .optional()
        .meta({
          description:
            "A regular expression anchored with `^`, matched against the normalised path; a path it does not match is left alone. Patterns that could take more than linear time are refused.",
          examples: ["^/shop/([^/]+)/(.*)$"],
        }),
      to: z
        .string()
        .max(PATH_CHARS_MAX)
        .optional()
        .meta({ description: "With `regex`: the replacement; `$1` to `$9` stand for groups.", examples: ["/$1/shop/$2"] }),
      forwardPrefix: z.boolean().prefault(true).meta({
        description:
          "With `stripPrefix`: tell the service by `X-Forwarded-Prefix` what was removed, behind what a trusted proxy says that it removed. `false`: it hears of neither.",
      }),
      response: lazyOptional(responseRewrite),
    }),
    (config, object) => {
      const form = FORMS.filter((key) => config[key] !== undefined).join(" ");
      if (form === "" && config.response !== undefined) return;
      if (!["path", "stripPrefix", "addPrefix", "stripPrefix addPrefix", "regex to"].includes(form))
        object("give `path`, or `stripPrefix` and/or `addPrefix`, or `regex` with `to`; or `response` alone");
    },
    ({ regex, to }, object) => {
      const pattern = regex === undefined ? null : patternProblem(regex);
      if (pattern !== null) object(pattern, ["regex"]);
      if (regex === undefined || to === undefined || pattern !== null) return;
      const replacement = replacementProblem(regex, to);
      if (replacement !== null) object(replacement, ["to"]);
    },
  )
    .transform(({ path, stripPrefix, addPrefix, regex, to, forwardPrefix, response = null }): RewriteConfig => {
      const rest = { forwardPrefix, response };
      if (path !== undefined) return { kind: "path", path, ...rest };
      if (regex !== undefined && to !== undefined) return { kind: "regex", regex, to, ...rest };
      return { kind: "prefix", strip: stripPrefix ?? "", add: addPrefix ?? "", ...rest };
    })
    .meta({
      description:
        "Change the path on its way to the upstream; the query is kept. Give `path`, or `stripPrefix` and/or `addPrefix`, or `regex` with `to`. The result is normalised again, and refused with 400 `bad_path` if it is not safe. `response` maps back what the service says of itself.",
    }),
);

/** One of three forms. Prefixes have no trailing slash; '' for none, and both '' where the path stays as it is. */
export type RewriteConfig = RequestRewrite & {
  readonly forwardPrefix: boolean;
  /** null: responses are left alone. */
  readonly response: ResponseRewrite | null;
};

export type RequestRewrite =
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "prefix"; readonly strip: string; readonly add: string }
  | { readonly kind: "regex"; readonly regex: string; readonly to: string };
