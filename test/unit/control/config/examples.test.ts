// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the subject is ${VAR} in configuration files
// Every file in config/ loads, starts with its schema line, and is valid by the JSON Schema that editors use.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Ajv } from "ajv";
import { load as loadYaml } from "js-yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compilePlan } from "../../../../src/control/config/compile/compile.ts";
import { loadConfig } from "../../../../src/control/config/load.ts";
import { staleFiles } from "../../../../src/control/config/output/generate.ts";
import type { JsonSchema } from "../../../../src/control/config/output/json-schema.ts";
import { REFERENCE_EXAMPLES } from "../../../../src/control/config/output/reference-examples.ts";
import type { RouteConfig } from "../../../../src/control/config/schema/route.ts";
import { readConsumers } from "../../../../src/control/config/source/document.ts";
import { toPlain } from "../../../../src/control/config/source/located.ts";
import { formatProblem } from "../../../../src/control/config/source/problem.ts";
import { packConfig, unpackConfig } from "../../../../src/control/plan/packed-config.ts";
import type { AuthConfig } from "../../../../src/data/policies/auth/config.ts";
import { makeCertificate } from "../../../support/certificates.ts";

const CONFIG = resolve(import.meta.dirname, "../../../../config");
/** Files that examples name: read with them. */
const PARTS = /(^|\/)(consumers\.d|policies)\//;
const examples = readdirSync(CONFIG, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".yaml") && !PARTS.test(name));
/** What an overlay lies on. */
const BASES: Readonly<Record<string, string>> = {
  "overlays/prod.yaml": "overlays/base.yaml",
  "company/dev.yaml": "company/base.yaml",
  "company/prod.yaml": "company/base.yaml",
};

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-examples-"));
  cpSync(CONFIG, folder, { recursive: true });
  cpSync(join(CONFIG, "sluice.yaml"), join(folder, "certs", "unused"));
  makeCertificate(join(folder, "certs"), "api", ["api.example.com", "*.api.example.com"]);
  makeCertificate(join(folder, "certs"), "shop", ["shop.example.com"]);
  makeCertificate(join(folder, "certs"), "gateway", ["gateway.internal"]);
  makeCertificate(join(folder, "certs"), "internal-ca", ["ca.internal"]);
  makeCertificate(join(folder, "certs"), "partners-ca", ["ca.partners.example.com"]);
  for (const name of ["certs", "secrets"]) mkdirSync(join(folder, "company", name));
  makeCertificate(join(folder, "company/certs"), "api", ["api.shop.example"]);
  makeCertificate(join(folder, "company/certs"), "office", ["office.shop.example"]);
  for (const name of ["pepper", "admin-token", "redis"]) writeFileSync(join(folder, "company/secrets", name), `${"s".repeat(40)}\n`);
  mkdirSync(join(folder, "secrets"));
  for (const name of ["pepper", "introspection", "acme-2026", "admin-token", "redis", "signing-key"])
    writeFileSync(join(folder, "secrets", name), `${"s".repeat(40)}\n`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What an example shows although a warning goes with it. */
const WARNED_OF: Readonly<Record<string, readonly string[]>> = {
  "behind-prefix.yaml": ["limits.bodyBytes"],
  "legacy-credentials.yaml": ["basic.insecure[0]", "jwt.insecure[0]", "jwt.insecure[1]", "keys[0]"],
  "ways-out.yaml": ["introspection.insecure[0]", "board.insecure[0]", "board.insecure[1]", "routes[1].insecure[0]"],
  "porting-keys.yaml": ["basic.insecure[0]"],
  "porting-site.yaml": ["bodyBytes"],
  "porting-read-api.yaml": ["jwt.insecure[0]", "jwt.insecure[1]"],
};

const load = (name: string) => loadConfig({ files: [BASES[name] ?? [], name].flat().map((file) => join(folder, file)), env: {} });

it("there are examples", () =>
  expect(examples).toEqual(expect.arrayContaining(["sluice.yaml", "demo.yaml", "minimal.yaml", "tls-sni.yaml", "overlays/prod.yaml"])));

describe.each(examples)("%s", (name) => {
  it("loads without warnings but those it is about, and compiles", () => {
    const result = load(name);
    const meant = (path: string): boolean => WARNED_OF[name]?.some((end) => path.endsWith(end)) === true;
    const warnings = result.ok ? result.warnings.filter(({ path }) => !meant(path)) : result.problems;
    expect(warnings.map(formatProblem)).toEqual([]);
    if (result.ok)
      expect(compilePlan(result.config, { version: 1, metricSlot: () => 0, breakerSlot: () => 0 }).routes.length).toBeGreaterThan(0);
  });
  it("is the same after its way to another process", () => {
    const result = load(name);
    if (!result.ok) throw new Error("it does not load");
    expect(unpackConfig(packConfig(result.config))).toEqual(result.config);
  });
  it("names the schema on its first line, and says what it is on the second", () => {
    const [first = "", second = ""] = readFileSync(join(CONFIG, name), "utf8").split("\n");
    const schema = /^# yaml-language-server: \$schema=(\S+)$/.exec(first)?.[1] ?? "";
    expect(resolve(CONFIG, dirname(name), schema)).toBe(join(CONFIG, "sluice.schema.json"));
    expect(second).toMatch(/^# [A-Z]/);
  });
});

describe("every YAML file that is shipped", () => {
  const ajv = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true });
  const schema: JsonSchema = JSON.parse(readFileSync(join(CONFIG, "sluice.schema.json"), "utf8")); // as generate.ts writes it
  const whole = ajv.compile(schema);
  const { consumers: list } = schema.properties ?? {};
  const consumers = ajv.compile({ anyOf: [list, entryOf(list)], definitions: schema["definitions"] });
  const files = readdirSync(CONFIG, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".yaml") && !/^policies\//.test(name),
  ); // tests of policies are no configuration

  it.each(files)("%s is plain YAML for another parser, and valid by the JSON Schema", (name) => {
    const text = readFileSync(join(CONFIG, name), "utf8");
    const value = loadYaml(text);
    const validate = PARTS.test(name) ? consumers : whole;
    expect([validate(value), validate.errors]).toEqual([true, null]);
    const { root } = readConsumers({ file: name, text: text.split("${").join("$${") }, {}); // any map; references stay as they are
    expect(root === null ? null : toPlain(root)).toEqual(value);
  });
});

/** The schema of a list's entries. */
const entryOf = (list: JsonSchema | undefined): JsonSchema | undefined => list?.items ?? list?.anyOf?.find((branch) => branch.items)?.items;

/** What the examples name beside what they show. */
const EXAMPLE_BASE = `version: 1
listeners: [{ address: 127.0.0.1:8080 }]
auth:
  staff: { jwt: { issuer: https://id.example.com, audience: api, discovery: true, algorithms: [RS256], claims: { roles: roles } } }
  partner-keys: { apiKey: { in: header, name: x-api-key, pepper: file:secrets/pepper } }
tiers: { gold: {} }
upstreams:
  users: { targets: [{ url: http://127.0.0.1:9001 }] }
  orders: { targets: [{ url: http://127.0.0.1:9002 }] }
defaults: { auth: none }
routes: [{ name: base, match: { path: /base }, to: users }]
`;

describe("the examples of the reference", () => {
  it.each(Object.keys(REFERENCE_EXAMPLES))("%s: is plain YAML that loads", (name) => {
    const text = REFERENCE_EXAMPLES[name] ?? "";
    expect(loadYaml(text)).toBeTypeOf("object");
    writeFileSync(join(folder, "base.yaml"), EXAMPLE_BASE);
    writeFileSync(join(folder, "example.yaml"), text);
    const result = loadConfig({ files: [join(folder, "base.yaml"), join(folder, "example.yaml")], env: {} });
    expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([]);
  });
  it("there is one for each section and each policy", () => {
    const titles = [...readFileSync(join(CONFIG, "REFERENCE.md"), "utf8").matchAll(/^##+ (.*)$/gm)].map(([, title]) => title);
    const sections = titles.filter((title) => !["Variables in templates", "Conditions", "Which route wins"].includes(title ?? ""));
    expect(sections.toSorted()).toEqual(Object.keys(REFERENCE_EXAMPLES).toSorted());
  });
});

it("sluice.yaml needs neither environment nor other files", () => {
  const result = loadConfig({ files: [join(CONFIG, "sluice.yaml")], env: {} });
  expect(result.ok ? result.files : result.problems.map(formatProblem)).toEqual([join(CONFIG, "sluice.yaml")]);
});

it("the overlay merges: lists replace, maps keep, null takes away", () => {
  const result = load("overlays/prod.yaml");
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  const { config } = result;
  expect(config.workers.count).toBe("auto");
  expect(config.listeners.map((listener) => listener.address)).toEqual(["0.0.0.0:80"]);
  expect(config.upstreams[0]).toMatchObject({ timeouts: { attemptMs: 2000, connectMs: 1000 }, retry: { attempts: 2 } });
  expect(config.routes[0]?.policies).toEqual([]);
});

it("schema and reference are current: `npm run generate` writes them", () => expect(staleFiles()).toEqual([]));

describe("the company's environments", () => {
  const routesIn = (environment: string) => {
    const result = load(`company/${environment}.yaml`);
    if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
    return new Map(result.config.routes.map((route) => [route.name, route]));
  };
  let base: ReturnType<typeof routesIn> = new Map();
  beforeAll(() => {
    base = routesIn("base");
  });
  const policyOf = (route: RouteConfig | undefined, name: string) => route?.policies.find((policy) => policy.name === name)?.config;

  it.each(["dev", "prod"])("%s has the routes of the base, each with what it does not change", (environment) => {
    const routes = routesIn(environment);
    expect([...routes.keys()]).toEqual([...base.keys()]);
    for (const [name, route] of routes) {
      expect([name, route.match]).toEqual([name, base.get(name)?.match]);
      expect([name, policyOf(route, "auth")]).toEqual([name, policyOf(base.get(name), "auth")]);
      expect([name, policyOf(route, "authorize")]).toEqual([name, policyOf(base.get(name), "authorize")]);
    }
  });
  it("production splits orders and shares their limit", () => {
    const orders = routesIn("prod").get("orders");
    expect(orders).toMatchObject({
      weighted: [
        { upstream: "orders", weight: 90 },
        { upstream: "orders-next", weight: 10 },
      ],
    });
    expect(orders?.to).toBeUndefined();
    expect(policyOf(orders, "rateLimit")).toMatchObject([{ name: "calls", tier: true, rate: { count: 5 }, mode: "fleet" }]);
  });
  it("no route is public but the catalog and the probe", () => {
    const open = [...base.values()].filter((route) => (policyOf(route, "auth") as AuthConfig).tree === null); // every route has one
    expect(open.map(({ name }) => name)).toEqual(["catalog", "health"]);
  });
});
