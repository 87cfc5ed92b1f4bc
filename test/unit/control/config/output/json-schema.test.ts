// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the subject is ${VAR} in configuration files
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { resolveLazy } from "../../../../../src/base/schema.ts";
import { editorSchema, inputSchema, type JsonSchema } from "../../../../../src/control/config/output/json-schema.ts";
import { referenceText } from "../../../../../src/control/config/output/reference.ts";
import { configSchema } from "../../../../../src/control/config/schema/schema.ts";
import { POLICY_SCHEMAS } from "../../../../../src/data/policies/schemas.ts";
import { TEMPLATE_VARIABLES } from "../../../../../src/data/routing/template.ts";

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
  const open = all
    .filter(([, node]) => node.properties !== undefined && node.additionalProperties !== false && node["propertyNames"] === undefined)
    .map(([path]) => path);
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

it("the reference names every variable of templates", () => {
  const text = referenceText();
  for (const name of [...TEMPLATE_VARIABLES, "path.NAME", "query.NAME", "header.NAME", "claims.NAME"])
    expect(text).toContain(`| \`{${name}}\` |`);
});

describe("the editor's schema", () => {
  const accepts = new Ajv({ strict: true, allowUnionTypes: true }).compile(editorSchema());
  /** The part of a configuration that has one value at a path; `*` is any name, `[]` an entry of a list. */
  const partWith = ([key, ...rest]: readonly string[], value: unknown): unknown => {
    if (key === undefined) return value;
    const inner = partWith(rest, value);
    return key === "[]" ? [{ ...(inner as object), name: "a" }] : { [key === "*" ? "any" : key]: inner }; // an object: a path goes on behind an entry
  };
  const check = (path: string, value: unknown, expected: boolean) =>
    it(`${path}: ${JSON.stringify(value)} ${expected ? "yes" : "no"}`, () =>
      expect(accepts(partWith(path.split("."), value))).toBe(expected));
  check("errorPages.404", { body: "gone" }, true);
  check("errorPages.404-410", [{ body: "gone" }, { json: {} }], true);
  check("errorPages.rate_limited", null, true);
  check("errorPages.intercept", [502, "500-599"], true);
  check("errorPages.302", { body: "gone" }, false);
  check("errorPages.rate_limit", { body: "gone" }, false);
  check("errorPages.404", { text: "gone" }, false);
  check("upstreams.*.health.active.expect", [200, "300-399"], true);
  check("upstreams.*.health.active.expect", { status: 200, body: { contains: "UP" } }, true);
  check("upstreams.*.health.active.expect", "5xx", false);
  check("workers", 4, true);
  check("workers", "auto", true);
  check("workers", "${WORKERS:-2}", true);
  check("workers", "many", false);
  check("limits.bodyBytes", "10MiB", true);
  check("limits.bodyBytes", "${BODY}", true);
  check("limits.bodyBytes", "10 MiB", false);
  check("drainTimeout", "30s", true);
  check("drainTimeout", "30", false);
  check("upstreams.*.balance", "hash", true);
  check("upstreams.*.balance", "${BALANCE:-hash}", true);
  check("upstreams.*.balance", "hashed", false);
  check("upstreams.*.preserveHost", true, true);
  check("upstreams.*.preserveHost", "yes", false);
  check("upstreams.*.host", "client", true);
  check("upstreams.*.host", "${HOST:-target}", true);
  check("upstreams.*.host", "api.internal:8443", true);
  check("upstreams.*.host", true, false);
  check("routes.[].stickyBy", "consumer", true);
  check("routes.[].stickyBy", { cookie: "sid" }, true);
  check("routes.[].stickyBy", "cookie", false);
  check("listeners", [{ address: "127.0.0.1:0", tls: { certificates: [{ cert: "a", key: "b" }], minVersion: "TLSv1.1" } }], false);
  check("upstreams.*.tls", { minVersion: "TLSv1.3", ciphers: ["TLS_AES_128_GCM_SHA256"], curves: ["X25519"] }, true);
  check("routes.[].host", "api.internal", true);
  check("upstreamDefaults", { pool: { connections: 4 }, retry: null }, true);
  check("upstreamDefaults", { targets: [{ url: "http://a" }] }, false);
  check("drainTimeout", 30, false);
  check("drainTimeout", 0, true);
  check("limits.bodyTimeout", "0s", false);
  check("limits.bodyTimeout", "0", false);
  check("limits.bodyBytes", 1024, true);
  check("upstreams.*.retry.budget", 0.2, true);
  check("upstreams.*.retry.budget", 20, false);
  check("upstreams.*.retry.budget", "120%", false);
  check("tiers.*.rate", "100/s", true);
  check("tiers.*.rate", "60/minute", true);
  check("tiers.*.rate", "${RATE:-5/s}", true);
  check("tiers.*.rate", "5 per second", false);
  check("tiers.*.rate", "0/s", false);
  check("tiers.*.rate", 5, false);
  check("tiers.*.quota", "1000/weeks", true);
  check("tiers.*.quota", "1000/year", false);
  check("routes.[].match.path", "/users/{id}", true);
  check("routes.[].match.path", "users", false);
  check("routes.[].match.methods", ["get"], true);
  check("routes.[].match.methods", ["GET, POST"], false);
  check("routes.[].cors", null, true);
  check("routes.[].remove", true, true);
  check("upstreams.*.targets", [{ url: "http://a:80", weight: 3 }], true);
  check("upstreams.*.targets", ["http://a:80"], false);
  check("upstreams.*.targets", [{ url: "a:80" }], false);
  check("upstreams.*.targets", [{ url: "http://${HOST}:80" }], true);
  check("listeners", [{ address: ":8080" }], false);
  check("listeners", [{ address: 8080 }], false);
  check("listeners", [{ address: "8080" }], false);
  check("defaults", null, true);
  check("policySets.*", { auth: null, timeouts: { attempt: "60s" } }, true);
  check("policySets.*", { to: "users" }, false);
  check("policySets.*.rateLimit", [{ name: "a", rate: "1/s" }], true);
  check("policySets.*.rateLimit", [{ rate: "1/s" }], false);
  check("policySets.*.rateLimit.[].remove", true, true);
  check("routes.[].use", ["partner"], true);
  check("x-anchors", { anything: [1, null] }, true);
  check("y-anchors", {}, false);
  check("upstreams.*", null, true);
  check("upstreams.*.timeouts", { attempt: "60s" }, true);
  check("upstreams.*.timeouts", { response: "60s" }, true);
  it("requires no section, for an overlay holds any part", () => expect(editorSchema().required).toBeUndefined());
  it("is plain JSON", () => expect(JSON.parse(JSON.stringify(editorSchema()))).toEqual(editorSchema()));
});

it("no default and no example of the schema is lost", () => {
  const lost: string[] = [];
  const walk = (schema: z.ZodType, path: string): void => {
    z.toJSONSchema(schema, {
      io: "input",
      target: "draft-7",
      unrepresentable: "any",
      override: ({ zodSchema, jsonSchema, path: below }) => {
        const real = resolveLazy(zodSchema);
        const place = [path, ...below.filter((key) => key !== "properties")].join(".");
        if (real !== null) walk(real, place);
        const { type } = zodSchema._zod.def;
        if (type === "default" && jsonSchema.default === undefined) lost.push(place);
      },
    });
  };
  walk(configSchema(), "");
  expect(lost).toEqual([]);
  for (const key of ["cors.headers", "cors.maxAge", "compress.minBytes", "compress.types"]) {
    const [policy = "", name = ""] = key.split(".");
    expect([key, inputSchema().properties?.["routes"]?.items?.properties?.[policy]?.properties?.[name]?.default]).toEqual([
      key,
      expect.anything(),
    ]);
  }
  const { stripPrefix } = inputSchema().properties?.["routes"]?.items?.properties?.["rewrite"]?.properties ?? {};
  expect(stripPrefix?.examples).toEqual(["/api"]);
});

it("defaults written in the schema are valid input", () => {
  for (const [path, node] of all) {
    if (node.default === undefined || node.unitPattern === undefined) continue;
    expect([path, new RegExp(node.unitPattern).test(String(node.default))]).toEqual([path, true]);
  }
  expect(z.toJSONSchema(configSchema(), { io: "input", unrepresentable: "any" })).toBeTypeOf("object");
});
