// Owns the list of policy schemas, in the registry's order. For the primary only: a worker must never load zod.
import { type ConditionUse, type FeatureSchema, feature, type TemplateUse } from "../../base/feature-schema.ts";
import { authSchema } from "./auth/config.ts";
import { authorizeSchema } from "./authorize/config.ts";
import { type Conditional, changesIn, type Placed } from "./config-changes.ts";
import { corsSchema } from "./cors/config.ts";
import { deprecationSchema } from "./deprecation/config.ts";
import { forwardAuthSchema } from "./forwardAuth/config.ts";
import { headersSchema } from "./headers/config.ts";
import { ipSchema } from "./ip/config.ts";
import { querySchema } from "./query/config.ts";
import { rateLimitSchema } from "./rateLimit/config.ts";
import { redirectSchema } from "./redirect/config.ts";
import { rewriteSchema } from "./rewrite/config.ts";

/** The templates of changes. @param actions those whose values are templates */
const templatesIn = <K extends string>(
  key: readonly string[],
  changes: readonly Placed<Readonly<Record<K, Readonly<Record<string, string>>>>>[],
  actions: readonly K[],
): readonly TemplateUse[] =>
  changes.flatMap(({ at, change }) =>
    actions.flatMap((action) =>
      Object.entries<string>(change[action]).map(([name, text]) => ({ path: [...key, ...at, action, name], text })),
    ),
  );

const conditionsIn = (
  key: readonly string[],
  changes: readonly Placed<Conditional>[],
  sees: ConditionUse["sees"],
): readonly ConditionUse[] =>
  changes.flatMap(({ at, change: { when } }) =>
    when === undefined ? [] : [{ path: [...key, ...at, "when"], text: when, sees, isRequired: false }],
  );

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
    conditions: ({ when }) => (when === undefined ? [] : [{ path: ["when"], text: when, sees: "request", isRequired: true }]),
  }),
  feature("rewrite", rewriteSchema, { templates: (config) => (config.kind === "path" ? [{ path: ["path"], text: config.path }] : []) }),
  feature("query", querySchema, {
    templates: (config) => templatesIn([], changesIn(config), ["set", "setIfAbsent"]),
    conditions: (config) => conditionsIn([], changesIn(config), "request"),
  }),
  feature("headers", headersSchema, {
    templates: ({ request, response }) => [
      ...templatesIn(["request"], changesIn(request), ["set", "setIfAbsent", "add"]),
      ...templatesIn(["response"], changesIn(response), ["set", "setIfAbsent", "add", "onTls"]),
    ],
    conditions: ({ request, response }) => [
      ...conditionsIn(["request"], changesIn(request), "request"),
      ...conditionsIn(["response"], changesIn(response), "response"),
    ],
  }),
  feature("deprecation", deprecationSchema),
];
