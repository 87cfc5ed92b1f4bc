// Targets that fall ill and recover, as clients and services see it: two workers that must agree, traffic going on.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it, onTestFailed } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { Service, stopAll } from "../../support/service.ts";
import { SteadyClient } from "../../support/steady-client.ts";
import { until } from "../../support/until.ts";

const started: Service[] = [];
afterEach(() => stopAll(started.splice(0)));

async function fleet(...names: readonly string[]): Promise<Service[]> {
  const services = await Service.startAll(names);
  started.push(...services);
  return services;
}

/** @param settings of the upstream, beside its targets */
const config = (services: readonly Service[], settings: string, more = ""): string => `version: 1
workers: 2
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" } ]
upstreams: { fleet: { targets: [ ${services.map(({ url }) => `{ url: "${url}" }`).join(", ")} ], ${settings} } }
routes: [ { name: all, match: {}, to: fleet } ]
${more}`;

const ACTIVE = "active: { path: /healthz, interval: 50ms, timeout: 500ms, healthyAfter: 2, unhealthyAfter: 2 }";

interface Target {
  readonly key: string;
  readonly healthy: boolean;
  readonly reason: string;
}

async function targets(gateway: Gateway): Promise<readonly Target[]> {
  const { body } = await gateway.admin("GET", "/upstreams");
  return Array.isArray(body) ? body[0]?.targets : []; // the admin listener's documented form
}

/** New connections each time, so that both workers get some. */
const traffic = (gateway: Gateway, connections = 6): SteadyClient =>
  new SteadyClient({ url: `${gateway.url}/x`, connections, keepAlive: false });

/** Waits until so many more answers came. */
async function more(client: SteadyClient, answers = 60): Promise<void> {
  const before = client.ok + client.failures.length;
  await until("traffic goes on", () => client.ok + client.failures.length >= before + answers, 10_000);
}

async function ask(gateway: Gateway, target = "/x"): Promise<{ status: number; retryAfter: string | null; code: string | undefined }> {
  const response = await fetch(gateway.url + target, { headers: { connection: "close" } });
  const text = await response.text();
  return { status: response.status, retryAfter: response.headers.get("retry-after"), code: /"code":"(\w+)"/.exec(text)?.[1] };
}

describe("active probes", () => {
  it("take a target out and back in on all workers, and no request fails", async () => {
    const [a, b] = await fleet("a", "b");
    if (a === undefined || b === undefined) throw new Error("not started");
    await using gateway = await Gateway.start({ config: config([a, b], `balance: round-robin, health: { ${ACTIVE}, passive: false }`) });
    onTestFailed(() => console.error(gateway.report()));
    const client = traffic(gateway);
    await more(client);
    expect(client.bodies.get("a")).toBeGreaterThan(10);
    a.health = 503;
    expect(await gateway.said("target is unhealthy")).toMatchObject({
      upstream: "fleet",
      target: a.url,
      reason: "status 503, expected 200-299",
    });
    const asked = a.requests;
    await more(client, 100);
    // Those that were on their way when it was told.
    expect(a.requests - asked).toBeLessThanOrEqual(6);
    expect(await targets(gateway)).toMatchObject([
      { healthy: false, reason: "active check failed: status 503, expected 200-299" },
      { healthy: true },
    ]);
    a.health = 200;
    expect(await gateway.said("target is healthy")).toMatchObject({ target: a.url });
    const back = a.requests;
    await more(client, 100);
    expect(a.requests - back).toBeGreaterThan(25);
    await client.stop();
    expect(client.failures).toEqual([]);
  });

  it("answer 503 with Retry-After when all are down, until one is back", async () => {
    const services = await fleet("a", "b");
    for (const service of services) service.health = 500;
    await using gateway = await Gateway.start({ config: config(services, `health: { ${ACTIVE} }`) });
    onTestFailed(() => console.error(gateway.report()));
    await gateway.said("target is unhealthy", 2);
    for (let i = 0; i < 8; i++) expect(await ask(gateway)).toEqual({ status: 503, retryAfter: "1", code: "no_healthy_target" });
    expect(services.map(({ requests }) => requests)).toEqual([0, 0]);
    const [first] = services;
    if (first !== undefined) first.health = 204;
    await gateway.said("target is healthy");
    for (let i = 0; i < 8; i++) expect(await ask(gateway)).toMatchObject({ status: 200 });
  });

  it("find a service that is stopped, and one that is started again", async () => {
    const [a, b] = await fleet("a", "b");
    if (a === undefined || b === undefined) throw new Error("not started");
    const retry = "retry: { attempts: 2, budget: 100% }";
    await using gateway = await Gateway.start({ config: config([a, b], `balance: round-robin, ${retry}, health: { ${ACTIVE} }`) });
    onTestFailed(() => console.error(gateway.report()));
    const client = traffic(gateway);
    await more(client);
    await a.stop();
    expect(await gateway.said("target is unhealthy")).toMatchObject({ target: a.url, reason: "ECONNREFUSED, expected 200-299" });
    await more(client);
    await a.listen();
    await gateway.said("target is healthy");
    const back = a.requests;
    await until("it is used again", () => a.requests > back + 10);
    await client.stop();
    // With retries a dead target costs no GET.
    expect(client.failures).toEqual([]);
  });
});

describe("what a check asks and expects", () => {
  it("a body without the text takes a target out, and /upstreams says what was expected and came", async () => {
    const hosts = new Set<string>();
    let state = "UP";
    const server = createServer((request, response) => {
      if (request.url === "/state") hosts.add(`${request.method} ${request.headers.host} ${request.headers["x-key"]}`);
      response.writeHead(200).end(request.url === "/state" ? `{"status":"${state}"}` : "served");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server that listens has one
    const active = `active: { path: /state, method: POST, headers: { host: state.internal, x-key: k }, interval: 50ms, unhealthyAfter: 1, healthyAfter: 1,
      expect: { status: [200, 204], body: { regex: '"status":"UP"' } } }`;
    await using gateway = await Gateway.start({
      config: `version: 1
workers: 1
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" } ]
upstreams: { fleet: { targets: [ { url: "${url}" } ], health: { ${active} } } }
routes: [ { name: all, match: {}, to: fleet } ]
`,
    });
    await until("it was asked", () => hosts.size > 0);
    expect(await ask(gateway)).toMatchObject({ status: 200 });
    state = "OUT";
    await gateway.said("target is unhealthy");
    const reason = 'status 200 and 16 bytes, expected a body with a match of `"status":"UP"`';
    expect(await targets(gateway)).toMatchObject([{ healthy: false, reason: `active check failed: ${reason}` }]);
    expect(await ask(gateway)).toMatchObject({ status: 503, code: "no_healthy_target" });
    state = "UP";
    await gateway.said("target is healthy");
    expect(await ask(gateway)).toMatchObject({ status: 200 });
    expect([...hosts]).toEqual(["POST state.internal k"]);
    server.closeAllConnections();
    server.close();
  });

  it("tcp needs no request: a target that answers every one with 500 is well while it accepts connections", async () => {
    const [a] = await fleet("a");
    if (a === undefined) throw new Error("not started");
    a.health = 500;
    await using gateway = await Gateway.start({
      config: config([a], "health: { active: { tcp: true, interval: 20ms, unhealthyAfter: 1, healthyAfter: 1 } }"),
    });
    await until("it was checked", () => a.accepted >= 3);
    expect(a.probes).toBe(0);
    expect(await targets(gateway)).toMatchObject([{ healthy: true, reason: "ok" }]);
    await a.stop();
    await gateway.said("target is unhealthy");
    expect(await targets(gateway)).toMatchObject([{ healthy: false, reason: "active check failed: ECONNREFUSED, expected a connection" }]);
  });
});

describe("passive ejection", () => {
  const passive = (failures: number, share: string): string =>
    `health: { passive: { consecutiveFailures: ${failures}, ejectFor: 700ms, maxEjected: ${share} } }`;

  it("ejects over all workers after failures in a row, and lets back in when the time is over", async () => {
    const [a, b] = await fleet("a", "b");
    if (a === undefined || b === undefined) throw new Error("not started");
    await using gateway = await Gateway.start({ config: config([a, b], `balance: round-robin, ${passive(3, "50%")}`) });
    onTestFailed(() => console.error(gateway.report()));
    a.status = 500;
    const client = traffic(gateway, 2);
    await expect.poll(async () => (await targets(gateway))[0]?.healthy).toBe(false);
    // The count is shared: failures of both workers together, not of each.
    const failed = client.failures.length;
    expect(failed).toBeLessThanOrEqual(3 + 2);
    a.status = 200;
    await until("it is back", () => (client.bodies.get("a") ?? 0) > 20, 10_000);
    await client.stop();
    expect(client.failures.length).toBeLessThanOrEqual(3 + 2);
    expect(client.failures.every((what) => what.startsWith("status 500"))).toBe(true);
  });

  it("never ejects more than maxEjected", async () => {
    const services = await fleet("a", "b", "c", "d");
    for (const service of services) service.status = 500;
    const cases = [
      ["50%", 4, 2],
      ["25%", 4, 1],
      ["34%", 3, 1],
      ["0%", 3, 0],
      ["100%", 3, 3],
    ] as const;
    const upstreams = cases.map(([share, count], i) => {
      const urls = services.slice(0, count).map(({ url }) => `{ url: "${url}" }`);
      const health = `health: { passive: { consecutiveFailures: 1, ejectFor: 1h, maxEjected: ${share} } }`;
      return `  u${i}: { targets: [ ${urls.join(", ")} ], balance: random, ${health} }`;
    });
    await using gateway = await Gateway.start({
      config: `version: 1
workers: 2
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" } ]
upstreams:
${upstreams.join("\n")}
routes: [ ${cases.map((_, i) => `{ name: r${i}, match: { path: /u${i} }, to: u${i} }`).join(", ")} ]
`,
    });
    onTestFailed(() => console.error(gateway.report()));
    const ejected = async (i: number): Promise<number> => {
      const { body } = await gateway.admin("GET", "/upstreams");
      const list: { name: string; targets: Target[] }[] = Array.isArray(body) ? body : [];
      return list.find(({ name }) => name === `u${i}`)?.targets.filter(({ healthy }) => !healthy).length ?? -1;
    };
    for (const [i, [share, count, most]] of cases.entries()) {
      const client = new SteadyClient({ url: `${gateway.url}/u${i}`, connections: 6, keepAlive: false });
      await expect.poll(() => ejected(i), { timeout: 10_000, message: share }).toBe(most);
      await more(client, 100);
      await client.stop();
      expect([share, await ejected(i)]).toEqual([share, most]);
      // What is left is still asked; only when the operator allows all to go there is nobody left to ask.
      const { status, code } = await ask(gateway, `/u${i}`);
      expect({ share, status, code }).toEqual({
        share,
        ...(most === count ? { status: 503, code: "no_healthy_target" } : { status: 500, code: undefined }),
      });
    }
  });
});

it("slow start: a target that comes back gets its share little by little", async () => {
  const [a, b] = await fleet("a", "b");
  if (a === undefined || b === undefined) throw new Error("not started");
  const slowStartMs = 4000;
  const settings = `balance: random, slowStart: ${slowStartMs}ms, health: { ${ACTIVE}, passive: false }`;
  await using gateway = await Gateway.start({ config: config([a, b], settings) });
  onTestFailed(() => console.error(gateway.report()));
  const readyMs = performance.now();
  // With the gateway all targets are new: only afterwards b has its whole weight.
  await until("the targets' own start is over", () => performance.now() - readyMs > slowStartMs, 2 * slowStartMs);
  a.health = 503;
  await gateway.said("target is unhealthy");
  a.health = 200;
  const client = traffic(gateway);
  await gateway.said("target is healthy");
  /** Share of the answers that a gave, over the next ones. */
  const shareOf = async (answers: number): Promise<number> => {
    const before = { a: a.requests, b: b.requests };
    await more(client, answers);
    return (a.requests - before.a) / (a.requests - before.a + b.requests - before.b);
  };
  // Weight begins at a tenth, which is a share of 9 %; this first stretch takes a small part of the 4 s.
  const first = await shareOf(100);
  expect(first).toBeLessThan(0.35);
  await expect.poll(() => shareOf(200), { timeout: 20_000 }).toBeGreaterThan(0.42);
  await client.stop();
  expect(client.failures).toEqual([]);
});

describe("reload", () => {
  it("keeps warm connections and health of an unchanged upstream, and of targets that stay when others come or go", async () => {
    const [a, b, c] = await fleet("a", "b", "c");
    if (a === undefined || b === undefined || c === undefined) throw new Error("not started");
    const health = "health: { passive: { consecutiveFailures: 1, ejectFor: 1h, maxEjected: 50% } }";
    const settings = `balance: round-robin, ${health}`;
    await using gateway = await Gateway.start({ config: config([a, b, c], settings) });
    onTestFailed(() => console.error(gateway.report()));
    // One request at a time, by one worker: then each target needs one connection, and any further one shows.
    const client = new SteadyClient({ url: `${gateway.url}/x`, connections: 1, keepAlive: true });
    await more(client, 200);
    c.status = 500;
    await expect.poll(async () => (await targets(gateway))[2]?.healthy).toBe(false);
    c.status = 200;
    const asked = c.requests;
    const accepted = [a.accepted, b.accepted];
    for (let i = 1; i <= 5; i++) {
      expect(await gateway.admin("POST", "/reload")).toMatchObject({ status: 200 });
      await more(client, 60);
    }
    gateway.writeConfig(config([a, b, c], settings, "drainTimeout: 7s\n"));
    await gateway.said("reloaded", 6);
    await more(client, 100);
    expect(accepted).toEqual([1, 1]);
    expect([a.accepted, b.accepted]).toEqual(accepted);
    expect(c.requests).toBe(asked);
    expect((await targets(gateway))[2]).toMatchObject({ key: c.url, healthy: false, reason: "ejected" });
    // A target goes, another comes: the one that stays keeps its connections.
    const [d] = await fleet("d");
    if (d === undefined) throw new Error("not started");
    gateway.writeConfig(config([a, c, d], settings));
    await gateway.said("reloaded", 7);
    const gone = b.requests;
    await more(client, 200);
    expect(b.requests - gone).toBeLessThanOrEqual(1);
    expect(d.requests).toBeGreaterThan(60);
    expect(c.requests).toBe(asked);
    await client.stop();
    // The one with which c was ejected.
    expect(client.failures).toEqual(["status 500: c"]);
    expect(a.accepted).toBe(1);
  });
});
