// The published schema is written without repetition, and says the same of every example, right or wrong, as if all of it were written out.
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { editorSchema, type JsonSchema, plainEditorSchema } from "../../../../../src/control/config/output/json-schema.ts";
import { withSharedDefinitions } from "../../../../../src/control/config/output/shared-definitions.ts";

const CONFIG = path.join(import.meta.dirname, "../../../../../config");
const published = JSON.parse(readFileSync(path.join(CONFIG, "sluice.schema.json"), "utf8")) as JsonSchema; // our own file
const compile = (schema: JsonSchema) => new Ajv({ strict: true, allowUnionTypes: true }).compile(schema);
const accepts = compile(published);
const acceptsPlain = compile(plainEditorSchema());

const examples = globSync("{*,company/*,overlays/*}.yaml", { cwd: CONFIG }).map(
  (name) => [name, parse(readFileSync(path.join(CONFIG, name), "utf8")) as unknown] as const,
);

it("there are examples", () => expect(examples.length).toBeGreaterThan(25));

it.each(examples)("accepts %s", (_, example) => {
  accepts(example);
  expect(accepts.errors ?? []).toEqual([]);
});

/** Copies of a value with one thing changed, each with where. */
function* changed(value: unknown): Generator<readonly [place: string, value: unknown]> {
  for (const other of [7, "no such value", {}]) yield ["", other];
  if (typeof value !== "object" || value === null) return;
  for (const [key, child] of Object.entries(value)) {
    const put = (each: unknown): unknown =>
      Array.isArray(value) ? value.map((old: unknown, i) => (String(i) === key ? each : old)) : { ...value, [key]: each };
    for (const [place, each] of changed(child)) yield [`${key}.${place}`, put(each)];
    if (Array.isArray(value)) continue;
    const { [key]: moved, ...rest } = value as Readonly<Record<string, unknown>>; // an object that is no list
    yield [`${key} is gone`, rest];
    yield [`${key} is misspelt`, { ...rest, [`${key}s`]: moved }];
  }
}

it("finds the same mistakes as if nothing were shared", { timeout: 60_000 }, () => {
  const verdicts = { right: 0, wrong: 0 };
  for (const [name, example] of examples)
    for (const [place, value] of changed(example)) {
      const expected = acceptsPlain(value);
      verdicts[expected ? "right" : "wrong"]++;
      if (accepts(value) !== expected) expect.fail(`${name}: ${place}`);
    }
  expect(verdicts.wrong).toBeGreaterThan(2000);
  expect(verdicts.right).toBeGreaterThan(300);
});

it("no part of any length stands there twice", () => {
  const seen = new Map<string, number>();
  const walk = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    const text = JSON.stringify(node);
    if (text.length >= 200) seen.set(text, (seen.get(text) ?? 0) + 1);
    for (const child of Object.values(node)) walk(child);
  };
  walk(published);
  expect([...seen].filter(([, count]) => count > 1).map(([text]) => text.slice(0, 100))).toEqual([]);
  expect(JSON.stringify(published).length).toBeLessThan(0.5 * JSON.stringify(plainEditorSchema()).length);
});

it("every reference leads to a definition, and every definition is referred to", () => {
  const named = [...JSON.stringify(published).matchAll(/"\$ref":"#\/definitions\/([^"]+)"/g)].map(([, name]) => name);
  expect([...new Set(named)].toSorted()).toEqual(Object.keys(published["definitions"] as object).toSorted());
});

it("every key keeps its description, behind its reference or before it", () => {
  const definitions = published["definitions"] as Readonly<Record<string, JsonSchema>>;
  const { $ref = "" } = published.properties?.["upstreamDefaults"]?.anyOf?.[0]?.properties?.["retry"] ?? {};
  expect(definitions[$ref.slice("#/definitions/".length)]?.description).toMatch(/^Further attempts/);
});

describe("sharing", () => {
  const long = { type: "string", description: "a description that is long enough to be worth a definition of its own" };
  it("makes one definition of equal parts, named by the first key", () =>
    expect(withSharedDefinitions({ properties: { first: long, second: long, third: { ...long, default: "x" } } })).toEqual({
      properties: { first: { $ref: "#/definitions/first" }, second: { $ref: "#/definitions/first" }, third: { ...long, default: "x" } },
      definitions: { first: long },
    }));
  it("leaves alone what stands in a part that is shared as a whole, and nowhere else", () => {
    const whole = { type: "object", properties: { inner: long } };
    expect(withSharedDefinitions({ properties: { a: whole, b: whole } })["definitions"]).toEqual({ a: whole });
  });
  it("does not take data for schemas", () => {
    const data = { default: { properties: long }, enum: [long] };
    expect(withSharedDefinitions({ properties: { a: data, b: { ...data, type: "object" } } })).toEqual({
      properties: { a: data, b: { ...data, type: "object" } },
      definitions: {},
    });
  });
  it("says the same of itself again", () => expect(editorSchema()).toEqual(published));
});
