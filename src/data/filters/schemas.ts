// Owns the list of the filters' schemas, in the registry's order. For the primary only: a worker must never load zod.
import { type FeatureSchema, feature } from "../../base/feature-schema.ts";
import { compressSchema } from "./compress/config.ts";

/** Every filter's schema, in the order of FILTERS in registry.ts. */
export const FILTER_SCHEMAS: readonly FeatureSchema[] = [feature("compress", compressSchema)];
