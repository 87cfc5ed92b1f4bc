// Limits as clients meet them: a real gateway with two workers, concurrent clients, and what operators see of it.
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, burst, byStatus } from "../../support/burst.ts";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { until } from "../../support/until.ts";

const sha256 = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;

const routes = (pair: string): string => `
  - { name: exact, match: { path: /exact }, auth: none, rateLimit: [ { per: gateway, rate: 1/hour, burst: 100 } ], to: origin }
  - { name: many, match: { path: /many }, auth: none, rateLimit: [ { per: { header: x-tenant }, rate: 1/hour, burst: 7 } ], to: origin }
  - { name: quota, match: { path: /quota }, auth: none, rateLimit: [ { per: route, quota: 50/month } ], to: origin }
  - { name: fields, match: { path: /fields }, auth: none, cors: { origins: ["https://app.example"] }, rateLimit: [ { per: ip, rate: 2/min, burst: 2 } ], to: origin }
  - { name: ip, match: { path: /ip }, auth: none, rateLimit: [ { per: ip, rate: 1/hour, ipv6Prefix: 56 } ], to: origin }
  - { name: shadow, match: { path: /shadow }, auth: none, rateLimit: [ { name: watched, per: route, rate: 1/hour, shadow: true } ], to: origin }
  - name: pair
    match: { path: /pair }
    auth: keys
    rateLimit: [ { per: consumer, tier: true, rate: 1/hour }, ${pair} ]
    to: origin
  - { name: guarded, match: { path: /guarded }, auth: keys, rateLimit: [ { per: ip, rate: 1/hour, burst: 3 } ], to: origin }
  - { name: mock, match: { path: /mock }, auth: none, rateLimit: [ { per: route, rate: 1/hour, burst: 2 } ], respond: { status: 200, body: hello } }
`;

const config = (upstream: string, pair = "{ name: both, per: gateway, rate: 1/hour, burst: 40 }"): string => `
version: 1
workers: 2
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "127.0.0.1:0" }
trustedProxies: [ 127.0.0.1 ]
auth: { keys: { apiKey: { in: header, name: x-api-key } } }
tiers: { gold: { rate: 1/hour, burst: 10, concurrency: 50 } }
consumers:
  - { id: acme, tier: gold, keys: ["${sha256("acme-key")}"] }
  - { id: plain, keys: ["${sha256("plain-key")}"] }
  - { id: other, tier: gold, keys: ["${sha256("other-key")}"] }
upstreams: { origin: { targets: [ { url: "${upstream}" } ] } }
routes: ${routes(pair)}`;

let origin: Origin;
let gateway: Gateway;

beforeAll(async () => {
  origin = await Origin.start("one");
  gateway = await Gateway.start({ config: config(origin.url) });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

const at = (path: string): string => `${gateway.url}${path}`;

describe("over two workers and many connections", () => {
  it("exactly the burst passes", async () => {
    const answers = await burst({ url: at("/exact"), requests: 400, connections: 24 });
    expect(byStatus(answers)).toEqual({ 200: 100, 429: 300 });
    const workers = (await gateway.admin("GET", "/workers")).body as { readonly connections: number }[]; // the admin listener's documented form
    expect(workers).toHaveLength(2);
  });

  it("exactly the burst of each key passes", async () => {
    const answers = await burst({ url: at("/many"), requests: 400, connections: 24, headersOf: (n) => ({ "x-tenant": `t${n % 20}` }) });
    expect(byStatus(answers)).toEqual({ 200: 140, 429: 260 });
  });

  it("exactly the quota passes, and its refusals say how long the month is", async () => {
    const answers = await burst({ url: at("/quota"), requests: 120, connections: 24 });
    expect(byStatus(answers)).toEqual({ 200: 50, 429: 70 });
    const refused = answers.find((each) => each.status === 429);
    expect(JSON.parse(refused?.body ?? "")).toMatchObject({ code: "quota_exceeded" });
    const retryS = Number(refused?.headers["retry-after"]);
    expect(retryS).toBeGreaterThan(0);
    expect(retryS).toBeLessThanOrEqual(31 * 86_400);
  });
});

describe("the answer", () => {
  it("tells what is left, then until when", async () => {
    const first = await ask(at("/fields"));
    expect(first.headers).toMatchObject({ "ratelimit-policy": '"ip";q=2;w=60', ratelimit: '"ip";r=1;t=30' });
    await ask(at("/fields"));
    const refused = await ask(at("/fields"), { origin: "https://app.example" });
    expect(refused.status).toBe(429);
    expect(refused.headers["content-type"]).toBe("application/problem+json");
    expect(JSON.parse(refused.body)).toMatchObject({ type: "urn:sluice:error:rate_limited", status: 429, code: "rate_limited" });
    expect(refused.headers["ratelimit-policy"]).toBe('"ip";q=2;w=60');
    const retryS = Number(refused.headers["retry-after"]);
    expect([29, 30]).toContain(retryS);
    expect(refused.headers["ratelimit"]).toBe(`"ip";r=0;t=${retryS}`);
    expect(refused.headers["access-control-allow-origin"]).toBe("https://app.example");
  });

  it("of the gateway itself counts too", async () => {
    const statuses = [await ask(at("/mock")), await ask(at("/mock")), await ask(at("/mock"))].map((each) => each.status);
    expect(statuses).toEqual([200, 200, 429]);
  });
});

describe("addresses", () => {
  const from = async (ip: string): Promise<number> => (await ask(at("/ip"), { "x-forwarded-for": ip })).status;
  it.each([
    ["an IPv4 address", "192.0.2.1", "192.0.2.1", "192.0.2.2"],
    ["an IPv6 block", "2001:db8:0:1100::1", "2001:db8:0:11ff:ffff::1", "2001:db8:0:1200::1"],
    ["IPv4 in IPv6 is IPv4", "192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8"],
    ["what a client says of itself is not believed", "198.51.100.1", "203.0.113.99, 198.51.100.1", "198.51.100.2"],
  ])("%s", async (_, first, same, other) => {
    expect([await from(first), await from(same), await from(other)]).toEqual([200, 429, 200]);
  });
});

describe("several limits", () => {
  it("one that refuses spends nothing of the others", async () => {
    const send = (key: string, requests: number) => burst({ url: at("/pair"), requests, connections: 16, headers: { "x-api-key": key } });
    expect(byStatus(await send("acme-key", 100))).toEqual({ 200: 10, 429: 90 });
    expect(byStatus(await send("plain-key", 20))).toEqual({ 200: 1, 429: 19 });
    // 11 of the 40 that all may use are gone, not 120.
    expect(byStatus(await send("other-key", 100))).toEqual({ 200: 10, 429: 90 });
    const metrics = String((await gateway.admin("GET", "/metrics")).body);
    const count = (limit: string, outcome: string): number =>
      Number(
        new RegExp(`^sluice_limit_decisions_total\\{route="pair",limit="${limit}",outcome="${outcome}"\\} (\\d+)$`, "m").exec(metrics)?.[1],
      );
    expect(count("consumer", "passed")).toBe(21);
    expect(count("consumer", "refused")).toBe(199);
    expect(count("both", "refused")).toBe(0);
  });

  it("those by address guard the door: a flood of wrong keys meets them first", async () => {
    const statuses = byStatus(await burst({ url: at("/guarded"), requests: 30, connections: 8, headers: { "x-api-key": "wrong" } }));
    expect(statuses).toEqual({ 401: 3, 429: 27 });
  });
});

it("a shadow limit refuses nothing, and leaves a note", async () => {
  expect(byStatus(await burst({ url: at("/shadow"), requests: 20, connections: 4 }))).toEqual({ 200: 20 });
  const noted = (): number =>
    gateway.lines().filter((line) => line["route"] === "shadow" && line["detail"] === "shadow: the limit watched would have refused this")
      .length;
  await until("the access log has it", () => noted() === 19);
  const { body } = await gateway.admin("GET", "/limits");
  expect(body).toMatchObject({
    table: { slots: 262_144, fullEvents: 0, refusedEvents: 0 },
    limits: expect.arrayContaining([{ route: "shadow", limit: "watched", passed: 1, refused: 0, shadowed: 19 }]),
  });
});

it("a reload keeps what was used, whatever else changes", async () => {
  expect(byStatus(await burst({ url: at("/exact"), requests: 20, connections: 8 }))).toEqual({ 429: 20 });
  const more = config(origin.url, "{ name: both, per: gateway, rate: 1/hour, burst: 45 }, { per: ip, rate: 9/s }").replace(
    "burst: 100",
    "burst: 103",
  );
  gateway.writeConfig(`${more}  - { name: new, match: { path: /new }, auth: none, to: origin }\n`);
  await gateway.said("reloaded");
  expect(byStatus(await burst({ url: at("/exact"), requests: 20, connections: 8 }))).toEqual({ 200: 3, 429: 17 });
  expect((await ask(at("/ip"), { "x-forwarded-for": "192.0.2.1" })).status).toBe(429);
  const again = await burst({ url: at("/pair"), requests: 10, connections: 4, headers: { "x-api-key": "acme-key" } });
  expect(byStatus(again)).toEqual({ 429: 10 });
});
