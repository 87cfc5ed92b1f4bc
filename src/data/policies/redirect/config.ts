// Owns the `redirect` key of a route: answer with another address. Schema, type and docs only.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { once } from "../../../base/schema.ts";
import { parseTarget } from "./location.ts";

const TARGET_CHARS_MAX = 2048;

export const redirectSchema = once(() =>
  withRules(
    z.strictObject({
      to: z
        .string()
        .min(1)
        .max(TARGET_CHARS_MAX)
        .refine((to) => parseTarget(to) !== null, {
          error:
            "expected a path that starts with one `/`, or http(s)://host/...; the host must be fixed text or {host}, so that a caller can never choose where others are sent",
        })
        .optional()
        .meta({
          description: "Where to: a path on this host or an absolute URL. May hold templates such as `{path.id}`.",
          examples: ["https://www.example.com/new/{path.id}", "/v2/users/{path.id}"],
        }),
      https: z.boolean().default(false).meta({
        description:
          "Send plain-HTTP callers to the same address with https, before they are asked for credentials. Other callers go on to `to`, or to the upstream. Behind a proxy that ends TLS, list it in `trustedProxies`, or this never ends.",
      }),
      httpsPort: z.int().min(1).max(65535).default(443).meta({ description: "Port of the https address, if it is not 443." }),
      status: z
        .literal([301, 302, 303, 307, 308])
        .default(308)
        .meta({ description: "301, 302, 303, 307 or 308. 307 and 308 keep method and body." }),
      keepQuery: z.boolean().default(true).meta({
        description:
          "Append the request's query to `to`. (The https address always has it.) Credentials that the route's `auth` looks for are left out.",
      }),
    }),
    ({ to, https }, object) => {
      if (to === undefined && !https) object("nothing to do: give `to`, or `https: true`");
    },
  ).meta({ description: "Redirect instead of forwarding. A route with `to` inside needs no upstream." }),
);

export type RedirectConfig = z.output<ReturnType<typeof redirectSchema>>;
