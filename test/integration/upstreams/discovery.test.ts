// Targets that are names: traffic follows what DNS says, and no request pays for a change.
import { afterEach, beforeEach, describe, expect, it, onTestFailed } from "vitest";
import { DnsServer } from "../../support/dns-server.ts";
import { Gateway } from "../../support/gateway.ts";
import { Service, stopAll } from "../../support/service.ts";
import { SteadyClient } from "../../support/steady-client.ts";
import { until } from "../../support/until.ts";

let dns: DnsServer;
let services: Service[] = [];
beforeEach(async () => {
  dns = await DnsServer.listen();
});
afterEach(async () => {
  dns.close();
  await stopAll(services);
  services = [];
});

async function service(name: string, host: string, port = 0): Promise<Service> {
  const one = await Service.start(name, host, port);
  services.push(one);
  return one;
}

const config = (upstream: string): string => `version: 1
workers: 2
admin: { address: "127.0.0.1:0" }
dns: { servers: [ "${dns.address}" ], ttlMin: 50ms }
listeners: [ { address: "127.0.0.1:0" } ]
upstreams: { named: { ${upstream} } }
routes: [ { name: all, match: {}, to: named } ]
`;

const traffic = (gateway: Gateway): SteadyClient => new SteadyClient({ url: `${gateway.url}/x`, connections: 6, keepAlive: false });

async function endpoints(gateway: Gateway): Promise<{ key: string; weight: number }[]> {
  const { body } = await gateway.admin("GET", "/upstreams");
  const targets: { key: string; weight: number }[] = Array.isArray(body) ? body[0]?.targets : []; // the admin listener's documented form
  return targets.map(({ key, weight }) => ({ key, weight }));
}

describe("names", () => {
  it("traffic moves when the answer changes, without a failed request", async () => {
    const a = await service("a", "127.0.0.1");
    const b = await service("b", "127.0.0.2", a.port);
    const c = await service("c", "127.0.0.3", a.port);
    dns.zone.set("svc.test", { a: [a.host, b.host], ttl: 0 });
    await using gateway = await Gateway.start({
      config: config(`balance: round-robin, targets: [ { url: "http://svc.test:${a.port}" } ]`),
    });
    onTestFailed(() => console.error(gateway.report()));
    const client = traffic(gateway);
    await until("both serve", () => a.requests > 20 && b.requests > 20);
    expect(c.requests).toBe(0);
    dns.zone.set("svc.test", { a: [b.host, c.host], ttl: 0 });
    await until("the new one serves", () => c.requests > 20);
    await expect
      .poll(() => endpoints(gateway))
      .toMatchObject([{ key: `http://svc.test:${a.port}#${b.host}` }, { key: `http://svc.test:${a.port}#${c.host}` }]);
    const before = { a: a.requests, b: b.requests };
    await until("traffic goes on", () => b.requests > before.b + 50);
    expect(a.requests - before.a).toBeLessThanOrEqual(6);
    // What no longer serves is let go: no connection stays open to it.
    await until("its connections are closed", () => a.underWay === 0);
    dns.zone.set("svc.test", { a: [a.host], ttl: 0 });
    const again = a.requests;
    await until("the first serves again", () => a.requests > again + 50);
    await client.stop();
    expect(client.failures).toEqual([]);
  });

  it("the last good answer stays in use while the name server fails, says nothing, or knows the name no more", async () => {
    const a = await service("a", "127.0.0.1");
    dns.zone.set("svc.test", { a: [a.host], ttl: 0 });
    await using gateway = await Gateway.start({ config: config(`targets: [ { url: "http://svc.test:${a.port}" } ]`) });
    onTestFailed(() => console.error(gateway.report()));
    const client = traffic(gateway);
    await until("it serves", () => a.requests > 20);
    dns.mode = "fail";
    const asked = dns.asked.length;
    await until("it was asked in vain", () => dns.asked.length > asked + 3, 10_000);
    dns.mode = "answer";
    dns.zone.delete("svc.test");
    const gone = dns.asked.length;
    await until("it was asked in vain", () => dns.asked.length > gone + 3, 10_000);
    const served = a.requests;
    await until("it still serves", () => a.requests > served + 20);
    expect(gateway.output).toContain("the last answer stays in use");
    await client.stop();
    expect(client.failures).toEqual([]);
  });

  it("asks for a name as often as its TTL says", async () => {
    const a = await service("a", "127.0.0.1");
    dns.zone.set("often.test", { a: [a.host], ttl: 0 });
    dns.zone.set("seldom.test", { a: [a.host], ttl: 60 });
    const targets = ["often", "seldom"].map((name) => `{ url: "http://${name}.test:${a.port}" }`);
    await using gateway = await Gateway.start({ config: config(`targets: [ ${targets.join(", ")} ]`) });
    onTestFailed(() => console.error(gateway.report()));
    await until("the one without TTL is asked for again and again", () => dns.count("a often.test") >= 8, 10_000);
    expect(dns.count("a seldom.test")).toBe(1);
  });

  it.each(["http1", "undici"])("a name may have underscores, as services of Compose have, with the client %s", async (client) => {
    const a = await service("a", "127.0.0.1");
    dns.zone.set("my_api.test", { a: [a.host], ttl: 60 });
    await using gateway = await Gateway.start({
      config: config(`pool: { client: ${client} }, targets: [ { url: "http://my_api.test:${a.port}" } ]`),
    });
    onTestFailed(() => console.error(gateway.report()));
    await expect.poll(async () => (await fetch(gateway.url)).status).toBe(200);
  });

  it("a name that is unknown at the start is 503 until it is known", async () => {
    const a = await service("a", "127.0.0.1");
    await using gateway = await Gateway.start({ config: config(`targets: [ { url: "http://late.test:${a.port}" } ]`) });
    onTestFailed(() => console.error(gateway.report()));
    const response = await fetch(gateway.url);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
    dns.zone.set("late.test", { a: [a.host], ttl: 1 });
    await expect.poll(async () => (await fetch(gateway.url)).status, { timeout: 15_000 }).toBe(200);
  });
});

describe("SRV records", () => {
  it("give addresses, ports and weights; only the best priority serves; changes move traffic without a failed request", async () => {
    const a = await service("a", "127.0.0.1");
    const b = await service("b", "127.0.0.1");
    const c = await service("c", "127.0.0.1");
    dns.zone.set("host.test", { a: ["127.0.0.1"], ttl: 0 });
    const srv = (port: number, weight: number, priority = 1) => ({ priority, weight, port, target: "host.test" });
    dns.zone.set("_http._tcp.svc.test", { srv: [srv(a.port, 3), srv(b.port, 1), srv(c.port, 9, 2)], ttl: 0 });
    await using gateway = await Gateway.start({
      config: config(`balance: round-robin, targets: [ { url: "http+srv://_http._tcp.svc.test" } ]`),
    });
    onTestFailed(() => console.error(gateway.report()));
    const client = traffic(gateway);
    await until("both serve", () => a.requests + b.requests > 200, 10_000);
    expect(a.requests / b.requests).toBeGreaterThan(2.4);
    expect(a.requests / b.requests).toBeLessThan(3.6);
    expect(c.requests).toBe(0);
    dns.zone.set("_http._tcp.svc.test", { srv: [srv(b.port, 1), srv(c.port, 1)], ttl: 0 });
    await until("the new one serves", () => c.requests > 50, 10_000);
    const before = a.requests;
    await until("traffic goes on", () => c.requests > 120, 10_000);
    expect(a.requests - before).toBeLessThanOrEqual(6);
    await client.stop();
    expect(client.failures).toEqual([]);
  });
});
