// What upstreams have in common, and what the Host is that they are sent.
import { describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { BASE, check, good, parse, problemsOf } from "../../../../support/config-text.ts";

/** Two upstreams, `a` and `b`; the defaults begin on line 6. */
const text = (defaults: string, a = "", b = "") => `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  a: { targets: [{ url: "http://10.0.0.1" }]${a === "" ? "" : `, ${a}`} }
  b: { targets: [{ url: "https://10.0.0.2" }]${b === "" ? "" : `, ${b}`} }
upstreamDefaults: ${defaults}
routes: [{ name: all, match: {}, weighted: [{ upstream: a }, { upstream: b }] }]
`;
const planOf = (...texts: string[]) => compilePlan(good(texts).config, { version: 1, metricSlot: () => 0 });
const upstreams = (...texts: string[]) => planOf(...texts).upstreams;

describe("upstreamDefaults", () => {
  it("reach every upstream, key by key, and what an upstream writes itself wins", () => {
    const [a, b] = upstreams(text("{ timeouts: { connect: 2s, idle: 9s }, slowStart: 5s }", "timeouts: { connect: 3s }, slowStart: 0"));
    expect([a?.timeouts.connectMs, a?.timeouts.idleMs, a?.slowStartMs]).toEqual([3000, 9000, 0]);
    expect([b?.timeouts.connectMs, b?.timeouts.idleMs, b?.slowStartMs]).toEqual([2000, 9000, 5000]);
  });
  it("leave what follows from them to each upstream: a longer attempt makes its total longer", () => {
    const [a, b] = upstreams(text("{ timeouts: { attempt: 20s } }", "retry: { attempts: 0 }"));
    expect([a?.timeouts.totalMs, b?.timeouts.totalMs]).toEqual([21_000, 60_000]);
  });
  it("are taken away by null, a single key or a whole tree", () => {
    const defaults = "{ retry: { attempts: 5, budget: 0.5 }, breaker: { openFor: 1s } }";
    const [a, b] = upstreams(text(defaults, "retry: { attempts: null }, breaker: null"));
    expect([a?.retry.attempts, a?.retry.budget, a?.breaker]).toEqual([2, 0.5, null]);
    expect([b?.retry.attempts, b?.breaker?.openForMs]).toEqual([5, 1000]);
  });
  it("are changed by an overlay, and change what a layer below has not written", () => {
    const over = "upstreamDefaults: { slowStart: null, pool: { connections: 9 } }\nupstreams: { a: { pool: { queue: 1 } } }";
    const [a, b] = upstreams(text("{ slowStart: 5s, pool: { connections: 4, keepAlive: 1s } }"), over);
    expect(a).toMatchObject({ slowStartMs: 0, pool: { connections: 9, keepAliveMs: 1000, queue: 1 } });
    expect(b).toMatchObject({ slowStartMs: 0, pool: { connections: 9, keepAliveMs: 1000, queue: 1024 } });
  });
  it("know the former names of keys", () => {
    const [a, b] = upstreams(text("{ timeouts: { response: 7s }, preserveHost: true }", "host: target"));
    expect([a?.timeouts.attemptMs, a?.host, b?.host]).toEqual([7000, "target", "client"]);
  });
  it("of TLS reach only upstreams that have an https target", () => {
    const [a, b] = upstreams(text("{ tls: { serverName: api.internal } }"));
    expect([a?.tls, b?.tls?.serverName]).toEqual([null, "api.internal"]);
    expect(problemsOf(text("{ tls: { serverName: api.internal } }", "tls: { serverName: x.internal }"))).toEqual([
      expect.stringContaining("upstreams.a.tls: no target uses https"),
    ]);
  });
  it("of hashing reach only upstreams that balance by hash", () => {
    const [a, b] = upstreams(text("{ balance: hash, hashOn: { header: x-user }, hashBalanceFactor: 150 }", "balance: random"));
    expect([a?.balance, a?.hashLoadFactor, b?.balance, b?.hashLoadFactor, b?.hashOn]).toEqual([
      ...["random", null, "hash", 1.5],
      { kind: "header", name: "x-user" },
    ]);
  });
  it("of a check that asks reach no upstream whose check only connects, and the other way round", () => {
    const asks = "{ health: { active: { path: /state, method: HEAD, interval: 7s, expect: 204 } } }";
    const [a, b] = upstreams(text(asks, "health: { active: { tcp: true } }"));
    expect(a?.health.active).toMatchObject({ tcp: true, intervalMs: 7000, path: "/healthz", method: "GET" });
    expect(b?.health.active).toMatchObject({ tcp: false, path: "/state", method: "HEAD", statuses: [{ min: 204, max: 204 }] });
    const [c, d] = upstreams(text("{ health: { active: { tcp: true, interval: 7s } } }", "health: { active: { path: /state } }"));
    expect(c?.health.active).toMatchObject({ tcp: false, path: "/state", intervalMs: 7000 });
    expect(d?.health.active).toMatchObject({ tcp: true, intervalMs: 7000 });
  });
  it("of a check's body give way whole", () => {
    const defaults = "{ health: { active: { expect: { status: 204, body: { contains: UP } } } } }";
    const [a, b] = upstreams(
      text(defaults, "health: { active: { expect: { body: { regex: '^OK' } } } }", "health: { active: { expect: 200 } }"),
    );
    expect(a?.health.active).toMatchObject({ statuses: [{ min: 204, max: 204 }], body: { regex: "^OK" } });
    expect(b?.health.active).toMatchObject({ statuses: [{ min: 200, max: 200 }], body: null });
  });
  it("give way whole where an upstream takes another alternative", () => {
    const defaults = "{ balance: hash, hashOn: { header: x-user }, breaker: { openFor: 1s, fallback: { respond: { status: 200 } } } }";
    const [a] = upstreams(text(defaults, "hashOn: { cookie: sid }, breaker: { fallback: { upstream: b } }"));
    expect(a?.hashOn).toEqual({ kind: "cookie", name: "sid" });
    expect(a?.breaker).toMatchObject({ openForMs: 1000, fallback: { kind: "upstream", name: "b" } });
  });
  it("are in no upstream's way when there are none", () => expect(upstreams(BASE)[0]?.slowStartMs).toBe(0));
});

describe("a mistake in upstreamDefaults is reported once, where it stands:", () => {
  check("a value", text("{ pool: { connections: ‸0 } }"), "upstreamDefaults.pool.connections: expected at least 1");
  check("a key", text("{ ‸pol: {} }"), "upstreamDefaults.pol: unknown key; did you mean `pool`?");
  check("targets", text("{ ‸targets: [] }"), "upstreamDefaults.targets: unknown key; targets stand under `upstreams.NAME`");
  check("a text for a map", text("{ timeouts: ‸5s }"), "upstreamDefaults.timeouts: expected a map, got a text; write `{ attempt: 5s }`");
  check("a list", text("‸[]"), "upstreamDefaults: expected a map, got a list");
  check(
    "keys that contradict each other",
    text("{ timeouts: { attempt: 60s, total: ‸15s } }"),
    "upstreamDefaults.timeouts.total: `total: 15s` ends before `attempt: 1m` (upstreamDefaults.timeouts.attempt at c.yaml:6:33) does; lower `attempt`, or raise `total` (left out, it follows from the others)",
  );
  check(
    "a file that is not there",
    text("{ tls: { ca: ‸missing.pem } }"),
    "upstreamDefaults.tls.ca: can't read missing.pem: there is no such file; paths are relative to the configuration file",
  );
  check(
    "a value that an upstream and the defaults make together is one of the upstream",
    text("{ timeouts: { attempt: 60s } }", "timeouts: { total: ‸15s }"),
    "upstreams.a.timeouts.total: `total: 15s` ends before `attempt: 1m` (upstreamDefaults.timeouts.attempt at c.yaml:6:33) does; lower `attempt`, or raise `total` (left out, it follows from the others)",
  );
  it("a warning", () => {
    const warnings = good([text("{ tls: { insecureSkipVerify: true } }").replace("http://10.0.0.1", "https://10.0.0.1")]).warnings;
    expect(warnings.map(formatProblem)).toEqual([
      "c.yaml:6:48: upstreamDefaults.tls.insecureSkipVerify: tls-unverified: the certificate is not verified: whoever is on the way can pose as the other side; name the authority that signed it as `tls.ca`, and its name as `tls.serverName`",
    ]);
  });
});

describe("host", () => {
  const upstream = (settings: string, url = "http://10.0.0.1") =>
    planOf(BASE.replace("[{ url: http://10.0.0.1 }]", `[{ url: "${url}" }], ${settings}`)).upstreams[0];
  const means = (settings: string, expected: unknown) => it(settings, () => expect(upstream(settings)?.host).toEqual(expected));
  means("timeouts: {}", "target");
  means("host: client", "client");
  means("host: target", "target");
  means("host: API.internal", { name: "api.internal" });
  means("host: api.internal:8443", { name: "api.internal:8443" });
  means('host: "[2001:DB8::1]:81"', { name: "[2001:db8::1]:81" });
  means("preserveHost: true", "client");
  means("preserveHost: false", "target");

  it("preserveHost may come from the environment", () => {
    const { config } = good([BASE.replace("}] }", `}], preserveHost: \${KEEP} }`)], { KEEP: "true" });
    expect(config.upstreams[0]?.host).toBe("client");
  });
  it("in a layer above, one form replaces the other", () => {
    const over = (settings: string) => planOf(BASE.replace("}] }", "}], preserveHost: true }"), `upstreams: { users: { ${settings} } }`);
    expect([over("host: api.internal"), over("host: null"), over("preserveHost: null")].map((plan) => plan.upstreams[0]?.host)).toEqual([
      { name: "api.internal" },
      ...["target", "target"],
    ]);
  });
  it("a route may have its own, also by defaults", () => {
    const routes = (more: string) => planOf(`${BASE.replace("to: users", "to: users, host: www.example.com")}${more}`).routes;
    expect(routes("")[0]?.settings.host).toEqual({ name: "www.example.com" });
    expect(planOf(`${BASE}defaults: { host: client }\n`).routes[0]?.settings.host).toBe("client");
    expect(planOf(BASE).routes[0]?.settings.host).toBeNull();
  });
  it("a name is what TLS asks for, unless serverName says otherwise", () => {
    const name = (settings: string, url = "https://10.0.0.1") => upstream(settings, url)?.tls?.serverName;
    expect(name("host: api.internal:8443")).toBe("api.internal");
    expect(name("host: api.internal, tls: { serverName: other.internal }")).toBe("other.internal");
    expect(name("host: api.internal, tls: { insecureSkipVerify: true }")).toBe("api.internal");
    for (const none of ["host: client", "host: target", "host: 10.0.0.9", 'host: "[::1]"']) expect(name(none)).toBeUndefined();
    expect(upstream("host: api.internal", "http://10.0.0.1")?.tls).toBeNull();
  });

  const written = (settings: string) => BASE.replace("}] }", `}], ${settings} }`);
  check(
    "both forms at once are refused",
    written("host: client, ‸preserveHost: true"),
    "upstreams.users.preserveHost: `preserveHost` is the former name of `host`, which stands beside it; remove it",
  );
  check(
    "a former value that never was one",
    written("preserveHost: ‸7"),
    "upstreams.users.preserveHost: expected true or false, got a number",
  );
  check(
    "a URL is no host",
    written('host: ‸"http://api.internal"'),
    "upstreams.users.host: expected client, target, or a host such as api.internal or api.internal:8443",
  );
  it("a route cannot say preserveHost, which it never could", () =>
    expect(parse([BASE.replace("to: users", "to: users, preserveHost: true")]).ok).toBe(false));
});

describe("connecting", () => {
  it("is bounded by the longest of the upstream's and its routes' connect, mirrors aside", () => {
    const routes = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  a: { targets: [{ url: http://a }], timeouts: { connect: 2s }, breaker: { fallback: { upstream: spare } } }
  b: { targets: [{ url: http://b }] }
  c: { targets: [{ url: http://c }] }
  spare: { targets: [{ url: http://d }] }
routes:
  - { name: short, match: { path: /s }, to: a, timeouts: { connect: 100ms } }
  - { name: long, match: { path: /l }, weighted: [{ upstream: a }, { upstream: b }], mirror: { upstream: c }, timeouts: { connect: 4s } }
  - { name: usual, match: { path: /u }, to: c }
`;
    expect(planOf(routes).upstreams.map(({ connectMaxMs, timeouts }) => [connectMaxMs, timeouts.connectMs])).toEqual([
      [4000, 2000],
      [4000, 1000],
      [1000, 1000],
      [4000, 1000],
    ]);
  });
});
