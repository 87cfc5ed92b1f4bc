// Owns the JSON Schema made from the schema: for editors, and as the base of the reference docs. Pure.
import * as z from "zod";
import { resolveLazy } from "../../../base/schema.ts";
import { configSchema, IGNORED_PREFIX } from "../schema/schema.ts";
import { REMOVE_KEY } from "../source/layers.ts";
import { withSharedDefinitions } from "./shared-definitions.ts";

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
      const { examples, default: preset } = z.globalRegistry.get(zodSchema) ?? {};
      // Zod leaves out the examples and defaults of what is transformed, as if they were outputs: ours are what people write.
      if (Array.isArray(examples)) jsonSchema.examples ??= examples;
      if (preset !== undefined) jsonSchema.default ??= preset;
      const real = resolveLazy(zodSchema);
      if (real === null) return;
      const { $schema, definitions: own, ...rest } = describe(real, definitions);
      Object.assign(definitions, own);
      Object.assign(jsonSchema, rest);
    },
  }) as JsonSchema; // same data, our reading of it
}

/** Text that holds a reference to the environment is allowed wherever a value is. */
const ENVIRONMENT = "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}";

/**
 * The published schema: as {@link inputSchema}, but any scalar may be `${VAR}`, and the parts of an overlay are valid too: what may come from another
 * layer is not required, and any key that may be left out may be null.
 */
export function editorSchema(): JsonSchema {
  return withSharedDefinitions(plainEditorSchema());
}

/** The same, all of it written out. */
export function plainEditorSchema(): JsonSchema {
  const { $schema, ...root } = inputSchema();
  const layered = withRemovals(asLayer(root));
  const patternProperties = { [`^${IGNORED_PREFIX}`]: {} };
  return { $schema, title: "Sluice configuration", ...(withEnvironment(layered) as JsonSchema), patternProperties }; // an object in, an object out
}

/** Lists that layers change entry by entry -> the key that tells entries apart, which they always have. */
const ENTRY_KEYS: Readonly<Record<string, string>> = { "/routes": "name", "/upstreams/*/targets": "url" };
/** Lists that they change so when every entry has a name: an entry has a name, or is whole. */
const NAMED_ENTRIES: readonly string[] = ["/routes[]/rateLimit", "/defaults/rateLimit", "/policySets/*/rateLimit"];

function entriesOf(items: JsonSchema, path: string): JsonSchema {
  const key = ENTRY_KEYS[path];
  if (key !== undefined) return { ...asLayer(items, `${path}[]`), required: [key] };
  if (!NAMED_ENTRIES.includes(path)) return items;
  return { ...asLayer(items, `${path}[]`), anyOf: [requiring(items.required ?? []), requiring(["name"])] };
}

const requiring = (keys: readonly string[]): JsonSchema => ({
  type: "object",
  properties: Object.fromEntries(keys.map((key) => [key, {}])),
  required: keys,
});

/** @param path of keys to the schema, `*` for names. A list that is replaced whole holds whole entries. */
function asLayer(schema: JsonSchema, path = ""): JsonSchema {
  const { required = [], properties, items, additionalProperties, anyOf, ...rest } = schema;
  return {
    ...rest,
    ...(properties === undefined
      ? {}
      : { properties: mapValues(properties, (child, name) => orNull(asLayer(child, `${path}/${name}`), required.includes(name))) }),
    ...(typeof additionalProperties === "object"
      ? { additionalProperties: orNull(asLayer(additionalProperties, `${path}/*`), false) }
      : additionalProperties === undefined
        ? {}
        : { additionalProperties }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map((branch) => asLayer(branch, path)) }),
    ...(items === undefined ? {} : { items: entriesOf(items, path) }),
  };
}

/** Zod puts what has a default among the required of an output; of an input these may be left out. */
function orNull(schema: JsonSchema, required: boolean): JsonSchema {
  if (required && schema.default === undefined) return schema;
  const { description, default: preset, examples, deprecated, ...rest } = schema;
  const annotations = Object.fromEntries(
    Object.entries({ description, default: preset, examples, deprecated }).filter(([, value]) => value !== undefined),
  );
  return { ...annotations, anyOf: [rest, { type: "null" }] };
}

/** What an overlay may write into an entry of a list that is changed entry by entry. */
const REMOVAL: JsonSchema = { const: true, description: "In an overlay: takes this entry away." };

/** @param path of properties, items (`[]`) and named entries (`*`) to a map's schema */
function withKey(schema: JsonSchema, [step, ...rest]: readonly string[], key: string, value: JsonSchema): JsonSchema {
  if (schema.anyOf !== undefined && schema.properties === undefined)
    return {
      ...schema,
      anyOf: schema.anyOf.map((branch) =>
        branch.type === "null"
          ? branch
          : withKey(
              branch,
              [step, ...rest].filter((each) => each !== undefined),
              key,
              value,
            ),
      ),
    };
  if (step === undefined) return { ...schema, properties: { ...schema.properties, [key]: value } };
  const { items = {}, additionalProperties, properties = {} } = schema;
  if (step === "[]") return { ...schema, items: withKey(items, rest, key, value) };
  if (step === "*" && typeof additionalProperties === "object")
    return { ...schema, additionalProperties: withKey(additionalProperties, rest, key, value) };
  return { ...schema, properties: { ...properties, [step]: withKey(properties[step] ?? {}, rest, key, value) } };
}

const withRemovals = (root: JsonSchema): JsonSchema =>
  [
    ["routes", "[]"],
    ["upstreams", "*", "targets", "[]"],
    ["routes", "[]", "rateLimit", "[]"],
    ["defaults", "rateLimit", "[]"],
    ["policySets", "*", "rateLimit", "[]"],
  ].reduce((schema, path) => withKey(schema, path, REMOVE_KEY, REMOVAL), root);

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
    if (keyword === "unit") continue; // for the reference only
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

const mapValues = <T>(
  object: Readonly<Record<string, JsonSchema>>,
  change: (value: JsonSchema, key: string) => T,
): Readonly<Record<string, T>> => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value, key)]));
