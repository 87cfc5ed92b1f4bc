// Consumers out of Redis: as if they stood in a file, but each mistake is told by the consumer's name, no file or variable can be named,
// and no message shows what a consumer holds.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig, parseConfig } from "../../../../../src/control/config/load.ts";
import { redactConfig } from "../../../../../src/control/config/output/redact.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { redisConsumerSet } from "../../../../../src/control/config/source/redis-consumers.ts";

const KEY = `sha256:${"0a".repeat(32)}`;
const OTHER = `sha256:${"0b".repeat(32)}`;
const PASSWORD = `scrypt:ln=15,r=8,p=1:${"A".repeat(22)}:${"A".repeat(22)}`;
const CONFIG = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { users: { targets: [{ url: http://10.0.0.1 }] } }
routes: [{ name: all, match: {}, to: users, auth: keys }]
auth: { keys: { apiKey: { in: header, name: x-api-key } } }
tiers: { gold: {} }
redis: { url: redis://10.0.0.7, password: s3cret-s3cret }
consumersFrom: { redis: true }
consumers: [{ id: first, keys: ["${OTHER}"] }]
`;

/** @param fields name and value: text, or what JSON is made of */
const setOf = (fields: Readonly<Record<string, unknown>>) =>
  redisConsumerSet(
    "sluice:consumers",
    "7",
    Object.entries(fields).flatMap(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  );

const load = (fields: Readonly<Record<string, unknown>>, config = CONFIG) =>
  parseConfig({ texts: [{ file: "c.yaml", text: config }], env: { TIER: "gold" }, redisConsumers: setOf(fields) });

const problems = (fields: Readonly<Record<string, unknown>>, config?: string): string[] => {
  const result = load(fields, config);
  return result.ok ? [] : result.problems.map(formatProblem);
};

function good(fields: Readonly<Record<string, unknown>>, config?: string) {
  const result = load(fields, config);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  return result.config;
}

it("stand behind those of the file, in order of their names, whatever the order they came in", () => {
  const { consumers } = good({ b: {}, a: { id: "a", tier: "gold", scopes: ["x"], keys: [KEY], password: PASSWORD } });
  expect(consumers.map(({ id, tier, scopes, keys, password }) => ({ id, tier, scopes, keys, password }))).toEqual([
    { id: "first", tier: null, scopes: [], keys: [OTHER], password: null },
    { id: "a", tier: "gold", scopes: ["x"], keys: [KEY], password: PASSWORD },
    { id: "b", tier: null, scopes: [], keys: [], password: null },
  ]);
});

describe("count only where they are asked for", () => {
  const check = (name: string, consumersFrom: string, expected: readonly string[]) =>
    it(name, () => {
      const config = good({ a: {} }, CONFIG.replace("consumersFrom: { redis: true }", consumersFrom));
      expect(config.consumers.map(({ id }) => id)).toEqual(expected);
      expect(config.redisConsumers?.marker ?? null).toBe(expected.includes("a") ? "7" : null);
    });
  check("true", "consumersFrom: { redis: true }", ["first", "a"]);
  check("a map", "consumersFrom: { redis: { every: 1m } }", ["first", "a"]);
  check("an empty map", "consumersFrom: { redis: {} }", ["first", "a"]);
  check("false", "consumersFrom: { redis: false }", ["first"]);
  check("not at all", "", ["first"]);
});

it("are asked for every 5 s unless it is said otherwise", () => {
  const every = (redis: string) => good({}, CONFIG.replace("redis: true", `redis: ${redis}`)).consumersFrom.redis?.everyMs;
  expect([every("true"), every("{}"), every("{ every: 250ms }")]).toEqual([5000, 5000, 250]);
});

describe("mistakes", () => {
  const check = (name: string, fields: Readonly<Record<string, unknown>>, ...expected: string[]) =>
    it(name, () => expect(problems(fields)).toEqual(expected));
  const AT = "Redis sluice:consumers";
  check(
    "the key itself instead of its hash",
    { good: {}, acme: { keys: [KEY, "slk_plain"] } },
    `${AT} acme: consumers[1].keys[1]: expected \`sha256:\` or \`hmac-sha256:\` and 64 hexadecimal digits, as \`sluice key create\` prints them; a key itself, of 8 to 512 visible ASCII characters, comes from the environment or a file`,
  );
  check("unknown key", { acme: { roels: [] } }, `${AT} acme: consumers[1].roels: unknown key; did you mean \`roles\`?`);
  check("no JSON", { acme: "keys: [slk_plain]" }, `${AT} acme: the value is not JSON; write the consumer as JSON: {"keys":["sha256:..."]}`);
  check(
    "a member twice",
    { acme: `{"keys":["${KEY}"],"keys":[]}` },
    `${AT} acme: the value has a member twice; write the consumer as JSON: {"keys":["sha256:..."]}`,
  );
  check("another id", { acme: { id: "globex" } }, `${AT} acme: the id in the value is another than the field; leave \`id\` out`);
  check(
    "a name that is no id",
    { "a\nb": {} },
    `${AT} "a\\nb": the field is no id: expected 1 to 256 characters without control characters, and no blanks at the ends; name the field after the consumer`,
  );
  check(
    "a long name",
    { ["x".repeat(300)]: {} },
    `${AT} ${"x".repeat(64)}...: the field is no id: expected 1 to 256 characters without control characters, and no blanks at the ends; name the field after the consumer`,
  );
  check(
    "secrets",
    { acme: { signingSecrets: [{ keyId: "a", secret: "s".repeat(32) }] } },
    `${AT} acme: \`signingSecrets\` are secrets: Redis holds hashes only; put this consumer into the file or the directory`,
  );
  check(
    "a tier that is none",
    { acme: { tier: "glod" } },
    `${AT} acme: consumers[1].tier: there is no tier named glod; did you mean \`gold\`?`,
  );
  check(
    "the id and the key of one in the file",
    { first: { keys: [OTHER] } },
    `${AT} first: consumers[1].id: the id is the same as consumers[0].id at c.yaml:9:19; it must lead to one consumer: change or remove one of them`,
    `${AT} first: consumers[1].keys[0]: the hash of a key is the same as consumers[0].keys[0] at c.yaml:9:33; it must lead to one consumer: change or remove one of them`,
  );
  check(
    "one key for two",
    { a: { keys: [KEY] }, b: { keys: [KEY] } },
    `${AT} b: consumers[2].keys[0]: the hash of a key is the same as consumers[1].keys[0] at ${AT} a; it must lead to one consumer: change or remove one of them`,
  );
  check(
    "a hash for which there is no pepper",
    { a: { keys: [`hmac-${KEY}`] } },
    `${AT} a: consumers[1].keys[0]: no apiKey authenticator has a pepper to check this key with; set \`pepper\` under auth.NAME.apiKey`,
  );
  check("what would be a prototype", { acme: '{"__proto__":{"keys":[]}}' }, `${AT} acme: unknown key \`__proto__\`; remove it`);

  it("without a `redis` section", () =>
    expect(problems({}, CONFIG.replace(/^redis: .*$/m, ""))).toEqual([
      "c.yaml:8:25: consumersFrom.redis: there is no `redis` section; say under `redis` where it is",
    ]));
  it.each([
    ["1", "c.yaml:8:25: consumersFrom.redis: expected true, false or a map"],
    ["{ every: 1ms }", "c.yaml:8:34: consumersFrom.redis.every: expected at least 100ms"],
    ["{ every: 2h }", "c.yaml:8:34: consumersFrom.redis.every: expected at most 1h"],
    ["{ prefix: a }", "c.yaml:8:27: consumersFrom.redis.prefix: unknown key; known keys: every"],
  ])("`redis: %s`", (redis, expected) => expect(problems({}, CONFIG.replace("redis: true", `redis: ${redis}`))).toEqual([expected]));
});

describe("name nothing outside of Redis", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sluice-redis-consumers-"));
    writeFileSync(join(folder, "password"), PASSWORD);
    writeFileSync(join(folder, "c.yaml"), CONFIG);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("no file", () => {
    const set = setOf({ acme: { password: `file:${folder}/password` } });
    const result = loadConfig({ files: [join(folder, "c.yaml")], env: {}, redisConsumers: set });
    expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([
      "Redis sluice:consumers acme: consumers[1].password: expected a hash of the password, as `sluice password hash` or `htpasswd -B` prints it",
    ]);
    expect(result.files).toEqual([join(folder, "c.yaml")]);
  });
  it("no variable", () =>
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in Redis
    expect(problems({ acme: { tier: "${TIER}" } })).toEqual([
      "Redis sluice:consumers acme: consumers[1].tier: expected a name of letters, digits, '.', '_' and '-'",
    ]));
});

it("hashes are shown nowhere", () => {
  const config = good({ acme: { keys: [KEY], password: PASSWORD } });
  expect(JSON.stringify(redactConfig(config))).not.toMatch(/0a0a|AAAA|0b0b|s3cret/);
  expect(JSON.stringify(redactConfig(config))).toContain("acme");
  // The mistake is elsewhere, or in what belongs to the hash itself.
  const secret = { keys: [KEY, KEY], password: `${PASSWORD}!`, scopes: "all" };
  for (const line of problems({ acme: secret, b: JSON.stringify(secret).slice(1), first: secret }))
    expect(line).not.toMatch(/0a0a|AAAA|scrypt:/);
});

describe("two sets are the same", () => {
  const digest = (fields: Readonly<Record<string, unknown>>) => setOf(fields).digest;
  it("in any order, under any marker", () => {
    expect(digest({ a: "1", b: "2" })).toBe(digest({ b: "2", a: "1" }));
    expect(redisConsumerSet("k", "1", ["a", "x"]).digest).toBe(redisConsumerSet("k", "2", ["a", "x"]).digest);
  });
  it("and not when anything differs", () => {
    const all = [{}, { a: "1" }, { a: "2" }, { b: "1" }, { a1: "" }, { a: "1", b: "" }, { a: "", b: "1" }, { "a1:1": "" }];
    expect(new Set(all.map(digest)).size).toBe(all.length);
  });
});
