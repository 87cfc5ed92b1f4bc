// Real gateways on a real Redis: one limit for both, no waiting for Redis, a quota that outlives a restart, and what operators see of it.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { FleetOf, redisAt } from "../../support/fleet.ts";
import { Gateway } from "../../support/gateway.ts";
import { freePort, RedisServer } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => void server.cli("flushall"));

const config = (port = server.port) => `version: 1
workers: 2
listeners: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
redis: { url: redis://127.0.0.1:${port}, secret: 0123456789abcdef, syncInterval: 20ms, commandTimeout: 200ms }
routes:
  - { name: burst, match: { path: /burst }, rateLimit: [{ per: ip, rate: 40/day, burst: 40, mode: fleet }], respond: { status: 200 } }
  - { name: strict, match: { path: /strict }, rateLimit: [{ name: s, per: ip, rate: 4/day, burst: 4, mode: strict }], respond: { status: 200 } }
  - { name: quota, match: { path: /quota }, rateLimit: [{ name: q, per: ip, quota: 8/day, mode: fleet }], respond: { status: 200 } }
  - { name: tenth, match: { path: /tenth }, rateLimit: [{ name: tenth, per: ip, quota: 10/day, mode: fleet }], respond: { status: 200 } }
  - { name: rate, match: { path: /rate }, rateLimit: [{ name: rate, per: ip, rate: 10/day, burst: 10, mode: fleet }], respond: { status: 200 } }
  - { name: hasty, match: { path: /hasty }, rateLimit: [{ name: hasty, per: ip, quota: 10/day, mode: fleet, wait: 0s }], respond: { status: 200 } }
  - { name: shadow, match: { path: /shadow }, rateLimit: [{ name: shadow, per: ip, quota: 10/day, mode: fleet, shadow: true }], respond: { status: 200 } }
  - { name: free, match: { path: /free }, rateLimit: [{ name: f, per: ip, rate: 100000/s, mode: fleet }], respond: { status: 200 } }
`;

const get = async (gateway: Gateway, path: string) => {
  const response = await fetch(gateway.url + path);
  await response.arrayBuffer();
  return response.status;
};

/** Sends until something else than 200 comes. @returns how many passed, and what came then */
async function drain(gateway: Gateway, path: string, most = 100) {
  for (let passed = 0; passed < most; passed++) {
    const status = await get(gateway, path);
    if (status !== 200) return { passed, status };
  }
  return { passed: most, status: 200 };
}

async function metric(gateway: Gateway, name: string): Promise<number> {
  const { body } = await gateway.admin("GET", "/metrics");
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(String(body))?.[1]);
}

/** Waits until a metric is as it should be. */
async function untilMetric(gateway: Gateway, name: string, holds: (value: number) => boolean): Promise<void> {
  let value = Number.NaN;
  let asking = false;
  const look = async () => {
    value = await metric(gateway, name);
    asking = false;
  };
  await until(
    `${name} is as it should be`,
    () => {
      if (!asking && !holds(value)) {
        asking = true;
        void look();
      }
      return holds(value);
    },
    15_000,
  );
}

/** What was spent up to now is told and answered. */
async function told(gateway: Gateway): Promise<void> {
  const before = await metric(gateway, "sluice_redis_sync_duration_seconds_count");
  await get(gateway, "/free");
  await untilMetric(gateway, "sluice_redis_sync_duration_seconds_count", (count) => count >= before + 2);
}

async function fleetOfTwo(): Promise<readonly [Gateway, Gateway]> {
  const both = await Promise.all([Gateway.start({ config: config() }), Gateway.start({ config: config() })]);
  for (const each of both) {
    await untilMetric(each, "sluice_redis_up", (up) => up === 1);
    await untilMetric(each, "sluice_fleet_instances", (instances) => instances === 2);
  }
  return both;
}

describe("two gateways", () => {
  it("have one limit, go on without Redis, and come back", async () => {
    const [a, b] = await fleetOfTwo();
    await using _a = a;
    await using _b = b;
    let passed = 0;
    for (let i = 0; i < 4; i++) {
      passed += (await drain(a, "/burst")).passed;
      await told(a);
    }
    expect(passed).toBe(40);
    expect(await drain(a, "/burst")).toEqual({ passed: 0, status: 429 });
    expect(await drain(b, "/burst", 1)).toEqual({ passed: 1, status: 200 });
    await told(b);
    expect(await drain(b, "/burst")).toEqual({ passed: 0, status: 429 });

    server.signal("SIGSTOP");
    await untilMetric(a, "sluice_redis_up", (up) => up === 0);
    expect(await drain(a, "/free", 50)).toEqual({ passed: 50, status: 200 });
    expect(await drain(a, "/burst")).toEqual({ passed: 0, status: 429 });
    await a.said("Redis is lost: limits go on with this instance's share");
    expect((await a.admin("GET", "/readyz")).body).toMatchObject({
      status: "ready",
      concerns: [expect.stringMatching(/^Redis \(127\.0\.0\.1:\d+\) is not there: limits go on with this instance's share of 1\/2: /)],
    });
    expect((await a.admin("GET", "/status")).body).toMatchObject({ instance: { fleet: { connected: false, instances: 2 } } });
    server.signal("SIGCONT");
    await untilMetric(a, "sluice_redis_up", (up) => up === 1);
    await a.said("Redis is back: limits are reconciled again");
    expect((await a.admin("GET", "/readyz")).body).toMatchObject({ concerns: [] });
    expect(await drain(a, "/burst")).toEqual({ passed: 0, status: 429 });
    expect(a.lines().filter((line) => line.message?.startsWith("Redis is"))).toHaveLength(2);
  });

  it("never let pass more than a strict limit, and say which way it failed", async () => {
    const [a, b] = await fleetOfTwo();
    await using _a = a;
    await using _b = b;
    let passed = 0;
    // In the first moments of an era nothing is granted.
    for (let status = 503; status === 503; ) passed += Number((status = await get(a, "/strict")) === 200);
    for (let i = 0; i < 20; i++) for (const each of [a, b]) passed += (await drain(each, "/strict")).passed;
    expect(passed).toBe(4);
    expect(await get(b, "/strict")).toBe(429);
    server.signal("SIGSTOP");
    await untilMetric(a, "sluice_redis_up", (up) => up === 0);
    expect(await get(a, "/strict")).toBe(429);
    server.signal("SIGCONT");
  });
});

describe("one gateway of four", () => {
  const four = async () => {
    const others = await FleetOf.start(3, redisAt(server.port, { prefix: "sluice" }));
    const gateway = await Gateway.start({ config: config() });
    await untilMetric(gateway, "sluice_fleet_instances", (instances) => instances === 4);
    return { others, gateway };
  };
  const send = async (gateway: Gateway, path: string) => {
    const response = await fetch(gateway.url + path);
    await response.arrayBuffer();
    return { status: response.status, retryAfterS: Number(response.headers.get("retry-after")) };
  };

  it.each(["/tenth", "/rate"])(
    "gets all ten units of %s when the others want none, whether requests come one by one or at once",
    async (path) => {
      const { others, gateway } = await four();
      await using _others = others;
      await using _gateway = gateway;
      for (let i = 0; i < 4; i++) expect(await send(gateway, path)).toMatchObject({ status: 200 });
      const rest = await Promise.all(Array.from({ length: 6 }, () => send(gateway, path)));
      expect(rest.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 200));
      const refused = await send(gateway, path);
      expect(refused.status).toBe(429);
      expect(refused.retryAfterS).toBeGreaterThan(1);
    },
  );

  it("who does not wait is told to come back in a second while units are left, and then passes", async () => {
    const { others, gateway } = await four();
    await using _others = others;
    await using _gateway = gateway;
    let passed = 0;
    for (let tries = 0; passed < 10 && tries < 1000; tries++) {
      const { status, retryAfterS } = await send(gateway, "/hasty");
      if (status === 200) passed++;
      else expect([status, retryAfterS]).toEqual([429, 1]);
    }
    expect(passed).toBe(10);
    const { body } = await gateway.admin("GET", "/metrics");
    expect(String(body)).toContain('sluice_limit_decisions_total{route="hasty",limit="hasty');
  });

  it("a shadow limit goes by what the fleet has left, not by this instance's share", async () => {
    const { others, gateway } = await four();
    await using _others = others;
    await using _gateway = gateway;
    await Promise.all(Array.from({ length: 13 }, () => send(gateway, "/shadow")));
    const of = (outcome: string) => {
      const name = `sluice_limit_decisions_total\\{route="shadow",limit="[^"]*",outcome="${outcome}"\\}`;
      return metric(gateway, name);
    };
    expect([await of("passed"), await of("shadowed")]).toEqual([10, 3]);
  });

  it("while Redis is away goes on with its share of what was left, and tells nobody to wait for the end of the period", async () => {
    const { others, gateway } = await four();
    await using _others = others;
    await using _gateway = gateway;
    expect(await send(gateway, "/tenth")).toMatchObject({ status: 200 });
    await told(gateway);
    server.signal("SIGSTOP");
    try {
      await untilMetric(gateway, "sluice_redis_up", (up) => up === 0);
      const answers: Awaited<ReturnType<typeof send>>[] = [];
      for (let i = 0; i < 4; i++) answers.push(await send(gateway, "/tenth"));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
      expect(answers[3]?.retryAfterS).toBe(1);
    } finally {
      server.signal("SIGCONT");
    }
  });
});

describe("one gateway", () => {
  it("knows after a restart what of a quota was used", async () => {
    {
      await using gateway = await Gateway.start({ config: config() });
      await untilMetric(gateway, "sluice_redis_up", (up) => up === 1);
      expect(await drain(gateway, "/quota", 5)).toEqual({ passed: 5, status: 200 });
    }
    await using gateway = await Gateway.start({ config: config() });
    await untilMetric(gateway, "sluice_redis_up", (up) => up === 1);
    expect(await drain(gateway, "/quota", 1)).toEqual({ passed: 1, status: 200 });
    await told(gateway);
    expect(await drain(gateway, "/quota")).toEqual({ passed: 2, status: 429 });
  });

  it("starts and serves with a Redis that is not there; strict limits are closed", async () => {
    await using gateway = await Gateway.start({ config: config(await freePort()) });
    await gateway.said("Redis is lost: limits go on with this instance's share");
    expect(await drain(gateway, "/burst")).toEqual({ passed: 40, status: 429 });
    expect(await get(gateway, "/strict")).toBe(503);
    expect(gateway.lines("uncaught error in the primary")).toEqual([]);
  });

  it("a changed redis section waits for the next start", async () => {
    await using gateway = await Gateway.start({ config: config() });
    gateway.writeConfig(config().replace("syncInterval: 20ms", "syncInterval: 30ms"));
    expect(await gateway.admin("POST", "/reload")).toMatchObject({
      status: 200,
      body: { warnings: ["redis changed: it takes effect at the next start (or takeover), not by reload"] },
    });
    const { body } = await gateway.admin("GET", "/config");
    expect(JSON.stringify(body)).not.toContain("0123456789abcdef");
  });
});
