// The `redis` section: every way to reach Redis, what is refused, and that no secret is ever shown.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig, parseConfig } from "../../../../src/control/config/load.ts";
import { redactConfig } from "../../../../src/control/config/output/redact.ts";
import { parseRedisUrl } from "../../../../src/control/config/schema/redis.ts";
import { formatProblem } from "../../../../src/control/config/source/problem.ts";
import { describeRedis } from "../../../../src/store/redis-settings.ts";
import { makeCertificate } from "../../../support/certificates.ts";

const text = (redis: string) => `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }] } }
routes: [{ name: r, match: {}, to: a }]
redis: ${redis}
`;
const load = (redis: string, env: Readonly<Record<string, string>> = {}) =>
  parseConfig({ texts: [{ file: "c.yaml", text: text(redis) }], env });
const good = (redis: string, env?: Readonly<Record<string, string>>) => {
  const result = load(redis, env);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  return result;
};
const messages = (list: readonly { path: string; message: string }[]) => list.map(({ path, message }) => `${path}: ${message}`);

describe("how Redis is reached", () => {
  const check = (redis: string, shown: string, expected: object) =>
    it(redis, () => {
      const config = good(redis).config.redis;
      expect(config).toMatchObject(expected);
      expect(config === null ? "" : describeRedis(config)).toBe(shown);
    });
  check("{ url: redis://10.0.0.7 }", "10.0.0.7:6379", {
    topology: { kind: "standalone", host: "10.0.0.7", port: 6379 },
    tls: null,
    username: null,
    password: null,
    database: 0,
    syncIntervalMs: 100,
    commandTimeoutMs: 500,
    prefix: "sluice",
    fleetSize: null,
  });
  check("{ url: 'rediss://app:p%40ss@cache.internal:6380/3' }", "cache.internal:6380 (TLS)", {
    topology: { kind: "standalone", host: "cache.internal", port: 6380 },
    tls: { ca: null, verify: true },
    username: "app",
    password: "p@ss",
    database: 3,
  });
  check("{ url: 'redis://[::1]:7000', password: secret-secret }", "[::1]:7000", {
    topology: { host: "::1", port: 7000 },
    password: "secret-secret",
  });
  check("{ url: 'unix:/run/redis.sock' }", "unix:/run/redis.sock", { topology: { kind: "unix", path: "/run/redis.sock" } });
  check(
    "{ sentinel: { name: main, nodes: [10.0.0.1, '10.0.0.2:26380'], password: s3ntinel } }",
    "main by sentinels 10.0.0.1:26379, 10.0.0.2:26380",
    {
      topology: {
        kind: "sentinel",
        name: "main",
        nodes: [{ host: "10.0.0.1", port: 26_379 }, { port: 26_380 }],
        username: null,
        password: "s3ntinel",
      },
      password: null,
    },
  );
  check("{ cluster: ['10.0.0.1:7000', 10.0.0.2], tls: true }", "cluster 10.0.0.1:7000, 10.0.0.2:6379 (TLS)", {
    topology: { kind: "cluster", nodes: [{ port: 7000 }, { port: 6379 }] },
    tls: { verify: true },
  });
});

it("is absent unless it is written", () => {
  const result = parseConfig({ texts: [{ file: "c.yaml", text: text("{}").replace(/^redis.*$/m, "") }] });
  expect(result.ok && result.config.redis).toBe(null);
});

describe("what is refused", () => {
  const check = (redis: string, ...expected: string[]) =>
    it(redis, () => {
      const result = load(redis);
      expect(result.ok ? [] : messages(result.problems)).toEqual(expected);
    });
  check("{}", "redis: expected exactly one of url, sentinel and cluster");
  check("{ url: redis://a, cluster: [b] }", "redis: expected exactly one of url, sentinel and cluster");
  check("{ url: http://a }", "redis.url: expected redis://user:password@host:port/database, rediss://... for TLS, or unix:/path");
  check("{ url: redis://a/x }", "redis.url: expected redis://user:password@host:port/database, rediss://... for TLS, or unix:/path");
  check("{ cluster: [a], database: 1 }", "redis.database: a cluster has only database 0");
  check("{ url: redis://a, syncInterval: 1ms }", "redis.syncInterval: expected at least 10ms");
  check("{ url: redis://a, secret: short }", "redis.secret: expected at least 16 characters");
  check(
    "{ url: redis://a, tls: { cert: none.pem } }",
    "redis.tls: cert and key go together",
    "redis.tls.cert: can't read none.pem: there is no such file",
  );
});

it("an error does not repeat a URL that holds a password", () => {
  const result = load(`{ url: "\${REDIS_URL}" }`, { REDIS_URL: "redis://user:hunter2@a:b" });
  expect(result.ok).toBe(false);
  expect(JSON.stringify(result)).not.toContain("hunter2");
  expect(parseRedisUrl("redis://user:hunter2@a:b")).toBe(null);
});

it("warns when nothing secret is there to hash with, and when slowness would look like an outage", () => {
  expect(messages(good("{ url: redis://a, commandTimeout: 50ms }").warnings)).toEqual([
    "redis: keys of limits are hashed with a value that anybody can know: callers could choose keys that collide",
    "redis.commandTimeout: shorter than syncInterval: a slow answer counts as an outage",
  ]);
  expect(good("{ url: redis://:password@a }").warnings).toEqual([]);
  expect(good("{ url: redis://a, secret: 0123456789abcdef }").warnings).toEqual([]);
});

describe("secrets", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sluice-redis-"));
    makeCertificate(folder, "client", ["sluice"]);
    for (const [file, content] of Object.entries({
      url: "redis://:from-a-file@b:1\n",
      secret: "secret-from-a-file\n",
      sentinel: "sentinel-pass",
    }))
      writeFileSync(join(folder, file), content);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const fromFile = (redis: string) => {
    writeFileSync(join(folder, "c.yaml"), text(redis));
    const result = loadConfig({ files: [join(folder, "c.yaml")], env: {} });
    if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
    return result.config;
  };

  it("come from files", () => {
    expect(fromFile("{ url: 'file:url', secret: 'file:secret' }").redis).toMatchObject({
      topology: { host: "b", port: 1 },
      password: "from-a-file",
      secret: "secret-from-a-file",
    });
    expect(fromFile("{ sentinel: { name: m, nodes: [a], password: 'file:sentinel' } }").redis).toMatchObject({
      topology: { password: "sentinel-pass" },
    });
  });

  it("are never shown", () => {
    const config = fromFile("{ url: 'file:url', secret: 'file:secret', tls: { cert: client.pem, key: client.key } }");
    const shown = JSON.stringify(redactConfig(config));
    expect(shown).not.toMatch(/from-a-file|PRIVATE KEY/);
    expect(shown).toContain('"host":"b"');
  });
});
