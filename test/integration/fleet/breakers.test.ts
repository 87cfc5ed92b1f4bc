// Real gateways that have Redis and no limit in it: each shows the breakers of the others, and none goes by them.
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFailed } from "vitest";
import type { OthersBreakers } from "../../../src/observe/instance-state.ts";
import { GatedOrigin } from "../../support/gated-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { parsePrometheus } from "../../support/prometheus-parser.ts";
import { RedisServer } from "../../support/redis.ts";
import { SteadyClient } from "../../support/steady-client.ts";
import { untilAsync } from "../../support/until.ts";

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start({ args: ["--requirepass", "hunter2-of-redis"], cli: ["-a", "hunter2-of-redis", "--no-auth-warning"] });
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => void server.cli("flushall"));

const REDIS = () => `redis: { url: "redis://:hunter2-of-redis@127.0.0.1:${server.port}", commandTimeout: 300ms }`;

/** @param breaker settings of the upstream's breaker */
const config = (url: string, redis = REDIS(), breaker = "openFor: 60s, minimumRequests: 5, scope: upstream"): string => `version: 1
workers: 1
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" } ]
${redis}
upstreams:
  main: { targets: [ { url: "${url}" } ], breaker: { ${breaker} }, health: { passive: false }, retry: { attempts: 0 } }
routes: [ { name: all, match: {}, to: main } ]
`;

async function start(text: string): Promise<Gateway> {
  const gateway = await Gateway.start({ config: text });
  onTestFailed(() => console.error(gateway.report()));
  return gateway;
}

/** One row of GET /breakers. */
interface Row {
  readonly upstream: string;
  readonly target: string | null;
  readonly status: { readonly state: string };
  readonly others: {
    readonly knowledge: string;
    readonly reporting: number | null;
    readonly states: Readonly<Record<string, number>> | null;
    readonly instances: readonly { readonly name: string; readonly state: string }[] | null;
  } | null;
}

async function row(gateway: Gateway, target: string | null = null): Promise<Row> {
  const { body } = await gateway.admin("GET", "/breakers");
  const rows = body as readonly Row[]; // the admin listener's documented form
  const found = rows.find((each) => each.upstream === "main" && each.target === target);
  if (found === undefined) throw new Error(`no breaker of ${target}`);
  return found;
}

/** Waits until the row of a gateway shows this of the others. */
const shows = (gateway: Gateway, wanted: object, target: string | null = null) =>
  untilAsync(`a gateway shows ${JSON.stringify(wanted)}`, async () => {
    const { others } = await row(gateway, target);
    expect(others).toMatchObject(wanted);
    expect(Object.keys(others?.states ?? {})).toEqual(Object.keys((wanted as { states?: object }).states ?? {}));
  });

const metric = async (gateway: Gateway, labels: Readonly<Record<string, string>>) => {
  const families = parsePrometheus(String((await gateway.admin("GET", "/metrics")).body));
  const samples = families.get("sluice_breaker_fleet_instances")?.samples ?? [];
  return samples.find((each) => Object.entries(labels).every(([key, text]) => each.labels[key] === text))?.value;
};

const get = async (gateway: Gateway) => {
  const response = await fetch(`${gateway.url}/x`, { headers: { connection: "close" } });
  await response.arrayBuffer();
  return response.status;
};

const nameOf = (gateway: Gateway) => expect.stringMatching(new RegExp(`^[A-Za-z0-9._-]+:${gateway.pid}$`));

/** Two that hear each other. */
async function pair(url: string): Promise<readonly [Gateway, Gateway]> {
  const both = await Promise.all([start(config(url)), start(config(url))]);
  for (const each of both) await shows(each, { knowledge: "fresh", reporting: 1, states: {}, instances: [] });
  return both;
}

describe("two gateways", () => {
  it("one opens by failures, the other shows it, logs it once and serves on; then it closes", async () => {
    await using bad = await GatedOrigin.start();
    await using good = await GatedOrigin.start();
    bad.status = 500;
    const [a, b] = await Promise.all([
      start(config(bad.url, REDIS(), "openFor: 700ms, minimumRequests: 5, scope: upstream, recovery: 0")),
      start(config(good.url)),
    ]);
    await using _a = a;
    await using _b = b;
    await shows(b, { reporting: 1 });
    const client = new SteadyClient({ url: `${a.url}/x`, connections: 4, keepAlive: false });
    await a.said("breaker opened");
    await b.said("breaker is open at other instances");
    await shows(b, { knowledge: "fresh", states: { open: 1 }, instances: [{ name: nameOf(a), state: "open" }] }).catch(() =>
      shows(b, { states: { "half-open": 1 } }),
    );
    expect((await row(b)).status.state).toBe("closed");
    for (let i = 0; i < 10; i++) expect(await get(b)).toBe(200);
    expect((await row(a)).others).toMatchObject({ states: {}, instances: [] });
    bad.status = 200;
    await a.said("breaker closed");
    await client.stop();
    await shows(b, { knowledge: "fresh", states: {}, instances: [] });
    await b.said("breaker is no longer open at other instances");
    expect(b.lines("breaker is open at other instances")).toEqual([
      expect.objectContaining({ level: "info", upstream: "main", instances: 1, first: nameOf(a) }),
    ]);
    expect(b.lines("breaker opened")).toEqual([]);
  });

  it("an operator's order is shown too: in rows, metrics, status and the fleet's own page; no secret is", async () => {
    await using origin = await GatedOrigin.start();
    const [a, b] = await pair(origin.url);
    await using _a = a;
    await using _b = b;
    const forced = await a.admin("POST", "/breakers/main/open");
    expect(forced.body).toMatchObject({ status: { state: "forced open" }, others: { knowledge: "fresh", states: {} } });
    await shows(b, { states: { "forced open": 1 }, instances: [{ name: nameOf(a), state: "forced open" }] });
    expect(await metric(b, { upstream: "main", state: "forced open" })).toBe(1);
    expect(await metric(b, { upstream: "main", state: "open" })).toBe(0);
    expect(await metric(a, { upstream: "main", state: "forced open" })).toBe(0);
    const others = { knowledge: "fresh", instances: 1, breakers: [{ upstream: "main", target: null, states: { "forced open": 1 } }] };
    expect((await b.admin("GET", "/fleet")).body).toMatchObject({ name: nameOf(b), breakers: others });
    const status = await b.admin("GET", "/status");
    expect(status.body).toMatchObject({ instance: { fleet: { breakers: others } } });
    expect([await get(a), await get(b)]).toEqual([503, 200]);
    expect(JSON.stringify(status.body)).not.toContain("hunter2");
    expect(server.cli("--raw", "hvals", "{sluice:0}:breakers:reports")).not.toContain("hunter2");
    await a.admin("POST", "/breakers/main/auto");
    await shows(b, { states: {} });
    expect(await metric(b, { upstream: "main", state: "forced open" })).toBe(0);
  });

  it("an instance that is killed disappears; one that is drained at once", async () => {
    await using origin = await GatedOrigin.start();
    const [a, b] = await pair(origin.url);
    await using _b = b;
    await using c = await start(config(origin.url));
    await a.admin("POST", "/breakers/main/open");
    await c.admin("POST", "/breakers/main/open");
    await shows(b, { reporting: 2, states: { "forced open": 2 } });
    a.kill();
    await a.exited;
    await shows(b, { reporting: 1, states: { "forced open": 1 }, instances: [{ name: nameOf(c) }] });
    await c.stop();
    await shows(b, { knowledge: "fresh", reporting: 0, states: {}, instances: [] });
    expect((await row(b)).status.state).toBe("closed");
  });

  it("Redis that hangs costs requests nothing; what was known is stale, then unknown, then known again", async () => {
    await using origin = await GatedOrigin.start();
    const [a, b] = await pair(origin.url);
    await using _a = a;
    await using _b = b;
    await a.admin("POST", "/breakers/main/open");
    await shows(b, { states: { "forced open": 1 } });
    server.signal("SIGSTOP");
    try {
      await shows(b, { knowledge: "stale", states: { "forced open": 1 } });
      expect(await get(b)).toBe(200);
      await shows(b, { knowledge: "unknown", reporting: null, states: null, instances: null });
      expect(await metric(b, { upstream: "main", state: "forced open" })).toBeUndefined();
      const fleet = (await b.admin("GET", "/fleet")).body as { readonly breakers: OthersBreakers }; // the admin listener's documented form
      expect(fleet.breakers).toMatchObject({ knowledge: "unknown", instances: null, breakers: [] });
      // An own breaker needs no Redis.
      await b.admin("POST", "/breakers/main/open");
      expect(await get(b)).toBe(503);
      await b.admin("POST", "/breakers/main/auto");
      expect(await get(b)).toBe(200);
    } finally {
      server.signal("SIGCONT");
    }
    await shows(b, { knowledge: "fresh", states: { "forced open": 1 } });
    await server.kill();
    await shows(b, { knowledge: "unknown" });
    await server.launch();
    await shows(b, { knowledge: "fresh", states: { "forced open": 1 } });
    expect(b.lines("uncaught error in the primary")).toEqual([]);
  });

  it("garbage in Redis is ignored and counted, and never shown", async () => {
    await using origin = await GatedOrigin.start();
    const [a, b] = await pair(origin.url);
    await using _a = a;
    await using _b = b;
    server.cli(
      "eval",
      `local t = redis.call('TIME') redis.call('ZADD', KEYS[1], t[1] * 1000 + 50000, ARGV[1])
       redis.call('ZADD', KEYS[2], string.format('%.0f', t[1] * 1000000 + 999999), ARGV[1]) redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])`,
      "3",
      ...["ends", "news", "reports"].map((name) => `{sluice:0}:breakers:${name}`),
      "fedcba9876543210",
      '[1,"evil:1",0,[["main","http://<img src=x onerror=alert(1)>",1]]]',
    );
    await untilAsync("it was counted", async () => {
      const { body } = await b.admin("GET", "/metrics");
      expect(Number(/^sluice_breaker_fleet_ignored_total (\d+)$/m.exec(String(body))?.[1])).toBeGreaterThan(0);
    });
    await a.admin("POST", "/breakers/main/open");
    await shows(b, { knowledge: "fresh", reporting: 1, states: { "forced open": 1 } });
    expect(JSON.stringify((await b.admin("GET", "/status")).body)).not.toContain("onerror");
  });
});

it("without Redis a row says so, and there is no fleet", async () => {
  await using origin = await GatedOrigin.start();
  await using gateway = await start(config(origin.url, ""));
  expect((await row(gateway)).others).toBeNull();
  expect((await gateway.admin("GET", "/fleet")).body).toBeNull();
  expect(String((await gateway.admin("GET", "/metrics")).body)).not.toContain("sluice_breaker_fleet");
});
