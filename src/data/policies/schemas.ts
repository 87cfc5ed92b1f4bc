// Owns the list of policy schemas, in the registry's order. For the primary only: a worker must never load zod.
import { type FeatureSchema, feature } from "../../base/feature-schema.ts";
import { authSchema } from "./auth/config.ts";
import { authorizeSchema } from "./authorize/config.ts";
import { corsSchema } from "./cors/config.ts";
import { deprecationSchema } from "./deprecation/config.ts";
import { forwardAuthSchema } from "./forwardAuth/config.ts";
import { headersSchema } from "./headers/config.ts";
import { ipSchema } from "./ip/config.ts";
import { querySchema } from "./query/config.ts";
import { rateLimitSchema } from "./rateLimit/config.ts";
import { redirectSchema } from "./redirect/config.ts";
import { rewriteSchema } from "./rewrite/config.ts";

/** Every policy's schema, in the order of POLICIES in registry.ts. */
export const POLICY_SCHEMAS: readonly FeatureSchema[] = [
  feature("ip", ipSchema),
  feature("redirect", redirectSchema, {
    templates: (config) => (config.to === undefined ? [] : [{ path: ["to"], text: config.to }]),
    answers: (config) => config.to !== undefined,
  }),
  feature("cors", corsSchema),
  feature("rateLimit", rateLimitSchema),
  feature("auth", authSchema),
  feature("forwardAuth", forwardAuthSchema, {
    upstreams: ({ service }) => (service.own === null ? [{ path: ["to"], name: service.upstream }] : []),
  }),
  feature("authorize", authorizeSchema, {
    templates: (config) =>
      Object.entries(config.claims ?? {}).flatMap(([name, written]) =>
        [written].flat().flatMap((each) => (typeof each === "string" ? [{ path: ["claims", name], text: each }] : [])),
      ),
  }),
  feature("rewrite", rewriteSchema, { templates: (config) => (config.kind === "path" ? [{ path: ["path"], text: config.path }] : []) }),
  feature("query", querySchema, {
    templates: (config) =>
      (["set", "setIfAbsent"] as const).flatMap((action) =>
        Object.entries(config[action]).map(([name, text]) => ({ path: [action, name], text })),
      ),
  }),
  feature("headers", headersSchema, {
    templates: ({ request, response }) =>
      Object.entries({
        request: { set: request.set, setIfAbsent: request.setIfAbsent, add: request.add },
        response: { set: response.set, setIfAbsent: response.setIfAbsent, add: response.add, onTls: response.onTls },
      }).flatMap(([side, actions]) =>
        Object.entries(actions).flatMap(([action, values]) =>
          Object.entries(values).map(([name, text]) => ({ path: [side, action, name], text })),
        ),
      ),
  }),
  feature("deprecation", deprecationSchema),
];
