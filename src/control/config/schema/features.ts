// Owns the list of everything that a route can be given by a key of its own: policies, filters, handlers; in the order in which documents name them.
import type { FeatureSchema } from "../../../base/feature-schema.ts";
import { CACHE_SCHEMAS } from "../../../data/cache/schemas.ts";
import { FILTER_SCHEMAS } from "../../../data/filters/schemas.ts";
import { HANDLER_SCHEMAS } from "../../../data/handlers/schemas.ts";
import { POLICY_SCHEMAS } from "../../../data/policies/schemas.ts";
import type { FeaturePlan } from "../../../plan/plan.ts";

export const FEATURES: readonly FeatureSchema[] = [...POLICY_SCHEMAS, ...CACHE_SCHEMAS, ...HANDLER_SCHEMAS, ...FILTER_SCHEMAS];

const BY_KEY: ReadonlyMap<string, FeatureSchema> = new Map(FEATURES.map((each) => [each.key, each]));

/** @param name of a feature as configured; all of them have a schema */
export function featureOf(name: string): FeatureSchema {
  const feature = BY_KEY.get(name);
  if (feature === undefined) throw new Error(`there is no feature ${name}`);
  return feature;
}

/** Whether it is the route's handler. */
export const answers = ({ name, config }: FeaturePlan): boolean => featureOf(name).answers(config);

const FILTER_KEYS: ReadonlySet<string> = new Set(FILTER_SCHEMAS.map(({ key }) => key));
const POLICY_KEYS: ReadonlySet<string> = new Set(POLICY_SCHEMAS.map(({ key }) => key));

export const isCache = ({ name }: FeaturePlan): boolean => CACHE_SCHEMAS.some(({ key }) => key === name);
export const isFilter = ({ name }: FeaturePlan): boolean => FILTER_KEYS.has(name);
export const isPolicy = ({ name }: FeaturePlan): boolean => POLICY_KEYS.has(name);
