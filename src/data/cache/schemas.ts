// Owns the list of the cache's schemas. For the primary only: a worker must never load zod.
import { type FeatureSchema, feature } from "../../base/feature-schema.ts";
import { cacheSchema } from "./config.ts";

export const CACHE_SCHEMAS: readonly FeatureSchema[] = [
  feature("cache", cacheSchema, {
    conditions: ({ bypass }) =>
      bypass === null || bypass.when === null ? [] : [{ path: ["bypass", "when"], text: bypass.when, sees: "request", isRequired: false }],
  }),
];
