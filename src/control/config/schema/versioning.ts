// Owns the schema of `versioning`: where requests name the version that `match.version` demands.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { headerName, once } from "../../../base/schema.ts";
import type { VersioningPlan } from "../../../plan/routing-terms.ts";

const VERSION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;
const PLACES = ["path", "header", "accept", "query"] as const;
const MARK = "{version}";

/** As requests name it; output lowercase. */
export const version = once(() =>
  z
    .union([z.string(), z.number()])
    .transform((value, ctx) => {
      if (typeof value === "string" && VERSION.test(value)) return value.toLowerCase();
      if (Number.isSafeInteger(value) && Number(value) >= 0) return String(value);
      const [message, remedy] =
        typeof value === "number"
          ? ["a version that looks like a number loses its zeros", "write it in quotes"]
          : ["expected a version such as 2, 2.1 or 2026-01-31", "at most 32 letters, digits, '.', '_' and '-'"];
      ctx.addIssue({ code: "custom", message, params: { remedy } });
      return z.NEVER;
    })
    .meta({ pattern: VERSION.source, examples: ["2", "2026-01-31"] }),
);

const token = (what: string) =>
  z
    .string()
    .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/, `expected ${what}`)
    .transform((text) => text.toLowerCase());

const accept = once(() =>
  z.strictObject({
    parameter: token("the name of a media type's parameter")
      .refine((text) => text !== "q", "q is the weight of a media type")
      .prefault("version")
      .meta({ description: "Parameter of a media type that names the version: `application/json;version=2`." }),
    vendor: token("a vendor's name, such as acme")
      .optional()
      .meta({
        description:
          "Vendor whose media types name the version: `application/vnd.acme.v2+json`, `application/vnd.acme.users.v2+json`. Left out: any vendor's.",
        examples: ["acme"],
      }),
  }),
);

export const versioning = once(() =>
  withRules(
    z.strictObject({
      from: z
        .array(z.enum(PLACES))
        .min(1)
        .max(PLACES.length)
        .meta({
          description:
            "Where a request may name its version. Their order does not matter: places that name different versions are 400 `version_ambiguous`. One that no route has here is 404 in a path, 400 `version_unknown` in a header or query, 406 `version_not_acceptable` in media types: it is never answered by another version.",
          examples: [["path", "header"]],
        }),
      default: version().optional().meta({
        description:
          "Version of a request that names none. Left out: such a request only takes routes without a version, else it is 400 `version_missing`.",
      }),
      path: z
        .string()
        .max(256)
        .regex(
          /^(\/[A-Za-z0-9._~-]+)*\/([A-Za-z0-9._~-]*[A-Za-z._~-])?\{version\}$/,
          "expected a path that ends in {version}, such as /v{version} or /api/v{version}",
        )
        .prefault("/v{version}")
        .meta({
          description:
            "Where the version stands in a path. Routes write their path without that segment: `/users` is reached as `/v2/users`.",
        }),
      header: headerName().prefault("api-version").meta({ description: "Header that names the version." }),
      query: z.string().min(1).max(256).prefault("api-version").meta({ description: "Query parameter that names the version." }),
      accept: accept().prefault({}).meta({
        description:
          "How media types in `Accept` name the version. The best that is served wins; one without a version, such as `*/*`, means the default.",
      }),
    }),
    ({ from }, object) => {
      if (new Set(from).size < from.length) object("a place is listed twice", ["from"]);
    },
  )
    .transform((value): VersioningPlan => {
      const { from, accept } = value;
      return {
        path: from.includes("path") ? value.path.slice(0, -MARK.length) : null,
        header: from.includes("header") ? value.header : null,
        query: from.includes("query") ? value.query : null,
        accept: from.includes("accept") ? { parameter: accept.parameter, vendor: accept.vendor ?? null } : null,
        default: value.default ?? null,
      };
    })
    .optional()
    .transform((value): VersioningPlan | null => value ?? null)
    .meta({ description: "Where requests name the version that `match.version` demands." }),
);
