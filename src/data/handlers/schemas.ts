// Owns the list of the handlers' schemas. For the primary only: a worker must never load zod.
// `proxy` has none: its keys (`to`, `weighted`, `mirror`, `webSocket`) belong to the route itself.
import { type FeatureSchema, feature } from "../../base/feature-schema.ts";
import { aggregateSchema, linkedLegs, upstreamsIn } from "./aggregate/config.ts";
import { resolveRespond, respondSchema } from "./respond/config.ts";

/** Every handler's schema that has a key of its own. `redirect` is a policy, too, and stands there. */
export const HANDLER_SCHEMAS: readonly FeatureSchema[] = [
  feature("aggregate", aggregateSchema, { answers: () => true, upstreams: upstreamsIn, link: linkedLegs }),
  feature("respond", respondSchema, { answers: () => true, resolve: resolveRespond }),
];
