// Owns the list of policy schemas, in the registry's order. For the primary only: a worker must never load zod.
import type { z } from "zod";
import { compressSchema } from "../filters/compress/config.ts";
import { resolveRespond, respondSchema } from "../handlers/respond/config.ts";
import { authSchema } from "./auth/config.ts";
import { authorizeSchema } from "./authorize/config.ts";
import { corsSchema } from "./cors/config.ts";
import { headersSchema } from "./headers/config.ts";
import { ipSchema } from "./ip/config.ts";
import { rateLimitSchema } from "./rateLimit/config.ts";
import { redirectSchema } from "./redirect/config.ts";
import { rewriteSchema } from "./rewrite/config.ts";

/** A template inside a parsed policy configuration. */
export interface TemplateUse {
  /** Keys from the policy's configuration to the template, for error positions. */
  readonly path: readonly string[];
  readonly text: string;
}

/** What the loader must know about one policy. The functions take what `schema` parsed. */
export interface PolicySchema {
  /** The policy's name and the route key that users write. */
  readonly key: string;
  /** Made when first asked for. Parsed output is structured-clonable: it crosses to the workers as the policy's configuration. */
  readonly schema: () => z.ZodType;
  /** Templates to compile against the route's parameters, so that a wrong one is an error at load. */
  readonly templates: (config: unknown) => readonly TemplateUse[];
  /** Whether the policy answers every request itself, so that the route needs no upstream. */
  readonly answers: (config: unknown) => boolean;
  /**
   * Replaces references to files by their content; call it once after parsing.
   * @param readFile reads a file relative to the configuration; may throw
   * @throws Error with a message for the operator
   */
  readonly resolve: (config: unknown, readFile: (path: string) => Uint8Array) => unknown;
}

interface Knowledge<Config> {
  templates?(config: Config): readonly TemplateUse[];
  answers?(config: Config): boolean;
  resolve?(config: Config, readFile: (path: string) => Uint8Array): Config;
}

function entry<S extends z.ZodType>(key: string, schema: () => S, knows: Knowledge<z.output<S>> = {}): PolicySchema {
  type Config = z.output<S>;
  // The casts: PolicySchema is heterogeneous; by contract `config` is what this very schema parsed.
  return {
    key,
    schema,
    templates: (config) => knows.templates?.(config as Config) ?? [],
    answers: (config) => knows.answers?.(config as Config) ?? false,
    resolve: (config, readFile) => (knows.resolve === undefined ? config : knows.resolve(config as Config, readFile)),
  };
}

/** Every policy's schema, in the order of POLICIES in registry.ts. */
export const POLICY_SCHEMAS: readonly PolicySchema[] = [
  entry("ip", ipSchema),
  entry("redirect", redirectSchema, {
    templates: (config) => (config.to === undefined ? [] : [{ path: ["to"], text: config.to }]),
    answers: (config) => config.to !== undefined,
  }),
  entry("cors", corsSchema),
  entry("rateLimit", rateLimitSchema),
  entry("auth", authSchema),
  entry("authorize", authorizeSchema, {
    templates: (config) =>
      Object.entries(config.claims ?? {}).flatMap(([name, written]) =>
        [written].flat().flatMap((each) => (typeof each === "string" ? [{ path: ["claims", name], text: each }] : [])),
      ),
  }),
  entry("respond", respondSchema, { answers: () => true, resolve: resolveRespond }),
  entry("rewrite", rewriteSchema, { templates: (config) => (config.kind === "path" ? [{ path: ["path"], text: config.path }] : []) }),
  entry("headers", headersSchema, {
    templates: (config) =>
      (["request", "response"] as const).flatMap((side) =>
        (["set", "add"] as const).flatMap((action) =>
          Object.entries(config[side][action]).map(([name, text]) => ({ path: [side, action, name], text })),
        ),
      ),
  }),
  entry("compress", compressSchema),
];
