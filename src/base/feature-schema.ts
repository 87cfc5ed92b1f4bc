// What the loader knows of a policy, filter or handler: its key, schema, templates, conditions and files. For the primary only: a worker must never load zod.
import type { z } from "zod";

/** A template inside a parsed policy configuration. */
export interface TemplateUse {
  /** Keys from the policy's configuration to the template, for error positions. */
  readonly path: readonly (string | number)[];
  readonly text: string;
}

/** A condition inside a parsed configuration (data/routing/expression). */
export interface ConditionUse {
  /** Keys from the feature's configuration to the condition, for error positions. */
  readonly path: readonly (string | number)[];
  readonly text: string;
  /** What is there when it is looked at. */
  readonly sees: "request" | "response";
  /** Nobody may use the route where it does not hold. */
  readonly isRequired: boolean;
}

/** What the loader must know about one feature of a route. The functions take what `schema` parsed. */
export interface FeatureSchema {
  /** The feature's name and the route key that users write. */
  readonly key: string;
  /** Made when first asked for. Parsed output is structured-clonable: it crosses to the workers as the feature's configuration. */
  readonly schema: () => z.ZodType;
  /** Templates to compile against the route's parameters, so that a wrong one is an error at load. */
  readonly templates: (config: unknown) => readonly TemplateUse[];
  /** Conditions to compile, so that a wrong one is an error at load. */
  readonly conditions: (config: unknown) => readonly ConditionUse[];
  /** The upstreams that it names, beside the route's own `to`. */
  readonly upstreams: (config: unknown) => readonly UpstreamUse[];
  /** Puts the indexes of upstreams in the plan in the place of their names; when the plan is compiled. */
  readonly link: (config: unknown, indexOf: (upstream: string) => number) => unknown;
  /** Whether it answers every request itself, so that the route needs no upstream: then it is the route's handler, under the same name. */
  readonly answers: (config: unknown) => boolean;
  /**
   * Replaces references to files by their content; call it once after parsing.
   * @param readFile reads a file relative to the configuration; may throw
   * @throws Error with a message for the operator
   */
  readonly resolve: (config: unknown, readFile: (path: string) => Uint8Array) => unknown;
}

/** The name of an upstream inside a parsed configuration. */
export interface UpstreamUse {
  /** Keys from the feature's configuration to the name, for error positions. */
  readonly path: readonly (string | number)[];
  readonly name: string;
}

interface Knowledge<Config> {
  upstreams?(config: Config): readonly UpstreamUse[];
  link?(config: Config, indexOf: (upstream: string) => number): unknown;
  templates?(config: Config): readonly TemplateUse[];
  conditions?(config: Config): readonly ConditionUse[];
  answers?(config: Config): boolean;
  resolve?(config: Config, readFile: (path: string) => Uint8Array): Config;
}

export function feature<S extends z.ZodType>(key: string, schema: () => S, knows: Knowledge<z.output<S>> = {}): FeatureSchema {
  type Config = z.output<S>;
  // The casts: FeatureSchema is heterogeneous; by contract `config` is what this very schema parsed.
  return {
    key,
    schema,
    templates: (config) => knows.templates?.(config as Config) ?? [],
    conditions: (config) => knows.conditions?.(config as Config) ?? [],
    upstreams: (config) => knows.upstreams?.(config as Config) ?? [],
    link: (config, indexOf) => (knows.link === undefined ? config : knows.link(config as Config, indexOf)),
    answers: (config) => knows.answers?.(config as Config) ?? false,
    resolve: (config, readFile) => (knows.resolve === undefined ? config : knows.resolve(config as Config, readFile)),
  };
}
