// Owns the JSON Schema made from the schema: for editors, and as the base of the reference docs. Pure.
import * as z from "zod";
import { standsFor } from "../../base/schema.ts";
import { configSchema } from "./schema.ts";

/** A JSON Schema node, as far as we read and write it. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly $ref?: string;
  readonly allOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  /** From base/schema.ts: a value with a unit, its text form, and the numbers that may stand for it. */
  readonly unit?: string;
  readonly unitPattern?: string;
  readonly unitNumbers?: Readonly<Record<string, number>> | null;
}

/** What users write, as draft 7 (which editors know best), without what only our editor schema adds. */
export function inputSchema(): JsonSchema {
  const definitions: Record<string, JsonSchema> = {};
  const { definitions: own, ...root } = describe(configSchema(), definitions);
  return { ...root, definitions: { ...(own as typeof definitions | undefined), ...definitions } };
}

/** @param definitions gets those of schemas that others stand for: their references are relative to the whole */
function describe(schema: z.ZodType, definitions: Record<string, JsonSchema>): JsonSchema {
  return z.toJSONSchema(schema, {
    io: "input",
    target: "draft-7",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      const { examples } = z.globalRegistry.get(zodSchema) ?? {};
      // Zod leaves out the examples of what is transformed, as if they were outputs: ours are what people write.
      if (Array.isArray(examples)) jsonSchema.examples ??= examples;
      const real = standsFor(zodSchema);
      if (real === null) return;
      const { $schema, definitions: own, ...rest } = describe(real, definitions);
      Object.assign(definitions, own);
      Object.assign(jsonSchema, rest);
    },
  }) as JsonSchema; // same data, our reading of it
}

/** Text that holds a reference to the environment is allowed wherever a value is. */
const ENVIRONMENT = "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}";

/** The published schema: as {@link inputSchema}, but any scalar may be `${VAR}`, and no section is required, since an overlay holds any part. */
export function editorSchema(): JsonSchema {
  const { required: _overlays, $schema, ...root } = inputSchema();
  return { $schema, title: "Sluice configuration", ...(withEnvironment(root) as JsonSchema) }; // an object in, an object out
}

const ANNOTATIONS = ["description", "default", "examples"] as const;

function withEnvironment(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withEnvironment);
  if (typeof node !== "object" || node === null) return node;
  const schema = node as JsonSchema; // z.toJSONSchema made it
  if (schema.unitPattern !== undefined) return withUnit(schema);
  const isScalar =
    schema.enum !== undefined || schema.const !== undefined || ["integer", "number", "boolean"].includes(String(schema.type));
  if (isScalar) {
    const { description, default: preset, examples, ...rest } = schema;
    return defined({ description, default: preset, examples, anyOf: [rest, { type: "string", pattern: ENVIRONMENT }] });
  }
  const result: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === "properties" || keyword === "definitions")
      result[keyword] = mapValues(value as Readonly<Record<string, JsonSchema>>, withEnvironment); // by the keyword's definition
    else if (keyword === "pattern" && schema.type === "string") result[keyword] = `(${String(value)})|${ENVIRONMENT}`;
    else
      result[keyword] = keyword === "items" || keyword === "anyOf" || keyword === "additionalProperties" ? withEnvironment(value) : value;
  }
  return result;
}

function withUnit(schema: JsonSchema): unknown {
  const annotations = Object.fromEntries(ANNOTATIONS.map((key) => [key, schema[key]]));
  const text = { type: "string", pattern: `(${schema.unitPattern})|${ENVIRONMENT}` };
  const numbers = schema.unitNumbers == null ? [] : [{ type: "number", ...schema.unitNumbers }];
  return defined(numbers.length === 0 ? { ...annotations, ...text } : { ...annotations, anyOf: [text, ...numbers] });
}

const defined = (object: Readonly<Record<string, unknown>>): unknown =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

const mapValues = (object: Readonly<Record<string, JsonSchema>>, change: (value: JsonSchema) => unknown): unknown =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
