// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the subject is ${VAR} in configuration files
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { editorSchema, inputSchema, type JsonSchema } from "../../../../src/control/config/json-schema.ts";
import { referenceText } from "../../../../src/control/config/reference.ts";
import { configSchema } from "../../../../src/control/config/schema.ts";
import { POLICY_SCHEMAS } from "../../../../src/data/policies/schemas.ts";

/** Every node with the keys that lead to it. */
function* nodes(schema: JsonSchema, path: string): Generator<readonly [string, JsonSchema]> {
  yield [path, schema];
  for (const [key, child] of Object.entries(schema.properties ?? {})) yield* nodes(child, `${path}.${key}`);
  for (const branch of schema.anyOf ?? []) yield* nodes(branch, path);
  if (schema.items !== undefined) yield* nodes(schema.items, `${path}[]`);
  if (typeof schema.additionalProperties === "object") yield* nodes(schema.additionalProperties, `${path}.*`);
}
const all = [...nodes(inputSchema(), "")];

it("no object lets unknown keys through", () => {
  const open = all.filter(([, node]) => node.properties !== undefined && node.additionalProperties !== false).map(([path]) => path);
  expect(open).toEqual([]);
});

it("every key says what it means", () => {
  const silent = all.flatMap(([path, node]) =>
    Object.entries(node.properties ?? {}).flatMap(([key, child]) => (child.description === undefined ? [`${path}.${key}`] : [])),
  );
  expect(silent).toEqual([]);
});

it("every policy is a key of routes and of defaults, and has its section in the reference", () => {
  const text = referenceText();
  for (const { key } of POLICY_SCHEMAS) {
    expect(configSchema().shape.routes.element.shape).toHaveProperty([key]);
    expect(inputSchema().properties?.["defaults"]?.properties).toHaveProperty([key]);
    expect(text).toContain(`### routes: ${key}\n`);
  }
});

describe("the editor's schema", () => {
  /** Enough of JSON Schema to try values on scalars. */
  function accepts(schema: JsonSchema, value: unknown): boolean {
    if (schema.anyOf !== undefined) return schema.anyOf.some((branch) => accepts(branch, value));
    if (schema.const !== undefined) return schema.const === value;
    if (schema.enum !== undefined) return schema.enum.includes(value);
    const types = [schema.type].flat();
    if (!types.some((type) => type === (type === "integer" && Number.isInteger(value) ? "integer" : typeof value))) return false;
    return typeof value !== "string" || schema.pattern === undefined || new RegExp(schema.pattern, "u").test(value);
  }
  const at = (...path: string[]): JsonSchema =>
    path.reduce<JsonSchema>(
      (node, key) =>
        node.properties?.[key] ??
        (typeof node.additionalProperties === "object" ? (node.additionalProperties.properties?.[key] ?? {}) : {}),
      editorSchema(),
    );
  const check = (path: string, value: unknown, expected: boolean) =>
    it(`${path}: ${JSON.stringify(value)} ${expected ? "yes" : "no"}`, () => expect(accepts(at(...path.split(".")), value)).toBe(expected));
  check("workers", 4, true);
  check("workers", "auto", true);
  check("workers", "${WORKERS:-2}", true);
  check("workers", "many", false);
  check("limits.bodyBytes", "10MiB", true);
  check("limits.bodyBytes", "${BODY}", true);
  check("limits.bodyBytes", "10 MiB", false);
  check("drainTimeout", "30s", true);
  check("drainTimeout", "30", false);
  check("upstreams.balance", "hash", true);
  check("upstreams.balance", "${BALANCE:-hash}", true);
  check("upstreams.balance", "hashed", false);
  check("upstreams.preserveHost", true, true);
  check("upstreams.preserveHost", "yes", false);
  it("requires no section, for an overlay holds any part", () => expect(editorSchema().required).toBeUndefined());
  it("is plain JSON", () => expect(JSON.parse(JSON.stringify(editorSchema()))).toEqual(editorSchema()));
});

it("defaults written in the schema are valid input", () => {
  for (const [path, node] of all) {
    if (node.default === undefined || node.unitPattern === undefined) continue;
    expect([path, new RegExp(node.unitPattern).test(String(node.default))]).toEqual([path, true]);
  }
  expect(z.toJSONSchema(configSchema(), { io: "input", unrepresentable: "any" })).toBeTypeOf("object");
});
