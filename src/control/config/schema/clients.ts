// Owns the schema of `clients`: types of clients that routes may match by.
import * as z from "zod";
import { compileRegex } from "../../../base/linear-regex.ts";
import { withRules } from "../../../base/rules.ts";
import { headerName, name, once } from "../../../base/schema.ts";
import type { ClientTypePlan, UserAgentMatch } from "../../../plan/routing-terms.ts";
import { conditions } from "./conditions.ts";

const CLIENTS_MAX = 100;
const USER_AGENTS_MAX = 100;
const PATTERN_CHARS_MAX = 512;

const regex = once(() =>
  z
    .string()
    .min(1)
    .max(PATTERN_CHARS_MAX)
    .superRefine((text, ctx) => {
      const compiled = compileRegex(text, "whole");
      if ("error" in compiled)
        ctx.addIssue({ code: "custom", message: compiled.at === 0 ? compiled.error : `character ${compiled.at}: ${compiled.error}` });
    })
    .meta({
      description: "The whole User-Agent matches this regular expression (RE2 syntax, linear time); `(?i)` at its start ignores case.",
    }),
);

const userAgent = once(() =>
  z
    .union([z.string().min(1).max(PATTERN_CHARS_MAX), z.strictObject({ regex: regex() })])
    .transform(
      (value): UserAgentMatch =>
        typeof value === "string" ? { kind: "glob", value: value.toLowerCase() } : { kind: "regex", value: value.regex },
    ),
);

const client = once(() =>
  withRules(
    z.strictObject({
      headers: conditions(headerName()).optional().meta({
        description:
          "All of these request headers, in the forms of `match.headers`. Responses then vary by them, which caches bear better than User-Agent.",
      }),
      userAgent: z
        .union([userAgent(), z.array(userAgent()).min(1).max(USER_AGENTS_MAX)])
        .optional()
        .meta({
          description:
            "The User-Agent (its first 512 bytes): a text in which `*` stands for any text, upper and lower case alike, or `{regex}`. Of a list any.",
          examples: ["AcmeApp/*", ["*SmartTV*", { regex: "Mozilla/5\\.0 \\(Web0S;.*" }]],
        }),
    }),
    ({ headers, userAgent }, object) => {
      if (headers === undefined && userAgent === undefined)
        object("the type is defined by nothing", [], "give `headers`, `userAgent` or both");
    },
  ),
);

export const clients = once(() =>
  z
    .record(name(), client())
    .refine((record) => Object.keys(record).length <= CLIENTS_MAX, `expected at most ${CLIENTS_MAX} client types`)
    .transform((record): ClientTypePlan[] =>
      Object.entries(record).map(([key, { headers, userAgent }]) => ({
        name: key,
        headers: headers ?? [],
        userAgents: [userAgent ?? []].flat(),
      })),
    )
    .prefault({})
    .meta({
      description:
        "Types of clients for `match.client`, by name. A request is of one type: the first whose headers and User-Agent all hold, in the order written; else `mobile`, `desktop` or `bot`, as guessed, unless that name is defined here. A hint for choosing a fitting service, never a permission: clients send what they like. Responses vary by what was read.",
    }),
);
