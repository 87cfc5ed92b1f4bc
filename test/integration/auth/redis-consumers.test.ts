// Consumers from a real Redis: they come, change and go at real gateways without a dropped connection; a bad set, an absent and an emptied Redis
// change nothing for those who are known; whoever is not known gets 401, never more.
import { hash } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { hashPassword } from "../../../src/data/credentials/password-hash.ts";
import { Gateway } from "../../support/gateway.ts";
import { freePort, RedisServer } from "../../support/redis.ts";
import { SteadyClient } from "../../support/steady-client.ts";
import { until } from "../../support/until.ts";

const HASH = "test:consumers";
const MARKER = "{test:consumers}:version";
const REFUSED = "the consumers in Redis are refused: those of before stay in force";
const UNREADABLE = "the consumers in Redis cannot be read: those that are known stay in force";
const READABLE = "the consumers in Redis can be read";
/** Cheap: the tests are not about that. */
const CHEAP = { scheme: "scrypt", ln: 14, r: 8, p: 1 } as const;

const hashOf = (key: string) => `sha256:${hash("sha256", key)}`;
const withKeys = (...keys: readonly string[]) => ({ keys: keys.map(hashOf) });
const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });

let origin: http.Server;
let server: RedisServer;
const gateways: Gateway[] = [];
beforeAll(async () => {
  origin = http.createServer((request, response) => response.end(String(request.headers["x-consumer-id"])));
  await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  origin.closeAllConnections();
  origin.close();
});
beforeEach(async () => {
  server = await RedisServer.start();
});
afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const FROM = "consumersFrom: { redis: { every: 100ms } }";
const config = (port: number) => `version: 1
workers: 2
drainTimeout: 1s
listeners: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
redis: { url: redis://127.0.0.1:${port}, secret: 0123456789abcdef, prefix: test, commandTimeout: 300ms }
auth: { keys: { apiKey: { in: header, name: x-api-key } }, people: { basic: {} } }
${FROM}
consumers: [{ id: local, keys: ["${hashOf("local-key")}"] }]
tiers: { gold: {} }
upstreams: { service: { targets: [{ url: "http://127.0.0.1:${(origin.address() as AddressInfo).port}" }] } }
routes:
  - { name: keys, match: { path: /keys }, auth: keys, to: service }
  - { name: people, match: { path: /people }, auth: people, to: service }
  - { name: open, match: { path: /open }, auth: none, to: service }
`;

async function start(text = config(server.port)): Promise<Gateway> {
  const gateway = await Gateway.start({ config: text });
  gateways.push(gateway);
  return gateway;
}

type Consumers = Readonly<Record<string, object | string | null>>;

/** What belongs together is done in one step. */
const WRITE = `
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[1], ARGV[i]) else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
if ARGV[1] == 'raise' then redis.call('INCR', KEYS[2]) end`;

/** Writes consumers (null takes one away). */
function change(consumers: Consumers, marker = "leave", to = server): void {
  const text = (value: object | string | null) => (value === null ? "" : typeof value === "string" ? value : JSON.stringify(value));
  const fields = Object.entries(consumers).flatMap(([name, value]) => [name, text(value)]);
  to.cli("EVAL", WRITE, "2", HASH, MARKER, marker, ...fields);
}

/** The same, and raises the marker. */
const write = (consumers: Consumers, to = server) => change(consumers, "raise", to);

/** @returns what a caller is told: the status, and who it is; on a connection of its own, so that both workers are asked */
async function call(gateway: Gateway, headers: Record<string, string>, path: string): Promise<string> {
  const response = await fetch(gateway.url + path, { headers: { ...headers, connection: "close" } });
  const text = await response.text();
  return response.status === 200 ? `200 ${text}` : String(response.status);
}

const callKey = (gateway: Gateway, key: string) => call(gateway, { "x-api-key": key }, "/keys");

/** Waits until something is told several times in a row: then both workers say so. */
async function untilTold(what: string, expected: string, ask: () => Promise<string>): Promise<void> {
  let inRow = 0;
  let asking = false;
  const once = async () => {
    inRow = (await ask().catch(String)) === expected ? inRow + 1 : 0; // a connection of a primary that died
    asking = false;
  };
  await until(
    `${what}: ${expected}`,
    () => {
      if (!asking && inRow < 8) {
        asking = true;
        void once();
      }
      return inRow >= 8;
    },
    20_000,
  );
}

const becomes = (gateway: Gateway, key: string, expected: string) => untilTold(key, expected, () => callKey(gateway, key));

interface Shown {
  readonly state: Readonly<Record<string, unknown>>;
  readonly concerns: string;
  readonly metrics: Readonly<Record<string, number>>;
}

async function shown(gateway: Gateway): Promise<Shown> {
  const body = async (path: string) => (await gateway.admin("GET", path)).body;
  const [status, ready, metrics] = await Promise.all([body("/status"), body("/readyz"), body("/metrics")]);
  return {
    state: (status as { instance: { redisConsumers: Record<string, unknown> } }).instance.redisConsumers, // as views.ts makes it
    concerns: (ready as { concerns: readonly string[] }).concerns.join("\n"), // as endpoints.ts makes it
    metrics: Object.fromEntries(
      [...String(metrics).matchAll(/^sluice_redis_consumers(\S*) (\S+)$/gm)].map((m) => [m[1] || "all", Number(m[2])]),
    ),
  };
}

/** Nothing that was printed or shown tells a key or a hash. */
async function keepsSecrets(gateway: Gateway, ...keys: readonly string[]): Promise<void> {
  const all = await Promise.all(["/status", "/readyz", "/metrics", "/config", "/routes"].map((path) => gateway.admin("GET", path)));
  const text = gateway.output + JSON.stringify(all);
  expect(keys.filter((key) => text.includes(hashOf(key).slice(7, 31)) || text.includes(key))).toEqual([]);
}

describe("a consumer", () => {
  it("is there at the start, comes, changes and goes, at every gateway", async () => {
    write({ acme: { ...withKeys("acme-1"), tier: "gold" } });
    const both = await Promise.all([start(), start()]);
    for (const gateway of both) {
      expect(await callKey(gateway, "acme-1")).toBe("200 acme");
      expect(await callKey(gateway, "local-key")).toBe("200 local");
      expect(await callKey(gateway, "globex-1")).toBe("401");
    }
    write({ globex: withKeys("globex-1") });
    for (const gateway of both) await becomes(gateway, "globex-1", "200 globex");
    write({ acme: withKeys("acme-2", "acme-3") });
    for (const gateway of both) {
      await becomes(gateway, "acme-2", "200 acme");
      await becomes(gateway, "acme-1", "401");
      expect(await callKey(gateway, "acme-3")).toBe("200 acme");
    }
    write({ globex: null });
    for (const gateway of both) {
      await becomes(gateway, "globex-1", "401");
      expect(await callKey(gateway, "acme-2")).toBe("200 acme");
      expect(gateway.lines("reloaded").at(-1)).toMatchObject({
        reasons: ["the consumers in Redis changed"],
        changes: ["consumer removed: globex"],
      });
      const { state, concerns, metrics } = await shown(gateway);
      expect(state).toMatchObject({ redis: `127.0.0.1:${server.port}`, connected: true, inForce: 1, refusals: 0, trouble: null });
      expect(concerns).toBe("");
      expect(metrics).toMatchObject({ all: 1, _up: 1, _current: 1, _refused_total: 0 });
      await keepsSecrets(gateway, "acme-1", "acme-2", "globex-1");
    }
  });

  it("who is withdrawn is out although the worker remembers the password; nobody else notices", async () => {
    write({ acme: { password: await hashPassword("s3cret", CHEAP), ...withKeys("acme-1") } });
    const gateway = await start();
    const ask = () => call(gateway, basic("acme:s3cret"), "/people");
    await untilTold("acme", "200 acme", ask);
    const others = new SteadyClient({
      url: `${gateway.url}/keys`,
      connections: 4,
      keepAlive: true,
      headers: () => ({ "x-api-key": "local-key" }),
    });
    write({ acme: { password: await hashPassword("another", CHEAP) } });
    await untilTold("acme", "401", ask);
    write({ acme: null, globex: withKeys("globex-1") });
    await becomes(gateway, "globex-1", "200 globex");
    await others.stop();
    expect(others.failures).toEqual([]);
    expect(others.bodies.get("local")).toBe(others.ok);
  });

  it("is taken away and found again without the marker too: by their number", async () => {
    write({ acme: withKeys("acme-1"), globex: withKeys("globex-1") });
    const gateway = await start();
    expect(await callKey(gateway, "globex-1")).toBe("200 globex");
    change({ globex: null });
    await becomes(gateway, "globex-1", "401");
    change({ globex: withKeys("globex-2") });
    await becomes(gateway, "globex-2", "200 globex");
  });
});

describe("a set with a mistake", () => {
  const check = (name: string, mistake: object, problem: string, mend: object | null) =>
    it(name, async () => {
      write({ acme: withKeys("acme-1") });
      const gateway = await start();
      const expected = problem.replace("FILE", gateway.configFile);
      write({ globex: withKeys("globex-1"), acme: null, bad: mistake });
      expect(await gateway.said(REFUSED)).toMatchObject({ level: "error", problems: [expected], more: 0, inForce: 1 });
      await becomes(gateway, "acme-1", "200 acme");
      expect(await callKey(gateway, "globex-1")).toBe("401");
      const { state, concerns, metrics } = await shown(gateway);
      expect(state).toMatchObject({ connected: true, inForce: 1, refusals: 1, trouble: `refused (problems: 1), first: ${expected}` });
      expect(concerns).toContain(expected);
      expect(metrics).toMatchObject({ all: 1, _up: 1, _current: 0, _refused_total: 1 });
      await keepsSecrets(gateway, "acme-1", "globex-1", "slk_plain", "local-key");
      // Told once, however often it is looked at; and a reload does not change it.
      expect((await gateway.admin("POST", "/reload")).status).toBe(200);
      expect(await callKey(gateway, "acme-1")).toBe("200 acme");
      expect(gateway.lines(REFUSED)).toHaveLength(1);
      write({ bad: mend });
      await becomes(gateway, "globex-1", "200 globex");
      await becomes(gateway, "acme-1", "401");
      expect((await shown(gateway)).concerns).toBe("");
      expect((await shown(gateway)).metrics).toMatchObject({ _current: 1 });
    });
  check(
    "a key instead of its hash",
    { keys: ["slk_plain"] },
    "Redis test:consumers bad: consumers[1].keys[0]: expected `sha256:` or `hmac-sha256:` and 64 hexadecimal digits, as `sluice key create` prints them; a key itself, of 8 to 512 visible ASCII characters, comes from the environment or a file",
    { keys: [] },
  );
  check(
    "a key of one in the file",
    withKeys("local-key"),
    "Redis test:consumers bad: consumers[1].keys[0]: the hash of a key is the same as consumers[0].keys[0] at FILE:9:33; it must lead to one consumer: change or remove one of them",
    null,
  );

  it("at the start: the rest is served", async () => {
    write({ acme: withKeys("acme-1"), bad: { tier: "silver" } });
    const gateway = await start();
    expect(await callKey(gateway, "acme-1")).toBe("401");
    expect(await callKey(gateway, "local-key")).toBe("200 local");
    expect(gateway.lines(REFUSED)).toHaveLength(1);
    // Mended in the file, this time.
    gateway.writeConfig(config(server.port).replace("gold: {}", "gold: {}, silver: {}"));
    await becomes(gateway, "acme-1", "200 acme");
    expect((await shown(gateway)).concerns).toBe("");
  });

  it("that is taken back: nothing has happened", async () => {
    write({ acme: withKeys("acme-1") });
    const gateway = await start();
    write({ bad: "no JSON" });
    await gateway.said(REFUSED);
    write({ bad: null });
    await untilTold("concerns", "", async () => (await shown(gateway)).concerns);
    expect((await shown(gateway)).state).toMatchObject({ inForce: 1, version: "3", refusals: 1, trouble: null });
    expect(gateway.lines("reloaded")).toEqual([]);
    expect(await callKey(gateway, "acme-1")).toBe("200 acme");
  });

  it("because of the file: the file is refused", async () => {
    write({ acme: withKeys("acme-1") });
    const gateway = await start();
    gateway.writeConfig(config(server.port).replace("id: local", "id: acme"));
    const { problems } = await gateway.said("reload refused: the old configuration stays in force");
    expect(String(problems)).toContain("Redis test:consumers acme: consumers[1].id: the id is the same as consumers[0].id");
    expect(await callKey(gateway, "acme-1")).toBe("200 acme");
    expect(await callKey(gateway, "local-key")).toBe("200 local");
  });
});

describe("Redis", () => {
  it("away at the start: its consumers get 401, the rest is served; it comes, and they are there", async () => {
    const port = await freePort();
    const gateway = await start(config(port));
    expect(await callKey(gateway, "acme-1")).toBe("401");
    expect(await callKey(gateway, "local-key")).toBe("200 local");
    expect(await call(gateway, {}, "/open")).toBe("200 undefined");
    expect(await gateway.said(UNREADABLE)).toMatchObject({ level: "warn", redis: `127.0.0.1:${port}`, inForce: 0 });
    expect((await shown(gateway)).metrics).toMatchObject({ all: 0, _up: 0, _current: 0, _age_seconds: -1 });
    await using late = await RedisServer.start({ port });
    write({ acme: withKeys("acme-1") }, late);
    await becomes(gateway, "acme-1", "200 acme");
    expect((await shown(gateway)).concerns).toBe("");
  });

  it("gone, and back empty: who is known stays, until it is filled again", async () => {
    write({ acme: withKeys("acme-1"), globex: withKeys("globex-1") });
    const gateway = await start();
    await server.kill();
    await gateway.said(UNREADABLE);
    expect(await callKey(gateway, "acme-1")).toBe("200 acme");
    expect((await shown(gateway)).concerns).toContain(
      `the consumers in Redis (127.0.0.1:${server.port}) are not up to date, 2 stay in force: `,
    );
    // A reload with Redis away loses nobody either.
    expect((await gateway.admin("POST", "/reload")).status).toBe(200);
    expect(await callKey(gateway, "acme-1")).toBe("200 acme");

    await server.launch();
    await until("the log says that it is empty", () => gateway.output.includes("Redis was emptied, or not filled yet"), 10_000);
    await becomes(gateway, "acme-1", "200 acme");
    // Half filled.
    change({ acme: withKeys("acme-2") });
    await until("the log says that it is not complete", () => gateway.output.includes("(there are 1): raise it (INCR)"), 10_000);
    await becomes(gateway, "globex-1", "200 globex");
    expect((await shown(gateway)).state).toMatchObject({ connected: false, inForce: 2 });
    // Complete: the marker is the same as before, and so is the number of consumers.
    write({ globex: withKeys("globex-2") });
    await becomes(gateway, "acme-2", "200 acme");
    await becomes(gateway, "acme-1", "401");
    await becomes(gateway, "globex-1", "401");
    await gateway.said(READABLE, 2);
    expect((await shown(gateway)).concerns).toBe("");
  });

  it("emptied on purpose: with the marker, nobody is left", async () => {
    write({ acme: withKeys("acme-1") });
    const gateway = await start();
    expect(await callKey(gateway, "acme-1")).toBe("200 acme");
    write({ acme: null });
    await becomes(gateway, "acme-1", "401");
    expect(await callKey(gateway, "local-key")).toBe("200 local");
    expect((await shown(gateway)).metrics).toMatchObject({ all: 0, _current: 1 });
  });

  it("that holds something else under the name changes nothing", async () => {
    write({ acme: withKeys("acme-1") });
    const gateway = await start();
    server.cli("SET", HASH, "slk_plain");
    expect(String((await gateway.said(UNREADABLE))["reason"])).toContain("WRONGTYPE");
    await becomes(gateway, "acme-1", "200 acme");
    await keepsSecrets(gateway, "slk_plain");
  });
});

describe("files and Redis", () => {
  it("a file that is broken does not hold up a withdrawal, and a withdrawal does not hide that it is", async () => {
    write({ acme: withKeys("acme-1"), globex: withKeys("globex-1") });
    const gateway = await start();
    gateway.writeConfig(config(server.port).replace("version: 1", "version: 2"));
    await gateway.said("reload refused: the old configuration stays in force");
    write({ acme: null });
    await becomes(gateway, "acme-1", "401");
    expect(await callKey(gateway, "globex-1")).toBe("200 globex");
    expect((await shown(gateway)).concerns).toContain("the last reload was refused (problems: 1)");
    gateway.writeConfig(config(server.port).replace("id: local", "id: renamed"));
    await becomes(gateway, "local-key", "200 renamed");
    expect(await callKey(gateway, "acme-1")).toBe("401");
    expect(await callKey(gateway, "globex-1")).toBe("200 globex");
  });

  it("begin and end with a reload", async () => {
    write({ acme: withKeys("acme-1") });
    const gateway = await start(config(server.port).replace(FROM, ""));
    expect(await callKey(gateway, "acme-1")).toBe("401");
    expect((await shown(gateway)).state).toBe(null);
    gateway.writeConfig(config(server.port));
    await becomes(gateway, "acme-1", "200 acme");
    write({ acme: withKeys("acme-2") });
    await becomes(gateway, "acme-2", "200 acme");
    gateway.writeConfig(config(server.port).replace(FROM, ""));
    await becomes(gateway, "acme-2", "401");
    expect((await shown(gateway)).state).toBe(null);
  });

  it("a primary that starts anew while Redis is away knows whom the one before knew", async () => {
    write({ acme: withKeys("acme-1") });
    const gateway = await start();
    await server.kill();
    await gateway.said(UNREADABLE);
    const before = gateway.primaryPid;
    process.kill(before, "SIGKILL");
    await until("another primary serves", () => gateway.primaryPid > 0 && gateway.primaryPid !== before, 20_000);
    await becomes(gateway, "acme-1", "200 acme");
    expect(await callKey(gateway, "slk_other")).toBe("401");
    await server.launch();
    write({ globex: withKeys("globex-1") });
    await becomes(gateway, "acme-1", "401");
    await becomes(gateway, "globex-1", "200 globex");
  });

  it("a primary that starts anew and finds broken files: a change of the consumers waits until they are mended, and it says so", async () => {
    write({ acme: withKeys("acme-1") });
    const gateway = await start();
    gateway.writeConfig("");
    await gateway.said("reload refused: the old configuration stays in force");
    const before = gateway.primaryPid;
    process.kill(before, "SIGKILL");
    await until("another primary serves", () => gateway.primaryPid > 0 && gateway.primaryPid !== before, 20_000);
    await becomes(gateway, "acme-1", "200 acme");
    expect((await shown(gateway)).concerns).toBe("");
    write({ globex: withKeys("globex-1") });
    expect(String((await gateway.said(REFUSED))["problems"])).toContain("the file holds no configuration");
    await becomes(gateway, "globex-1", "401");
    expect(gateway.lines(REFUSED)).toHaveLength(1);
    gateway.writeConfig(config(server.port));
    await becomes(gateway, "globex-1", "200 globex");
    expect((await shown(gateway)).concerns).toBe("");
  });
});
