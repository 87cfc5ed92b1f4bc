// Owns tests of discovery against a real DNS server on loopback.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Discovery } from "../../../../src/control/discovery/discovery.ts";
import type { EndpointPlan, UpstreamPlan } from "../../../../src/plan/plan.ts";
import { SlotTable } from "../../../../src/shared/slot-table.ts";
import { TargetHealth } from "../../../../src/shared/target-health.ts";
import { DnsServer } from "../../../support/dns-server.ts";
import { until } from "../../../support/until.ts";
import { upstreamPlan } from "../../../support/upstreams.ts";

let dns: DnsServer;
let discovery: Discovery;
let slots: SlotTable;
let changes: { upstream: string; endpoints: readonly EndpointPlan[] }[];
let warnings: string[];

/** @param ttlMaxMs tests that wait for a re-resolution make it short; the zone's TTLs are longer. */
function discover(part: { ttlMinMs?: number; ttlMaxMs?: number; servers?: string[]; slots?: number } = {}): Discovery {
  slots = new SlotTable(new TargetHealth(TargetHealth.allocate(1, part.slots ?? 32)));
  discovery = new Discovery({
    slots,
    dns: { servers: part.servers ?? [dns.address], ttlMinMs: part.ttlMinMs ?? 20, ttlMaxMs: part.ttlMaxMs ?? 20 },
    onChange: (upstream, endpoints) => changes.push({ upstream, endpoints }),
    onWarning: (message) => warnings.push(message),
    firstResolveMsMax: 500,
  });
  return discovery;
}

const upstream = (name: string, ...urls: (string | [string, number])[]): UpstreamPlan =>
  upstreamPlan({ name, targets: urls.map((url) => (typeof url === "string" ? { url, weight: 1 } : { url: url[0], weight: url[1] })) });

const plan = (...upstreams: UpstreamPlan[]) => ({ upstreams });
const keys = (endpoints: readonly EndpointPlan[] | undefined): string[] => (endpoints ?? []).map((one) => one.key);

beforeEach(async () => {
  dns = await DnsServer.listen();
  changes = [];
  warnings = [];
});

afterEach(() => {
  discovery.stop();
  dns.close();
});

describe("literals", () => {
  test.each([
    ["http://10.0.0.1:9001", { key: "http://10.0.0.1:9001", tls: false, address: "10.0.0.1", port: 9001, authority: "10.0.0.1:9001" }],
    ["http://10.0.0.1", { key: "http://10.0.0.1:80", port: 80, authority: "10.0.0.1" }],
    ["https://10.0.0.1", { key: "https://10.0.0.1:443", tls: true, port: 443, authority: "10.0.0.1" }],
    ["https://[::1]:8443", { key: "https://[::1]:8443", tls: true, address: "::1", port: 8443, authority: "[::1]:8443" }],
    ["http://[2001:db8::1]", { key: "http://[2001:db8::1]:80", address: "2001:db8::1", authority: "[2001:db8::1]" }],
  ])("%s needs no resolution", async (url, expected) => {
    const endpoints = (await discover().start(plan(upstream("users", [url, 3])))).get("users");
    expect(endpoints).toHaveLength(1);
    expect(endpoints?.[0]).toMatchObject({ weight: 3, slot: 0, ...expected });
    expect(dns.asked).toEqual([]);
  });

  test("a place that is named twice is one endpoint with the sum of the weights", async () => {
    const found = await discover().start(plan(upstream("users", ["http://10.0.0.1:1", 2], ["http://10.0.0.1:1", 3], "http://10.0.0.1:2")));
    expect(found.get("users")?.map((one) => [one.key, one.weight])).toEqual([
      ["http://10.0.0.1:1", 5],
      ["http://10.0.0.1:2", 1],
    ]);
  });

  test("the same address in two upstreams has two slots", async () => {
    const found = await discover().start(plan(upstream("a", "http://10.0.0.1:1"), upstream("b", "http://10.0.0.1:1")));
    expect(found.get("a")?.[0]?.slot).not.toBe(found.get("b")?.[0]?.slot);
  });
});

describe("names", () => {
  test("every A record is an endpoint that keeps the name as its authority", async () => {
    dns.zone.set("users.test", { a: ["127.0.0.9", "127.0.0.8"], aaaa: ["2001:db8::8"] });
    const found = await discover({ ttlMinMs: 60_000, ttlMaxMs: 60_000 }).start(plan(upstream("users", ["http://users.test:9001", 2])));
    expect(found.get("users")).toMatchObject([
      { key: "http://users.test:9001#127.0.0.8", address: "127.0.0.8", port: 9001, authority: "users.test:9001", weight: 2 },
      { key: "http://users.test:9001#127.0.0.9", address: "127.0.0.9" },
    ]);
    expect(warnings).toEqual([]);
  });

  test("AAAA records count when there are no A records", async () => {
    dns.zone.set("users.test", { aaaa: ["2001:db8::8"] });
    const found = await discover().start(plan(upstream("users", "https://users.test")));
    expect(found.get("users")).toMatchObject([{ address: "2001:db8::8", port: 443, authority: "users.test", tls: true }]);
  });

  test.each(["localhost", "LOCALHOST"])("%s is the system's business", async (name) => {
    const found = await discover().start(plan(upstream("users", `http://${name}:81`)));
    expect(found.get("users")).toMatchObject([{ key: "http://localhost:81#127.0.0.1", address: "127.0.0.1" }]);
    expect(dns.asked).toEqual([]);
  });

  test("a single label is asked of configured servers", async () => {
    dns.zone.set("users", { a: ["127.0.0.8"] });
    const found = await discover().start(plan(upstream("users", "http://users")));
    expect(keys(found.get("users"))).toEqual(["http://users:80#127.0.0.8"]);
  });

  test("a name used twice is asked once", async () => {
    dns.zone.set("users.test", { a: ["127.0.0.8"] });
    await discover({ ttlMinMs: 60_000, ttlMaxMs: 60_000 }).start(
      plan(upstream("a", "http://users.test:1"), upstream("b", "http://users.test:2")),
    );
    expect(dns.count("a users.test")).toBe(1);
  });
});

describe("over time", () => {
  test("a changed answer changes the endpoints; those that stay keep slot and age", async () => {
    dns.zone.set("users.test", { a: ["127.0.0.7", "127.0.0.8"] });
    const before = (await discover().start(plan(upstream("other", "http://10.0.0.1"), upstream("users", "http://users.test")))).get(
      "users",
    );
    dns.zone.set("users.test", { a: ["127.0.0.8", "127.0.0.9"] });
    await until("a change", () => changes.length > 0);
    expect(changes.map((change) => change.upstream)).toEqual(["users"]);
    const after = changes[0]?.endpoints;
    expect(keys(after)).toEqual(["http://users.test:80#127.0.0.8", "http://users.test:80#127.0.0.9"]);
    expect(after?.[0]).toEqual(before?.[1]);
    expect(before?.map((one) => one.slot)).not.toContain(after?.[1]?.slot);
    expect(slots.size).toBe(3);
    expect(discovery.endpoints.get("users")).toEqual(after);
  });

  test("an unchanged answer, in any order, changes nothing", async () => {
    dns.zone.set("users.test", { a: ["127.0.0.7", "127.0.0.8"] });
    await discover().start(plan(upstream("users", "http://users.test")));
    dns.zone.set("users.test", { a: ["127.0.0.8", "127.0.0.7"] });
    const asked = dns.count("a users.test");
    await until("three more questions", () => dns.count("a users.test") >= asked + 3);
    expect(changes).toEqual([]);
  });

  test("the TTL decides when to ask again, within its bounds", async () => {
    dns.zone.set("long.test", { a: ["127.0.0.7"], ttl: 3600 });
    dns.zone.set("short.test", { a: ["127.0.0.8"], ttl: 0 });
    await discover({ ttlMinMs: 20, ttlMaxMs: 3_600_000 }).start(plan(upstream("users", "http://long.test", "http://short.test")));
    await until("five questions", () => dns.count("a short.test") >= 5);
    expect(dns.count("a long.test")).toBe(1);
  });

  test.each(["fail", "nxdomain"] as const)("when asking fails (%s) the last good answer stays, said once", async (how) => {
    dns.zone.set("users.test", { a: ["127.0.0.7"] });
    const good = await discover().start(plan(upstream("users", "http://users.test")));
    if (how === "fail") dns.mode = "fail";
    else dns.zone.delete("users.test");
    await until("a warning", () => warnings.length > 0);
    expect(warnings).toEqual([expect.stringMatching(/^users\.test: .*the last answer stays in use$/)]);
    expect(changes).toEqual([]);
    expect(discovery.endpoints).toEqual(good);
    dns.mode = "answer";
    dns.zone.set("users.test", { a: ["127.0.0.7", "127.0.0.8"] });
    await until("a change", () => changes.length > 0);
    expect(warnings).toHaveLength(2);
    expect(warnings[1]).toBe("users.test: resolved again");
  });

  test.each(["silent", "fail", "nxdomain"] as const)(
    "a name that does not resolve at first (%s) does not hold up the start",
    async (how) => {
      if (how !== "nxdomain") dns.mode = how;
      const found = await discover().start(plan(upstream("users", "http://users.test", "http://10.0.0.1:81")));
      expect(keys(found.get("users"))).toEqual(["http://10.0.0.1:81"]);
      expect(warnings.join("\n")).toContain("users.test: not resolved yet");
      dns.mode = "answer";
      dns.zone.set("users.test", { a: ["127.0.0.7"] });
      await until("a change", () => changes.length > 0, 9000);
      expect(keys(changes[0]?.endpoints)).toEqual(["http://users.test:80#127.0.0.7", "http://10.0.0.1:81"]);
    },
  );
});

describe("SRV", () => {
  test("lowest priority, weights multiplied, ports from the records", async () => {
    dns.zone.set("_http._tcp.users.test", {
      srv: [
        { priority: 10, weight: 5, port: 8001, target: "one.test" },
        { priority: 10, weight: 0, port: 8002, target: "two.test" },
        { priority: 20, weight: 9, port: 8003, target: "backup.test" },
      ],
    });
    dns.zone.set("one.test", { a: ["127.0.0.1", "127.0.0.2"] });
    dns.zone.set("two.test", { a: ["127.0.0.3"] });
    const found = await discover().start(plan(upstream("users", ["http+srv://_http._tcp.users.test", 2])));
    expect(found.get("users")?.map((one) => [one.key, one.authority, one.weight])).toEqual([
      ["http://one.test:8001#127.0.0.1", "one.test:8001", 10],
      ["http://one.test:8001#127.0.0.2", "one.test:8001", 10],
      ["http://two.test:8002#127.0.0.3", "two.test:8002", 2],
    ]);
  });

  test("a host that does not exist does not take the others away; a changed record changes the endpoints", async () => {
    const record = { priority: 1, weight: 1, port: 8001, target: "one.test" };
    dns.zone.set("_http._tcp.users.test", { srv: [record, { ...record, target: "gone.test" }] });
    dns.zone.set("one.test", { a: ["127.0.0.1"] });
    const found = await discover().start(plan(upstream("users", "https+srv://_http._tcp.users.test")));
    expect(keys(found.get("users"))).toEqual(["https://one.test:8001#127.0.0.1"]);
    dns.zone.set("_http._tcp.users.test", { srv: [{ ...record, port: 8002 }] });
    await until("a change", () => changes.length > 0);
    expect(keys(changes[0]?.endpoints)).toEqual(["https://one.test:8002#127.0.0.1"]);
  });
});

describe("plans", () => {
  test("a prepared plan changes nothing until it is committed; then only what it uses is held and watched", async () => {
    dns.zone.set("old.test", { a: ["127.0.0.1"] });
    dns.zone.set("new.test", { a: ["127.0.0.2"] });
    const first = await discover().start(plan(upstream("users", "http://old.test", "http://10.0.0.1")));
    const prepared = await discovery.prepare(plan(upstream("users", "http://new.test", "http://10.0.0.1")));
    expect(discovery.endpoints).toEqual(first);
    expect(slots.size).toBe(3);
    expect(prepared.endpoints.get("users")?.[1]).toEqual(first.get("users")?.[1]);
    expect(prepared.commit()).toEqual(prepared.endpoints);
    expect(slots.size).toBe(2);
    const asked = dns.count("a old.test");
    const askedNew = dns.count("a new.test");
    await until("new.test asked again", () => dns.count("a new.test") >= askedNew + 3);
    expect(dns.count("a old.test")).toBe(asked);
  });

  test("an abandoned plan leaves no trace", async () => {
    dns.zone.set("new.test", { a: ["127.0.0.2"] });
    const first = await discover().start(plan(upstream("users", "http://10.0.0.1")));
    (await discovery.prepare(plan(upstream("users", "http://new.test")))).abandon();
    expect(discovery.endpoints).toEqual(first);
    expect(slots.size).toBe(1);
    const again = await discovery.update(plan(upstream("users", "http://10.0.0.1")));
    expect(again).toEqual(first);
  });

  test("an answer that comes between prepare and commit is reported", async () => {
    dns.zone.set("users.test", { a: ["127.0.0.1"] });
    await discover().start(plan());
    const prepared = await discovery.prepare(plan(upstream("users", "http://users.test")));
    dns.zone.set("users.test", { a: ["127.0.0.2"] });
    const asked = dns.count("a users.test");
    await until("the new answer to be in", () => dns.count("a users.test") >= asked + 3);
    const committed = prepared.commit();
    expect(keys(committed.get("users"))).toEqual(["http://users.test:80#127.0.0.2"]);
    expect(changes.map((change) => keys(change.endpoints))).toEqual([["http://users.test:80#127.0.0.2"]]);
    expect(slots.size).toBe(1);
  });

  test("more endpoints than slots: the rest is unused, with a warning", async () => {
    const found = await discover({ slots: 2 }).start(plan(upstream("users", "http://10.0.0.1", "http://10.0.0.2", "http://10.0.0.3")));
    expect(found.get("users")).toHaveLength(2);
    expect(warnings).toEqual(["users: http://10.0.0.3:80 is unused: more targets than the health table has slots"]);
  });

  test("a DNS server that is no address is refused", () => {
    discover();
    expect(() => discover({ servers: ["dns.example"] })).toThrow(TypeError);
  });
});
