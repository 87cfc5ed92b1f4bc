// Owns the `policies` key of a route: policies of the user's own, each a module and its configuration. Schema and docs only: what `with` may hold is
// known to the module alone (control/config/modules).
import * as z from "zod";
import { once } from "../../../base/schema.ts";

/** Modules of one route. */
export const ROUTE_MODULES_MAX = 16;
const PATH_CHARS_MAX = 4096;

export const modulesSchema = once(() =>
  z
    .array(
      z.strictObject({
        module: z
          .string()
          .max(PATH_CHARS_MAX)
          .regex(/\.(ts|mts|js|mjs)$/, "expected the path of a module: a file that ends in .ts, .mts, .js or .mjs")
          .meta({
            description:
              "File with the policy: a module of TypeScript or JavaScript, relative to the configuration file. The configuration is loaded anew when it, or what it imports, changes.",
            examples: ["./policies/tenant.ts"],
          }),
        with: z
          .unknown()
          .optional()
          .meta({
            description:
              "Configuration of the policy, by the module's own schema. A text directly under it that begins with `file:` is read from that file, as a secret is.",
            examples: [{ header: "x-tenant" }],
          }),
      }),
    )
    .min(1)
    .max(ROUTE_MODULES_MAX)
    .meta({
      description:
        "Policies of your own (docs/policies.md). In its phase each runs behind the gateway's own policies, in the order written. A route's list replaces that of the defaults.",
    }),
);

export type ModulesConfig = z.output<ReturnType<typeof modulesSchema>>;
